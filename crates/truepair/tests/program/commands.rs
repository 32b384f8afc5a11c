//! Every command of the README and of every `--help`, typed as it stands there, on small data.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::files::{self, DIM, EACH};
use crate::{Finished, convert, labels, truepair, words};

/// Images of the splits that are measured on.
const N: usize = 30;

/// Numbers of an image that are kept of the sample.
const WIDTH: usize = 64;

/// Commands that are not typed, and why; a test of the arguments parses them all.
const NOT_TYPED: [(&str, &str); 24] = [
    ("truepair demo", "has a test of its own"),
    (
        "truepair serve",
        "goes on until it is stopped, and has a test of its own",
    ),
    ("--image holiday.jpg", "asks with a picture of one's own"),
    ("--like 17.jpg", "asks with an image of one's own"),
    (
        "embed - ",
        "reads standard input, and has a test of its own",
    ),
    (
        "--audit audit/ --out index/",
        "needs an audit of its data, and has a test of its own",
    ),
    (
        "--extend audit/",
        "needs an audit of more pairs, and has a test of its own",
    ),
    (
        "score --audit",
        "needs an audit of more pairs, and has a test of its own",
    ),
    (
        "--coverage 0.9",
        "no set can promise that on the small sample",
    ),
    ("index photos/", "the encoders of this test share no space"),
    ("truepair bench", "takes minutes"),
    ("model_best.pth.tar", "needs a published checkpoint"),
    ("runs/vsrn", "needs a published checkpoint"),
    ("mrl-published", "takes minutes"),
    (
        "--rows report-f30k",
        "takes days, row files have a test of their own",
    ),
    (
        "--rows mrl-wiki",
        "takes minutes, row files have a test of their own",
    ),
    (
        "--rows rows.toml",
        "needs a file of rows, and has a test of its own",
    ),
    (
        "runs/scan-t2i",
        "needs a run of SCAN, and has a test of its own",
    ),
    ("dataset_coco.json", "needs MS-COCO"),
    ("runs/pcme_cub", "needs CUB Captions"),
    ("instances_val2014.json", "needs MS-COCO"),
    ("://", "needs a server"),
    ("--from-run runs/gsc", "needs a run of more epochs"),
    ("truepair completions", "writes into the home folder"),
];

/// The first rows of an array of the sample with the first `width` numbers of each.
fn cut(from: &Path, to: &Path, n_rows: usize, width: Option<usize>) {
    let bytes = fs::read(from).unwrap();
    let head = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let header = std::str::from_utf8(&bytes[10..head]).unwrap();
    let descr = header.split('\'').nth(3).unwrap();
    let size: usize = descr[2..].parse().unwrap();
    let shape = header.split(['(', ')']).nth(1).unwrap();
    let shape: Vec<usize> = shape
        .split(',')
        .filter_map(|n| n.trim().parse().ok())
        .collect();
    let row = shape.get(1).copied().unwrap_or(1);
    let kept = width.unwrap_or(row);
    let rows = bytes[head..].chunks(row * size).take(n_rows);
    let rows: Vec<u8> = rows.flat_map(|row| &row[..kept * size]).copied().collect();
    match shape.len() {
        1 => files::npy(to, descr, &[n_rows], &rows),
        _ => files::npy(to, descr, &[n_rows, kept], &rows),
    }
}

/// A part of the sample that `truepair demo` carries, with fewer numbers an image.
fn sample(folder: &Path) {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/emoji");
    fs::create_dir_all(folder).unwrap();
    for (split, n) in [("train", 100), ("dev", N), ("test", N)] {
        let file = |name: &str| format!("{split}_{name}");
        let arrays = [
            ("ims.npy", n, Some(WIDTH)),
            ("caps_minilm.npy", n * EACH, None),
            ("labels.npy", n, None),
        ];
        for (name, n_rows, width) in arrays {
            cut(
                &whole.join(file(name)),
                &folder.join(file(name)),
                n_rows,
                width,
            );
        }
        for (name, n_lines) in [("caps.txt", n * EACH), ("ids.txt", n)] {
            let text = fs::read_to_string(whole.join(file(name))).unwrap();
            let lines: String = text.split_inclusive('\n').take(n_lines).collect();
            fs::write(folder.join(file(name)), lines).unwrap();
        }
    }
}

