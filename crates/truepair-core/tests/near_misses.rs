//! The audit's promises about near misses: pairs of the right scene with a wrong detail.

mod world;

use truepair_core::audit::{
    Evidence, Findings, Fold, Likeness, NoiseRate, Outcome, Plan, auc, conclude, judge_fold,
};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, normal, sample};
use truepair_core::scores::{InnerProduct, Matrix};

use world::{DIM, World, audit, links, options, world};

/// Images in clusters of 15, captions as in [`world`]; a share of the captions moves to another image
/// of its cluster.
fn clustered(n_images: usize, rate: f64, seed: u64) -> World {
    let stream = &mut Seed(seed).stream("clustered", &[]);
    let centers: Vec<f64> = (0..n_images.div_ceil(15) * DIM)
        .map(|_| normal(stream))
        .collect();
    let mut images: Vec<f32> = Vec::with_capacity(n_images * DIM);
    for image in 0..n_images {
        let center = &centers[image / 15 * DIM..][..DIM];
        images.extend(center.iter().map(|x| (x + 0.6 * normal(stream)) as f32));
    }
    let n = n_images * 5;
    let mut captions: Vec<f32> = Vec::with_capacity(n * DIM);
    for caption in 0..n {
        let image = &images[caption / 5 * DIM..][..DIM];
        captions.extend(image.iter().map(|x| x + 0.35 * normal(stream) as f32));
    }
    let (mut images, mut captions) = (Matrix::new(images, DIM), Matrix::new(captions, DIM));
    images.normalize();
    captions.normalize();
    let chosen = sample(stream, n, (rate * n as f64) as usize);
    let mut image_of: Vec<u32> = (0..n as u32).map(|caption| caption / 5).collect();
    for caption in chosen {
        let own = caption / 5;
        let members: Vec<u32> = (own / 15 * 15..(own / 15 * 15 + 15).min(n_images as u32))
            .filter(|image| *image != own)
            .collect();
        image_of[caption as usize] = members[sample(stream, members.len(), 1)[0] as usize];
    }
    let pairs = image_of
        .iter()
        .zip(0..)
        .map(|(&image, caption)| Pair { image, caption });
    let pairs: Vec<Pair> = pairs.collect();
    World {
        scorer: InnerProduct::new(images, captions).unwrap(),
        mismatched: pairs
            .iter()
            .map(|pair| pair.image != pair.caption / 5)
            .collect(),
        pairs,
    }
}

impl Likeness for World {
    fn images(&self, rows: &[u32]) -> truepair_core::Result<Matrix> {
        Ok(taken(self.scorer.images(), rows))
    }

    fn captions(&self, rows: &[u32]) -> truepair_core::Result<Matrix> {
        Ok(taken(self.scorer.captions(), rows))
    }
}

fn taken(matrix: &Matrix, rows: &[u32]) -> Matrix {
    let values = rows
        .iter()
        .flat_map(|&row| matrix.row(row as usize))
        .copied();
    Matrix::new(values.collect(), matrix.dim())
}

/// As [`audit`], with near misses looked for.
fn audit_near(world: &World) -> Findings {
    let links = links(world);
    let judged: Vec<u32> = (0..world.pairs.len() as u32).collect();
    let plan = Plan::new(&world.pairs, &links, None, world, Seed(1)).unwrap();
    let fold = Fold {
        scorer: &world.scorer,
        pairs: &world.pairs,
        judged: &judged,
        links: &links,
        cells: None,
        plan: Some(&plan),
    };
    let statistics = judge_fold(&fold, &options(), Seed(1), &mut ()).unwrap();
    let evidence = Evidence::of(std::slice::from_ref(&statistics));
    conclude(&world.pairs, &links, &evidence, &options(), Seed(1)).unwrap()
}

#[test]
fn near_misses_are_found_and_named() {
    let world = clustered(300, 0.25, 5);
    let blind = audit(&world);
    let found = audit_near(&world);
    assert_eq!(found.outcome, Outcome::MismatchedPairs);
    let kinds = found.kinds.unwrap();
    assert!(
        kinds.is_found && kinds.near.low <= 0.25 && kinds.near.high >= 0.25,
        "{kinds:?}"
    );
    assert!(kinds.far.estimate < 0.03, "{kinds:?}");
    let auc_of = |findings: &Findings| {
        let posteriors: Vec<f64> = findings.verdicts.iter().map(|v| v.posterior).collect();
        auc(&posteriors, &world.mismatched)
    };
    assert!(auc_of(&found) > 0.85 && auc_of(&found) > auc_of(&blind) + 0.1);
    // What is called mismatched is called a near miss.
    for verdict in found
        .verdicts
        .iter()
        .filter(|verdict| verdict.posterior > 0.5)
    {
        assert!(verdict.near > 0.5 * verdict.posterior, "{verdict:?}");
    }
}

#[test]
fn where_none_are_near_none_are_found() {
    for (world, rate) in [
        (clustered(300, 0.0, 6), 0.0),
        (world(300, 1.0, 0.2, 7), 0.2),
    ] {
        let found = audit_near(&world);
        let kinds = found.kinds.unwrap();
        assert!(!kinds.is_found, "{rate}: {kinds:?}");
        assert_eq!(found.noise_rate, kinds.far);
        let NoiseRate { low, high, .. } = found.noise_rate;
        assert!(low <= rate && rate <= high, "{:?}", found.noise_rate);
    }
}
