//! Several files that are one data set.

use std::fs;
use std::path::Path;

use crate::{files, refused, truepair, words};

/// A tar archive of files, each of at most 99 letters of a name.
fn archive(path: &Path, members: &[(String, Vec<u8>)]) {
    let mut bytes = Vec::new();
    for (name, content) in members {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        header[257..262].copy_from_slice(b"ustar");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        header[154] = 0;
        bytes.extend(header);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    fs::write(path, bytes).unwrap();
}

/// Four archives of 31 captioned pictures each, and encoders.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let pictures = files::colors(&home.path().join("photos"), 124);
    fs::create_dir(home.path().join("shards")).unwrap();
    for (shard, pictures) in pictures.chunks(31).enumerate() {
        let members = pictures
            .iter()
            .enumerate()
            .flat_map(|(at, (name, caption))| {
                let picture = fs::read(home.path().join("photos").join(name)).unwrap();
                [
                    (format!("{at:03}.bmp"), picture),
                    (format!("{at:03}.txt"), caption.as_bytes().to_vec()),
                ]
            });
        let path = home.path().join(format!("shards/{shard:03}.tar"));
        archive(&path, &members.collect::<Vec<_>>());
    }
    files::encoders(&home.path().join("clip"));
    home
}

const ENCODERS: &str =
    "--image-encoder clip/onnx/vision_model.onnx --text-encoder clip/onnx/text_model.onnx";

#[test]
fn archives_are_one_data_set_typed_one_by_one_or_as_a_range() {
    let home = home();
    let each = "shards/000.tar shards/001.tar shards/002.tar shards/003.tar";
    let audit = |data: &str, rest: &str| {
        let line = format!("audit {data} {ENCODERS} {rest} --json");
        truepair(home.path(), &words(&line))
    };
    let found = audit(each, "--out audit").json();
    assert_eq!(
        (&found["pairs"], &found["data"]),
        (&124.into(), &"{000..003}.tar".into())
    );
    let report = fs::read_to_string(home.path().join("audit/report.html")).unwrap();
    assert!(report.contains("000..003"), "advice names the data");
    let range = audit("shards/{000..003}.tar", "").json();
    assert_eq!(range["noise_rate"], found["noise_rate"]);
    let folder = truepair(home.path(), &words("inspect shards --json")).json();
    let some = truepair(
        home.path(),
        &words("inspect shards/000.tar shards/002.tar --json"),
    );
    assert_eq!(folder["splits"][0]["pairs"], 124);
    assert_eq!(some.json()["splits"][0]["pairs"], 62);
    if found["decision"]["dropped"] != 0 || found["verdict"] == "no-evidence" {
        let cleaned = truepair(home.path(), &words("inspect audit/cleaned --json")).json();
        assert_eq!(cleaned["splits"][0]["pairs"], found["decision"]["kept"]);
    }
}

#[test]
fn what_is_no_data_set_together_is_refused() {
    let home = home();
    fs::write(home.path().join("a.csv"), "image,caption\n").unwrap();
    fs::write(home.path().join("b.csv"), "image,caption\n").unwrap();
    for (line, parts) in [
        (
            "audit a.csv b.csv",
            &["a.csv, b.csv", "folder of their own"][..],
        ),
        ("train a.csv b.csv --out run", &["folder of their own"]),
        (
            "inspect shards/000.tar shards/9.tar",
            &["shards/9.tar", "no such file"],
        ),
        (
            "audit shards/{000..005}.tar",
            &["2 are missing", "shards/004.tar"],
        ),
        (
            "audit {split}-{000..005}.tar",
            &["`{split}` is neither a range nor a list"],
        ),
        (
            "audit shards/000.tar --pictures photos --image-encoder clip/onnx/vision_model.onnx",
            &["in the data itself", "leave out the folder"],
        ),
    ] {
        refused(home.path(), &words(line), parts);
    }
}