fn json(home: &Path, name: &str, lists: impl Iterator<Item = (String, Vec<String>)>) {
    let map: Map<String, Value> = lists.map(|(id, list)| (id, list.into())).collect();
    fs::write(home.join(name), serde_json::to_vec(&map).unwrap()).unwrap();
}

/// Ranked lists as TREC's tools write them.
fn trec_run(lists: &[(String, Vec<String>)]) -> String {
    let lines = lists.iter().flat_map(|(query, found)| {
        let places = found.iter().enumerate();
        places.map(move |(at, item)| format!("{query} Q0 {item} {} {} own\n", at + 1, 1000 - at))
    });
    lines.collect()
}

/// Scores, lists and judgments as other programs write them, of `N` images and their captions.
fn rankings(home: &Path) {
    let (images, captions) = files::embeddings(N);
    files::rows(&home.join("images.npy"), &images);
    files::rows(&home.join("captions.npy"), &captions);
    let scores: Vec<u8> = (0..N * N * EACH)
        .flat_map(|n| (n as f32 * 0.7).sin().to_le_bytes())
        .collect();
    for name in ["scores.npy", "s.npy"] {
        files::npy(&home.join(name), "<f4", &[N, N * EACH], &scores);
    }
    let classes: Vec<u8> = (0..N as i64 * 3)
        .flat_map(|n| (n % 2).to_le_bytes())
        .collect();
    files::npy(&home.join("classes.npy"), "<i8", &[N, 3], &classes);
    let image = |n: usize| format!("image-{n}");
    let caption = |n: usize| format!("caption-{n}");
    let own = |n: usize| (0..EACH).map(move |k| n * EACH + k);
    let lines = |n: usize, name: &dyn Fn(usize) -> String| -> String {
        (0..n).map(|n| name(n) + "\n").collect()
    };
    fs::write(home.join("images.txt"), lines(N, &image)).unwrap();
    fs::write(home.join("captions.txt"), lines(N * EACH, &caption)).unwrap();
    let all_captions = |n: usize| -> Vec<String> {
        (0..N * EACH)
            .map(|k| caption((n + k) % (N * EACH)))
            .collect()
    };
    let all_images = |n: usize| -> Vec<String> { (0..N).map(|k| image((n + k) % N)).collect() };
    let of_images = |list: &dyn Fn(usize) -> Vec<String>| -> Vec<(String, Vec<String>)> {
        (0..N).map(|n| (image(n), list(n))).collect()
    };
    let of_captions = |list: &dyn Fn(usize) -> Vec<String>| -> Vec<(String, Vec<String>)> {
        (0..N * EACH).map(|n| (caption(n), list(n))).collect()
    };
    let owned = |n: usize| own(n).map(caption).collect::<Vec<String>>();
    let owner = |n: usize| vec![image(n / EACH)];
    json(home, "i2t.json", of_images(&all_captions).into_iter());
    json(home, "t2i.json", of_captions(&all_images).into_iter());
    json(
        home,
        "original_image_to_caption.json",
        of_images(&owned).into_iter(),
    );
    json(home, "eccv_i2t.json", of_images(&owned).into_iter());
    json(home, "eccv_t2i.json", of_captions(&owner).into_iter());
    fs::write(home.join("i2t.run"), trec_run(&of_images(&all_captions))).unwrap();
    fs::write(home.join("t2i.run"), trec_run(&of_captions(&all_images))).unwrap();
    let rows: String = (0..N)
        .flat_map(own)
        .map(|k| format!("{},{k}\n", k / EACH))
        .collect();
    fs::write(home.join("rows.csv"), format!("image,caption\n{rows}")).unwrap();
}

