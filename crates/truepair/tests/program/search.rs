//! An index from the outside: made, searched, changed, served; pairs scored; embeddings of a run.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use truepair_core::rng::{Seed, below, normal};

use crate::{Finished, files, holds, refused, truepair, words};

/// Images of a split.
const N: usize = 90;

/// Numbers of an image.
const DIM: usize = 24;

/// What pictures show, by place: each has one word of every row.
const WORDS: [[&str; 8]; 3] = [
    [
        "red", "green", "blue", "black", "white", "grey", "pink", "brown",
    ],
    [
        "dog", "cat", "boat", "horse", "house", "car", "tree", "bird",
    ],
    [
        "beach", "street", "forest", "harbor", "desert", "garden", "market", "bridge",
    ],
];

/// Writes a split whose captions say what its images show.
fn split(folder: &Path, name: &str, n: usize, seed: u64) {
    fs::create_dir_all(folder).unwrap();
    let of_word = |row: usize, word: usize| -> Vec<f64> {
        let mut rng = Seed(7).stream("word", &[row as u64, word as u64]);
        (0..DIM).map(|_| normal(&mut rng)).collect()
    };
    let rng = &mut Seed(seed).stream(name, &[]);
    let (mut images, mut texts, mut ids) = (Vec::new(), String::new(), String::new());
    for image in 0..n {
        let shown: [usize; 3] = std::array::from_fn(|_| below(rng, 8) as usize);
        let seen = shown
            .iter()
            .enumerate()
            .map(|(row, &word)| of_word(row, word));
        let seen: Vec<Vec<f64>> = seen.collect();
        images.extend(
            (0..DIM)
                .map(|k| (seen.iter().map(|one| one[k]).sum::<f64>() + 0.3 * normal(rng)) as f32),
        );
        let [color, thing, place] = std::array::from_fn(|row| WORDS[row][shown[row]]);
        for k in 0..files::EACH {
            let text = match k {
                0 => format!("a {color} {thing} near the {place}"),
                1 => format!("the {place} with a {thing} that is {color}"),
                _ => format!("{color} {thing} at some {place}, view {k}"),
            };
            texts += &(text + "\n");
        }
        ids += &format!("{name}-{image}.jpg\n");
    }
    let file = |part: &str| folder.join(format!("{name}_{part}"));
    let bytes: Vec<u8> = images.iter().flat_map(|x| x.to_le_bytes()).collect();
    files::npy(&file("ims.npy"), "<f4", &[n, DIM], &bytes);
    fs::write(file("caps.txt"), texts).unwrap();
    fs::write(file("ids.txt"), ids).unwrap();
}

/// Data of three splits and a run of the closed form on it.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, n, seed) in [("train", 400, 1), ("dev", N, 2), ("test", N, 3)] {
        split(&home.path().join("data"), name, n, seed);
    }
    let line = "train data --matcher linear --caption-features none --out run --json";
    truepair(home.path(), &words(line)).json();
    home
}

fn typed(home: &Path, line: &str) -> Finished {
    truepair(home, &words(line))
}

fn made(home: &Path) {
    let done = typed(home, "index data --run run --split test --out index --json").json();
    assert_eq!(
        (&done["images"], &done["captions"]),
        (&N.into(), &(N * files::EACH).into()),
        "{done}"
    );
}

