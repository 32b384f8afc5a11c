//! Data that lies elsewhere, from the outside: it reads as local data does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Finished, files, holds, listing};

#[path = "../../../truepair-store/tests/moto/mod.rs"]
mod moto;
#[path = "../../../truepair-store/tests/server/mod.rs"]
mod server;

use moto::Moto;
use server::{Served, Server};

/// The program in `home`, with a cache there and `variables`.
fn command(home: &Path, variables: &[(String, String)], args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_truepair"));
    let variables = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    command.current_dir(home).args(args).envs(variables);
    command.env("TRUEPAIR_CACHE", home.join("cache"));
    command
}

fn run(home: &Path, variables: &[(String, String)], args: &[&str]) -> Finished {
    let output = command(home, variables, args).output().unwrap();
    Finished {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The one JSON object, without what differs from run to run or names a place.
fn result(done: &Finished) -> Value {
    let mut json = done.json();
    let object = json.as_object_mut().unwrap();
    for name in ["address", "data", "seconds", "outputs", "taken_over"] {
        object.remove(name);
    }
    json
}

/// A table of captions and their pictures' features.
fn table(folder: &Path) {
    let (images, _) = files::embeddings(40);
    files::rows(&folder.join("images.npy"), &images);
    let rows = (0..40).map(|n| format!("p{n}.jpg,a picture of number {n}\n"));
    let text: String = std::iter::once("image,caption\n".to_owned())
        .chain(rows)
        .collect();
    fs::write(folder.join("pairs.csv"), text).unwrap();
}

/// An archive of one picture and its caption.
fn shard(path: &Path, n: u8) {
    let picture = path.with_extension("jpg");
    files::picture(&picture, 12, [40 * n, 90, 200]);
    let members = [
        (format!("{n:03}.jpg"), fs::read(&picture).unwrap()),
        (format!("{n:03}.txt"), format!("color {n}").into_bytes()),
    ];
    fs::remove_file(picture).unwrap();
    let mut archive = Vec::new();
    for (name, bytes) in members {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend(header);
        archive.extend(&bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    fs::write(path, archive).unwrap();
}

/// Every regular file below `folder` and its name there.
fn regular(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = listing(folder).into_iter();
    let files = names.filter(|name| folder.join(name).is_file());
    files
        .map(|name| {
            let bytes = fs::read(folder.join(&name)).unwrap();
            (name.to_str().unwrap().to_owned(), bytes)
        })
        .collect()
}

fn served(bytes: Vec<u8>) -> Served {
    Served {
        bytes,
        etag: Some("e"),
        ranges: true,
        ..Served::default()
    }
}

#[test]
fn files_of_a_web_server_read_as_local_files() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    let home = home.path();
    let data = home.join("data");
    fs::create_dir(&data).unwrap();
    table(&data);
    for n in 0..3 {
        shard(&data.join(format!("s-{n}.tar")), n);
    }
    for (name, bytes) in regular(&data) {
        server.serve(&format!("/d/{name}"), served(bytes));
    }
    let url = |name: &str| server.url(&format!("/d/{name}"));
    let pairs = url("pairs.csv");
    let there = [
        "inspect",
        &pairs,
        "--features",
        &url("images.npy"),
        "--json",
    ];
    let here = [
        "inspect",
        "data/pairs.csv",
        "--features",
        "data/images.npy",
        "--json",
    ];
    let (there, here) = (run(home, &[], &there), run(home, &[], &here));
    assert_eq!(result(&there), result(&here));
    assert_eq!(there.json()["address"], pairs.as_str());
    holds(&there.err, &["note: fetched", &pairs]);

    let shards = url("s-{0..2}.tar");
    let found = run(home, &[], &["inspect", &shards]);
    holds(&found.out, &[&shards, "webdataset", "3 pairs"]);

    server.serve("/d/bad.csv", served(b"image,caption\n".to_vec()));
    let bad = run(
        home,
        &[],
        &["inspect", &url("bad.csv"), "--features", &url("images.npy")],
    );
    bad.is_refused(&[&url("bad.csv")]);
    assert!(!bad.err.contains("cache"), "{}", bad.err);
    run(home, &[], &["inspect", &url("none.csv")]).is_refused(&[&url("none.csv"), "404"]);
    run(home, &[], &["inspect", &url("")]).is_refused(&[&url(""), "is a folder"]);
    let out = run(home, &[], &["audit", "data", "--out", "s3://bucket/out"]);
    out.is_refused(&["s3://bucket/out", "local path"]);
}

#[test]
fn a_program_that_is_killed_goes_on_where_it_was() {
    const MIB: usize = 1 << 20;
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    let home = home.path();
    files::npy(
        &home.join("x.npy"),
        "<f4",
        &[80 * MIB / 64, 16],
        &vec![0; 80 * MIB],
    );
    let bytes = fs::read(home.join("x.npy")).unwrap();
    let slow = Served {
        pause: Duration::from_millis(4),
        ..served(bytes.clone())
    };
    server.serve("/x.npy", slow);
    let url = server.url("/x.npy");
    let mut child = command(home, &[], &["inspect", &url]);
    let mut child = child
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Until one of the eight pieces that are fetched side by side is whole; there are eleven.
    let start = Instant::now();
    let is_begun = || {
        let lists = listing(home)
            .into_iter()
            .filter(|file| file.extension().is_some_and(|e| e == "pieces"));
        lists
            .into_iter()
            .any(|list| fs::metadata(home.join(list)).is_ok_and(|list| list.len() > 0))
    };
    while !is_begun() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What the killed program asked for may still arrive.
    std::thread::sleep(Duration::from_millis(500));
    server.asked();
    server.serve("/x.npy", served(bytes.clone()));
    // No pairs are in it, but it must be there whole before anybody knows.
    run(home, &[], &["inspect", &url]).is_refused(&[&url]);
    // One that came late is among those that are asked for again.
    let asked = server.asked().into_iter().filter_map(|asked| asked.range);
    let asked: BTreeSet<_> = asked.filter(|range| *range != (0, 0)).collect();
    let asked: u64 = (asked.into_iter()).map(|(from, to)| to + 1 - from).sum();
    assert!(
        asked > 0 && asked <= (bytes.len() - 8 * MIB) as u64,
        "{asked}"
    );
    let whole = listing(home)
        .into_iter()
        .filter(|file| file.ends_with("x.npy"));
    assert_eq!(
        whole
            .map(|file| fs::read(home.join(file)).unwrap() == bytes)
            .collect::<Vec<_>>(),
        [true, true]
    );
}

#[test]
fn data_in_a_bucket_reads_as_local_data() {
    let Some(moto) = Moto::start() else { return };
    let (home, variables) = (tempfile::tempdir().unwrap(), moto.variables());
    let home = home.path();
    for split in ["train", "test"] {
        files::precomp(&home.join("data"), split, 60);
    }
    moto.put("/bucket", b"");
    for (name, bytes) in regular(&home.join("data")) {
        moto.put(&format!("/bucket/data/{name}"), &bytes);
    }
    let both = |args: &[&str]| {
        let there: Vec<String> = args
            .iter()
            .map(|arg| arg.replace("data/", "s3://bucket/data/"))
            .collect();
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        (run(home, &[], args), run(home, &variables, &there))
    };
    for args in [
        &["inspect", "data/", "--json"][..],
        &["audit", "data/", "--frozen", "--json"],
        &[
            "eval",
            "--embeddings",
            "data/test_ims.npy",
            "data/test_caps_near.npy",
            "--json",
        ],
    ] {
        let (here, there) = both(args);
        assert_eq!(result(&here), result(&there), "{args:?}");
    }
    let audit = [
        "audit",
        "s3://bucket/data/",
        "--frozen",
        "--json",
        "--out",
        "out",
    ];
    let done = run(home, &variables, &audit).json();
    assert_eq!(done["data"], "s3://bucket/data/");
    assert!(done["taken_over"]["copied"].as_u64() > Some(0) && done["taken_over"]["linked"] == 0);
    let report = fs::read_to_string(home.join("out/report.html")).unwrap();
    assert!(report.contains("s3://bucket/data/"));
    // What it wrote needs no cache.
    fs::remove_dir_all(home.join("cache")).unwrap();
    assert_eq!(run(home, &[], &["inspect", "out/cleaned"]).code, Some(0));

    let train = [
        "train",
        "s3://bucket/data/",
        "--matcher",
        "linear",
        "--out",
        "run",
        "--json",
    ];
    run(home, &variables, &train).json();
    let eval = run(home, &variables, &["eval", "run", "--json"]);
    assert_eq!(eval.json()["schema"], "truepair/evaluation/1");

    moto.check_keys();
    let wrong = run(home, &variables, &["inspect", "s3://bucket/data/"]);
    wrong.is_refused(&["s3://bucket/data/", "refuses access", "AWS_ACCESS_KEY_ID"]);
}
