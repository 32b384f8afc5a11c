//! Objects of a bucket, from a server that speaks the protocol of S3.

mod moto;

use std::fs;
use std::path::Path;

use moto::Moto;
use truepair_store::{Store, StoreError, StoreOptions};

const MIB: usize = 1 << 20;

fn store_of(moto: &Moto, home: &Path, limit: u64) -> Store {
    Store::open(StoreOptions {
        cache: home.join("cache"),
        limit,
        variables: moto.variables(),
    })
    .unwrap()
}

fn message<T: std::fmt::Debug>(result: Result<T, StoreError>, parts: &[&str]) {
    let error = result.unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn folders_and_objects_come_and_only_what_changed_comes_again() {
    let Some(moto) = Moto::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let big: Vec<u8> = (0..20 * MIB)
        .map(|at| (at / 251 + at % 251) as u8)
        .collect();
    moto.put("/bucket", b"");
    moto.put("/bucket/data/x.npy", &big);
    moto.put("/bucket/data/deep/a.txt", b"one");
    moto.put("/bucket/data/deep/A.txt", b"other case");
    moto.put("/bucket/data/a%20b%25.txt", b"signs");
    moto.put("/bucket/data/", b"");
    moto.put("/bucket/data/deep/", b"");
    moto.put("/bucket/database", b"not in the folder");
    let fetch = |address: &str| store_of(&moto, home.path(), 1 << 30).fetch(address, &mut ());

    let first = fetch("s3://bucket/data").unwrap();
    assert_eq!(first.path.file_name().unwrap(), "data");
    assert!(fs::read(first.path.join("x.npy")).unwrap() == big);
    let text = |name: &str| fs::read_to_string(first.path.join(name)).unwrap();
    assert_eq!(
        (text("deep/a.txt"), text("deep/A.txt")),
        ("one".into(), "other case".into())
    );
    assert_eq!(text("a b%.txt"), "signs");
    assert_eq!(fs::read_dir(&first.path).unwrap().count(), 3);
    assert_eq!(first.bytes, (big.len() + 3 + 10 + 5) as u64);

    assert_eq!(
        fetch("s3://bucket/data/").unwrap().bytes,
        0,
        "the same folder"
    );
    let object = fetch("s3://bucket/data/x.npy").unwrap();
    assert!(
        object.path.is_file() && object.bytes == 0,
        "the same object"
    );
    moto.put("/bucket/data/deep/a.txt", b"two");
    let changed = fetch("s3://bucket/data").unwrap();
    assert_eq!(changed.bytes, 3);
    assert_eq!(fs::read(changed.path.join("deep/a.txt")).unwrap(), b"two");
    assert_eq!(
        text("deep/a.txt"),
        "one",
        "whoever reads the old folder goes on"
    );

    let shards = fetch("s3://bucket/data/deep/{a,A}.txt").unwrap();
    assert_eq!(fs::read_dir(&shards.path).unwrap().count(), 2);
    message(
        fetch("s3://bucket/data/deep/{a,B}.txt"),
        &["s3://bucket/data/deep/B.txt", "nothing"],
    );
    message(fetch("s3://bucket/dat"), &["s3://bucket/dat:", "nothing"]);
    message(
        fetch("s3://none/dat"),
        &["s3://none/dat", "no bucket `none`"],
    );
    message(fetch("s3://bucket/../x"), &["s3://bucket/../x", "name"]);

    moto.put("/bucket/mixed/a", b"object");
    moto.put("/bucket/mixed/a/b", b"below");
    message(
        fetch("s3://bucket/mixed/"),
        &["s3://bucket/mixed/a", "an object and a folder"],
    );

    moto.check_keys();
    for address in [
        "s3://bucket/data",
        "s3://bucket/data/x.npy",
        "s3://bucket/data/",
    ] {
        message(
            fetch(address),
            &[address, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"],
        );
    }
}

#[test]
fn no_credentials_and_no_server_are_told() {
    let home = tempfile::tempdir().unwrap();
    let fetch = |variables: &[(&str, &str)]| {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let store = Store::open(StoreOptions {
            cache: home.path().join("cache"),
            limit: 1 << 30,
            variables: variables.collect(),
        });
        store.unwrap().fetch("s3://bucket/x", &mut ())
    };
    // The service that hands out credentials inside a cloud, which is not there.
    let endpoint = ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1");
    message(
        fetch(&[endpoint]),
        &["s3://bucket/x", "no credentials", "AWS_ACCESS_KEY_ID"],
    );
    let public = ("AWS_SKIP_SIGNATURE", "true");
    let nobody = ("AWS_ENDPOINT", "http://127.0.0.1:1");
    message(
        fetch(&[public, nobody, ("AWS_ALLOW_HTTP", "true")]),
        &["s3://bucket/x", "check the network"],
    );
    let unknown = ("AWS_ENDPOINT", "https://truepair.invalid");
    message(
        fetch(&[public, unknown]),
        &["s3://bucket/x", "name of the server is unknown"],
    );
}

#[test]
fn the_cache_stays_below_its_limit() {
    let Some(moto) = Moto::start() else { return };
    let home = tempfile::tempdir().unwrap();
    moto.put("/bucket", b"");
    for name in ["old", "new", "next"] {
        moto.put(&format!("/bucket/{name}/x"), &vec![1; MIB]);
    }
    let fetch = |name: &str| {
        let mut store = store_of(&moto, home.path(), 2 * MIB as u64 + 100);
        store
            .fetch(&format!("s3://bucket/{name}/"), &mut ())
            .unwrap()
            .path
    };
    let [old, new, next] = ["old", "new", "next"].map(|name| {
        std::thread::sleep(std::time::Duration::from_millis(30));
        fetch(name)
    });
    assert!(!old.exists() && new.exists() && next.exists());
    let mut store = store_of(&moto, home.path(), MIB as u64 + 100);
    store.fetch("s3://bucket/next/", &mut ()).unwrap();
    message(
        store.fetch("s3://bucket/old/", &mut ()),
        &["s3://bucket/old/", "--cache-limit"],
    );
    assert!(next.exists(), "in use");
}

#[test]
fn names_that_would_leave_the_folder_are_errors() {
    let Some(moto) = Moto::start() else { return };
    let home = tempfile::tempdir().unwrap();
    moto.put("/bucket", b"");
    for (folder, name) in [("up", "..%2Fx"), ("back", "a%5Cb"), ("double", "a%2F%2Fb")] {
        moto.put(&format!("/bucket/{folder}/{name}"), b"x");
        let fetched =
            store_of(&moto, home.path(), 1 << 30).fetch(&format!("s3://bucket/{folder}/"), &mut ());
        message(fetched, &[&format!("s3://bucket/{folder}/"), "name"]);
    }
}
