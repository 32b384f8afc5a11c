//! What the program promises, on data small enough for a debug build.

use std::fs;
use std::path::Path;

use crate::files::{self, DIM, EACH};
use crate::{listing, refused, truepair, words};

fn home(n_images: usize) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    files::precomp(&home.path().join("data"), "train", n_images);
    home
}

#[test]
fn inspect_says_what_was_found() {
    let home = home(60);
    let done = truepair(home.path(), &["inspect", "data", "--json"]).json();
    assert_eq!(done["format"], "precomp");
    let text = truepair(home.path(), &["inspect", "data"]).out;
    for part in ["precomp", "train", "60", "300"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_is_passed_over_is_said_in_one_line_or_refused() {
    let home = home(60);
    let args = words("audit data --frozen --json");
    let quiet = truepair(home.path(), &args);
    assert!(!quiet.err.contains("passed over"), "{}", quiet.err);
    fs::write(home.path().join("data/notes.md"), "read me").unwrap();
    fs::write(home.path().join("data/odd.npy"), "numbers").unwrap();
    let told = truepair(home.path(), &args);
    let lines = told.err.lines().filter(|line| line.contains("passed over"));
    let expected =
        "note: passed over 2 files: it is not a file of this format or split (notes.md, odd.npy)";
    assert_eq!(lines.collect::<Vec<_>>(), [expected]);
    let found = truepair(home.path(), &["inspect", "data", "--json"]).json();
    let passed = &found["splits"][0]["account"]["passed_over"][0];
    assert_eq!(
        (&passed["count"], &passed["names"][1]),
        (&2.into(), &"odd.npy".into())
    );
    for command in ["audit data --frozen --strict", "inspect data --strict"] {
        let parts = ["strict reading, but not all is used: used ", "odd.npy"];
        refused(home.path(), &words(command), &parts);
    }
    let other = words("audit data --frozen --out out --write shards");
    refused(
        home.path(),
        &other,
        &["'precomp' are not written as shards (choose one of own)"],
    );
}

#[test]
fn a_frozen_audit_finds_planted_noise_and_writes_everything() {
    let home = home(200);
    let args = words("audit data --frozen --noise caption:0.3 --seed 3 --out out --json");
    let done = truepair(home.path(), &args).json();
    assert_eq!(done["pairs"], 1000);
    assert_eq!(done["verdict"], "mismatched-pairs");
    let realized = done["truth"]["realized"].as_f64().unwrap();
    let rate = |name: &str| done["noise_rate"][name].as_f64().unwrap();
    assert!((realized - 0.3).abs() < 0.02, "{realized}");
    assert!((rate("estimate") - realized).abs() < 0.05, "{done}");
    assert!(rate("low") <= rate("estimate") && rate("estimate") <= rate("high"));
    assert!(done["truth"]["auc"].as_f64().unwrap() > 0.95, "{done}");
    for name in ["ece", "brier", "precision", "recall"] {
        assert!(done["truth"][name].is_f64(), "{name}");
    }
    let outputs = done["outputs"].as_array().unwrap();
    for name in [
        "verdicts.parquet",
        "verdicts.csv",
        "verdicts.jsonl",
        "report.html",
        "findings.json",
        "manifest.json",
        "summary.json",
    ] {
        let path = format!("out/{name}");
        assert!(
            outputs.iter().any(|output| output == path.as_str()),
            "{path}"
        );
    }
    for output in outputs {
        assert!(
            home.path().join(output.as_str().unwrap()).exists(),
            "{output}"
        );
    }
    let files = listing(&home.path().join("out"));
    assert!(
        files
            .iter()
            .all(|file| !file.to_string_lossy().contains("partial")),
        "{files:?}"
    );
    let csv = fs::read_to_string(home.path().join("out/verdicts.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1001);
    assert!(
        csv.lines()
            .next()
            .unwrap()
            .ends_with(",uncertainty,judgment,near")
    );
    let judgments = done["judgments"].as_object().unwrap();
    let n_judged: u64 = judgments.values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(n_judged, 1000);
    let n_mismatched = csv
        .lines()
        .filter(|line| line.contains(",mismatched,"))
        .count();
    assert_eq!(judgments["mismatched"], n_mismatched);
    assert_eq!(done["ambiguity"]["uncertainty"], "candidates");
    let stored = fs::read_to_string(home.path().join("out/summary.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&stored).unwrap(),
        done
    );
}

#[test]
fn the_cleaned_list_is_data_again() {
    let home = home(100);
    let args = words("audit data --frozen --noise caption:0.3 --out out --json");
    let kept = truepair(home.path(), &args).json()["decision"]["kept"].clone();
    let cleaned = truepair(home.path(), &["audit", "out/cleaned", "--frozen", "--json"]).json();
    assert_eq!(cleaned["pairs"], kept);
    assert!(
        cleaned["noise_rate"]["estimate"].as_f64().unwrap() < 0.05,
        "{cleaned}"
    );
}

#[test]
fn the_same_seed_gives_the_same_audit_whatever_the_threads() {
    let home = home(100);
    let run = |threads: &str| {
        let args = [
            "audit",
            "data",
            "--frozen",
            "--noise",
            "image:0.2",
            "--seed",
            "9",
            "--threads",
            threads,
            "--json",
        ];
        let mut done = truepair(home.path(), &args).json();
        done["seconds"] = 0.into();
        done
    };
    assert_eq!(run("1"), run("2"));
    assert!(!home.path().join("out").exists());
}

#[test]
fn the_self_check_reports_what_it_injected() {
    let home = home(200);
    let args = ["audit", "data", "--frozen", "--inject", "0.2", "--json"];
    let check = truepair(home.path(), &args).json()["self_check"].clone();
    assert!(
        (check["injected"].as_f64().unwrap() - 0.2).abs() < 0.01,
        "{check}"
    );
    let recovered = check["recovered_rate"]["estimate"].as_f64().unwrap();
    assert!(
        (recovered - check["expected_rate"].as_f64().unwrap()).abs() < 0.05,
        "{check}"
    );
}

#[test]
fn a_gate_exits_with_1_only_when_it_is_not_met() {
    let home = home(200);
    let gate = |noise: &str, limit: &str| {
        truepair(
            home.path(),
            &[
                "audit",
                "data",
                "--frozen",
                "--noise",
                noise,
                "--fail-above",
                limit,
            ],
        )
    };
    assert_eq!(gate("caption:0.3", "0.5").code, Some(0));
    let failed = gate("caption:0.3", "0.1");
    assert_eq!(failed.code, Some(1), "{}", failed.out);
    assert!(failed.err.contains("gate not met"), "{}", failed.err);
    assert!(failed.out.contains("noise rate"), "{}", failed.out);
}

#[test]
fn a_gate_looks_at_the_end_that_it_is_told() {
    let home = home(200);
    let gate = |end: &str| {
        let noise = ["audit", "data", "--frozen", "--noise", "caption:0.3"];
        truepair(
            home.path(),
            &[&noise[..], &["--fail-above", "0.31", "--fail-on", end]].concat(),
        )
    };
    // 30 % of 1,000 pairs are mismatched: above 31 % for the upper end only.
    assert_eq!(gate("low").code, Some(0));
    assert_eq!(gate("high").code, Some(1));
}

#[test]
fn the_self_check_reports_every_kind() {
    let home = home(200);
    let kinds = "random:0.2,near:0.1,illegible:0.1";
    let done = truepair(
        home.path(),
        &["audit", "data", "--frozen", "--inject", kinds, "--json"],
    );
    let check = done.json()["self_check"].clone();
    let of = |at: usize, name: &str| check["kinds"][at][name].as_f64().unwrap();
    assert_eq!(check["kinds"][0]["kind"], "random");
    assert!(
        of(0, "called_mismatched") > 0.6 && of(0, "auc") > 0.95,
        "{check}"
    );
    assert_eq!(check["kinds"][2]["kind"], "illegible");
    assert!((of(2, "injected") - 0.1).abs() < 0.01, "{check}");
    let wrong = truepair(
        home.path(),
        &["audit", "data", "--frozen", "--inject", "far:0.1"],
    );
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.err.contains("random, near, illegible"),
        "{}",
        wrong.err
    );
}

#[test]
fn scores_that_know_nothing_get_no_verdicts() {
    let home = home(100);
    let (images, _) = files::embeddings(100);
    let reversed: Vec<f32> = images
        .chunks(DIM)
        .rev()
        .flat_map(|row| vec![row; EACH])
        .flatten()
        .copied()
        .collect();
    files::rows(&home.path().join("data/train_caps_near.npy"), &reversed);
    let done = truepair(
        home.path(),
        &["audit", "data", "--frozen", "--out", "out", "--json"],
    );
    assert_eq!(done.code, Some(2), "no verdict is no success");
    let done: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(done["verdict"], "refused");
    assert_eq!(done["decision"]["dropped"], 0);
    assert!(done["noise_rate"].is_null(), "{done}");
    assert!(!home.path().join("out/cleaned").exists());
    let gate = truepair(
        home.path(),
        &["audit", "data", "--frozen", "--fail-above", "1"],
    );
    assert_eq!(gate.code, Some(1));
}

#[test]
fn parents_of_the_output_are_made_and_go_again_when_nothing_comes_of_it() {
    let home = home(60);
    let broken = words("audit data --frozen --split tset --out deep/er/out");
    truepair(home.path(), &broken).is_refused(&["tset"]);
    assert!(!home.path().join("deep").exists());
    let whole = words("audit data --frozen --out deep/er/out --json");
    truepair(home.path(), &whole).json();
    assert!(home.path().join("deep/er/out/summary.json").exists());
}

#[test]
fn two_matrices_are_audited_like_a_folder() {
    let home = home(60);
    let args = words("audit data/train_ims.npy data/train_caps_near.npy --frozen --out out --json");
    let done = truepair(home.path(), &args).json();
    assert_eq!(
        (&done["pairs"], &done["format"]),
        (&300.into(), &"embeddings".into())
    );
}

#[test]
fn folds_that_are_too_small_are_refused_before_anything_is_trained() {
    let home = home(60);
    let args = words("audit data --folds 20 --matcher network");
    let start = std::time::Instant::now();
    truepair(home.path(), &args).is_refused(&["20 folds", "use fewer folds"]);
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn a_misspelled_format_has_a_nearest_name() {
    let home = home(60);
    let done = truepair(home.path(), &words("inspect data --format precom"));
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("did you mean `precomp`?"), "{}", done.err);
}

#[test]
fn a_failure_is_an_object_for_scripts() {
    let home = home(60);
    for line in ["audit nowhere --json", "audti --json", "inspect --json"] {
        let done = truepair(home.path(), &words(line));
        assert_eq!(done.code, Some(2), "{line}");
        let failure: serde_json::Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!(failure["schema"], "truepair/error/1", "{line}");
        assert!(
            !failure["error"].as_str().unwrap().contains("os error"),
            "{failure}"
        );
    }
}

#[test]
fn an_earlier_audit_is_replaced_only_by_force() {
    let home = home(60);
    let audit = |extra: &[&str]| {
        let args = [&["audit", "data", "--frozen", "--out", "out"][..], extra].concat();
        truepair(home.path(), &args)
    };
    assert_eq!(audit(&[]).code, Some(0));
    let again = audit(&[]);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("--force"), "{}", again.err);
    assert_eq!(audit(&["--force"]).code, Some(0));
}

#[test]
fn text_goes_to_standard_output_and_remarks_to_standard_error() {
    let home = home(60);
    let done = truepair(home.path(), &["audit", "data", "--frozen"]);
    assert!(
        done.out.contains("noise rate") && done.out.contains("--out DIR"),
        "{}",
        done.out
    );
    let data = "data, split train: 300 pairs of 60 images";
    assert!(done.out.contains(data), "{}", done.out);
    assert!(
        !done.err.contains(data),
        "the data is told once: {}",
        done.err
    );
    let refused = truepair(home.path(), &["audit", "none"]);
    assert!(refused.out.is_empty() && refused.err.starts_with("error: "));
}

#[test]
fn perfect_embeddings_rank_perfectly_and_shares_are_fractions() {
    let home = tempfile::tempdir().unwrap();
    let (images, _) = files::embeddings(20);
    files::rows(&home.path().join("a.npy"), &images);
    let args = words("eval --embeddings a.npy a.npy --name toy --json");
    let done = truepair(home.path(), &args).json();
    assert_eq!(
        (done["unit"].as_str(), done["rsum"].as_f64()),
        (Some("fraction"), Some(6.0))
    );
    assert_eq!(done["i2t"]["recall@1"], 1.0);
    assert_eq!(done["protocol"]["data"], "toy");
    assert_eq!(done["protocol"]["folds"], 1);
}

#[test]
fn equal_scores_rank_last() {
    let home = tempfile::tempdir().unwrap();
    files::rows(&home.path().join("s.npy"), &[0.25; DIM * DIM]);
    let done = truepair(home.path(), &["eval", "--scores", "s.npy", "--json"]).json();
    assert_eq!(
        (done["rsum"].as_f64(), done["t2i"]["median-rank"].as_f64()),
        (Some(0.0), Some(16.0))
    );
}

#[test]
fn results_are_compared_only_under_one_protocol() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), "one.json", &["--folds", "1"]);
    let alike = ["eval", "--scores", "s.npy", "--compare-with", "one.json"];
    let done = truepair(home.path(), &alike);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("this - other"), "{}", done.out);
    let unlike = words("eval --scores s.npy --folds 4 --compare-with one.json");
    truepair(home.path(), &unlike).is_refused(&["folds: 4, not 1", "--compare-unlike"]);
    let anyway = [&unlike[..], &["--compare-unlike", "--json"]].concat();
    let done = truepair(home.path(), &anyway).json();
    assert_eq!(done["unlike"][0], "folds: 4, not 1");
    let first = &done["compared"][0];
    let number = |name: &str| first[name].as_f64().unwrap();
    assert!(
        (number("difference") - (number("this") - number("other"))).abs() < 1e-12,
        "{first}"
    );
}

