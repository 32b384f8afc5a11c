//! `truepair compare`: grids that run once, continue after a crash, and tables that agree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Finished, files, truepair, words};

/// A tiny data set with three splits in `home/data`.
fn data(home: &Path) {
    for (split, n_images) in [("train", 30), ("dev", 12), ("test", 12)] {
        files::precomp(&home.join("data"), split, n_images);
    }
}

const GRID: &[&str] = &[
    "compare",
    "data",
    "--noise",
    "caption:0.4",
    "--strategies",
    "plain,ncr",
    "--no-baselines",
    "--seeds",
    "2",
    "--set",
    "training.epochs=2",
    "--set",
    "matcher.image.kind=mlp",
    "--set",
    "matcher.image.dim=16",
    "--set",
    "matcher.caption.kind=mlp",
    "--set",
    "matcher.caption.dim=16",
    "--json",
    "--out",
];

fn compare(home: &Path, out: &str, more: &[&str]) -> Finished {
    truepair(home, &[GRID, &[out], more].concat())
}

/// The run directories' results, which hold how long they took.
fn results(out: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = super::listing(out).into_iter();
    (files.filter(|file| file.ends_with("result.json")))
        .map(|file| (file.clone(), fs::read(out.join(file)).unwrap()))
        .collect()
}

