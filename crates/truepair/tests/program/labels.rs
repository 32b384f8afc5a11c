//! `truepair labels`: training on class labels, and the audit of them, from the outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use truepair_core::rng::{Seed, below, normal};

use super::{files, listing, truepair, words};

const CLASSES: u64 = 3;

/// Settings under which a run takes a second.
const SMALL: &[&str] = &[
    "--set",
    "network.hidden=24",
    "--set",
    "network.dim=12",
    "--set",
    "training.epochs=12",
    "--set",
    "training.batch=32",
];

/// A folder with splits train and test: two modalities of 16 numbers near their class.
fn data(home: &Path) {
    labeled(&home.join("data"));
}

/// Writes that data into `folder`.
pub(crate) fn labeled(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (split, n) in [("train", 300), ("test", 90)] {
        let mut rng = Seed(3).stream(split, &[]);
        let labels: Vec<i64> = (0..n).map(|_| below(&mut rng, CLASSES) as i64).collect();
        for part in ["ims", "txtmean"] {
            let mut views = Seed(4).stream(part, &[]);
            let centers: Vec<f64> = (0..CLASSES as usize * files::DIM)
                .map(|_| normal(&mut views))
                .collect();
            let values: Vec<f32> = (labels.iter())
                .flat_map(|&label| centers[label as usize * files::DIM..][..files::DIM].to_vec())
                .map(|center| (center + 0.6 * normal(&mut rng)) as f32)
                .collect();
            files::rows(&folder.join(format!("{split}_{part}.npy")), &values);
        }
        // Classes as most files count them.
        let labels: Vec<i64> = labels.iter().map(|label| label + 1).collect();
        files::integers(&folder.join(format!("{split}_labels.npy")), &labels);
    }
}

fn train(home: &Path, more: &[&str]) -> super::Finished {
    truepair(
        home,
        &[&["labels", "train", "data", "--json"], SMALL, more].concat(),
    )
}

#[test]
fn a_run_measures_every_direction_and_repeats_to_the_bit() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let noise = ["--noise", "symmetric:0.4", "--seed", "7"];
    for out in ["one", "two"] {
        let found = train(home.path(), &[&noise[..], &["--out", out]].concat()).json();
        assert_eq!(found["command"], "labels train");
        assert_eq!(
            (&found["method"], &found["classes"]),
            (&"mrl".into(), &3.into())
        );
        let directions = found["test"]["directions"].as_array().unwrap();
        assert_eq!(directions.len(), 2);
        let map = found["test"]["mean"].as_f64().unwrap();
        // Chance is 0.36.
        assert!(map > 0.65, "{map}");
        let realized = found["noise"]["realized"][0].as_f64().unwrap();
        assert!((realized - 0.4 * 2.0 / 3.0).abs() < 0.07, "{realized}");
        assert!(found["selection"].as_str().unwrap().contains("held-out"));
    }
    let expected = [
        "config.toml",
        "manifest.json",
        "metrics.jsonl",
        "summary.json",
        "weights.safetensors",
    ];
    assert_eq!(
        listing(&home.path().join("one")),
        expected.map(Into::<std::path::PathBuf>::into)
    );
    for file in [
        "config.toml",
        "manifest.json",
        "metrics.jsonl",
        "weights.safetensors",
    ] {
        let read = |out: &str| fs::read(home.path().join(out).join(file)).unwrap();
        assert!(read("one") == read("two"), "{file}");
    }
    let again = train(home.path(), &["--out", "one"]);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("add --force"), "{}", again.err);
    assert_eq!(
        train(home.path(), &["--out", "one", "--force"]).code,
        Some(0)
    );
}

