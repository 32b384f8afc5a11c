//! Bad input: one clear message with file, place and remedy, exit code 2, nothing written.

use std::fs;
use std::path::Path;

use crate::files::{self, DIM};
use crate::{listing, truepair, words};

const AUDIT: &[&str] = &["audit", "data", "--frozen", "--json", "--out", "out"];

/// Lays out 60 good images, lets `spoil` break something in `data/`, and expects `args` to fail
/// with a message that holds every one of `fragments`.
#[track_caller]
fn refused(spoil: impl FnOnce(&Path), args: &[&str], fragments: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    files::precomp(&data, "train", 60);
    spoil(&data);
    crate::refused(home.path(), args, fragments);
}

fn images(data: &Path) -> std::path::PathBuf {
    data.join("train_ims.npy")
}

#[test]
fn what_these_tests_break_works_when_it_is_whole() {
    let home = tempfile::tempdir().unwrap();
    files::precomp(&home.path().join("data"), "train", 60);
    assert_eq!(truepair(home.path(), AUDIT).json()["pairs"], 300);
}

#[test]
fn a_list_is_read_alike_from_its_own_folder() {
    let home = tempfile::tempdir().unwrap();
    let lines = "a.jpg#0\tone\na.jpg#1\ttwo\nb.jpg#0\tthree\n";
    fs::write(home.path().join("results.token"), lines).unwrap();
    files::rows(&home.path().join("results.npy"), &[0.5; 2 * DIM]);
    let whole = home.path().join("results.token");
    for list in ["results.token", "./results.token", whole.to_str().unwrap()] {
        let seen = truepair(home.path(), &["inspect", list, "--json"]).json();
        assert_eq!(seen["format"], "flickr_tokens", "{list}");
        assert_eq!(seen["splits"][0]["captions"], 3, "{list}");
    }
}

#[test]
fn a_truncated_array() {
    let truncate = |data: &Path| {
        let bytes = fs::read(images(data)).unwrap();
        fs::write(images(data), &bytes[..bytes.len() - 10]).unwrap();
    };
    refused(truncate, AUDIT, &["train_ims.npy", "("]);
}

#[test]
fn a_file_that_is_no_array() {
    refused(
        |data| fs::write(images(data), "PK not numpy").unwrap(),
        AUDIT,
        &["train_ims.npy"],
    );
}

#[test]
fn an_array_of_objects() {
    refused(
        |data| files::npy(&images(data), "|O", &[60, 2], &[0; 960]),
        AUDIT,
        &["train_ims.npy", "object"],
    );
}

#[test]
fn an_array_of_another_type() {
    refused(
        |data| files::npy(&images(data), "<c8", &[60, 2], &[0; 960]),
        AUDIT,
        &["train_ims.npy", "c8"],
    );
}

#[test]
fn features_that_are_no_numbers() {
    for bad in [f32::NAN, f32::INFINITY] {
        let spoil = |data: &Path| {
            let (mut images, _) = files::embeddings(60);
            images[7 * DIM + 3] = bad;
            files::rows(&data.join("train_ims.npy"), &images);
        };
        refused(spoil, AUDIT, &["train_ims.npy", "row 7"]);
    }
}

#[test]
fn counts_that_do_not_divide() {
    let spoil = |data: &Path| {
        let path = data.join("train_caps.txt");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            text.split_inclusive('\n').take(299).collect::<String>(),
        )
        .unwrap();
    };
    refused(spoil, AUDIT, &["train_caps", "299", "60"]);
}

#[test]
fn an_empty_caption() {
    let spoil = |data: &Path| files::set_line(&data.join("train_caps.txt"), 12, b"");
    refused(spoil, AUDIT, &["train_caps.txt:12", "empty caption"]);
}

#[test]
fn a_caption_that_is_not_utf8() {
    let spoil = |data: &Path| files::set_line(&data.join("train_caps.txt"), 12, b"caf\xe9");
    refused(spoil, AUDIT, &["train_caps.txt:12", "UTF-8"]);
}

#[test]
fn duplicate_ids() {
    let spoil = |data: &Path| files::set_line(&data.join("train_ids.txt"), 12, b"photo-3");
    refused(spoil, AUDIT, &["train_ids.txt:12", "photo-3"]);
}