#[test]
fn a_grid_runs_once_and_its_tables_agree() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let found = compare(home.path(), "grid", &["--published", "f30k"]).json();
    let out = home.path().join("grid");
    let first = results(&out);
    assert_eq!(first.len(), 4);
    let block = &found["blocks"][0];
    let rows = block["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let runs = row["runs"].as_array().unwrap();
        let rsum = |run: &Value| run["ensemble"]["rsum"].as_f64().unwrap();
        let mean = (rsum(&runs[0]) + rsum(&runs[1])) / 2.0;
        let numbers = &row["numbers"];
        assert!((numbers["rsum"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
        let shown = format!("{mean:.6}");
        assert!(
            fs::read_to_string(out.join("table.csv"))
                .unwrap()
                .contains(&shown)
        );
        let shown = format!("| {:.1} ± ", 100.0 * mean);
        assert!(
            fs::read_to_string(out.join("table.md"))
                .unwrap()
                .contains(&shown)
        );
        assert_eq!(numbers["to_best"].is_null(), row["best"].as_bool().unwrap());
    }
    let ncr = rows.iter().find(|row| row["method"] == "ncr").unwrap();
    assert_eq!(ncr["numbers"]["networks"], 2);
    let last = ncr["runs"][0]["epochs"].as_array().unwrap().last().unwrap();
    assert!(last["belief"]["recall"].is_number(), "{last}");
    let page = fs::read_to_string(out.join("compare.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("Published, protocol image"));
    assert_eq!(
        page.matches("<script").count(),
        1,
        "the theme button has one"
    );
    assert!(!page.contains("src="));
    assert!(
        fs::read_to_string(out.join("table.tex"))
            .unwrap()
            .contains("\\toprule")
    );

    let tables = fs::read(out.join("compare.json")).unwrap();
    assert_eq!(
        compare(home.path(), "grid", &["--published", "f30k"]).code,
        Some(0)
    );
    assert_eq!(results(&out), first);
    assert_eq!(fs::read(out.join("compare.json")).unwrap(), tables);
}

#[test]
fn tables_begin_with_the_baselines_and_hold_oracles_and_variants() {
    let home = tempfile::tempdir().unwrap();
    for (split, n_images) in [("train", 60), ("dev", 12), ("test", 12)] {
        files::precomp(&home.path().join("data"), split, n_images);
    }
    let recipes = home.path().join("recipes");
    fs::create_dir(&recipes).unwrap();
    let recipe = "[strategy]\nkind = \"plain\"\n[training]\nepochs = 1\n";
    for name in ["plain.toml", "plain.short.toml", "clean-only.toml"] {
        fs::write(recipes.join(name), recipe).unwrap();
    }
    let args = words(
        "compare data --noise caption:0.4 --strategies plain,clean-only --seeds 1 --recipes recipes --out grid --json",
    );
    let found = truepair(home.path(), &args).json();
    let rows = found["blocks"][0]["rows"].as_array().unwrap();
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["method"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "frozen cosine",
            "linear",
            "linear (kept)",
            "linear (rematched)",
            "plain",
            "plain (short)",
            "clean-only"
        ]
    );
    for row in rows {
        assert!(row["numbers"]["rsum"]["mean"].is_number(), "{row}");
        assert_eq!(row["oracle"], row["method"] == "clean-only");
        let bound = row["best"] == true && row["oracle"] == true;
        assert!(!bound, "an oracle is never the best");
    }
    let oracle = home
        .path()
        .join("grid/runs/caption-0.4/cosine/clean-only/seed_0");
    let told: Value =
        serde_json::from_slice(&fs::read(oracle.join("result.json")).unwrap()).unwrap();
    assert_eq!(
        (
            told["strategy"].as_str(),
            told["pairs"].as_u64() < Some(300)
        ),
        (Some("clean-only"), true)
    );
    let again = truepair(home.path(), &args).json();
    assert_eq!(again["blocks"], found["blocks"]);
}

#[test]
fn a_cell_is_the_run_that_train_makes() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    compare(home.path(), "grid", &[]).json();
    let train = words("train data --strategy plain --noise caption:0.4 --seed 1 --out run");
    truepair(home.path(), &[&train[..], &GRID[9..19]].concat());
    let cell = home
        .path()
        .join("grid/runs/caption-0.4/cosine/plain/seed_1");
    for name in [
        "weights.safetensors",
        "metrics.jsonl",
        "config.toml",
        "ledger.bin",
        "job.json",
    ] {
        let (own, other) = (
            fs::read(cell.join(name)),
            fs::read(home.path().join("run").join(name)),
        );
        assert!(own.unwrap() == other.unwrap(), "{name}");
    }
}

#[test]
fn a_killed_grid_goes_on_and_ends_the_same() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let more = ["--jobs", "1", "--set", "training.epochs=12"];
    let call = |out: &'static str| [GRID, &[out], &more].concat();
    let mut child = Command::new(env!("CARGO_BIN_EXE_truepair"))
        .current_dir(home.path())
        .args(call("killed"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = home.path().join("killed");
    let start = Instant::now();
    while !out.exists() || results(&out).is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "no run was finished"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = results(&out);
    truepair(home.path(), &call("killed")).json();
    let after = results(&out);
    assert_eq!(after.len(), 4);
    assert!(
        before.iter().all(|one| after.contains(one)),
        "a finished run was run again"
    );
    truepair(home.path(), &call("whole")).json();
    let whole = home.path().join("whole");
    for (file, _) in after {
        let run = file.parent().unwrap();
        for name in ["weights.safetensors", "queries.json", "ledger.bin"] {
            let (one, other) = (
                fs::read(out.join(run).join(name)),
                fs::read(whole.join(run).join(name)),
            );
            assert!(one.unwrap() == other.unwrap(), "{}: {name}", run.display());
        }
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_stops_a_grid_that_no_second_command_may_touch() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let more = ["--jobs", "1", "--set", "training.epochs=400"];
    let call = [GRID, &["grid"], &more].concat();
    let mut child = Command::new(env!("CARGO_BIN_EXE_truepair"))
        .current_dir(home.path())
        .args(&call)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let started = |home: &Path| {
        let files = super::listing(home);
        files.iter().any(|file| file.ends_with("checkpoint.bin"))
    };
    while !started(home.path()) {
        assert!(start.elapsed() < Duration::from_secs(120), "no run began");
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = truepair(home.path(), &call);
    assert_eq!(second.code, Some(2), "{}", second.out);
    assert!(second.err.contains("another"), "{}", second.err);
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(results(&home.path().join("grid")).len() < 4);
}

#[test]
fn a_run_that_fails_is_named_and_stops_no_other() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    fs::write(
        home.path().join("wild.toml"),
        "[optimizer]\nkind = \"adam\"\nrate = 1e38\n",
    )
    .unwrap();
    let done = compare(
        home.path(),
        "grid",
        &["--strategy-config", "plain=wild.toml"],
    );
    assert_eq!(done.code, Some(2), "{}", done.err);
    let found: Value = (serde_json::from_str(&done.out)).unwrap_or_else(|_| panic!("{}", done.err));
    let rows = found["blocks"][0]["rows"].as_array().unwrap();
    let plain = rows.iter().find(|row| row["method"] == "plain").unwrap();
    assert_eq!(plain["failed"].as_array().unwrap().len(), 2, "{plain}");
    assert!(plain["numbers"].is_null());
    assert_eq!(results(&home.path().join("grid")).len(), 2);
    let table = fs::read_to_string(home.path().join("grid/table.md")).unwrap();
    assert!(table.contains("failed: "), "{table}");
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_runs() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let refused = |args: &[&str], parts: &[&str]| {
        let done = truepair(
            home.path(),
            &[&["compare", "data", "--out", "grid"], args].concat(),
        );
        assert_eq!(done.code, Some(2), "{}", done.err);
        for part in parts {
            assert!(done.err.contains(part), "{part} in {}", done.err);
        }
        assert!(!home.path().join("grid").exists());
    };
    refused(
        &["--strategies", "plian"],
        &["did you mean `plain`", "adaptive, bicro"],
    );
    refused(&["--similarity", "cosin"], &["did you mean `cosine`"]);
    refused(&["--noise", "captoin:0.2"], &["caption:RATE"]);
    refused(&["--seeds", "0"], &["at least one seed"]);
    refused(&["--published", "f3k"], &["did you mean `f30k`"]);
    refused(&["--recipes", "nowhere"], &["nowhere: is not a folder"]);
    refused(&["--set", "training.epoch=3"], &["did you mean `epochs`"]);
    for name in [
        "test_ims.npy",
        "test_caps.txt",
        "test_caps_near.npy",
        "test_ids.txt",
    ] {
        fs::remove_file(home.path().join("data").join(name)).unwrap();
    }
    refused(&[], &["has no test split"]);
}

#[test]
fn other_settings_and_other_folders_are_not_mixed() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    compare(home.path(), "grid", &[]).json();
    let done = compare(home.path(), "grid", &["--set", "training.epochs=3"]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.err.contains("`epochs = 2`, not `epochs = 3`"),
        "{}",
        done.err
    );
    let done = compare(home.path(), "data", &[]);
    assert!(
        done.err.contains("was not made by `truepair compare`"),
        "{}",
        done.err
    );
}