fn store(home: &Path, name: &str, extra: &[&str]) {
    let scores: Vec<f32> = (0..DIM * DIM).map(|n| (n as f32 * 0.7).sin()).collect();
    files::rows(&home.join("s.npy"), &scores);
    let done = truepair(
        home,
        &[&["eval", "--scores", "s.npy", "--json"][..], extra].concat(),
    );
    fs::write(home.join(name), done.out).unwrap();
}

/// Trains two epochs on splits `train`, `dev` and `test` below `data/`.
fn train(home: &Path, extra: &[&str]) -> crate::Finished {
    let short = ["--set", "training.epochs=2", "--set", "training.batch=32"];
    let args = ["train", "data", "--out", "run", "--json"];
    truepair(home, &[&args[..], &short, extra].concat())
}

fn home_with_splits() -> tempfile::TempDir {
    let home = home(60);
    for split in ["dev", "test"] {
        files::precomp(&home.path().join("data"), split, 30);
    }
    home
}

#[test]
fn a_run_is_measured_kept_and_evaluated_again_to_the_same_numbers() {
    let home = home_with_splits();
    let noise = words("--strategy ncr --similarity cosine --noise caption:0.4");
    let done = train(home.path(), &noise).json();
    assert_eq!(
        (done["test"]["unit"].as_str(), done["strategy"].as_str()),
        (Some("fraction"), Some("ncr"))
    );
    assert!(
        done["test"]["i2t"]["recall@1"].is_f64() && done["dev"]["t2i"]["recall@10"].is_f64(),
        "{done}"
    );
    assert_eq!(done["protocol"]["split"], "test");
    assert!(done["protocol"]["noise"]["sha256"].is_string(), "{done}");
    for name in [
        "config.toml",
        "environment.json",
        "job.json",
        "manifest.json",
        "metrics.jsonl",
        "report.md",
        "result.json",
    ] {
        assert!(home.path().join("run").join(name).exists(), "{name}");
    }
    let again = truepair(home.path(), &["eval", "run", "--json"]).json();
    assert_eq!(again["rsum"], done["test"]["rsum"]);
    assert_eq!(again["protocol"], done["protocol"]);
    let compared = truepair(
        home.path(),
        &["eval", "run", "--compare-with", "run/result.json"],
    );
    assert_eq!(compared.code, Some(0), "{}", compared.err);
}