#[test]
fn every_method_runs_and_unknown_ones_are_refused() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    for method in ["mrl", "cross-entropy", "rono"] {
        let found = train(home.path(), &["--method", method]).json();
        assert_eq!(found["method"], method);
        assert!(found["test"]["mean"].as_f64().unwrap() > 0.8, "{method}");
        assert!(found.get("noise").is_none());
    }
    let refused = train(home.path(), &["--method", "mlr"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.err.contains("did you mean `mrl`?"),
        "{}",
        refused.err
    );
    let refused = train(home.path(), &["--set", "training.select=dev"]);
    assert!(refused.err.contains("no dev split"), "{}", refused.err);
    let refused = train(home.path(), &["--noise", "symetric:0.4"]);
    assert!(refused.err.contains("symmetric:RATE"), "{}", refused.err);
}

#[test]
fn the_text_of_a_run_names_noise_selection_and_map() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let args = words("labels train data --noise asymmetric:0.2:shared");
    let done = truepair(home.path(), &[&args[..], SMALL].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    for part in [
        "300 items of 3 classes in ims [16] and txtmean [16]",
        "ims 20.0 %",
        "by held-out",
        "ims to txtmean 0.",
    ] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    assert!(done.err.contains("epoch  12"), "{}", done.err);
    assert_eq!(listing(home.path()).len(), 7);
}

#[test]
fn an_audit_judges_every_label_of_every_modality() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let args = words("labels audit data --noise symmetric:0.5 --seed 2 --json");
    let run = |more: &[&str]| truepair(home.path(), &[&args[..], SMALL, more].concat());
    let found = run(&["--out", "audit"]).json();
    assert_eq!(
        (&found["verdict"], &found["shared"]),
        (&"wrong-labels".into(), &false.into())
    );
    for modality in found["modalities"].as_array().unwrap() {
        let truth = &modality["truth"];
        let (rate, realized) = (&modality["noise_rate"]["estimate"], &truth["realized"]);
        assert!(
            (rate.as_f64().unwrap() - realized.as_f64().unwrap()).abs() < 0.06,
            "{modality}"
        );
        assert!(truth["auc"].as_f64().unwrap() > 0.95, "{modality}");
        assert!(truth["ece"].as_f64().unwrap() < 0.05, "{modality}");
    }
    let verdicts = fs::read_to_string(home.path().join("audit/verdicts.csv")).unwrap();
    let mut lines = verdicts.lines();
    assert_eq!(
        lines.next(),
        Some("item,modality,given,p_wrong,suggested,p_suggested,judgment")
    );
    assert_eq!(lines.clone().count(), 600);
    // Labels are written as the files count them.
    let given: Vec<&str> = lines.map(|line| line.split(',').nth(2).unwrap()).collect();
    assert!(given.iter().all(|label| ["1", "2", "3"].contains(label)));
    let confusion = fs::read_to_string(home.path().join("audit/confusion.json")).unwrap();
    let confusion: Value = serde_json::from_str(&confusion).unwrap();
    assert_eq!(
        confusion["modalities"][1]["given_of_true"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(run(&["--fail-above", "0.2"]).code, Some(1));
    assert_eq!(run(&["--fail-above", "0.6"]).code, Some(0));
}

#[test]
fn an_audit_leaves_a_page_and_a_cleaned_list_that_can_be_trained_on() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let args = words("labels audit data --noise symmetric:0.4:shared --seed 2 --out audit --json");
    let found = truepair(home.path(), &[&args[..], SMALL].concat()).json();
    let [kept, dropped] = ["kept", "dropped"].map(|key| found[key].as_u64().unwrap());
    assert!(kept + dropped == 300 && dropped > 40, "{kept} kept");
    let outputs = found["outputs"].to_string();
    for part in ["audit/report.html", "audit/cleaned/train_labels.npy"] {
        assert!(outputs.contains(part), "{outputs}");
    }
    let report = fs::read_to_string(home.path().join("audit/report.html")).unwrap();
    for part in [
        "of the labels of 300\u{a0}items are wrong",
        "<span class=\"chip bad\">planted</span>",
        "Which classes are confused",
        "<span>truepair</span> <span>labels</span> <span>train</span> <span>audit/cleaned</span>",
    ] {
        assert!(report.contains(part), "{part}");
    }
    let args = words("labels train audit/cleaned --json");
    let trained = truepair(home.path(), &[&args[..], SMALL].concat()).json();
    assert_eq!(trained["items"], kept);
    assert!(trained["test"]["mean"].as_f64().unwrap() > 0.6, "{trained}");
    // Other splits are links, unless the folder is to stand alone.
    let link = home.path().join("audit/cleaned/test_ims.npy");
    assert_eq!(link.is_symlink(), cfg!(unix));
    let args = words("labels audit data --seed 2 --out audit --force --copy --json");
    assert_eq!(
        truepair(home.path(), &[&args[..], SMALL].concat()).code,
        Some(0)
    );
    assert!(link.is_file() && !link.is_symlink());
}

