//! Killed writers and damaged files: an index is the old one, the new one, or refused by name.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use truepair_core::scores::Matrix;
use truepair_index::{Index, Item, Kind, Measure, Records, Settings, Side, Storage, Value, Writer};

/// Where the killed process writes.
const FOLDER: &str = "TRUEPAIR_INDEX_CRASH_FOLDER";

fn create(folder: &Path) -> Writer {
    let settings = Settings {
        dim: 2,
        measure: Measure::SquaredDistance,
        storage: Storage::Int8,
        kind: Kind::Exact,
    };
    Index::create(folder, &settings, serde_json::json!({})).unwrap()
}

fn records(first: usize, n: usize) -> Records {
    let item = |n: usize| Item {
        id: format!("id{n}"),
        text: Some(format!("text {n}")),
        picture: None,
        columns: BTreeMap::from([("name".to_owned(), Value::Text(format!("n{n}")))]),
    };
    Records {
        items: (first..first + n).map(item).collect(),
        vectors: Matrix::new(
            (first..first + n).flat_map(|n| [n as f32, 1.0]).collect(),
            2,
        ),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, files: &[PathBuf], to: &Path) {
    for file in files {
        let place = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(file, place).unwrap();
    }
}

#[test]
fn an_append_that_stops_anywhere_leaves_the_old_version() {
    let whole = tempfile::tempdir().unwrap();
    let mut writer = create(whole.path());
    writer
        .append(Some(records(0, 5)), Some(records(0, 2)))
        .unwrap();
    let old_files = files(whole.path());
    let old = tempfile::tempdir().unwrap();
    copy(whole.path(), &old_files, old.path());
    writer
        .append(Some(records(5, 5)), Some(records(2, 2)))
        .unwrap();
    let new_files: Vec<PathBuf> = files(whole.path())
        .into_iter()
        .filter(|file| !old_files.contains(file))
        .collect();
    assert!(new_files.len() > 10);
    for n_written in 0..=new_files.len() {
        let stopped = tempfile::tempdir().unwrap();
        copy(old.path(), &files(old.path()), stopped.path());
        copy(whole.path(), &new_files[..n_written], stopped.path());
        if let Some(next) = new_files.get(n_written) {
            // The file that was being written.
            let name = format!(".{}.partial", next.file_name().unwrap().display());
            let place = stopped
                .path()
                .join(next.strip_prefix(whole.path()).unwrap())
                .with_file_name(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, &fs::read(next).unwrap()[..1]).unwrap();
        } else {
            fs::write(stopped.path().join(".index.json.partial"), b"{\"form").unwrap();
        }
        let index = Index::open(stopped.path()).unwrap();
        index.verify().unwrap();
        assert_eq!((index.version(), index.images().len()), (2, 5));
        // The next writer clears the rest away and goes on.
        let mut writer = Writer::open(stopped.path()).unwrap();
        assert_eq!(files(stopped.path()).len(), old_files.len());
        writer.append(Some(records(5, 5)), None).unwrap();
        assert_eq!(Index::open(stopped.path()).unwrap().images().len(), 10);
    }
}

/// Not a test of its own: the process that the next test kills.
#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut writer = Writer::open(folder).unwrap();
    for round in 0.. {
        let first = writer.index().images().n_rows();
        writer.append(Some(records(first, 20)), None).unwrap();
        if round % 3 == 2 {
            writer
                .delete(Side::Images, &[format!("id{first}")])
                .unwrap();
        }
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_index() {
    let folder = tempfile::tempdir().unwrap();
    drop(create(folder.path()));
    let mut version = 1;
    for round in 0..6u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_until_it_is_killed"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(150 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let index = Index::open(folder.path()).unwrap();
        index.verify().unwrap();
        assert!(index.version() >= version);
        version = index.version();
        let images = index.images();
        assert_eq!(images.n_rows() % 20, 0);
        for row in images.rows() {
            assert_eq!(images.item(row).unwrap(), records(row, 1).items[0]);
            assert_eq!(images.vector(row).unwrap(), [row as f32, 1.0]);
        }
    }
    assert!(version > 1, "nothing was written before the kill");
}

#[test]
fn damage_is_refused_by_name() {
    let whole = tempfile::tempdir().unwrap();
    let mut writer = create(whole.path());
    writer.append(Some(records(0, 50)), None).unwrap();
    writer.delete(Side::Images, &["id3".to_owned()]).unwrap();
    drop(writer);
    for file in files(whole.path()) {
        if file.ends_with("writer.lock") {
            continue;
        }
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        fs::File::open(&file)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        let refused = |bytes: &[u8]| {
            let copied = tempfile::tempdir().unwrap();
            copy(whole.path(), &files(whole.path()), copied.path());
            fs::write(
                copied.path().join(file.strip_prefix(whole.path()).unwrap()),
                bytes,
            )
            .unwrap();
            let opened = Index::open(copied.path());
            if let Ok(index) = &opened {
                // What cannot be seen at once still must not end the process.
                for row in index.images().rows() {
                    let _ = index.images().item(row);
                }
                let _ = index.images().find("id7");
            }
            opened.map(|index| index.verify())
        };
        let error = refused(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
        assert!(error.contains(&name), "{name}: {error}");
        let mut changed = bytes.clone();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            changed[at] ^= 0x41;
            let error = match refused(&changed) {
                Ok(verified) => verified.unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(&name), "{name} at {at}: {error}");
        }
    }
    fs::remove_file(whole.path().join("segment-000001/images-rows.f32")).unwrap();
    let error = Index::open(whole.path()).unwrap_err().to_string();
    assert!(error.contains("images-rows.f32: cannot open"), "{error}");
    fs::write(
        whole.path().join("index.json"),
        r#"{"format":"truepair-index","format_version":9}"#,
    )
    .unwrap();
    let error = Index::open(whole.path()).unwrap_err().to_string();
    assert!(error.contains("format version 9"), "{error}");
}
