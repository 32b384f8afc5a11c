//! Both variants of VSRN's image encoder, and its caption decoder.

use burn::tensor::{Int, Tensor, TensorData};
use truepair_core::rng::Seed;
use truepair_model::backbone::{BackboneConfig, InputShape, RegionGraphConfig};
use truepair_model::encoding::{Input, Regions};
use truepair_model::kernel::Precision;
use truepair_model::layer::{Init, Mode};
use truepair_model::matcher::describer::DescriberConfig;
use truepair_model::parameters;
use truepair_train::published::vsrn::{describer_names, image_names};

use crate::cases::{check_case, check_running, weights};
use crate::support::{Golden, assert_close, device, loaded, vector};

fn check_image_encoder(file: &str, normalize_projection: bool, batch_norm_state: bool) {
    let golden = Golden::open(file);
    let [_, regions, width] = golden.shape("in.images")[..] else {
        panic!("three axes")
    };
    let config = RegionGraphConfig {
        dim: golden.shape("w.fc.weight")[0],
        layers: 4,
        normalize_projection,
        batch_norm_state,
    };
    let names = image_names(&config);
    for case in ["eval.", "train."] {
        let shape = InputShape::Features { width, regions };
        let config = BackboneConfig::RegionGraph(config.clone());
        let backbone = loaded(&config, shape, weights(&golden, &names));
        let images: Tensor<3> = golden.tensor("in.images");
        let input = Input::Features {
            values: images.clone(),
            mask: None,
        };
        let mut rng = Seed(0).stream("dropout", &[]);
        let mut mode = match case {
            "eval." => Mode::Evaluate,
            _ => Mode::Train(&mut rng),
        };
        let encoding = backbone.encode(&input, &mut mode);
        let found: Tensor<2> = encoding.values.squeeze_dim(1);
        let related = encoding.regions.unwrap().values;
        for (name, values) in [
            ("img_emb", vector(found.clone())),
            ("gcn", vector(related.clone())),
        ] {
            let key = format!("out.{case}{name}");
            assert_close(&key, &values, &golden.floats(&key), 1e-5, 1e-6);
        }
        if case == "train." {
            let n_norms = 4 + usize::from(batch_norm_state);
            assert_eq!(check_running(&golden, case, &backbone, &names), 2 * n_norms);
        }
        let loss = (found * golden.tensor("in.cotangent")).sum()
            + (related * golden.tensor("in.cotangent_gcn")).sum();
        let input = ("in.images", Some(images));
        check_case(&golden, case, &backbone, &names, input, loss, 1e-4);
    }
}

#[test]
fn golden_vsrn_image_encoder_of_flickr30k() {
    check_image_encoder("u07_vsrn_image_f30k.safetensors", false, true);
}

#[test]
fn golden_vsrn_image_encoder_of_coco() {
    check_image_encoder("u07_vsrn_image_coco.safetensors", true, false);
}

#[test]
fn golden_vsrn_describer_and_its_gradients() {
    let golden = Golden::open("u07_vsrn_caption.safetensors");
    let [vocabulary, word_dim] = golden.shape("w.decoder.embedding.weight")[..] else {
        panic!("two axes")
    };
    let [hidden, d] = golden.shape("w.encoder.vid2hid.weight")[..] else {
        panic!("two axes")
    };
    let config = DescriberConfig {
        word_dim,
        hidden,
        ..DescriberConfig::default()
    };
    let mut init = Init::new(Seed(0).stream("init", &[]), device(), Precision::F32);
    let names = describer_names();
    let describer = config.build(d, vocabulary, &mut init).unwrap();
    let describer = parameters::import(describer, weights(&golden, &names)).unwrap();
    let values: Tensor<3> = golden.tensor("in.gcn");
    let regions = Regions {
        values: values.clone(),
        lengths: vec![values.dims()[1]; values.dims()[0]],
    };
    let [n, t] = golden.shape("in.labels")[..] else {
        panic!("two axes")
    };
    let ids = TensorData::new(golden.integers("in.labels"), [n, t]);
    let ids = Tensor::<2, Int>::from_data(ids, &device());
    let found = describer.log_probabilities(&regions, ids.clone(), &mut Mode::Evaluate);
    let expected = golden.floats("out.logprobs");
    assert_close("logprobs", &vector(found), &expected, 1e-5, 1e-6);
    let captions = Input::Tokens {
        ids,
        mask: golden.tensor("in.mask"),
    };
    let loss = describer.loss(&regions, &captions, &mut Mode::Evaluate);
    let input = ("in.gcn", Some(values));
    check_case(&golden, "", &describer, &names, input, loss, 1e-4);
}