#[test]
fn an_empty_split_and_a_missing_one() {
    let empty = |data: &Path| {
        files::npy(&images(data), "<f4", &[0, DIM], &[]);
        for name in ["train_caps.txt", "train_ids.txt"] {
            fs::write(data.join(name), "").unwrap();
        }
        fs::remove_file(data.join("train_caps_near.npy")).unwrap();
    };
    refused(empty, AUDIT, &["data"]);
    let args = &["audit", "data", "--split", "tset", "--out", "out"];
    refused(|_| (), args, &["tset", "train"]);
}

#[test]
fn too_few_pairs_to_judge() {
    let one = |data: &Path| {
        files::precomp(data, "train", 1);
        fs::write(data.join("train_caps.txt"), "one\n").unwrap();
        files::rows(&data.join("train_caps_near.npy"), &[0.5; DIM]);
    };
    refused(one, AUDIT, &["1 pair"]);
}

#[test]
fn captions_that_are_all_the_same() {
    let spoil = |data: &Path| {
        fs::write(data.join("train_caps.txt"), "a photo\n".repeat(300)).unwrap();
    };
    refused(spoil, AUDIT, &["caption", "1 "]);
}

#[test]
fn noise_files_that_do_not_fit() {
    let args: Vec<&str> = AUDIT
        .iter()
        .copied()
        .chain(["--noise", "data/noise.npy"])
        .collect();
    let far = |data: &Path| {
        let mut index: Vec<i64> = (0..300).map(|n| n / 5).collect();
        index[9] = 60;
        files::integers(&data.join("noise.npy"), &index);
    };
    refused(far, &args, &["noise.npy", "60"]);
    let other = |data: &Path| {
        let index: Vec<i64> = (0..305).map(|n| n / 5).collect();
        files::integers(&data.join("noise.npy"), &index);
    };
    refused(other, &args, &["noise.npy", "305"]);
    refused(|_| (), &args, &["noise.npy", "cannot read"]);
    let unknown = &["audit", "data", "--noise", "captoin:0.4"];
    refused(|_| (), unknown, &["captoin"]);
}

#[test]
fn a_table_without_the_column() {
    let spoil = |data: &Path| {
        fs::write(
            data.join("pairs.csv"),
            "picture_of_it,words\nphoto-1,a dog\n",
        )
        .unwrap();
    };
    let args =
        &words("audit data/pairs.csv --features data/train_ims.npy --image-column image --out out");
    refused(spoil, args, &["pairs.csv", "image"]);
}

#[test]
fn one_bad_row_in_a_million() {
    let spoil = |data: &Path| {
        let mut text = String::from("image,caption\n");
        for n in 1..=1_000_000 {
            match n {
                654_321 => text.push_str("photo-1\n"),
                _ => text.push_str("photo-1,a dog\n"),
            }
        }
        fs::write(data.join("pairs.csv"), text).unwrap();
    };
    let args = &words("audit data/pairs.csv --features data/train_ims.npy --out out");
    refused(spoil, args, &["pairs.csv", "654321"]);
}

