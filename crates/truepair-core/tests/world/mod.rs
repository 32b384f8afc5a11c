//! Pairs whose truth is known, for the tests of the audit.

use truepair_core::audit::{
    AuditOptions, Evidence, Findings, Fold, FoldStatistics, Links, conclude, judge_fold,
};
use truepair_core::pair::Pair;
use truepair_core::rng::{Seed, Stream, normal, sample, shuffle};
use truepair_core::scores::{InnerProduct, Matrix, Scorer};

pub(crate) const DIM: usize = 32;

/// Five captions per image; a caption's vector is its image's plus noise of the given strength.
pub(crate) struct World {
    pub(crate) scorer: InnerProduct,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) mismatched: Vec<bool>,
}

pub(crate) fn world(n_images: usize, noise: f64, rate: f64, seed: u64) -> World {
    let stream = &mut Seed(seed).stream("world", &[]);
    let images: Vec<f64> = (0..n_images * DIM).map(|_| normal(stream)).collect();
    let caption = |n: usize, stream: &mut Stream| -> Vec<f32> {
        let image = &images[n / 5 * DIM..(n / 5 + 1) * DIM];
        image
            .iter()
            .map(|x| (x + noise * normal(stream)) as f32)
            .collect()
    };
    let n = n_images * 5;
    let mut captions = Matrix::new((0..n).flat_map(|n| caption(n, stream)).collect(), DIM);
    let mut images = Matrix::new(images.iter().map(|&x| x as f32).collect(), DIM);
    images.normalize();
    captions.normalize();
    let mut image_of: Vec<u32> = (0..n as u32).map(|caption| caption / 5).collect();
    let chosen = sample(stream, n, (rate * n as f64) as usize);
    let mut moved: Vec<u32> = chosen.iter().map(|&caption| caption / 5).collect();
    shuffle(stream, &mut moved);
    chosen
        .iter()
        .zip(&moved)
        .for_each(|(&caption, &image)| image_of[caption as usize] = image);
    let pairs: Vec<Pair> = image_of
        .iter()
        .zip(0..)
        .map(|(&image, caption)| Pair { image, caption })
        .collect();
    let mismatched = pairs
        .iter()
        .map(|pair| pair.image != pair.caption / 5)
        .collect();
    World {
        scorer: InnerProduct::new(images, captions).unwrap(),
        pairs,
        mismatched,
    }
}

pub(crate) fn links(world: &World) -> Links {
    Links::without_duplicates(
        &world.pairs,
        world.scorer.n_images(),
        world.scorer.n_captions(),
    )
    .unwrap()
}

pub(crate) fn options() -> AuditOptions {
    AuditOptions {
        n_bootstrap: 40,
        ..Default::default()
    }
}

pub(crate) fn judge(world: &World, links: &Links, options: &AuditOptions) -> FoldStatistics {
    let judged: Vec<u32> = (0..world.pairs.len() as u32).collect();
    let (scorer, pairs) = (&world.scorer, &world.pairs);
    let fold = Fold {
        scorer,
        pairs,
        judged: &judged,
        links,
        cells: None,
        plan: None,
    };
    judge_fold(&fold, options, Seed(1), &mut ()).unwrap()
}

pub(crate) fn audit(world: &World) -> Findings {
    let links = links(world);
    let statistics = judge(world, &links, &options());
    conclude(
        &world.pairs,
        &links,
        &Evidence::of(&[statistics]),
        &options(),
        Seed(1),
    )
    .unwrap()
}
