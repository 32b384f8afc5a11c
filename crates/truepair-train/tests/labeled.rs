//! Methods for labeled data: worked examples, slopes, and what they promise under planted noise.

use std::sync::atomic::AtomicBool;

use burn::tensor::{Device, Tensor, TensorData};
use truepair_core::dataset::Features;
use truepair_core::labeled::{LabelOutcome, LabeledSet, Modality};
use truepair_core::noise::corrupt_labels;
use truepair_core::rng::{Seed, below, normal};
use truepair_core::watch::Watch;
use truepair_model::Accelerator;
use truepair_model::kernel::Precision;
use truepair_model::layer::{Init, Linear};
use truepair_model::parameters;
use truepair_train::Error;
use truepair_train::labeled::*;

fn device() -> Device {
    Device::flex().autodiff()
}

fn matrix<const R: usize, const C: usize>(values: [[f32; C]; R]) -> Tensor<2> {
    let flat: Vec<f32> = values.into_iter().flatten().collect();
    Tensor::from_data(TensorData::new(flat, [R, C]), &device()).require_grad()
}

fn vector<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap()
}

fn scalar(x: Tensor<1>) -> f64 {
    f64::from(vector(x)[0])
}

/// Two items in two modalities at right angles, worked out by hand.
fn example() -> (Vec<Tensor<2>>, Tensor<2>, Vec<Tensor<2>>) {
    let embeddings = vec![
        matrix([[1.0, 0.0], [0.0, 1.0]]),
        matrix([[0.8, 0.6], [0.6, 0.8]]),
    ];
    let targets = vec![
        one_hot(&[0, 1], 2, &device()),
        one_hot(&[0, 0], 2, &device()),
    ];
    (embeddings, matrix([[1.0, 0.0], [0.0, 1.0]]), targets)
}

#[test]
fn worked_examples_of_both_losses() {
    let (z, centers, y) = example();
    let clustering = |at: usize| scalar(robust_clustering(&z[at], &centers, &y[at], 1.0).mean());
    assert!((clustering(0) + 1.313_261_687_5).abs() < 1e-6);
    assert!((clustering(1) + 0.698_138_869_4).abs() < 1e-6);
    for (form, expected) in [
        (SelfTerm::Excluded, 1.914_947_529_4),
        (SelfTerm::Included, 1.091_797_889_3),
    ] {
        let found = scalar(multimodal_contrastive(&z, 1.0, form).mean());
        assert!((found - expected).abs() < 1e-6, "{form:?}: {found}");
    }
    let view = LabelView {
        embeddings: &z,
        centers,
        head: None,
        targets: &y,
        epoch: 0,
    };
    let published = LabelMethodConfig::Mrl(MrlConfig {
        temperature: 1.0,
        contrastive_temperature: 1.0,
        ..MrlConfig::default()
    });
    let total = scalar(published.item_loss(&view).0.mean());
    assert!((total + 0.833_496_131_0).abs() < 1e-6, "{total}");
}

