//! What fuzzing kept runs in ordinary builds: every file of every corpus through its target.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use truepair_fuzz::{TARGETS, run};

/// Long for a file of some kilobytes, and short for a loop without an end.
const LIMIT: Duration = Duration::from_secs(20);
/// Bytes of all corpora.
const LARGEST: u64 = 3_000_000;

/// One test, because what is held is counted over all threads.
#[test]
fn every_kept_input_is_read_without_a_find() {
    let (reading, watched) = channel();
    let reader = thread::spawn(move || read_all(&reading));
    let mut last = PathBuf::new();
    loop {
        match watched.recv_timeout(LIMIT) {
            Ok(file) => last = file,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("{} takes over {LIMIT:?}", last.display()),
        }
    }
    let finds = reader.join().expect("every target has a corpus");
    assert!(finds.is_empty(), "\n{}\n", finds.join("\n"));
}

/// Reads every file, each of which is first told to `reading`, and names those that are finds.
fn read_all(reading: &Sender<PathBuf>) -> Vec<String> {
    let mut finds = Vec::new();
    for target in TARGETS {
        let files = listed(&format!("corpus/{}", target.name));
        assert!(!files.is_empty(), "`{}` has no corpus", target.name);
        for file in files {
            let data = fs::read(&file).unwrap();
            reading.send(file.clone()).unwrap();
            if catch_unwind(|| run(target.name, &data)).is_err() {
                finds.push(format!("{} panics", file.display()));
            }
        }
    }
    finds
}

#[test]
fn every_corpus_dictionary_and_program_has_a_target() {
    let known: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    // Without the features `encode` and `train` their targets are not there, but the files are.
    let optional = ["config", "onnx", "run_files", "tokenizer"];
    for folder in ["corpus", "dictionaries", "fuzz_targets"] {
        let files = listed(folder);
        let found: BTreeSet<&str> = files.iter().map(|file| stem(file)).collect();
        let lost: Vec<&&str> = known.difference(&found).collect();
        assert!(lost.is_empty(), "{folder}: nothing for {lost:?}");
        let others: Vec<&&str> = found.difference(&known).collect();
        let is_optional = |name: &&&str| optional.contains(*name);
        assert!(
            others.iter().all(is_optional),
            "{folder}: {others:?} have no target"
        );
    }
    let corpora = listed("corpus").into_iter();
    let files = corpora.flat_map(|corpus| listed(&format!("corpus/{}", stem(&corpus))));
    let total: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
    assert!(total < LARGEST, "{total} bytes of corpus");
}

/// What lies in a folder of this crate, sorted.
fn listed(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}