/// Everything that a command of the pages takes, by the names that it has there.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    sample(&at("data"));
    for name in ["embeddings", "f30k", "features"] {
        for split in ["train", "dev", "test"] {
            files::precomp(&at(name), split, N);
        }
    }
    labels::labeled(&at("wiki"));
    rankings(home.path());
    let texts = fs::read_to_string(at("f30k").join("test_caps.txt")).unwrap();
    let rows = texts.lines().enumerate();
    let rows: String = rows
        .map(|(n, text)| format!("photo-{},{text}\n", n / EACH))
        .collect();
    fs::write(at("pairs.csv"), format!("image,caption\n{rows}")).unwrap();
    fs::write(at("base.toml"), "[training]\nbatch = 64\n").unwrap();
    files::safetensors(&at("weights.safetensors"), &convert::vsepp(DIM));
    files::vocabulary(&at("vocab.json"), convert::WORDS);
    photos(home.path());
    searched(home.path());
    home
}

/// What is searched for and judged, by the names that the pages have.
fn searched(home: &Path) {
    let read = |name: &str| fs::read_to_string(home.join("data").join(name)).unwrap();
    let (ids, texts) = (read("test_ids.txt"), read("test_caps.txt"));
    let ids: Vec<&str> = ids.lines().collect();
    let rows = texts.lines().enumerate();
    let rows: String = rows
        .map(|(n, text)| format!("{}\t{text}\n", ids[n / EACH]))
        .collect();
    fs::write(home.join("pairs.tsv"), format!("image\tcaption\n{rows}")).unwrap();
    // The same data under other names: what is added to an index, and what it is calibrated with.
    for (folder, prefix) in [("more", "more-"), ("held-out", "held-out-")] {
        sample(&home.join(folder));
        for split in ["train", "dev", "test"] {
            let file = home.join(folder).join(format!("{split}_ids.txt"));
            let ids = fs::read_to_string(&file).unwrap();
            let ids: String = ids.lines().map(|id| format!("{prefix}{id}\n")).collect();
            fs::write(file, ids).unwrap();
        }
    }
    let sources: String = ids.iter().map(|id| format!("{id},web,640\n")).collect();
    fs::write(
        home.join("sources.csv"),
        format!("image,source,width\n{sources}"),
    )
    .unwrap();
}

/// Captioned pictures, a table of them, and encoders, by the names that the pages have.
fn photos(home: &Path) {
    let pictures = files::colors(&home.join("photos"), 120);
    files::colors(&home.join("gallery"), 8);
    let mut table = String::from("image,caption\n");
    for (name, caption) in &pictures {
        let text = home.join("photos").join(name).with_extension("txt");
        fs::write(text, caption).unwrap();
        table += &format!("{name},{caption}\n");
    }
    fs::write(home.join("captions.csv"), table).unwrap();
    fs::write(home.join("queries.txt"), "a red dog\nthe big cat\n").unwrap();
    files::encoders(&home.join("clip"));
    for (from, to) in [
        ("onnx/vision_model.onnx", "vision_model.onnx"),
        ("onnx/text_model.onnx", "minilm.onnx"),
        ("tokenizer.json", "tokenizer.json"),
        ("preprocessor_config.json", "preprocessor_config.json"),
    ] {
        fs::copy(home.join("clip").join(from), home.join(to)).unwrap();
    }
}

/// Types one command; a `>` stores what it prints.
#[track_caller]
fn type_it(home: &Path, line: &str) {
    let (command, file) = match line.split_once(" > ") {
        // A `>` between quotation marks is a condition, not a file.
        Some((command, _)) if command.contains(['"', '\'']) => (line, None),
        Some((command, file)) => (command, Some(file.trim())),
        None => (line, None),
    };
    let typed = shell_words(command);
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let done = truepair(home, &typed[1..]);
    assert!(works(command, &done), "{line}\n{}\n{}", done.out, done.err);
    if let Some(file) = file {
        fs::write(home.join(file), done.out).unwrap();
    }
}

