//! Two programs at once, signals, and settings and names that attack: what an attack on revision 188a689 found.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{files, holds, listing, truepair, words};

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (split, n) in [("train", 120), ("dev", 20)] {
        files::precomp(&home.path().join("data"), split, n);
    }
    home
}

fn start(home: &Path, line: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_truepair"))
        .current_dir(home)
        .args(words(line))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn of_two_audits_at_once_one_is_turned_away_and_the_other_whole() {
    let home = home();
    let at = home.path();
    for round in 0..3 {
        let line = format!("audit data --fast --out out-{round}");
        let both = [start(at, &line), start(at, &line)].map(ended);
        let whole = both.iter().filter(|(code, _)| *code == Some(0)).count();
        for (code, err) in &both {
            match code {
                Some(0) => {}
                // Whoever came while the other was at work, or after it was done.
                Some(2) => assert!(
                    err.contains("another truepair is at work there") || err.contains("--force"),
                    "{err}"
                ),
                code => panic!("{code:?}: {err}"),
            }
        }
        assert_eq!(whole, 1, "{both:?}");
        for file in [
            "summary.json",
            "report.html",
            "verdicts.csv",
            "verdicts.parquet",
        ] {
            assert!(
                at.join(format!("out-{round}")).join(file).is_file(),
                "{file}"
            );
        }
    }
    let hidden = listing(at)
        .into_iter()
        .map(|path| path.display().to_string());
    let hidden: Vec<String> = hidden.filter(|path| path.contains(".truepair")).collect();
    assert_eq!(hidden, [""; 0]);
}

#[test]
fn a_run_has_one_program_that_trains_it() {
    let home = home();
    let at = home.path();
    let line = "train data --strategy plain --set training.epochs=4000 --out run";
    let first = start(at, line);
    let began = Instant::now();
    while !at.join("run/checkpoint.bin").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no epoch ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = truepair(at, &words("train --resume run"));
    second.is_refused(&["run: another truepair is at work there"]);
    signal(&first);
    let (code, err) = ended(first);
    assert_eq!(code, Some(130), "{err}");
    holds(&err, &["`--resume` continues run"]);
    assert!(!at.join("run/.truepair-lock").exists());
}

#[test]
fn a_run_that_is_stopped_before_its_first_epoch_promises_nothing() {
    let home = home();
    let at = home.path();
    // An epoch of this data that never ends within a test.
    let line = "train data --strategy plain --set training.batch=2 --set matcher.image.kind=mlp \
                --set matcher.image.dim=65536 --set matcher.image.hidden=2048 --set matcher.caption.kind=mlp \
                --set matcher.caption.dim=65536 --out run";
    let child = start(at, line);
    let began = Instant::now();
    while !at.join("run").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing began");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    signal(&child);
    let (code, err) = ended(child);
    assert_eq!(code, Some(130), "{err}");
    assert!(!err.contains("--resume"), "{err}");
    assert!(!at.join("run").exists(), "{:?}", listing(at));
}

#[test]
fn work_that_hangs_is_ended_a_minute_after_the_signal() {
    let home = home();
    let at = home.path();
    // Nobody reads what it tells of its epochs, and after some the pipe, nearly full from the beginning, takes no more.
    let (_reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'.'; 65_536 - 1_500]).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_truepair"))
        .current_dir(at)
        .args(words(
            "train data --strategy plain --set training.epochs=1000000 --out run",
        ))
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    let checkpoint = at.join("run/checkpoint.bin");
    let quiet = || {
        fs::metadata(&checkpoint)
            .ok()?
            .modified()
            .ok()?
            .elapsed()
            .ok()
    };
    let began = Instant::now();
    while quiet().is_none_or(|quiet| quiet < Duration::from_secs(4)) {
        assert!(began.elapsed() < Duration::from_secs(120), "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    signal(&child);
    let asked = Instant::now();
    let status = child.wait().unwrap();
    let waited = asked.elapsed();
    assert_eq!(status.code(), Some(130));
    assert!((55..90).contains(&waited.as_secs()), "{waited:?}");
    assert!(checkpoint.exists());
}

fn signal(child: &Child) {
    let done = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn settings_beyond_all_measure_are_refused_by_name() {
    let home = home();
    let at = home.path();
    let wide = "train data --strategy plain --set matcher.image.kind=mlp --set matcher.image.dim=9223372036854775807";
    for (line, parts) in [
        (wide, ["dim = 9223372036854775807", "at most"]),
        (
            "train data --strategy ncr --set strategy.warm_up=2147483648",
            ["strategy.warm_up", "at most"],
        ),
        (
            "train data --strategy plain --set training.epochs=2147483648",
            ["training.epochs", "at most"],
        ),
        (
            "train data --strategy plain --set matcher.image.kind=mlp --set matcher.caption.kind=mlp \
             --set matcher.image.dim=99",
            ["matcher.image.dim = 99", "give both the same width"],
        ),
        (
            "train data --strategy plain --set schedule.kind=step --set schedule.factor=-1",
            ["schedule.factor", "in [0, 1]"],
        ),
        (
            "train data --strategy plain --set optimizer.kind=adam --set optimizer.rate=inf",
            ["optimizer.rate", "above 0"],
        ),
    ] {
        truepair(at, &words(&format!("{line} --out run"))).is_refused(&parts);
    }
    for folds in ["18446744073709551615", "100000"] {
        truepair(at, &["audit", "data", "--folds", folds]).is_refused(&["folds"]);
    }
    let deep = format!("{}b=1", "a.".repeat(60_000));
    truepair(at, &["train", "data", "--set", &deep, "--out", "run"]).is_refused(&["60001 parts"]);
    assert!(!at.join("run").exists());
    files::precomp(&at.join("few"), "train", 20);
    let few = truepair(at, &words("train few --strategy plain --out run"));
    few.is_refused(&["training.held_out = 0.1", "training.keep", "dev split"]);
}

#[test]
fn names_and_captions_do_not_steer_a_terminal() {
    let home = home();
    let at = home.path();
    let escape = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}";
    let ids: String = (0..120).map(|n| format!("{escape}-{n}\n")).collect();
    fs::write(at.join("data/train_ids.txt"), ids).unwrap();
    fs::write(
        at.join("pairs.tsv"),
        format!("image\tcaption\n{escape}nobody\ta\n"),
    )
    .unwrap();
    for line in [
        "inspect data",
        "inspect data --json",
        "audit data --fast",
        "score pairs.tsv --data data --split train --out scored.csv",
    ] {
        let done = truepair(at, &words(line));
        for (name, text) in [("output", &done.out), ("errors", &done.err)] {
            let steers = |char: char| {
                (char.is_control() && char != '\n' && char != '\t') || char == '\u{202e}'
            };
            assert!(!text.contains(steers), "{line}: {name}: {text:?}");
        }
    }
}
