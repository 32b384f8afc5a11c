//! What is written for shards is what Python's `webdataset` reads, where that is installed.
#![allow(clippy::print_stderr, reason = "a skipped test must be seen")]

mod python;

use std::fs;

use truepair_read::dataset::{
    KeptFolder, ReadOptions, WriteForm, WriteOptions, open, write_kept_into,
};

/// Writes two shards as Python's `tarfile` does, in its three layouts.
const WRITE: &str = r#"
import io, json, sys, tarfile
for n, layout in enumerate([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]):
    with tarfile.open(f"{sys.argv[1]}/{n:05d}.tar", "w", format=layout) as shard:
        for k in range(3):
            key = f"{n}{k:03d}" if n == 0 else "ü" * 70 + f"/{n}{k:03d}"
            for ending, content in [("jpg", bytes([k]) * 700), ("txt", f"caption {n} {k}".encode()),
                                    ("json", json.dumps({"caption": f"caption {n} {k}"}).encode())]:
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(content)
                info.mtime = 1.5
                shard.addfile(info, io.BytesIO(content))
"#;

/// Prints key, caption and number of bytes of every sample.
const READ: &str = r#"
import sys, webdataset
for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False):
    print(sample["__key__"], sample["txt"].decode(), len(sample["jpg"]), sep="\t")
"#;

#[test]
fn shards_go_from_python_and_back() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    if python::run("import webdataset", &[]).is_none() || python::run(WRITE, &[&data]).is_none() {
        return;
    }
    let set = open(&data, &ReadOptions::default()).unwrap();
    assert_eq!((set.n_images(), set.account.summary()), (9, None));
    assert_eq!(set.require_captions().unwrap()[4], "caption 1 1");

    let keep: Vec<bool> = (0..9).map(|n| n % 2 == 0).collect();
    let out = home.path().join("out");
    let options = WriteOptions {
        form: WriteForm::Shards,
    };
    write_kept_into(&set, &keep, &KeptFolder::of(&out), &options).unwrap();
    let shards = ["00000.tar", "00001.tar", "00002.tar"].map(|name| out.join(name));
    let read = python::run(READ, &shards.each_ref().map(|path| path.as_path())).unwrap();
    let captions: Vec<&str> = read
        .lines()
        .map(|line| line.split('\t').nth(1).unwrap())
        .collect();
    let kept = ["0 0", "0 2", "1 1", "2 0", "2 2"].map(|numbers| format!("caption {numbers}"));
    assert_eq!(captions, kept);
    assert!(read.lines().all(|line| line.ends_with("\t700")));
}