#[test]
fn an_unlikely_label_hardly_moves_robust_clustering() {
    // Logits 1, 0.5 and -0.2 with the label at the first.
    let embedding = matrix([[1.0, 0.5, -0.2]]);
    let centers = matrix([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
    let target = one_hot(&[0], 3, &device());
    let tape = robust_clustering(&embedding, &centers, &target, 1.0)
        .sum()
        .backward();
    let slopes = vector(embedding.grad(&tape).unwrap());
    for (found, expected) in slopes
        .iter()
        .zip([-0.524_184_6, 0.350_253_74, 0.173_930_86])
    {
        assert!((found - expected).abs() < 1e-6, "{slopes:?}");
    }
    // Where softmax rounds to 1 the loss stays finite.
    let sure = matrix([[300.0, 0.0, 0.0]]);
    assert!(scalar(robust_clustering(&sure, &centers, &target, 1.0)).is_finite());
}

#[test]
fn rono_equals_its_equations() {
    let (z, _, y) = example();
    let centers = matrix([[2.0, 1.0], [0.0, 1.0]]);
    let mut init = Init::new(Seed(3).stream("init", &[]), device(), Precision::F32);
    let head = Linear::new(&mut init, 2, 2);
    let (weight, bias) = (vector(head.weight.val()), vector(head.bias.val()));
    let config = RonoConfig::default();
    for epoch in [0, 12, 40] {
        let view = LabelView {
            embeddings: &z,
            centers: centers.clone(),
            head: Some(&head),
            targets: &y,
            epoch,
        };
        let found = vector(LabelMethodConfig::Rono(config.clone()).item_loss(&view).0);
        let contrast =
            multimodal_contrastive(&z, config.contrastive_temperature, SelfTerm::Excluded);
        let contrast = vector(contrast);
        let root = 0.5f64.sqrt();
        let c = [[1.0, 0.0], [root, root]];
        let mean = [(1.0 + root) / 2.0, root / 2.0];
        let v = (epoch as f64 / 24.0).min(1.0);
        for item in 0..2 {
            let mut expected = f64::from(contrast[item]);
            for (z, y) in z.iter().zip(&y) {
                let z: Vec<f64> = vector(z.clone())[2 * item..][..2]
                    .iter()
                    .map(|x| f64::from(*x))
                    .collect();
                let label = usize::from(vector(y.clone())[2 * item + 1] > 0.5);
                let dot = |c: [f64; 2]| c[0] * z[0] + c[1] * z[1];
                let (middle, own) = (dot(mean).exp(), dot(c[label]));
                let first = (middle - (1.5 * own).exp()) / 0.05;
                let second = -(middle - own.exp() + 0.3).abs() / 0.05;
                let logit = |k: usize| {
                    (f64::from(weight[2 * k]) * z[0]
                        + f64::from(weight[2 * k + 1]) * z[1]
                        + f64::from(bias[k]))
                    .exp()
                };
                let missed = 1.0 - logit(label) / (logit(0) + logit(1));
                expected += (1.0 - v) * first + v * second + 5.0 * missed;
            }
            assert!(
                (f64::from(found[item]) - expected).abs() < 2e-4,
                "{epoch}: {found:?} {expected}"
            );
        }
    }
}

/// Moves every input along its gradient: the slope of the loss must be the gradient's length.
#[test]
fn slopes_of_every_method_are_their_gradients() {
    let mut rng = Seed(8).stream("slopes", &[]);
    let mut draw = |n: usize, d: usize| {
        let values: Vec<f32> = (0..n * d).map(|_| 0.5 * normal(&mut rng) as f32).collect();
        Tensor::<2>::from_data(TensorData::new(values, [n, d]), &device())
    };
    let (embeddings, centers) = ([draw(5, 6), draw(5, 6), draw(5, 6)], draw(6, 4));
    let mut init = Init::new(Seed(3).stream("init", &[]), device(), Precision::F32);
    let head = Linear::new(&mut init, 6, 4);
    let targets: Vec<Tensor<2>> = [[0, 1, 2, 3, 0], [0, 1, 2, 2, 1], [3, 1, 2, 3, 0]]
        .map(|labels| one_hot(&labels, 4, &device()))
        .into();
    for (name, _, method) in LabelMethodConfig::all() {
        let loss = |embeddings: &[Tensor<2>], centers: &Tensor<2>| {
            let view = LabelView {
                embeddings,
                centers: centers.clone(),
                head: Some(&head),
                targets: &targets,
                epoch: 3,
            };
            method.item_loss(&view).0.mean()
        };
        let tracked: Vec<Tensor<2>> = (embeddings.iter())
            .map(|z| z.clone().detach().require_grad())
            .collect();
        let tracked_centers = centers.clone().detach().require_grad();
        let tape = loss(&tracked, &tracked_centers).backward();
        for part in 0..4 {
            let gradient = match part {
                3 => tracked_centers.grad(&tape),
                at => tracked[at].grad(&tape),
            };
            let values = vector(gradient.unwrap());
            let length = values
                .iter()
                .map(|x| f64::from(*x).powi(2))
                .sum::<f64>()
                .sqrt();
            let shape = if part == 3 { [6, 4] } else { [5, 6] };
            let direction = values
                .iter()
                .map(|x| x / length as f32)
                .collect::<Vec<f32>>();
            let direction = Tensor::<2>::from_data(TensorData::new(direction, shape), &device());
            let at = |step: f64| {
                let (mut z, mut c) = (embeddings.to_vec(), centers.clone());
                match part {
                    3 => c = c + direction.clone() * step,
                    at => z[at] = z[at].clone() + direction.clone() * step,
                }
                scalar(loss(&z, &c))
            };
            let slope = (at(5e-3) - at(-5e-3)) / 1e-2;
            assert!(
                (slope - length).abs() < 0.02 * length + 1e-4,
                "{name} {part}: {slope} {length}"
            );
        }
    }
}

const CLASSES: usize = 4;

/// Items whose modalities are noisy views of their class, of different widths.
fn set(n: usize, split: &str) -> LabeledSet {
    let mut rng = Seed(11).stream(split, &[]);
    let labels: Vec<u32> = (0..n)
        .map(|_| below(&mut rng, CLASSES as u64) as u32)
        .collect();
    let modality = |name: &str, width: usize, noise: f64| {
        let mut views = Seed(12).stream(name, &[]);
        let centers: Vec<f64> = (0..CLASSES * width).map(|_| normal(&mut views)).collect();
        let mut rng = Seed(13).stream(name, &[n as u64]);
        let values = (labels.iter())
            .flat_map(|&label| centers[label as usize * width..][..width].to_vec())
            .map(|center| (center + noise * normal(&mut rng)) as f32)
            .collect();
        Modality {
            name: name.into(),
            features: Features::from_rows(values, width),
            labels: labels.clone(),
        }
    };
    LabeledSet {
        split: split.into(),
        n_classes: CLASSES,
        modalities: vec![modality("img", 20, 1.2), modality("txt", 9, 0.8)],
    }
}

fn config(method: LabelMethodConfig) -> LabelConfig {
    LabelConfig {
        method,
        network: NetworkConfig {
            hidden: 48,
            dim: 24,
            dropout: 0.0,
            ..NetworkConfig::default()
        },
        training: LabelTrainingConfig {
            epochs: 15,
            batch: 64,
            select: LabelSelect::Last,
            ..LabelTrainingConfig::default()
        },
        ..LabelConfig::default()
    }
}

fn trained(set: &LabeledSet, config: &LabelConfig, seed: u64) -> LabelTrained {
    let stop = AtomicBool::new(false);
    let mut session = LabelSession {
        accelerator: Accelerator::Cpu,
        stop: &stop,
        watch: &mut (),
    };
    train_labels(set, None, config, Seed(seed), &mut session).unwrap()
}

fn noisy(set: &LabeledSet, spec: &str) -> (LabeledSet, Vec<Vec<bool>>) {
    let (set, manifest) = corrupt_labels(set, &spec.parse().unwrap(), 0, Seed(5)).unwrap();
    (set, manifest.wrong)
}

#[test]
fn every_method_learns_and_repeats_to_the_bit() {
    let (train, test) = (set(400, "train"), set(160, "test"));
    for (name, _, method) in LabelMethodConfig::all() {
        let config = config(method);
        let first = trained(&train, &config, 1);
        let map = first.retrieval(&test).unwrap().mean;
        assert!(map > 0.7, "{name}: {map}");
        let again = trained(&train, &config, 1);
        assert_eq!(first.history, again.history, "{name}");
        let weights = |trained: &LabelTrained| parameters::export(&trained.networks);
        assert_eq!(weights(&first), weights(&again), "{name}");
        assert_ne!(
            weights(&first),
            weights(&trained(&train, &config, 2)),
            "{name}"
        );
    }
}

#[test]
fn robust_methods_beat_cross_entropy_under_planted_noise() {
    let (train, test) = (set(600, "train"), set(200, "test"));
    let (train, _) = noisy(&train, "symmetric:0.6");
    let map = |method: LabelMethodConfig| {
        let config = LabelConfig {
            training: LabelTrainingConfig {
                epochs: 60,
                ..config(method.clone()).training
            },
            ..config(method)
        };
        trained(&train, &config, 1).retrieval(&test).unwrap().mean
    };
    let found: Vec<f64> = (LabelMethodConfig::all().into_iter())
        .map(|(_, _, method)| map(method))
        .collect();
    let [mrl, plain, rono] = found[..] else {
        panic!("three methods")
    };
    assert!(
        mrl > plain + 0.03 && rono > plain + 0.03,
        "{mrl} {plain} {rono}"
    );
}

#[test]
fn the_audit_finds_planted_labels_with_calibrated_probabilities() {
    let clean = set(1500, "train");
    for (spec, largest_ece) in [("symmetric:0.4", 0.03), ("symmetric:0.4:shared", 0.03)] {
        let (train, wrong) = noisy(&clean, spec);
        let mut findings = audited(&train);
        findings.measure(&wrong);
        assert_eq!(findings.outcome, LabelOutcome::WrongLabels);
        assert_eq!(findings.shared, spec.ends_with("shared"));
        for (found, truth) in findings.modalities.iter().zip(&findings.truth) {
            assert!(
                truth.ece <= largest_ece && truth.auc > 0.95,
                "{spec}: {} {}",
                truth.ece,
                truth.auc
            );
            let gap = found.noise_rate.estimate - truth.realized;
            assert!(gap.abs() < 0.03, "{spec}: {gap}");
        }
    }
}

fn audited(set: &LabeledSet) -> truepair_core::labeled::LabelFindings {
    let stop = AtomicBool::new(false);
    let mut session = LabelSession {
        accelerator: Accelerator::Cpu,
        stop: &stop,
        watch: &mut (),
    };
    let small = config(LabelMethodConfig::default());
    let config = LabelCrossFitConfig {
        folds: 3,
        network: small.network,
        training: small.training,
        ..LabelCrossFitConfig::default()
    };
    cross_fit_labels(set, &config, Seed(1), &mut session).unwrap()
}

#[test]
fn the_epoch_is_chosen_where_the_config_says() {
    let (train, dev) = (set(200, "train"), set(80, "dev"));
    let mut config = config(LabelMethodConfig::default());
    let stop = AtomicBool::new(false);
    let mut session = LabelSession {
        accelerator: Accelerator::Cpu,
        stop: &stop,
        watch: &mut (),
    };
    for (select, is_judged) in [
        (LabelSelect::HeldOut, true),
        (LabelSelect::Dev, true),
        (LabelSelect::Last, false),
    ] {
        config.training.select = select;
        let found = train_labels(&train, Some(&dev), &config, Seed(1), &mut session).unwrap();
        assert!(
            found
                .history
                .iter()
                .all(|record| record.selection_map.is_some() == is_judged)
        );
        let value = |record: &LabelEpoch| record.selection_map.unwrap_or(record.epoch as f64);
        let largest = found.history.iter().map(value).fold(f64::MIN, f64::max);
        assert_eq!(value(&found.history[found.best_epoch()]), largest);
        if select == LabelSelect::Dev {
            let map = found.retrieval(&dev).unwrap().mean;
            assert!(
                (map - largest).abs() < 1e-9,
                "the kept weights are the best epoch's"
            );
        }
    }
    config.training.select = LabelSelect::Dev;
    let error = train_labels(&train, None, &config, Seed(1), &mut session).unwrap_err();
    assert!(error.to_string().contains("no dev split"), "{error}");
    config.training.batch = 1;
    let error = train_labels(&train, None, &config, Seed(1), &mut session).unwrap_err();
    assert!(
        error.to_string().contains("training.batch is at least 2"),
        "{error}"
    );
}

/// Asks to stop after a few steps.
struct Impatient<'a>(&'a AtomicBool);

impl Watch for Impatient<'_> {
    fn advance(&mut self, _stage: &str, done: u64, _total: u64) {
        if done == 2 {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl LabelWatch for Impatient<'_> {
    fn label_epoch(&mut self, _record: &LabelEpoch) {
        panic!("no epoch is finished");
    }
}

#[test]
fn a_run_stops_when_it_is_asked_to() {
    let stop = AtomicBool::new(false);
    let mut watch = Impatient(&stop);
    let mut session = LabelSession {
        accelerator: Accelerator::Cpu,
        stop: &stop,
        watch: &mut watch,
    };
    let config = config(LabelMethodConfig::default());
    let ended = train_labels(&set(400, "train"), None, &config, Seed(1), &mut session);
    assert!(matches!(ended, Err(Error::Stopped { epoch: 0, .. })));
}

#[test]
fn a_run_is_written_as_files_that_read_back() {
    let home = tempfile::tempdir().unwrap();
    let found = trained(&set(120, "train"), &config(LabelMethodConfig::default()), 1);
    found.write(home.path()).unwrap();
    let text = std::fs::read_to_string(home.path().join("config.toml")).unwrap();
    assert_eq!(toml::from_str::<LabelConfig>(&text).unwrap(), found.config);
    let lines = std::fs::read_to_string(home.path().join("metrics.jsonl")).unwrap();
    let records: Vec<LabelEpoch> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records, found.history);
    let bytes = std::fs::read(home.path().join("weights.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let centers = tensors.tensor("centers").unwrap();
    assert_eq!(centers.shape(), [24, CLASSES]);
    assert!(tensors.tensor("networks.1.third.weight").is_ok());
}