fn test_ids(home: &Path) -> Vec<String> {
    let text = fs::read_to_string(home.join("data/test_ids.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn first_caption(home: &Path) -> String {
    let text = fs::read_to_string(home.join("data/test_caps.txt")).unwrap();
    text.lines().next().unwrap().to_owned()
}

fn hits(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn embeddings_of_a_run_rank_as_the_run_does() {
    let home = home();
    let of_run = typed(home.path(), "eval run --json").json();
    let made = typed(
        home.path(),
        "embed data --run run --split test --out embedded --json",
    )
    .json();
    assert_eq!(made["splits"][0]["images"], N);
    let line = "eval --embeddings embedded/test_ims.npy embedded/test_caps_text.npy --json";
    let of_files = typed(home.path(), line).json();
    let recalls = |of: &Value| -> Vec<Value> {
        let figures = of["figures"].as_array().unwrap().iter();
        let recalls =
            figures.filter(|figure| figure["metric"].as_str().unwrap().starts_with("recall@"));
        recalls.map(|figure| figure["value"].clone()).collect()
    };
    assert_eq!(recalls(&of_run).len(), 6, "{of_run}");
    assert_eq!(recalls(&of_run), recalls(&of_files), "{of_run}\n{of_files}");
    let again = typed(
        home.path(),
        "embed data --run run --split test --out embedded --json",
    );
    holds(&again.err, &["already done"]);
    let opened = typed(home.path(), "inspect embedded --json").json();
    assert_eq!(opened["splits"][0]["images"], N, "{opened}");
}

#[test]
fn an_index_is_made_searched_and_changed() {
    let home = home();
    let at = home.path();
    made(at);
    refused(
        at,
        &words("index data --run run --split test --out index"),
        &["--force"],
    );
    let ids = test_ids(at);
    let like = typed(
        at,
        &format!("search index --like {} --top 3 --json", ids[4]),
    )
    .json();
    assert_eq!(
        (hits(&like)[0].as_str(), hits(&like).len()),
        (ids[4].as_str(), 3),
        "{like}"
    );
    let text = first_caption(at);
    let asked = truepair(
        at,
        &[
            "search",
            "index",
            &text,
            "--top",
            "5",
            "--json",
            "--page",
            "hits.html",
        ],
    );
    let answer = asked.json();
    assert_eq!(hits(&answer).len(), 5);
    assert!(
        answer["hits"][0]["p_relevant"].as_f64().unwrap() > 0.0,
        "{answer}"
    );
    holds(
        &fs::read_to_string(at.join("hits.html")).unwrap(),
        &["truepair</strong> search", &ids[0]],
    );
    let set = truepair(
        at,
        &["search", "index", &text, "--coverage", "0.8", "--json"],
    )
    .json();
    assert!(
        set["hits"]
            .as_array()
            .unwrap()
            .iter()
            .all(|hit| hit["in_answer"] == true),
        "{set}"
    );

    let deleted = typed(
        at,
        &format!("index index --delete {},nobody --json", ids[4]),
    )
    .json();
    assert_eq!(deleted["images"], N - 1);
    assert_eq!(deleted["deleted"], 1 + files::EACH);
    holds(&deleted["notes"].to_string(), &["nobody"]);
    let gone = typed(at, &format!("search index --like {} --json", ids[4]));
    gone.is_refused(&[&ids[4], "no item"]);
    typed(at, "index index --compact --json").json();
    assert_eq!(
        typed(at, "index index --check --json").json()["images"],
        N - 1
    );
    let appended = typed(at, "index data --split dev --append index --json").json();
    assert_eq!(appended["images"], 2 * N - 1);
    let stale = truepair(at, &["search", "index", &text, "--json"]).json();
    holds(&stale["notes"].to_string(), &["calibrate again"]);
    typed(at, "index index --calibrate data --split dev --json").json();
    let fresh = truepair(at, &["search", "index", &text, "--json"]).json();
    assert_eq!(fresh["notes"], Value::Array(Vec::new()));
}

#[test]
fn columns_of_a_table_are_filtered_by() {
    let home = home();
    let at = home.path();
    let ids = test_ids(at);
    let rows: String = (ids.iter().enumerate())
        .map(|(n, id)| {
            format!(
                "{id},{},{}\n",
                100 * n,
                if n % 2 == 0 { "web" } else { "shop" }
            )
        })
        .collect();
    fs::write(
        at.join("sources.csv"),
        format!("image,width,source\n{rows}"),
    )
    .unwrap();
    typed(
        at,
        "index data --run run --split test --metadata sources.csv --out index --json",
    )
    .json();
    let filter = "source = \"web\" and width >= 1000";
    let found = truepair(
        at,
        &[
            "search", "index", "a", "--where", filter, "--top", "1000", "--json",
        ],
    )
    .json();
    let expected = (0..N).filter(|n| n % 2 == 0 && 100 * n >= 1000).count();
    assert_eq!(hits(&found).len(), expected);
    assert!(
        found["hits"][0]["p_relevant"].is_null(),
        "part of a gallery is not calibrated"
    );
    let wrong = truepair(
        at,
        &["search", "index", "a", "--where", "widht > 3", "--json"],
    );
    wrong.is_refused(&["widht", "width"]);
    let promised = truepair(
        at,
        &[
            "search",
            "index",
            "a",
            "--where",
            filter,
            "--coverage",
            "0.9",
            "--json",
        ],
    );
    promised.is_refused(&["whole gallery"]);
}

#[test]
fn pairs_of_a_list_are_scored_and_judged() {
    let home = home();
    let at = home.path();
    let ids = test_ids(at);
    let text = fs::read_to_string(at.join("data/test_caps.txt")).unwrap();
    let captions: Vec<&str> = text.lines().collect();
    // A third of the list has the caption of another image.
    let caption_of = |n: usize| if n.is_multiple_of(3) { (n + 30) % N } else { n };
    let rows: String = (0..N)
        .map(|n| format!("{}\t{}\n", ids[n], captions[caption_of(n) * files::EACH]))
        .collect();
    fs::write(at.join("pairs.tsv"), format!("image\tcaption\n{rows}")).unwrap();
    let line = "score --run run pairs.tsv --data data --split test --out scored.csv --json";
    let done = typed(at, line).json();
    assert_eq!(done["pairs"], N);
    let written = fs::read_to_string(at.join("scored.csv")).unwrap();
    assert!(
        written.starts_with("image,caption,score,p_mismatched,judgment"),
        "{written}"
    );
    assert_eq!(written.lines().count(), N + 1);
    for ending in ["jsonl", "parquet"] {
        typed(at, &line.replace("csv", ending)).json();
        assert!(at.join(format!("scored.{ending}")).is_file());
    }
    // Pairs that trained the run say nothing of others.
    fs::write(
        at.join("own.tsv"),
        "image\tcaption\ntrain-0.jpg\ttrain-0.jpg#0\n",
    )
    .unwrap();
    let own = line
        .replace("split test", "split train")
        .replace("pairs.tsv", "own.tsv");
    let own = typed(at, &own).json();
    holds(
        own["open"].as_str().unwrap(),
        &["trained on the split train"],
    );
    assert_eq!((&own["unknown"], &own["rate"]), (&1.into(), &Value::Null));
    // Of words that the run never saw nothing can be said.
    let strange = format!(
        "image\tcaption\n{}\tquarterly revenue\n{}\ta red dog\n",
        ids[0], ids[0]
    );
    fs::write(at.join("strange.tsv"), strange).unwrap();
    assert_eq!(
        typed(at, &line.replace("pairs.tsv", "strange.tsv")).json()["unknown"],
        1
    );
    refused(at, &words(&line.replace(".csv", ".txt")), &[".parquet"]);
    fs::write(at.join("lost.tsv"), "image\tcaption\nnobody\ta dog\n").unwrap();
    typed(at, &line.replace("pairs.tsv", "lost.tsv")).is_refused(&["record 1", "nobody"]);
}

/// A request over one connection, and the response.
fn request(address: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A server, and the address where it listens.
fn served(at: &Path, line: &str) -> (Child, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_truepair"))
        .current_dir(at)
        .args(words(line))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().to_owned();
    (server, address)
}

#[test]
fn an_index_is_served() {
    let home = home();
    let at = home.path();
    made(at);
    let (mut server, address) = served(at, "serve index --address 127.0.0.1:0");
    holds(&request(&address, "GET /healthz", ""), &["200"]);
    let body = serde_json::json!({ "text": first_caption(at), "top": 3 }).to_string();
    let answer = request(&address, "POST /v1/search", &body);
    holds(&answer, &["200", "p_relevant", "\"rank\":3"]);
    holds(
        &request(&address, "GET /openapi.json", ""),
        &["3.1", "/v1/search"],
    );
    // Another version is taken over.
    let ids = test_ids(at);
    typed(at, &format!("index index --delete {} --json", ids[0])).json();
    let item = |id: &str| request(&address, &format!("GET /v1/items/{id}"), "");
    let began = std::time::Instant::now();
    while item(&ids[0]).contains(" 200 ") {
        assert!(
            began.elapsed().as_secs() < 60,
            "the former version goes on answering"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    holds(&item(&ids[1]), &["200"]);
    server.kill().unwrap();
    server.wait().unwrap();
    let open = typed(at, "serve index --address 0.0.0.0:0");
    open.is_refused(&["token"]);
}

#[test]
fn an_audit_judges_pairs_that_came_since() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path();
    split(&at.join("data"), "train", 300, 1);
    let line = "audit data --caption-features none --noise caption:0.2 --fast --out audit --json";
    let audited = typed(at, line).json();
    assert_ne!(audited["verdict"], "refused", "{audited}");
    assert!(at.join("audit/judge.safetensors").is_file());

    // Captions of one image under another one, and pairs that are right.
    let read = |name: &str| fs::read_to_string(at.join("data").join(name)).unwrap();
    let (ids, texts) = (read("train_ids.txt"), read("train_caps.txt"));
    let (ids, texts): (Vec<&str>, Vec<&str>) = (ids.lines().collect(), texts.lines().collect());
    let of = |n: usize| if n < 60 { (n + 150) % 300 } else { n };
    let rows: String = (0..150)
        .map(|n| format!("{}\t{} again\n", ids[n], texts[of(n) * files::EACH]))
        .collect();
    fs::write(at.join("pairs.tsv"), format!("image\tcaption\n{rows}")).unwrap();
    let scored = typed(at, "score --audit audit pairs.tsv --out scored.csv --json").json();
    assert_eq!(scored["pairs"], 150);
    let mismatched = scored["mismatched"].as_u64().unwrap();
    assert!((40..80).contains(&mismatched), "{scored}");

    // The data grows: a second file of the same split with further images.
    split(&at.join("more"), "train", 340, 1);
    let extended = typed(at, "audit more --extend audit --out audit-2 --json").json();
    assert_eq!(
        extended["known"].as_u64().unwrap() + extended["new"].as_u64().unwrap(),
        340 * files::EACH as u64
    );
    assert!(
        extended["new"].as_u64().unwrap() >= 40 * files::EACH as u64,
        "{extended}"
    );
    assert!(at.join("audit-2/new.csv").is_file() && at.join("audit-2/cleaned").is_dir());
    typed(at, "score --audit data pairs.tsv --out other.csv").is_refused(&["keeps no judge"]);
}

#[test]
fn an_audit_says_of_an_index_and_of_served_pairs_whether_they_match() {
    let home = home();
    let at = home.path();
    let line = "audit data --caption-features none --noise caption:0.2 --fast --out audit --json";
    typed(at, line).json();
    let line = "index data --run run --split train --audit audit --out index --json";
    typed(at, line).json();
    let asked = [
        "search",
        "index",
        "a red dog",
        "--top",
        "1000",
        "--json",
        "--where",
    ];
    let found = |filter: &str| truepair(at, &[&asked[..], &[filter]].concat()).json();
    let (low, high) = (found("p_mismatched < 0.5"), found("p_mismatched >= 0.5"));
    assert!(hits(&low).len() > 300, "{low}");
    // An image has the probability of its best caption, of which few images have none that is right.
    assert!(hits(&high).len() < 20, "{high}");
    let p = &low["hits"][0]["columns"]["p_mismatched"];
    assert!(p.as_f64().is_some_and(|p| p < 0.5), "{low}");
    let line = "index data --run run --split test --audit audit --out other";
    typed(at, line).is_refused(&["judged none of these pairs"]);

    let (mut server, address) = served(at, "serve index --audit audit --address 127.0.0.1:0");
    let text = fs::read_to_string(at.join("data/train_caps.txt")).unwrap();
    let texts: Vec<&str> = text.lines().collect();
    let mut judged = [[0; 3]; 2];
    for image in 0..40 {
        for (kind, other) in [image, image + 100].into_iter().enumerate() {
            let caption = format!("{} again", texts[other * files::EACH]);
            let pair = serde_json::json!({
                "image_id": format!("train-{image}.jpg"), "caption": caption,
            });
            let answer = request(&address, "POST /v1/score", &pair.to_string());
            let score: Value =
                serde_json::from_str(answer.rsplit("\r\n\r\n").next().unwrap()).unwrap();
            let judgments = ["matched", "mismatched", "unknown"];
            let judgment = judgments
                .iter()
                .position(|name| score["judgment"] == *name)
                .unwrap();
            judged[kind][judgment] += 1;
        }
    }
    let [matched, mismatched] = judged;
    assert!(matched[0] >= 36 && mismatched[1] >= 30, "{judged:?}");
    let strange = serde_json::json!({
        "image_id": "train-1.jpg", "caption": "quarterly revenue",
    });
    let answer = request(&address, "POST /v1/score", &strange.to_string());
    holds(&answer, &["\"p_mismatched\":null", "unknown"]);
    server.kill().unwrap();
    server.wait().unwrap();
}

/// The scores that `search` and `score` give to the images that are nearest to a text.
fn agree(at: &Path, run: &str) {
    let made = typed(
        at,
        &format!("index data --run {run} --split test --out index-{run} --json"),
    )
    .json();
    // What a question's variance tells is said where questions are Gaussians whose scores need nothing else.
    let direction = &made["text_to_image"];
    assert!(direction.is_object(), "{made}");
    assert_eq!(
        direction["variance_auc"].is_number(),
        run == "pcme",
        "{made}"
    );
    let text = first_caption(at);
    let found = truepair(
        at,
        &[
            "search",
            &format!("index-{run}"),
            &text,
            "--top",
            "8",
            "--json",
        ],
    )
    .json();
    let found = found["hits"].as_array().unwrap();
    let rows: String = found
        .iter()
        .map(|hit| format!("{}\t{text}\n", hit["id"].as_str().unwrap()))
        .collect();
    fs::write(at.join("found.tsv"), format!("image\tcaption\n{rows}")).unwrap();
    typed(
        at,
        &format!("score --run {run} found.tsv --out found.jsonl --json"),
    )
    .json();
    let scored = fs::read_to_string(at.join("found.jsonl")).unwrap();
    for (hit, line) in found.iter().zip(scored.lines()) {
        let scored: Value = serde_json::from_str(line).unwrap();
        let [a, b] = [&hit["score"], &scored["score"]].map(|score| score.as_f64().unwrap());
        assert!(
            (a - b).abs() < 1e-3 * b.abs().max(1.0),
            "{run}: {a} and {b}"
        );
    }
}

#[test]
fn gaussians_and_similarities_that_are_no_products_are_searched_by_their_own_scores() {
    let home = home();
    let at = home.path();
    for (run, how) in [
        ("order", "--strategy plain --similarity order"),
        ("pcme", "--strategy pcme++"),
    ] {
        let line = format!(
            "train data {how} --caption-features none --set training.epochs=1 --out {run} --json"
        );
        typed(at, &line).json();
        agree(at, run);
    }
    // The first finds candidates, which a database cannot score anew.
    typed(at, "index index-order --to parquet:images.parquet").is_refused(&["candidates"]);
}

#[test]
fn graphs_are_built_and_checked_and_images_leave_as_files() {
    let home = home();
    let at = home.path();
    typed(
        at,
        "index data --run run --split test --kind hnsw --out index --json",
    )
    .json();
    let checked = typed(at, "index index --check --json").json();
    assert!(
        checked["recall_at_10"]["images"].as_f64().unwrap() > 0.9,
        "{checked}"
    );
    let sent = typed(at, "index index --to parquet:images.parquet --json").json();
    assert_eq!(sent["sent"], N);
    assert!(at.join("images.parquet").is_file());
    typed(at, "index index --to clip-retrieval:folder --json").json();
    assert!(at.join("folder/img_emb/img_emb_0.npy").is_file());
    let nowhere = typed(at, "index index --to postgres://me@127.0.0.1:1/d?table=t");
    nowhere.is_refused(&["127.0.0.1"]);
}

#[test]
fn what_an_index_does_not_look_at_is_refused_and_strange_words_find_nothing() {
    let home = home();
    let at = home.path();
    made(at);
    typed(at, "index index --check --split test").is_refused(&["--split"]);
    typed(at, "index index --delete a --metadata m.csv").is_refused(&["--metadata"]);
    fs::write(at.join("others.csv"), "image,width\nnobody,3\n").unwrap();
    let line = "index data --split dev --append index --metadata others.csv";
    typed(at, line).is_refused(&["others.csv", "names none", "--metadata-id"]);
    assert_eq!(
        typed(at, "index index --check --json").json()["images"],
        N,
        "nothing was added"
    );
    let strange = truepair(
        at,
        &[
            "search",
            "index",
            "quarterly revenue",
            "--coverage",
            "0.8",
            "--json",
        ],
    )
    .json();
    assert_eq!(
        (&strange["nothing_here"], hits(&strange).len()),
        (&true.into(), 0),
        "{strange}"
    );
}

#[cfg(unix)]
#[test]
fn named_outputs_go_through_links_and_take_nothing_away() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let home = home();
    let at = home.path();
    made(at);
    let pairs = "image,caption\ntest-0.jpg,test-0.jpg#0\n";
    fs::write(at.join("pairs.csv"), pairs).unwrap();
    let score = "score --run run pairs.csv --data data --split test --json --out";
    let score = |out: &str| format!("{score} {out}");

    for name in ["pipe", "pipe.csv"] {
        let made = Command::new("mkfifo").arg(at.join(name)).status();
        assert!(made.unwrap().success());
    }
    for line in [
        "search index dog --page pipe",
        "index index --to parquet:pipe",
        "eval run --per-query pipe",
        score("pipe.csv").as_str(),
    ] {
        refused(at, &words(line), &["cannot write", "but a pipe"]);
    }
    for name in ["pipe", "pipe.csv"] {
        let pipe = fs::symlink_metadata(at.join(name)).unwrap();
        assert!(pipe.file_type().is_fifo(), "{name}");
    }

    for (line, part) in [
        ("search index dog --page index/index.json", "belongs to"),
        ("search index dog --page run/config.toml", "belongs to"),
        ("index index --to parquet:index/index.json", "belongs to"),
        ("eval run --per-query run/weights.safetensors", "belongs to"),
        ("eval run --per-query run/job.json", "belongs to"),
        ("eval run --page data/test_caps.txt", "is what"),
        ("eval run --page data/train_ims.npy", "beside the data"),
        (score("pairs.csv").as_str(), "is what"),
    ] {
        refused(at, &words(line), &[part, "this command reads"]);
    }
    assert_eq!(fs::read_to_string(at.join("pairs.csv")).unwrap(), pairs);

    // What a user keeps in a run is replaced as anywhere else.
    for _ in 0..2 {
        typed(at, "eval run --per-query run/mine.parquet --json").json();
    }
    fs::create_dir(at.join("far")).unwrap();
    for name in ["scored.csv", "images.parquet"] {
        symlink(at.join("far").join(name), at.join(name)).unwrap();
    }
    // At first the links lead to nothing.
    for _ in 0..2 {
        typed(at, &score("scored.csv")).json();
        typed(at, "index index --to parquet:images.parquet --json").json();
        for name in ["scored.csv", "images.parquet"] {
            assert!(at.join(name).is_symlink(), "{name}");
            let far = fs::metadata(at.join("far").join(name)).unwrap();
            assert!(far.is_file() && far.len() > 50, "{name}");
        }
    }
}