/// The words of a line as a shell cuts it: what stands between quotation marks is one.
fn shell_words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut open) = (Vec::new(), String::new(), None);
    for letter in line.trim().chars().chain([' ']) {
        match (open, letter) {
            (None, '"' | '\'') => open = Some(letter),
            (Some(mark), letter) if letter == mark => open = None,
            (None, letter) if letter.is_whitespace() => {
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
            }
            (_, letter) => word.push(letter),
        }
    }
    all
}

/// Whether a command did what it is for: a gate may fail, and an audit may end without a verdict, which
/// it then explains.
fn works(command: &str, done: &Finished) -> bool {
    match done.code {
        Some(0) => true,
        Some(1) => command.contains("--fail-above"),
        Some(2) => command.contains(" audit ") && done.out.contains("verdict"),
        _ => false,
    }
}

fn is_typed(line: &str) -> bool {
    !NOT_TYPED.iter().any(|(part, _)| line.contains(part))
}

#[test]
fn commands_of_the_readme_work_when_typed() {
    let home = home();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let Ok(text) = fs::read_to_string(readme.join("README.md")) else {
        println!("skipped: there is no README.md beside the workspace");
        return;
    };
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let lines = lines.map(|line| line.split(" #").next().unwrap_or(line).trim());
    let lines: Vec<&str> = lines.filter(|line| line.starts_with("truepair ")).collect();
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines.into_iter().filter(|line| is_typed(line)) {
        type_it(home.path(), line);
    }
}

/// The examples at the end of a help text, continued lines joined, remarks beside them left out.
fn examples(help: &str) -> Vec<String> {
    let text = help.replace("\\\n", " ");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("  truepair "));
    let lines = lines.map(|line| match line.trim().split_once("   ") {
        Some((command, remark)) if !remark.trim().starts_with("--") => command.to_owned(),
        _ => line.to_owned(),
    });
    lines.map(|line| format!("truepair {line}")).collect()
}

/// The value of a flag.
fn value<'l>(line: &'l str, flag: &str) -> Option<&'l str> {
    let mut words = line.split_whitespace().skip_while(|word| *word != flag);
    words.nth(1)
}

#[test]
fn examples_of_the_help_work_when_typed() {
    let home = home();
    // What examples begin with, made as quickly as may be.
    type_it(
        home.path(),
        "truepair train data/ --matcher linear --caption-features none --out runs/words",
    );
    let runs = [
        ("ncr", "ncr", ""),
        ("rcl", "rcl", ""),
        ("gsc", "gsc", " --noise caption:0.4"),
        ("pcme", "pcme++", " --caption-features none"),
    ];
    for (name, strategy, noise) in runs {
        let line = format!(
            "truepair train data/ --strategy {strategy}{noise} --set training.epochs=1 --out runs/{name}"
        );
        type_it(home.path(), &line);
    }
    type_it(home.path(), "truepair recipes --write recipes/");
    let commands = [
        "inspect",
        "audit",
        "train",
        "compare",
        "eval",
        "embed",
        "convert",
        "score",
        "index",
        "search",
        "labels",
        "labels audit",
        "labels train",
        "recipes",
        "schema",
        "man",
    ];
    for command in commands {
        let help = truepair(home.path(), &[&words(command)[..], &["--help"]].concat()).out;
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{help}");
        for line in examples.iter().filter(|line| is_typed(line)) {
            let goes_on = line.contains("--resume") || line.contains("truepair compare");
            let made = value(line, "--out").or_else(|| value(line, "--write"));
            if let (Some(made), false) = (made, goes_on) {
                let _ = fs::remove_dir_all(home.path().join(made));
            }
            type_it(home.path(), line);
        }
    }
}
