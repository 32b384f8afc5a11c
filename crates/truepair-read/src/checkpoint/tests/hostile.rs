//! Files made to crash a reader: nothing panics, overflows the stack or takes memory out of
//! proportion.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use super::super::Checkpoint;
use super::super::error::{Origin, Result};
use super::super::pickle::{self, Input, StorageRef};
use super::super::storage::{self, Storages};
use super::assembly::{dict, legacy, pickle, tensor, text};
use super::{fixture, fixture_names, message, read_bytes};

/// Numbers for the choice of bytes, the same in every run (a 64-bit xorshift generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    /// Changes one to four bytes.
    fn damage(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len());
            bytes[place] = match self.below(3) {
                0 => bytes[place] ^ 1 << self.below(8),
                1 => 0xff,
                _ => self.below(256) as u8,
            };
        }
    }
}

/// Storages of zeros, as long as the pickle says up to some length.
struct Zeros;

impl Storages for Zeros {
    fn bytes(&mut self, _storage: &StorageRef, n_bytes: usize) -> Result<Vec<u8>> {
        Ok(vec![0; n_bytes.min(4096)])
    }

    fn describe(&self, storage: &StorageRef) -> String {
        storage.key.to_string()
    }
}

/// Reads one pickle, with storages of zeros.
fn read_pickle(mut bytes: &[u8]) -> Result<Checkpoint> {
    let origin = Origin::file(Path::new("data.pkl"));
    let length = bytes.len() as u64;
    let pickle = pickle::load(&mut Input::new(&mut bytes, origin))?;
    storage::checkpoint(&pickle, &mut Zeros, length, &origin)
}

fn pickle_of_archive(name: &str) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(fixture(name))).unwrap();
    let entry = archive.index_for_name(&format!("{}/data.pkl", name.split('.').next().unwrap()));
    let mut content = Vec::new();
    let mut entry = archive.by_index(entry.unwrap_or(0)).unwrap();
    entry.read_to_end(&mut content).unwrap();
    content
}

#[test]
fn every_truncation_is_an_error() {
    for name in fixture_names() {
        let whole = fixture(&name);
        for length in 0..whole.len() {
            assert!(read_bytes(&whole[..length]).is_err(), "{name}: {length}");
        }
    }
}

#[test]
fn damaged_files_do_not_panic() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for name in fixture_names() {
        let whole = fixture(&name);
        for _ in 0..1000 {
            let mut damaged = whole.clone();
            dice.damage(&mut damaged);
            let _ = read_bytes(&damaged);
        }
    }
}

/// In whole archives the checksum stops most damage before the pickle is read.
#[test]
fn damaged_pickles_of_archives_do_not_panic() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for name in fixture_names() {
        if !name.starts_with("zip_") {
            continue;
        }
        let whole = pickle_of_archive(&name);
        assert!(read_pickle(&whole).is_ok(), "{name}");
        for _ in 0..3000 {
            let mut damaged = whole.clone();
            dice.damage(&mut damaged);
            let _ = read_pickle(&damaged);
        }
    }
}

#[test]
fn random_opcodes_do_not_panic() {
    let opcodes = b"(012NJKM\x8a\x8bGUTCB\x8c\x8dX)\x85\x86\x87t]ae}su\x8f\x90\x91hjqr\x94c\x93Ro\
        \x81\x92bQ\x88\x89\x95";
    let names = [
        "ctorch._utils\n_rebuild_tensor_v2\n",
        "ccollections\nOrderedDict\n",
    ];
    let mut dice = Dice(7);
    for _ in 0..200_000 {
        let mut body = Vec::new();
        for _ in 0..dice.below(40) {
            match dice.below(8) {
                0 => body.extend(names[dice.below(2)].as_bytes()),
                1 => body.push(dice.below(256) as u8),
                2 => body.extend(text("storage")),
                _ => body.push(opcodes[dice.below(opcodes.len())]),
            }
        }
        let _ = read_pickle(&pickle(&body));
    }
}

#[test]
fn containers_that_hold_themselves_are_refused() {
    let list = read_pickle(&pickle(b"]q\x00h\x00a"))
        .unwrap_err()
        .to_string();
    assert!(list.contains("64 levels"), "{list}");
    let dict = [b"}q\x00", text("a").as_slice(), b"h\x00s"].concat();
    assert!(read_pickle(&pickle(&dict)).is_err());
}

/// Each list holds the one before twice: 30 lists have 2^30 paths.
#[test]
fn containers_with_too_many_paths_are_refused() {
    let mut body = b"]".to_vec();
    for _ in 0..30 {
        body.extend(b"2\x86");
    }
    let message = read_pickle(&pickle(&body)).unwrap_err().to_string();
    assert!(message.contains("too many times"), "{message}");
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = [b")".to_vec(), vec![0x85; 1_000_000]].concat();
    let message = read_pickle(&pickle(&deep)).unwrap_err().to_string();
    assert!(message.contains("64 levels"), "{message}");
    assert!(read_pickle(&pickle(&vec![b'('; 1_000_000])).is_err());
}

#[test]
fn promised_lengths_take_no_memory() {
    for opcode in [b"\x8d".as_slice(), b"\x8e", b"\x96"] {
        let body = [opcode, &[0xff; 8]].concat();
        let message = read_pickle(&pickle(&body)).unwrap_err().to_string();
        assert!(
            message.contains("18446744073709551615 more bytes"),
            "{message}"
        );
    }
}

#[test]
fn pickles_of_too_many_steps_are_refused() {
    let message = read_pickle(&pickle(&vec![b'N'; 1 << 25]))
        .unwrap_err()
        .to_string();
    assert!(message.contains("steps"), "{message}");
    // A long text, converted again and again.
    let long = "a".repeat(1 << 20);
    let mut body = [
        b"c_codecs\nencode\n0X",
        (long.len() as u32).to_le_bytes().as_slice(),
    ]
    .concat();
    body.extend(long.as_bytes());
    body.extend(text("latin1"));
    body.extend(b"\x86q\x000c_codecs\nencode\nq\x010");
    body.extend(b"h\x01h\x00R0".repeat(100_000));
    let message = read_pickle(&pickle(&body)).unwrap_err().to_string();
    assert!(message.contains("steps"), "{message}");
}

#[test]
fn views_out_of_proportion_to_the_file_are_refused() {
    let huge = dict(&[("a", tensor("0", 1, 0, &[1 << 40], &[0]))]);
    let file = legacy(&pickle(&huge), &[("0", 1, &[0; 4])]);
    assert!(message(&file).contains("1099511627776 elements up to tensor `a`"));
    let too_many = dict(&[("a", tensor("0", 1, 0, &[1 << 40, 1 << 40], &[0, 0]))]);
    assert!(read_bytes(&legacy(&pickle(&too_many), &[("0", 1, &[0; 4])])).is_err());
    let long = dict(&[("a", tensor("0", 1 << 40, 0, &[1], &[1]))]);
    let file = legacy(&pickle(&long), &[("0", 1, &[0; 4])]);
    assert!(message(&file).contains("a storage of 1099511627776 elements for tensor `a`"));
    // The same view many times over.
    let views: Vec<u8> = tensor("0", 1, 0, &[1 << 20], &[0]).repeat(20);
    let list = [b"](", views.as_slice(), b"e"].concat();
    assert!(message(&legacy(&pickle(&list), &[("0", 1, &[0; 4])])).contains("at most"));
}