#[test]
fn embeddings_of_two_spaces_cannot_be_judged_frozen() {
    let wider = |data: &Path| {
        files::npy(
            &data.join("train_caps_near.npy"),
            "<f4",
            &[300, 2],
            &1f32.to_le_bytes().repeat(600),
        );
    };
    refused(wider, AUDIT, &["16", "2", "drop --frozen"]);
    let gone = |data: &Path| fs::remove_file(data.join("train_caps_near.npy")).unwrap();
    refused(gone, AUDIT, &["drop --frozen"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let audit = |out: &'static str| ["audit", "data", "--frozen", "--out", out];
    let below_a_file = "data/train_caps.txt/out";
    refused(|_| (), &audit(below_a_file), &[below_a_file, "parent"]);
    refused(|_| (), &audit("data/train_caps.txt"), &["is a file"]);
    refused(|_| (), &audit("data"), &["data", "not empty"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output() {
    let home = tempfile::tempdir().unwrap();
    files::precomp(&home.path().join("data"), "train", 60);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_truepair"));
    let done = command
        .current_dir(&home)
        .args(["inspect", "data"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("cannot write to standard output"));
}

#[test]
fn evaluations_that_make_no_sense() {
    let scores =
        |rows: usize| move |data: &Path| files::rows(&data.join("s.npy"), &vec![0.5; rows * DIM]);
    let eval = &["eval", "--scores", "data/s.npy"];
    refused(
        scores(60),
        eval,
        &["s.npy", "16 captions", "60 images", "--pairs"],
    );
    refused(
        scores(8),
        &["eval", "--scores", "data/s.npy", "--folds", "3"],
        &["8 images", "3 equal folds"],
    );
    refused(
        |_| (),
        &["eval", "--scores", "data/gone.npy"],
        &["gone.npy"],
    );
    let spoil = |data: &Path| {
        scores(8)(data);
        fs::write(data.join("old.json"), "{}").unwrap();
    };
    let against = &words("eval --scores data/s.npy --compare-with data/old.json");
    refused(spoil, against, &["old.json", "not a result of truepair"]);
}

#[test]
fn configurations_that_do_not_fit() {
    let spoil = |data: &Path| {
        fs::write(data.join("rcl.toml"), "[strategy]\nkind = \"rcl\"\n").unwrap();
        fs::write(
            data.join("mixed.toml"),
            "[strategy]\nkind = \"plain\"\nmargin_axis = \"row\"\n",
        )
        .unwrap();
        fs::write(data.join("typo.toml"), "[training]\nepocs = 3\n").unwrap();
    };
    let train = |extra: &[&'static str]| [&["train", "data", "--out", "run"][..], extra].concat();
    refused(
        spoil,
        &train(&["--strategy", "ncr", "--config", "data/rcl.toml"]),
        &["data/rcl.toml", "strategy `rcl`, not `ncr`"],
    );
    refused(
        spoil,
        &train(&["--config", "data/mixed.toml"]),
        &["data/mixed.toml", "margin_axis"],
    );
    refused(
        spoil,
        &train(&["--config", "data/typo.toml"]),
        &["data/typo.toml:2", "did you mean `epochs`"],
    );
    refused(
        |_| (),
        &train(&["--set", "training.epocs=3"]),
        &["epocs", "`epochs`"],
    );
    refused(
        |_| (),
        &train(&["--strategy", "nrc"]),
        &["nrc", "did you mean `ncr`"],
    );
    refused(
        |_| (),
        &train(&["--config", "data/gone.toml"]),
        &["gone.toml", "cannot read"],
    );
    refused(
        |_| (),
        &["eval", "data"],
        &["job.json", "truepair train --out"],
    );
}

#[test]
fn a_damaged_run() {
    let home = tempfile::tempdir().unwrap();
    for split in ["train", "dev", "test"] {
        files::precomp(&home.path().join("data"), split, 30);
    }
    let train = words("train data --out run --set training.epochs=1");
    assert_eq!(truepair(home.path(), &train).code, Some(0));
    for (name, args) in [
        ("weights.safetensors", &["eval", "run"][..]),
        ("checkpoint.bin", &["train", "--resume", "run"]),
    ] {
        let path = home.path().join("run").join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let before = listing(home.path());
        let done = truepair(home.path(), args);
        done.is_refused(&[name]);
        assert_eq!(listing(home.path()), before, "{name}");
        fs::write(&path, whole).unwrap();
    }
}

/// Replaces an array by one of `n` rows of 8 numbers.
fn narrow(path: &Path, n: usize) {
    files::npy(path, "<f4", &[n, 8], &1f32.to_le_bytes().repeat(n * 8));
}

#[test]
fn vectors_of_another_width_than_the_matcher_reads() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for split in ["train", "dev", "test"] {
        files::precomp(&home.join("data"), split, 30);
    }
    let refused = |args: &[&str], name: &str, side: &str| {
        truepair(home, args).is_refused(&[name, side, "8 numbers", "reads 16"]);
    };
    let train = words("train data --out run --set training.epochs=1");
    let dev = home.join("data/dev_ims.npy");
    narrow(&dev, 30);
    refused(&train, "dev_ims.npy", "image vectors");
    assert!(!home.join("run").exists());

    files::precomp(&home.join("data"), "dev", 30);
    assert_eq!(truepair(home, &train).code, Some(0));
    narrow(&home.join("data/test_caps_near.npy"), 150);
    refused(&["eval", "run"], "test_caps_near.npy", "caption vectors");
    narrow(&home.join("data/test_ims.npy"), 30);
    refused(&["eval", "run"], "test_ims.npy", "image vectors");
}
