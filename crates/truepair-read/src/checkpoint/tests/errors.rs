//! Broken files are errors that name the file, the place in it and what was expected.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::super::{Error, read};
use super::assembly::{dict, integer, legacy, pickle, tensor, text};
use super::{fixture, message, read_bytes};

/// The error of a legacy file whose object is the pickle of `body`.
fn body_message(body: &[u8]) -> String {
    message(&legacy(&pickle(body), &[]))
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// The archive `file` with the content of each entry changed by `change`; `None` leaves it out.
fn rewritten(file: &str, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut old = ZipArchive::new(Cursor::new(fixture(file))).unwrap();
    let mut new = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..old.len() {
        let mut entry = old.by_index(index).unwrap();
        let name = entry.name().unwrap().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(content) = change(&name, content) {
            new.start_file(name, SimpleFileOptions::default()).unwrap();
            new.write_all(&content).unwrap();
        }
    }
    new.finish().unwrap().into_inner()
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read(Path::new("no/such.pth")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
    assert_says(&error.to_string(), &["no/such.pth: cannot read"]);
}

#[test]
fn files_of_other_kinds_are_named() {
    assert_says(&message(b""), &["checkpoint: found an empty file"]);
    assert_says(
        &message(b"\x89HDF\r\n\x1a\n.."),
        &["89 48 44 46", "safetensors"],
    );
    let mut tar = [0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert_says(&message(&tar), &["tar archive", "torch.save"]);
    let other_pickle = pickle(b"}");
    assert_says(
        &message(&other_pickle),
        &["byte 0", "magic number of torch.save"],
    );
    assert_says(&message(b"\x80\x01}."), &["another kind"]);
}

#[test]
fn a_storage_that_was_cut_short_names_its_tensor() {
    let whole = fixture("legacy_state_dict.pth");
    let error = read_bytes(&whole[..whole.len() - 1]).unwrap_err();
    assert!(matches!(error, Error::ShortStorage { .. }), "{error}");
    assert_says(
        &error.to_string(),
        &["checkpoint: tensor `", "storage `", "at byte"],
    );

    let short = rewritten("zip_state_dict.pth", |name, mut content| {
        content.truncate(if name.ends_with("/data/0") {
            23
        } else {
            content.len()
        });
        Some(content)
    });
    let says = ["tensor `fc.weight` needs 24 bytes", "/data/0; found 23"];
    assert_says(&message(&short), &says);

    let without = rewritten("zip_state_dict.pth", |name, content| {
        (!name.ends_with("/data/1")).then_some(content)
    });
    let says = ["tensor `fc.bias` needs 8 bytes", "/data/1; found 0"];
    assert_says(&message(&without), &says);
}

#[test]
fn a_view_beyond_its_storage_names_its_tensor() {
    let bytes = [0; 16];
    for (start, shape, strides) in [
        (2, [2, 2], [2, 1]),
        (0, [2, 2], [3, 1]),
        (0, [i64::MAX, 2], [1, 1]),
        (i64::MAX, [1, 1], [1, 1]),
        (0, [2, 2], [i64::MAX, i64::MAX]),
    ] {
        let object = dict(&[("fc.weight", tensor("0", 4, start, &shape, &strides))]);
        let file = legacy(&pickle(&object), &[("0", 4, &bytes)]);
        assert_says(&message(&file), &["fc.weight"]);
    }
    // The same storage holds a tensor that fits.
    let object = dict(&[("fc.weight", tensor("0", 4, 0, &[2, 2], &[2, 1]))]);
    assert!(read_bytes(&legacy(&pickle(&object), &[("0", 4, &bytes)])).is_ok());
}

#[test]
fn damage_in_an_archive_is_noticed_by_its_checksums() {
    let mut file = fixture("zip_state_dict.pth");
    // The first weight, which occurs once.
    let weight = (-0.75f32).to_le_bytes();
    let place = file.windows(4).position(|bytes| bytes == weight).unwrap();
    file[place] ^= 1;
    assert_says(&message(&file), &["zip_state_dict/data/0", "checksum"]);

    let mut file = fixture("zip_state_dict.pth");
    let name = b"running_mean";
    let place = file.windows(name.len()).position(|bytes| bytes == name);
    file[place.unwrap()] ^= 1;
    assert_says(&message(&file), &["zip_state_dict/data.pkl", "checksum"]);
}

#[test]
fn archives_of_other_tools_are_named() {
    let other = rewritten("zip_state_dict.pth", |name, content| {
        (!name.ends_with("data.pkl")).then_some(content)
    });
    assert_says(&message(&other), &["NAME/data.pkl"]);
    let middle = rewritten("zip_state_dict.pth", |name, content| {
        let is_order = name.ends_with("/byteorder");
        Some(if is_order {
            b"middle".to_vec()
        } else {
            content
        })
    });
    assert_says(
        &message(&middle),
        &["zip_state_dict/byteorder", "`middle`", "`big`"],
    );
    let cut = fixture("zip_state_dict.pth");
    assert_says(
        &message(&cut[..cut.len() / 2]),
        &["damaged archive", "cut short"],
    );
}

#[test]
fn a_pickle_error_names_the_entry_and_the_byte_of_the_opcode() {
    let damaged = rewritten("zip_state_dict.pth", |name, mut content| {
        if name.ends_with("/data.pkl") {
            content[2] = 0xff;
        }
        Some(content)
    });
    let says = ["checkpoint: zip_state_dict/data.pkl: byte 2: found the opcode 0xff"];
    assert_says(&message(&damaged), &says);
}

#[test]
fn pickles_that_break_the_rules_of_the_machine() {
    assert_says(&body_message(b"0"), &["an empty stack"]);
    assert_says(&body_message(b"(0"), &["an empty stack"]);
    assert_says(&body_message(b"t"), &["no mark"]);
    assert_says(&body_message(b"h\x07"), &["number 7", "memoized"]);
    assert_says(&body_message(b"NNa"), &["None", "a list"]);
    assert_says(&body_message(b"}(Nu"), &["1 keys and values"]);
    assert_says(&body_message(b"N)R"), &["None", "class or function"]);
    assert_says(&body_message(b"cos\nsystem\nNR"), &["None", "arguments"]);
    assert_says(&body_message(b"K\x01K\x02\x93"), &["integer 1", "module"]);
    assert_says(&body_message(b"K\x01Q"), &["persistent id the integer 1"]);
    assert_says(&body_message(b"cno_line_end"), &["line feed"]);
    assert_says(&body_message(b"\x80\x06"), &["pickle protocol 6"]);
}

#[test]
fn tensors_that_cannot_be_rebuilt() {
    let negative = tensor("0", 4, -1, &[2], &[1]);
    assert_says(&body_message(&negative), &["integer -1", "not negative"]);
    let axes = tensor("0", 4, 0, &[2, 2], &[1]);
    assert_says(&body_message(&axes), &["2 axes and 1 strides"]);
    let many = tensor("0", 4, 0, &[1; 65], &[1; 65]);
    assert_says(&body_message(&many), &["at most 64"]);
    let none = b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR";
    assert_says(&body_message(none), &["None", "storage of a tensor"]);
    let few = b"ctorch._utils\n_rebuild_tensor_v2\n(NtR";
    assert_says(&body_message(few), &["1 arguments", "_rebuild_tensor_v2"]);
}

#[test]
fn storages_that_the_object_does_not_name() {
    let object = dict(&[("a", tensor("0", 1, 0, &[1], &[1]))]);
    let file = legacy(&pickle(&object), &[("7", 1, &[0; 4])]);
    assert_says(&message(&file), &["the key `7`"]);
    let file = legacy(&pickle(&object), &[("0", u64::MAX, &[0; 4])]);
    assert_says(&message(&file), &["18446744073709551615 elements"]);
}

#[test]
fn two_tensors_of_one_name_are_refused_and_two_settings_reported() {
    let one = tensor("0", 1, 0, &[1], &[1]);
    let object = dict(&[("module.a", one.clone()), ("a", one)]);
    let file = legacy(&pickle(&object), &[("0", 1, &[0; 4])]);
    assert_says(&message(&file), &["second tensor", "`a`"]);
    let object = dict(&[("module.a", integer(1)), ("a", text("second"))]);
    let checkpoint = read_bytes(&legacy(&pickle(&object), &[])).unwrap();
    assert_eq!(checkpoint.settings.len(), 1);
    assert_eq!(checkpoint.skipped, ["a: second setting of this name"]);
}

#[test]
fn safetensors_that_do_not_fit_their_header() {
    let whole = fixture("tensors.safetensors");
    let cut = &whole[..whole.len() - 1];
    assert_says(&message(cut), &["checkpoint: found", "cut short"]);
    let mut damaged = whole.clone();
    damaged[9] = b'?';
    assert_says(&message(&damaged), &["byte 8", "damaged header"]);
    let head = r#"{"module.a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
        "a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    let length = (head.len() as u64).to_le_bytes();
    let twice = [&length, head.as_bytes(), &[7, 8]].concat();
    assert_says(&message(&twice), &["second tensor", "`a`"]);
}
