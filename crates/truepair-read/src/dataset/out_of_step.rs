//! Rows that are paired in another order than they stand in, in every format alike.

use std::path::Path;

use truepair_core::dataset::Dataset;
use truepair_core::error::{Error, Place, Result};

use super::ReadOptions;

/// The data with its rows paired as [`ReadOptions::row_order`] says, which is noted in its account.
///
/// # Errors
/// If the order does not fit the rows.
pub(super) fn in_order(
    mut dataset: Dataset,
    path: &Path,
    options: &ReadOptions,
) -> Result<Dataset> {
    let Some(order) = &options.row_order else {
        return Ok(dataset);
    };
    let repaired = order.repaired(&dataset.pairs, &dataset.image_ids);
    let repaired = repaired.map_err(|error| {
        Error::data(
            path,
            Place::Whole,
            format!("rows cannot be read as {order}: {error}"),
            "give another order with --pairs, or leave it out",
        )
    })?;
    let account = &mut dataset.account;
    account.chose(format!(
        "captions and images are paired as {order}, and not as they stand"
    ));
    for row in &repaired.left_out {
        let reason = "its caption has no image in the order of rows that was asked for";
        account.pass("row", reason, row);
    }
    dataset.pairs = repaired.pairs;
    Ok(dataset)
}

#[cfg(test)]
mod tests {
    use truepair_core::pair::Pair;

    use super::super::write::{write_features, write_ints, write_lines};
    use super::super::{ReadOptions, inspect, open, write_kept};
    use truepair_core::dataset::Features;

    fn rows(n: u8) -> Features {
        Features::from_rows((0..2 * n).map(f32::from).collect(), 2)
    }

    #[test]
    fn every_format_reads_rows_in_the_order_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
        let all: Vec<u32> = (0..4).collect();
        write_features(&home.path().join("images.npy"), &rows(4), &all).unwrap();
        let lines = "a\nb\nc\nd\n";
        write("captions.txt", lines);
        write_features(&home.path().join("captions.npy"), &rows(4), &all).unwrap();
        std::fs::create_dir(home.path().join("precomp")).unwrap();
        write_features(&home.path().join("precomp/train_ims.npy"), &rows(4), &all).unwrap();
        write("precomp/train_caps.txt", lines);
        write("table.csv", "image,caption\n0,a\n1,b\n2,c\n3,d\n");
        let options = ReadOptions {
            row_order: Some("shift:-1".parse().unwrap()),
            ..ReadOptions::default()
        };
        let table = ReadOptions {
            features: Some(home.path().join("images.npy")),
            ..options.clone()
        };
        for (name, options) in [("", &options), ("precomp", &options), ("table.csv", &table)] {
            let data = open(home.path().join(name), options).unwrap();
            let pairs: Vec<(u32, u32)> = data.pairs.iter().map(|p| (p.image, p.caption)).collect();
            assert_eq!(pairs, [(0, 1), (1, 2), (2, 3)], "{name}");
            let account = data.account.lines().join("\n");
            assert!(account.contains("paired as shift:-1"), "{account}");
            assert!(
                account.contains("1 row: its caption has no image"),
                "{account}"
            );
            let found = inspect(home.path().join(name), options).unwrap();
            assert_eq!(found.splits[0].pairs, 3);
            let out = home.path().join(format!("out-{}", name.replace('.', "-")));
            write_kept(&data, &[true, false, true], &out).unwrap();
            let cleaned = if name == "table.csv" {
                out.join(name)
            } else {
                out.clone()
            };
            let features = name == "table.csv";
            let again = ReadOptions {
                features: features.then(|| out.join("table.npy")),
                ..ReadOptions::default()
            };
            let again = open(cleaned, &again).unwrap();
            let text = |pair: &Pair| {
                let texts = again.require_captions().unwrap();
                let id = again.image_ids[pair.image as usize].clone();
                (id, texts[pair.caption as usize].clone())
            };
            let kept: Vec<(String, String)> = again.pairs.iter().map(text).collect();
            assert_eq!(
                kept,
                [("0".into(), "b".into()), ("2".into(), "d".into())],
                "{name}"
            );
        }
        let beyond = ReadOptions {
            row_order: Some("blocks:3".parse().unwrap()),
            ..ReadOptions::default()
        };
        let message = open(home.path(), &beyond).unwrap_err().to_string();
        assert!(message.contains("blocks:3"), "{message}");
    }

    #[test]
    fn images_stored_once_per_caption_are_read_as_one_and_written_back() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let repeated: Vec<u32> = (0..3).flat_map(|row| [row; 5]).collect();
        for (folder, images) in [("vsepp", "train_ims.npy"), ("pair", "images.npy")] {
            let folder = home.join(folder);
            std::fs::create_dir(&folder).unwrap();
            write_features(&folder.join(images), &rows(3), &repeated).unwrap();
            let texts = (0..15).map(|n| format!("text {n}"));
            if images == "images.npy" {
                let all: Vec<u32> = (0..15).collect();
                write_features(&folder.join("captions.npy"), &rows(15), &all).unwrap();
                write_lines(&folder.join("captions.txt"), texts).unwrap();
            } else {
                write_ints(&folder.join("train_labels.npy"), &[[1]; 15]).unwrap();
                write_lines(&folder.join("train_caps.txt"), texts).unwrap();
            }
            let data = open(&folder, &ReadOptions::default()).unwrap();
            assert_eq!(
                (data.n_images(), data.n_captions(), data.pairs.len()),
                (3, 15, 15)
            );
            assert_eq!(
                data.pairs[14],
                Pair {
                    image: 2,
                    caption: 14
                }
            );
            assert_eq!(data.image_ids, ["0", "5", "10"]);
            let account = data.account.lines().join("\n");
            assert!(account.contains("every image stands 5 times"), "{account}");
            let mut keep = vec![true; 15];
            keep[3] = false;
            let out = home.join(format!("{}-out", data.name));
            write_kept(&data, &keep, &out).unwrap();
            let again = open(&out, &ReadOptions::default()).unwrap();
            assert_eq!((again.n_images(), again.pairs.len()), (3, 14));
            let last = again.pairs[13];
            let texts = again.require_captions().unwrap();
            assert_eq!(
                (last.image, texts[last.caption as usize].as_str()),
                (2, "text 14")
            );
        }
    }
}
