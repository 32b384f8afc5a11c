//! Recipes of runs.

use truepair_core::dataset::{Dataset, Features};
use truepair_core::pair::Pair;
use truepair_train::Recipe;

pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(recipe) = Recipe::from_toml(text) else {
        return;
    };
    let Ok(config) = recipe.resolve(&small()) else {
        return;
    };
    let kept = config.to_toml();
    let again = Recipe::from_toml(&kept).expect("a config that was just written");
    let again = again
        .resolve(&small())
        .expect("a config that was resolved before");
    assert_eq!(again.to_toml(), kept);
}

fn small() -> Dataset {
    Dataset {
        name: "small".into(),
        format: "memory",
        split: "train".into(),
        images: Features::from_rows(vec![0.0, 1.0, 2.0, 3.0], 2),
        image_ids: vec!["a".into(), "b".into()],
        image_files: Vec::new(),
        captions: Some(vec!["one".into(), "two".into()]),
        caption_features: None,
        pairs: [0, 1]
            .map(|n| Pair {
                image: n,
                caption: n,
            })
            .to_vec(),
        labels: None,
        files: Vec::new(),
        account: Default::default(),
    }
}
