//! Published noise indices, and the manifests that say what was planted.

use std::path::Path;

use truepair_core::dataset::{Dataset, Features};
use truepair_core::noise::{Manifest, NoiseSpec, corrupt};
use truepair_core::pair::Pair;
use truepair_core::rng::Seed;

use crate::scratch;

pub(crate) fn noise_file(data: &[u8]) {
    scratch::with_file("noise_index.npy", data, |path| {
        // As many captions as images, and two an image.
        for captions in [1, 2] {
            planted(path, &small(4, captions));
        }
    });
    scratch::with_file("manifest.json", data, |path| {
        if let Ok(manifest) = Manifest::read(path) {
            let text = format!("{manifest:?}");
            manifest.write(path).expect("a manifest that was read");
            let again = Manifest::read(path).expect("a manifest that was just written");
            assert_eq!(text, format!("{again:?}"));
        }
    });
    if let Ok(word) = std::str::from_utf8(data)
        && let Ok(NoiseSpec::Rate { model, rate }) = word.parse()
    {
        let again: NoiseSpec = (format!("{model}:{rate}").parse()).expect("a rate that was read");
        assert_eq!(again, NoiseSpec::Rate { model, rate });
    }
}

fn planted(path: &Path, data: &Dataset) {
    let spec = NoiseSpec::File(path.to_path_buf());
    let Ok((noisy, manifest)) = corrupt(data, &spec, Seed(1)) else {
        return;
    };
    let images = |data: &Dataset| {
        let mut images: Vec<u32> = data.pairs.iter().map(|pair| pair.image).collect();
        images.sort_unstable();
        images
    };
    assert_eq!(images(&noisy), images(data), "images change places only");
    assert_eq!(manifest.mismatched.len(), data.pairs.len());
    let wrong = manifest.mismatched.iter().filter(|wrong| **wrong).count();
    assert_eq!(manifest.realized, wrong as f64 / data.pairs.len() as f64);
}

fn small(n_images: u32, captions: u32) -> Dataset {
    let n_captions = n_images * captions;
    Dataset {
        name: "small".into(),
        format: "memory",
        split: "train".into(),
        images: Features::from_rows((0..n_images).map(|n| n as f32).collect(), 1),
        image_ids: (0..n_images).map(|n| n.to_string()).collect(),
        image_files: Vec::new(),
        captions: Some((0..n_captions).map(|n| format!("caption {n}")).collect()),
        caption_features: None,
        pairs: (0..n_captions)
            .map(|caption| Pair {
                image: caption / captions,
                caption,
            })
            .collect(),
        labels: None,
        files: Vec::new(),
        account: Default::default(),
    }
}