#[test]
fn swapped_labels_cannot_be_told_and_none_is_called_wrong() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let args = words("labels audit data --noise asymmetric:0.4:shared");
    let run = |more: &[&str]| truepair(home.path(), &[&args[..], SMALL, more].concat());
    let found = run(&["--json", "--out", "audit"]).json();
    assert_eq!(found["verdict"], "cannot-be-told");
    let text = |key: &str| found[key].as_str().unwrap();
    assert!(text("open_because").contains("may be wrong"));
    assert!(text("would_help").contains("by hand"));
    let modality = &found["modalities"][0];
    assert_eq!(modality["wrong"], 0);
    let rate = |end: &str| modality["noise_rate"][end].as_f64().unwrap();
    let realized = modality["truth"]["realized"].as_f64().unwrap();
    assert!(
        rate("low") <= realized && realized <= rate("high"),
        "{modality}"
    );
    let verdicts = fs::read_to_string(home.path().join("audit/verdicts.csv")).unwrap();
    assert!(
        verdicts
            .lines()
            .skip(1)
            .all(|line| line.ends_with(",unknown"))
    );
    let done = run(&[]);
    assert!(done.out.contains("cannot be told: "), "{}", done.out);
    assert!(
        done.out.contains("if classes look alike, 0 labels"),
        "{}",
        done.out
    );
    assert_eq!(run(&["--fail-above", "0.2"]).code, Some(0));
    let done = run(&["--fail-above", "0.2", "--fail-on", "high"]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.err.contains("the upper end of the noise rate"),
        "{}",
        done.err
    );
}

#[test]
fn a_class_of_one_item_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let labels: Vec<i64> = (0..300)
        .map(|at| if at == 7 { 3 } else { 1 + at % 2 })
        .collect();
    files::integers(&home.path().join("data/train_labels.npy"), &labels);
    let done = truepair(home.path(), &["labels", "audit", "data", "--out", "out"]);
    assert_eq!(done.code, Some(2));
    for part in [
        "class 3 of ims has one item only, number 7",
        "merge its class",
    ] {
        assert!(done.err.contains(part), "{}", done.err);
    }
    assert!(!home.path().join("out").exists());
}

#[test]
fn broken_data_is_named_and_leaves_no_folder() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    files::integers(&home.path().join("data/test_labels.npy"), &[1, 2, 3]);
    for command in ["train", "audit"] {
        let done = truepair(home.path(), &["labels", command, "data", "--out", "out"]);
        assert_eq!(done.code, Some(2));
        assert!(
            done.err.contains("test_labels.npy: 3 labels"),
            "{}",
            done.err
        );
        assert!(!home.path().join("out").exists());
    }
}