#[test]
fn gaussian_embeddings_tell_which_queries_they_doubt() {
    let home = home_with_splits();
    let done = train(home.path(), &["--strategy", "pcme"]).json();
    let eval = |extra: &[&str]| truepair(home.path(), &[&["eval", "run"][..], extra].concat());
    let found = eval(&["--json"]).json();
    assert_eq!(found["rsum"], done["test"]["rsum"]);
    let known = &found["uncertainty"];
    let tenths = known["queries"]["text_to_image"]["tenths"]
        .as_array()
        .unwrap();
    assert_eq!(tenths.len(), 10);
    let n: u64 = tenths
        .iter()
        .map(|tenth| tenth["n"].as_u64().unwrap())
        .sum();
    assert_eq!(n, 30 * EACH as u64);
    let rho = known["queries"]["image_to_text"]["correlation"]["rho"].as_f64();
    assert!((-1.0..=1.0).contains(&rho.unwrap()), "{known}");
    assert!(known["calibration"]["all_pairs"]["ece"].is_f64(), "{known}");
    let text = eval(&[]).out;
    for part in [
        "uncertainty",
        "lowest",
        "highest",
        "Spearman",
        "best answers ECE",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let other = eval(&["--distance", "wasserstein", "--json"]).json();
    assert_eq!(other["distance"], "wasserstein");
    assert!(other["uncertainty"]["calibration"].is_null(), "{other}");
    assert_eq!(eval(&["--distance", "manhattan"]).code, Some(2));
}

#[test]
fn a_run_is_not_overwritten_but_resumed() {
    let home = home_with_splits();
    let done = train(home.path(), &[]).json();
    let again = train(home.path(), &[]);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("--resume"), "{}", again.err);
    for args in [
        &["train", "--resume", "run", "--json"][..],
        &["train", "--resume", "--out", "run", "--json"],
    ] {
        let again = truepair(home.path(), args).json();
        assert_eq!(
            (&again["test"], &again["seconds"]),
            (&done["test"], &done["seconds"])
        );
    }
    let other = train(home.path(), &["--resume", "--seed", "8"]);
    assert!(other.err.contains("another seed"), "{}", other.err);
}

