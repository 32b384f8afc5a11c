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

/// A row file with two configurations beside it: a mean of both, and one under a strategy.
fn rows(home: &Path) {
    let heads = "[matcher.image]\nkind = \"mlp\"\ndim = 16\n[matcher.caption]\nkind = \"mlp\"\ndim = 16\n\
                 [training]\nepochs = 2\n";
    fs::write(home.join("narrow.toml"), heads).unwrap();
    fs::write(home.join("wide.toml"), heads.replace("16", "24")).unwrap();
    let text = "title = \"Two widths\"\nlayout = \"region features\"\nnoise = [\"caption:0.2\"]\n\
                seeds = \"2\"\npublished = \"f30k\"\n\
                [[row]]\nlabel = \"Both\"\nconfigs = [\"narrow.toml\", \"wide.toml\"]\n\
                published = { method = \"SCAN\", source = \"ncr\" }\n\
                [[row]]\nlabel = \"NCR\"\nconfigs = [\"narrow.toml\"]\nstrategy = \"ncr\"\n\
                [row.set]\nstrategy.warm_up = 1\n";
    fs::write(home.join("rows.toml"), text).unwrap();
}

const BY_ROWS: &[&str] = &[
    "compare",
    "data",
    "--rows",
    "rows.toml",
    "--no-baselines",
    "--json",
    "--out",
    "grid",
];

#[test]
fn a_row_file_has_its_own_configurations_and_averages_several() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    rows(home.path());
    let planned = truepair(home.path(), &[BY_ROWS, &["--dry-run"]].concat()).json();
    assert!(
        !home.path().join("grid").exists(),
        "a dry run leaves nothing"
    );
    let of = |row: &Value| {
        (
            row["method"].as_str().unwrap().to_owned(),
            row["epochs"].clone(),
        )
    };
    let planned_rows = planned["rows"].as_array().unwrap();
    assert_eq!(of(&planned_rows[3]), ("NCR".to_owned(), 3.into()));
    for row in planned_rows {
        assert_eq!(row["runs"], 2);
        assert!(row["seconds"].as_f64().is_some(), "{row}");
    }

    let found = truepair(home.path(), BY_ROWS).json();
    assert_eq!(found["title"], "Two widths");
    let rows = found["blocks"][0]["rows"].as_array().unwrap();
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["method"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Both (narrow)", "Both (wide)", "Both", "NCR"]);
    assert_eq!(rows[2]["numbers"]["networks"], 2);
    assert!(rows[2]["published"]["rsum"].as_f64().unwrap() > 3.0);
    assert!(rows[3].get("published").is_none());
    let table = fs::read_to_string(home.path().join("grid/table.md")).unwrap();
    assert!(
        table.contains("# Two widths, on") && table.contains("published: rSum"),
        "{table}"
    );

    // The mean is that of both runs' scores, as `eval` averages them.
    let runs = home.path().join("grid/runs/caption-0.2/cosine");
    let run = |name: &str| runs.join(name).join("seed_1").display().to_string();
    let both = [run("both_narrow"), run("both_wide")];
    let averaged = truepair(home.path(), &["eval", &both[0], &both[1], "--json"]).json();
    let seeds = rows[2]["runs"].as_array().unwrap();
    let of_seed = seeds.iter().find(|run| run["seed"] == 1).unwrap();
    assert_eq!(averaged["rsum"], of_seed["ensemble"]["rsum"]);
    assert_eq!(averaged["protocol"]["ensemble"], 2);

    // A row that is added later runs alone.
    let text = fs::read_to_string(home.path().join("rows.toml")).unwrap();
    let more = "[[row]]\nlabel = \"More\"\nconfigs = [\"wide.toml\"]\n";
    fs::write(home.path().join("rows.toml"), format!("{text}{more}")).unwrap();
    let first = results(&home.path().join("grid"));
    let found = truepair(home.path(), BY_ROWS).json();
    let rows = found["blocks"][0]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), rows[4]["method"].as_str()), (5, Some("More")));
    let again = results(&home.path().join("grid"));
    assert!(first.iter().all(|one| again.contains(one)));

    // A mean is taken anew when one of its runs is: here it held another seed's figures.
    let mean = |seed: &str| runs.join("both").join(seed).join("cell.json");
    fs::copy(mean("seed_0"), mean("seed_1")).unwrap();
    fs::remove_dir_all(run("both_wide")).unwrap();
    let found = truepair(home.path(), BY_ROWS).json();
    let seeds = found["blocks"][0]["rows"][2]["runs"].as_array().unwrap();
    let of_seed = seeds.iter().find(|run| run["seed"] == 1).unwrap();
    assert_eq!(averaged["rsum"], of_seed["ensemble"]["rsum"]);
}

#[test]
fn a_row_with_the_name_of_a_baseline_is_refused() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    rows(home.path());
    let file = home.path().join("rows.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"NCR\"", "\"linear\"")).unwrap();
    let asked = ["compare", "data", "--rows", "rows.toml", "--out", "grid"];
    super::refused(home.path(), &asked, &["row `linear`", "--no-baselines"]);
}

