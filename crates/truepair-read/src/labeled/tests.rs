//! Every layout reads the same items; every kind of broken file is refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use truepair_core::npy::header_bytes;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/labeled")).join(name)
}

fn read(path: &Path) -> Result<LabeledData> {
    open(path, &LabeledOptions::default())
}

#[track_caller]
fn refused(path: &Path, expected: &[&str]) {
    let error = read(path).unwrap_err().to_string();
    for part in expected {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

fn write_npy(path: &Path, descr: &str, shape: &[usize], bytes: Vec<u8>) {
    let mut file = header_bytes(descr, shape);
    file.extend(bytes);
    fs::write(path, file).unwrap();
}

fn floats(path: &Path, n: usize, d: usize) {
    let bytes = (0..n * d).flat_map(|at| (at as f32).to_le_bytes());
    write_npy(path, "<f4", &[n, d], bytes.collect());
}

fn integers(path: &Path, values: &[i64]) {
    let bytes = values.iter().flat_map(|x| x.to_le_bytes());
    write_npy(path, "<i8", &[values.len()], bytes.collect());
}

/// A folder with two splits of two modalities.
fn folder() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (split, n) in [("train", 6), ("test", 4)] {
        let part = |name: &str| home.path().join(format!("{split}_{name}.npy"));
        floats(&part("ims"), n, 4);
        floats(&part("txtmean"), n, 3);
        floats(&part("caps_minilm"), 5 * n, 3);
        integers(
            &part("labels"),
            &(0..n as i64).map(|at| at % 3).collect::<Vec<_>>(),
        );
    }
    home
}

#[test]
fn every_layout_holds_the_same_items() {
    for (name, first_label, tolerance) in [
        ("mrl.h5py", 1, 1e-6),
        ("mrl_gzip.h5", 1, 1e-6),
        ("half.h5", 0, 0.003),
        ("v4.mat", 1, 1e-6),
        ("v4_sparse.mat", 0, 1e-6),
        ("v5.mat", 1, 1e-6),
        ("v5_sparse.mat", 0, 1e-6),
        ("v7.mat", 1, 1e-6),
        ("v7_sparse.mat", 0, 1e-6),
        ("v73.mat", 1, 1e-6),
        ("v73_sparse.mat", 0, 1e-6),
    ] {
        let data = read(&fixture(name)).unwrap();
        let names: Vec<&str> = data.splits.iter().map(|set| set.split.as_str()).collect();
        assert_eq!(names, ["dev", "test", "train"], "{name}");
        assert_eq!(data.first_label, first_label, "{name}");
        assert_eq!(data.class_name(2), (2 + first_label).to_string());
        let train = data.require_split("train").unwrap();
        assert_eq!((train.len(), train.n_classes), (6, 3), "{name}");
        for (modality, sign, d) in [(0, 1.0, 4), (1, -1.0, 3)] {
            let modality = &train.modalities[modality];
            assert_eq!(modality.labels, [0, 1, 2, 0, 1, 2], "{name}");
            let rows = modality.features.to_matrix().unwrap();
            assert_eq!((rows.len(), rows.dim()), (6, d), "{name}");
            for item in 0..6 {
                for (column, found) in rows.row(item).iter().enumerate() {
                    let expected = sign * (item as f32 + column as f32 / 10.0);
                    assert!(
                        (found - expected).abs() < tolerance,
                        "{name} {item} {column}: {found}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_folder_is_read_without_its_captions() {
    let home = folder();
    let data = read(home.path()).unwrap();
    assert_eq!(data.format, "precomp");
    let test = data.require_split("test").unwrap();
    let names: Vec<&str> = test.modalities.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["ims", "txtmean"]);
    assert!(test.labels_are_shared());
    assert_eq!(test.select(&[3, 1]).modalities[0].labels, [0, 1]);
    assert_eq!(data.first_label, 0);
    assert!(data.files.len() > 6);
    let error = data.require_split("dev").unwrap_err().to_string();
    assert!(
        error.contains("no split 'dev'; there are: test, train"),
        "{error}"
    );
}

#[test]
fn the_only_file_of_a_folder_is_read() {
    let home = tempfile::tempdir().unwrap();
    fs::copy(fixture("v7.mat"), home.path().join("data.mat")).unwrap();
    assert_eq!(read(home.path()).unwrap().format, "mat");
    fs::copy(fixture("mrl.h5py"), home.path().join("more.h5py")).unwrap();
    refused(home.path(), &["two modalities or more"]);
}

#[test]
fn names_of_classes_count_them() {
    let home = folder();
    fs::write(
        home.path().join("classes.json"),
        r#"["sea", "wood", "town", "sky"]"#,
    )
    .unwrap();
    let data = read(home.path()).unwrap();
    assert_eq!(data.splits[0].n_classes, 4);
    assert_eq!(data.class_name(1), "wood");
    let numbered = r#"{"sky": 3, "sea": 0, "town": 2, "wood": 1}"#;
    fs::write(home.path().join("classes.json"), numbered).unwrap();
    assert_eq!(read(home.path()).unwrap().class_name(3), "sky");
    let gap = r#"{"sky": 3, "sea": 0, "wood": 1}"#;
    fs::write(home.path().join("classes.json"), gap).unwrap();
    refused(home.path(), &["classes.json", "number 2"]);
    fs::write(home.path().join("classes.json"), "{").unwrap();
    refused(home.path(), &["classes.json", "no list of names"]);
}

#[test]
fn modalities_are_chosen_by_name() {
    let home = folder();
    floats(&home.path().join("train_hue.npy"), 6, 2);
    floats(&home.path().join("test_hue.npy"), 4, 2);
    let options = LabeledOptions {
        modalities: ["txtmean", "hue"].map(str::to_owned).to_vec(),
        ..LabeledOptions::default()
    };
    let data = open(home.path(), &options).unwrap();
    assert_eq!(data.splits[0].modalities[0].name, "txtmean");
    assert_eq!(read(home.path()).unwrap().splits[0].modalities.len(), 3);
    let options = LabeledOptions {
        modalities: vec!["sound".into()],
        ..LabeledOptions::default()
    };
    let error = open(home.path(), &options).unwrap_err().to_string();
    assert!(
        error.contains("no modality 'sound'; there are: ims, hue, txtmean"),
        "{error}"
    );
}

#[test]
fn labels_of_another_length_are_refused() {
    let home = folder();
    integers(&home.path().join("train_labels.npy"), &[0, 1, 2]);
    refused(
        home.path(),
        &[
            "train_labels.npy: 3 labels, but split 'train' has 6 items in 'ims'",
            "one label an item",
        ],
    );
    let home = folder();
    floats(&home.path().join("train_txtmean.npy"), 5, 3);
    refused(
        home.path(),
        &["train_txtmean.npy", "5 items in 'txtmean' and 6 in 'ims'"],
    );
}

#[test]
fn a_label_that_is_not_a_class_makes_no_classes() {
    let home = folder();
    integers(
        &home.path().join("train_labels.npy"),
        &[0, 1, 2, 1 << 40, 1, 0],
    );
    refused(
        home.path(),
        &[
            "train_labels.npy: row 3: label 1099511627776 makes",
            "np.unique",
        ],
    );
}

#[test]
fn labels_outside_the_classes_are_refused() {
    let home = folder();
    integers(&home.path().join("test_labels.npy"), &[0, 1, 3, 2]);
    refused(
        home.path(),
        &["test_labels.npy: row 2: label 3 is outside the 3 classes 0 to 2"],
    );
    integers(&home.path().join("test_labels.npy"), &[0, 1, -1, 2]);
    refused(home.path(), &["row 2: label -1 is outside"]);
    let options = LabeledOptions {
        classes: Some(2),
        ..LabeledOptions::default()
    };
    let error = open(home.path(), &options).unwrap_err().to_string();
    assert!(error.contains("outside the 2 classes 0 to 1"), "{error}");
}

#[test]
fn one_hot_rows_are_classes_and_several_ones_are_refused() {
    let home = folder();
    let path = home.path().join("test_labels.npy");
    let rows = |values: [i64; 12]| {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        write_npy(&path, "<i8", &[4, 3], bytes);
    };
    rows([1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0]);
    let data = read(home.path()).unwrap();
    assert_eq!(
        data.require_split("test").unwrap().modalities[0].labels,
        [0, 1, 2, 0]
    );
    rows([1, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0]);
    refused(home.path(), &["test_labels.npy: row 2: 2 classes marked"]);
}

#[test]
fn missing_parts_are_named() {
    let home = folder();
    fs::remove_file(home.path().join("test_txtmean.npy")).unwrap();
    refused(
        home.path(),
        &[
            "split 'test' has no features for modality 'txtmean'",
            "test_ims",
        ],
    );
    let home = folder();
    fs::remove_file(home.path().join("train_labels.npy")).unwrap();
    refused(
        home.path(),
        &["split 'train' has no labels for modality 'ims'"],
    );
    let home = folder();
    for split in ["train", "test"] {
        fs::remove_file(home.path().join(format!("{split}_txtmean.npy"))).unwrap();
    }
    refused(home.path(), &["two modalities or more, found only 'ims'"]);
    let empty = tempfile::tempdir().unwrap();
    refused(empty.path(), &["two modalities or more, found none"]);
}

#[test]
fn cell_arrays_and_structures_are_refused() {
    refused(
        &fixture("cells.mat"),
        &["cells.mat:L_tr", "a cell array", "cell2mat"],
    );
    refused(&fixture("struct.mat"), &["struct.mat:I_tr", "a structure"]);
    refused(
        &fixture("v73_cells.mat"),
        &["v73_cells.mat:L_tr", "MATLAB cell array"],
    );
}

#[test]
fn files_that_were_cut_short_are_refused_wherever_the_cut_is() {
    let home = tempfile::tempdir().unwrap();
    for name in [
        "mrl.h5py",
        "mrl_gzip.h5",
        "v4.mat",
        "v4_sparse.mat",
        "v5.mat",
        "v5_sparse.mat",
        "v7_sparse.mat",
        "v73.mat",
    ] {
        let whole = fs::read(fixture(name)).unwrap();
        let path = home.path().join(name);
        for tenths in 1..10 {
            fs::write(&path, &whole[..whole.len() * tenths / 10]).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(name), "{name} {tenths}: {error}");
        }
    }
    let path = home.path().join("cut.h5");
    let whole = fs::read(fixture("mrl.h5py")).unwrap();
    fs::write(&path, &whole[..whole.len() - 64]).unwrap();
    refused(&path, &["cut.h5", "cannot be read as HDF5", "cut short"]);
    fs::write(home.path().join("old.mat"), [0u8; 200]).unwrap();
    refused(
        &home.path().join("old.mat"),
        &["not a MATLAB file of version 4, 5, 7 or 7.3"],
    );
}

#[test]
fn what_is_no_layout_is_refused_with_the_choices() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data.txt");
    fs::write(&path, "labels").unwrap();
    refused(&path, &["looked for precomp, npz, mat, hdf5"]);
    refused(&home.path().join("nothing"), &["nothing: cannot read"]);
    let options = LabeledOptions {
        format: Some("csv".into()),
        ..LabeledOptions::default()
    };
    let error = open(&path, &options).unwrap_err().to_string();
    assert!(
        error.contains("'csv'") && error.contains("choose one of precomp"),
        "{error}"
    );
}

#[test]
fn features_that_are_no_numbers_are_refused() {
    let home = folder();
    let path = home.path().join("train_ims.npy");
    let bytes = (0..24).flat_map(|at| if at == 9 { f32::NAN } else { 1.0 }.to_le_bytes());
    write_npy(&path, "<f4", &[6, 4], bytes.collect());
    let data = read(home.path()).unwrap();
    let error = data.check_finite(&mut ()).unwrap_err().to_string();
    assert!(error.contains("train_ims.npy: row 2"), "{error}");
}

#[test]
fn soft_links_and_what_holds_no_numbers_are_passed_over_by_name() {
    let lines = |name: &str| read(&fixture(name)).unwrap().account.lines().join("\n");
    let half = lines("half.h5");
    assert!(
        half.contains("a soft link, which is not followed (alias -> /train_img)"),
        "{half}"
    );
    let texts = lines("mrl.h5py");
    assert!(
        texts.contains("1 array: it holds texts, expected numbers (class_names)"),
        "{texts}"
    );
}

#[test]
fn labels_of_any_type_are_read_when_they_are_whole() {
    let home = folder();
    let path = home.path().join("test_labels.npy");
    let floats = |values: &[f64]| values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let labels = || {
        read(home.path())
            .unwrap()
            .require_split("test")
            .unwrap()
            .modalities[0]
            .labels
            .clone()
    };
    write_npy(&path, "<f8", &[4], floats(&[0.0, 1.0, 2.0, 0.0]));
    assert_eq!(labels(), [0, 1, 2, 0]);
    let hot = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    write_npy(&path, "<f8", &[4, 3], floats(&hot));
    assert_eq!(labels(), [0, 1, 2, 0]);
    let singles = hot.iter().flat_map(|x| (*x as f32).to_le_bytes());
    write_npy(&path, "<f4", &[4, 3], singles.collect());
    assert_eq!(labels(), [0, 1, 2, 0]);
    let halves = hot
        .iter()
        .flat_map(|x| half::f16::from_f64(*x).to_le_bytes());
    write_npy(&path, "<f2", &[4, 3], halves.collect());
    assert_eq!(labels(), [0, 1, 2, 0]);
    write_npy(
        &path,
        "|b1",
        &[4, 3],
        hot.iter().map(|x| *x as u8).collect(),
    );
    assert_eq!(labels(), [0, 1, 2, 0]);
    write_npy(&path, "<f8", &[4], floats(&[0.0, 1.0, f64::NAN, 0.0]));
    refused(
        home.path(),
        &["test_labels.npy: row 2: NaN is no whole number"],
    );
    write_npy(&path, "<f8", &[4], floats(&[0.0, 1.5, 2.0, 0.0]));
    refused(home.path(), &["row 1: 1.5 is no whole number"]);
    write_npy(&path, "<i8", &[4, 0], Vec::new());
    refused(
        home.path(),
        &["test_labels.npy: shape [4, 0] holds no label"],
    );
    let words = ["cat", "dog", "cat", "dog"].map(|word| {
        let letters = word
            .chars()
            .flat_map(|letter| (letter as u32).to_le_bytes());
        letters.collect::<Vec<u8>>()
    });
    write_npy(&path, "<U3", &[4], words.concat());
    refused(
        home.path(),
        &["row 0: the text 'cat', expected whole numbers"],
    );
}

#[test]
fn classes_without_items_and_hidden_files_are_said() {
    let home = folder();
    integers(&home.path().join("train_labels.npy"), &[0, 1, 5, 0, 1, 5]);
    integers(&home.path().join("test_labels.npy"), &[0, 1, 5, 0]);
    fs::write(home.path().join("._train_ims.npy"), "x").unwrap();
    let data = read(home.path()).unwrap();
    let lines = data.account.lines().join("\n");
    assert!(
        lines.contains("6 classes, of which 3 have no item: 2, 3, 4"),
        "{lines}"
    );
    assert!(
        lines.contains("hidden or a system's own (._train_ims.npy)"),
        "{lines}"
    );
}

#[test]
fn two_arrays_of_one_role_are_both_named() {
    let home = folder();
    floats(&home.path().join("train_im.npy"), 6, 4);
    refused(
        home.path(),
        &["arrays 'train_im' and 'train_ims' could both be meant"],
    );
}