#[test]
fn a_cross_fitted_audit_finds_planted_noise() {
    let home = home(100);
    let args = words("audit data --noise caption:0.3 --repeats 1 --json");
    let done = truepair(home.path(), &args).json();
    assert!(done["truth"]["auc"].as_f64().unwrap() > 0.8, "{done}");
}

#[test]
fn the_demo_prints_the_audit_and_a_table() {
    let home = tempfile::tempdir().unwrap();
    let done = truepair(home.path(), &["demo", "--json"]).json();
    let rate = |name: &str| done["noise_rate"][name].as_f64().unwrap();
    let realized = done["truth"]["realized"].as_f64().unwrap();
    assert!(
        rate("low") <= realized && realized <= rate("high"),
        "{realized} in {}",
        done["noise_rate"]
    );
    assert!(
        done["table"][0]["rsum"].as_f64().unwrap() > 1.0,
        "{}",
        done["table"]
    );
    assert!(home.path().join("truepair-demo/report.html").exists());
}

#[test]
fn a_runs_beliefs_become_verdicts() {
    let home = home_with_splits();
    let noise = ["--noise", "caption:0.4", "--seed", "5"];
    let run = |name: &str, strategy: &str| {
        let more = ["--strategy", strategy, "--set", "training.epochs=2"];
        let args = [
            &["train", "data", "--json", "--out", name][..],
            &noise,
            &more,
        ]
        .concat();
        truepair(home.path(), &args).json()
    };
    run("gsc", "gsc");
    let args = ["audit", "--from-run", "gsc", "--out", "out", "--json"];
    let done = truepair(home.path(), &args).json();
    assert!(
        done["matcher"]
            .as_str()
            .unwrap()
            .contains("clean posteriors"),
        "{done}"
    );
    assert!(done["truth"]["auc"].as_f64().unwrap() > 0.6, "{done}");
    let notes = done["notes"].to_string();
    assert!(notes.contains("not calibrated"), "{notes}");
    assert_eq!(done["verdict"], "beliefs");
    assert!(
        done["noise_rate"].is_null() && done["mean_belief"].is_f64(),
        "{done}"
    );
    assert_eq!(done["decision"]["dropped"], 0);
    assert!(!home.path().join("out/cleaned").exists());
    let gated = words("audit --from-run gsc --fail-above 0.5");
    truepair(home.path(), &gated).is_refused(&["--fail-above", "not"]);
    assert!(home.path().join("out/verdicts.csv").exists());

    run("pcme++", "pcme++");
    let believed = truepair(home.path(), &["audit", "--from-run", "pcme++"]);
    assert_eq!(believed.code, Some(2), "{}", believed.out);

    run("plain", "plain");
    run("oracle", "clean-only");
    for (name, why) in [("plain", "believes in every pair"), ("oracle", "was told")] {
        let refused = truepair(home.path(), &["audit", "--from-run", name]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    let seeded = truepair(home.path(), &["audit", "--from-run", "gsc", "--seed", "1"]);
    assert_eq!(seeded.code, Some(2), "a run has its own seed");
    files::precomp(&home.path().join("data"), "train", 61);
    let changed = truepair(home.path(), &["audit", "--from-run", "gsc"]);
    assert_eq!(changed.code, Some(2));
    assert!(changed.err.contains("pairs other than"), "{}", changed.err);
}