#[test]
fn a_method_has_one_color_in_all_figures() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    rows(home.path());
    let file = home.path().join("rows.toml");
    // A row of the first noise alone, before one of both.
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("[\"caption:0.2\"]", "[\"caption:0.2\", \"caption:0.4\"]");
    let first = "[[row]]\nlabel = \"First\"\nconfigs = [\"narrow.toml\"]\nnoise = [\"caption:0.2\"]\n[[row]]";
    fs::write(&file, text.replacen("[[row]]", first, 1)).unwrap();
    truepair(home.path(), BY_ROWS).json();
    let page = fs::read_to_string(home.path().join("grid/compare.html")).unwrap();
    let keys = page.split("<i class=\"swatch s").skip(1).map(|key| {
        let (color, rest) = key.split_once("\"></i>").unwrap();
        (rest.split_once("</li>").unwrap().0, color)
    });
    let keys: Vec<(&str, &str)> = keys.collect();
    let of = |method: &str| -> Vec<&str> {
        let own = keys.iter().filter(|(name, _)| *name == method);
        own.map(|(_, color)| *color).collect()
    };
    let ncr = of("NCR");
    assert!(
        ncr.len() > 2 && ncr.iter().all(|color| *color == ncr[0]),
        "{keys:?}"
    );
    let first = of("First");
    assert!(!first.is_empty() && !first.contains(&ncr[0]), "{keys:?}");
}

#[test]
fn a_row_that_cannot_train_stops_no_other() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    rows(home.path());
    let text = fs::read_to_string(home.path().join("rows.toml")).unwrap();
    let bad = "[[row]]\nlabel = \"Wild\"\nconfigs = [\"wide.toml\"]\n\
               [row.set]\noptimizer = { kind = \"adam\", rate = 1e30 }\n";
    fs::write(home.path().join("rows.toml"), format!("{text}{bad}")).unwrap();
    let done = truepair(home.path(), BY_ROWS);
    assert_eq!(done.code, Some(2), "{}", done.err);
    let found: Value = serde_json::from_str(&done.out).unwrap();
    let rows = found["blocks"][0]["rows"].as_array().unwrap();
    let wild = rows.iter().find(|row| row["method"] == "Wild").unwrap();
    assert_eq!(wild["failed"].as_array().unwrap().len(), 2);
    let others = rows.iter().filter(|row| row["method"] != "Wild");
    assert!(others.clone().all(|row| row["numbers"]["rsum"].is_object()));
    assert_eq!(others.count(), 4);
}

#[test]
fn runs_of_unlike_noise_are_not_averaged() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let train = |out: &str, noise: &str| {
        truepair(
            home.path(),
            &[
                "train",
                "data",
                "--out",
                out,
                "--noise",
                noise,
                "--set",
                "training.epochs=1",
            ],
        )
    };
    for (out, noise) in [("a", "caption:0.2"), ("b", "caption:0.4")] {
        let done = train(out, noise);
        assert_eq!(done.code, Some(0), "{}", done.err);
    }
    super::refused(
        home.path(),
        &["eval", "a", "b"],
        &["a and b", "unlike noise"],
    );
}

#[test]
fn a_dev_split_of_other_images_than_those_trained_on_is_told() {
    let home = tempfile::tempdir().unwrap();
    data(home.path());
    let train = |out: &str, keep: &str| {
        let small = ["matcher.image.kind=mlp", "matcher.image.dim=16"]
            .into_iter()
            .chain(["matcher.caption.kind=mlp", "matcher.caption.dim=16"])
            .chain(["training.epochs=1", keep]);
        let mut typed = vec!["train", "data", "--out", out];
        typed.extend(small.flat_map(|setting| ["--set", setting]));
        let done = truepair(home.path(), &typed);
        assert_eq!(done.code, Some(0), "{}", done.err);
        done.err
    };
    let alike = train("alike", "training.keep=best");
    assert!(!alike.contains("unlike those of training"), "{alike}");
    // Three standard deviations off in every number.
    let (images, _) = files::embeddings(12);
    let moved: Vec<f32> = images.iter().map(|x| x + 3.0).collect();
    files::rows(&home.path().join("data/dev_ims.npy"), &moved);
    let unlike = train("unlike", "training.keep=best");
    assert!(
        unlike.contains("warning: the images of split `dev` are unlike those of training")
            && unlike.contains("training.keep=last"),
        "{unlike}"
    );
    // Where nothing is chosen on it, the split harms nobody.
    let last = train("last", "training.keep=last");
    assert!(!last.contains("unlike those of training"), "{last}");
}

/// The folder of a list is read by the list's format, which alone does not know the folder.
#[test]
fn a_list_of_splits_in_the_folder_of_its_pictures_is_compared_on() {
    let home = tempfile::tempdir().unwrap();
    let pictures = files::colors(&home.path().join("photos"), 60);
    let images = pictures.iter().enumerate().map(|(at, (name, caption))| {
        let split = ["train", "train", "train", "val", "test"][at % 5];
        serde_json::json!({
            "filename": name, "split": split, "imgid": at, "sentids": [at],
            "sentences": [{"raw": caption, "imgid": at, "sentid": at}],
        })
    });
    let list = serde_json::json!({"images": images.collect::<Vec<_>>(), "dataset": "colors"});
    fs::write(
        home.path().join("photos/dataset_colors.json"),
        list.to_string(),
    )
    .unwrap();
    let asked = "compare photos --strategies plain --no-baselines --dry-run --pixels 12 --seeds 1 --json --out grid";
    let plan = truepair(home.path(), &words(asked)).json();
    assert_eq!(plan["runs"], 1);
    assert!(plan["rows"][0]["seconds"].as_f64().unwrap() > 0.0, "{plan}");
}