#[cfg(unix)]
#[test]
fn a_signal_stops_a_run_and_leaves_nothing_half_written() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_truepair"))
        .current_dir(home.path())
        .args([
            "labels",
            "train",
            "data",
            "--out",
            "out",
            "--set",
            "training.epochs=100000",
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !home.path().join(".out.truepair-partial").exists() {
        assert!(start.elapsed() < Duration::from_secs(120));
        std::thread::yield_now();
    }
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    assert!(!child.wait().unwrap().success());
    assert!(!home.path().join("out").exists());
}

#[test]
fn a_table_of_methods_on_labels_goes_on_where_it_stopped() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let rows = "title = \"Small\"\nnoise = [\"none\", \"symmetric:0.4\"]\nseeds = \"2\"\npublished = \"wiki\"\n\
                [[row]]\nlabel = \"MRL\"\nconfigs = [\"mrl.toml\"]\n\
                published = { method = \"MRL\", source = \"mrl\" }\n\
                [[row]]\nlabel = \"CE\"\nconfigs = [\"mrl.toml\"]\n\
                [row.set.method]\nkind = \"cross-entropy\"\n";
    let mrl = "[method]\nkind = \"mrl\"\n[training]\nepochs = 2\n";
    fs::write(home.path().join("rows.toml"), rows).unwrap();
    fs::write(home.path().join("mrl.toml"), mrl).unwrap();
    let compare = |more: &[&str]| {
        let args = [
            "labels",
            "compare",
            "data",
            "--rows",
            "rows.toml",
            "--out",
            "out",
        ];
        truepair(home.path(), &[&args, more].concat())
    };
    let planned = compare(&["--dry-run", "--json"]).json();
    assert!(planned["seconds_to_go"].as_f64().unwrap() > 0.0);
    assert!(
        !home.path().join("out").exists(),
        "a dry run leaves nothing"
    );
    let found = compare(&["--json"]).json();
    let blocks = found["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        for row in block["rows"].as_array().unwrap() {
            assert_eq!(row["runs"], 2, "{row}");
            let directions = row["directions"].as_array().unwrap();
            let sum: f64 = directions
                .iter()
                .map(|one| one["map"]["mean"].as_f64().unwrap())
                .sum();
            let mean = row["mean"]["mean"].as_f64().unwrap();
            assert!((sum / directions.len() as f64 - mean).abs() < 1e-9, "{row}");
        }
    }
    assert!(blocks[1]["rows"][0]["published"]["figures"].is_object());
    // A cell is a run as `labels train` makes it.
    let cell = home.path().join("out/runs/symmetric_0.4/ce/seed_1");
    let kept = fs::read(cell.join("summary.json")).unwrap();
    fs::remove_dir_all(home.path().join("out/runs/none/mrl/seed_0")).unwrap();
    let again = compare(&["--json"]).json();
    assert_eq!(
        again["blocks"][0]["rows"][0]["mean"],
        blocks[0]["rows"][0]["mean"]
    );
    assert_eq!(
        fs::read(cell.join("summary.json")).unwrap(),
        kept,
        "what is there is kept"
    );
    let other = compare(&["--set", "training.epochs=3"]);
    assert_eq!(other.code, Some(2));
    assert!(other.err.contains("other settings"), "{}", other.err);
}

#[test]
fn what_a_table_on_labels_cannot_do_is_refused() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    fs::write(home.path().join("mrl.toml"), "[method]\nkind = \"mrl\"\n").unwrap();
    let refused = |more: &str, out: &str, parts: &[&str]| {
        let row = "[[row]]\nlabel = \"MRL\"\nconfigs = [\"mrl.toml\"]\n";
        let text = match more.starts_with("metrics") {
            true => format!("title = \"t\"\n{more}\n{row}"),
            false => format!("title = \"t\"\n{row}{more}\n"),
        };
        fs::write(home.path().join("rows.toml"), text).unwrap();
        let args = [
            "labels",
            "compare",
            "data",
            "--rows",
            "rows.toml",
            "--out",
            out,
        ];
        super::refused(home.path(), &args, parts);
    };
    refused("oracle = \"clean-only\"", "out", &["row `MRL`", "oracle"]);
    refused(
        "peers = 2",
        "out",
        &["row `MRL`", "unknown field `strategy`"],
    );
    refused("metrics = [\"map@r\"]", "out", &["rows.toml", "metrics"]);
    refused("noise = [\"caption:0.2\"]", "out", &["symmetric:RATE"]);
    refused("", "data", &["was not made by `truepair labels compare`"]);
    assert!(!home.path().join("out").exists());
}
