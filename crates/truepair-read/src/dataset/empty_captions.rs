//! What becomes of captions without a text, in every format alike.

use std::path::Path;

use truepair_core::dataset::Dataset;
use truepair_core::error::{Error, Place, Result};
use truepair_core::text::{invisible, is_blank};

use super::OnEmpty;

/// Does with the empty captions of `dataset` what `on_empty` says; `place` says where caption `n`
/// stands in `path`.
///
/// # Errors
/// If there is one and `on_empty` refuses it.
pub(super) fn settle_empty_captions(
    mut dataset: Dataset,
    on_empty: OnEmpty,
    path: &Path,
    place: impl Fn(usize) -> Place,
) -> Result<Dataset> {
    let texts = dataset.captions.as_deref().unwrap_or_default();
    let Some(first) = texts.iter().position(|text| is_blank(text)) else {
        return Ok(dataset);
    };
    match on_empty {
        OnEmpty::Keep => Ok(dataset),
        OnEmpty::Error => Err(Error::data(
            path,
            place(first),
            match invisible(&texts[first]) {
                Some(characters) => format!("empty caption: nothing of {characters} can be seen"),
                None => "empty caption".to_owned(),
            },
            "write a caption, remove the pair, or leave such pairs out with --on-empty drop",
        )),
        OnEmpty::Drop => {
            let mut kept: Vec<u32> = Vec::with_capacity(texts.len());
            let account = &mut dataset.account;
            for (text, n) in texts.iter().zip(0..) {
                match invisible(text) {
                    Some(_) => account.pass("caption", INVISIBLE, n),
                    None if is_blank(text) => account.pass_count("caption", EMPTY, 1),
                    None => kept.push(n),
                }
            }
            dataset.select_captions(&kept);
            Ok(dataset)
        }
    }
}

const EMPTY: &str = "it is empty and asked to be dropped";
const INVISIBLE: &str = "nothing of it can be seen, and empty ones are asked to be dropped";

#[cfg(test)]
mod tests {
    use super::super::{ReadOptions, open};
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_empty_in_every_format() {
        let home = tempfile::tempdir().unwrap();
        let table = home.path().join("list.csv");
        std::fs::write(
            &table,
            "image,caption\na,a dog\nb,\u{200b}\u{a0}\nc,\nd,a boat\n",
        )
        .unwrap();
        let lines = home.path().join("captions.txt");
        std::fs::write(lines, "a dog\n\u{feff}\u{200b}\n\na boat\n").unwrap();
        for name in ["images.npy", "captions.npy"] {
            let header = truepair_core::npy::header_bytes("<f4", &[4, 1]);
            let rows = (0..4u8).flat_map(|n| f32::from(n).to_le_bytes());
            let bytes: Vec<u8> = header.into_iter().chain(rows).collect();
            std::fs::write(home.path().join(name), bytes).unwrap();
        }
        let features = Some(home.path().join("images.npy"));
        for path in [table.as_path(), home.path()] {
            let options = |on_empty| ReadOptions {
                features: features.clone().filter(|_| path == table),
                on_empty,
                ..ReadOptions::default()
            };
            let message = open(path, &options(OnEmpty::Error))
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("empty caption: nothing of U+"),
                "{message}"
            );
            let data = open(path, &options(OnEmpty::Drop)).unwrap();
            assert_eq!(data.captions.as_deref().unwrap(), ["a dog", "a boat"]);
            let account = data.account.lines().join("\n");
            assert!(
                account.contains("1 caption: nothing of it can be seen"),
                "{account}"
            );
            assert!(account.contains("1 caption: it is empty"), "{account}");
        }
    }
}
