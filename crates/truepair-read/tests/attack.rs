//! Inputs of an attack on revision 188a689, each row of its report with what must come of it now. Every test has
//! an end: an input that loops or asks for all memory would not let it pass.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use truepair_core::dataset::Dataset;
use truepair_read::dataset::{Pictures, ReadOptions, inspect, open};
use truepair_read::labeled::{self, LabeledOptions};
use truepair_read::relevance::read_codes;

fn input(name: &str) -> PathBuf {
    Path::new("fixtures/attack").join(name)
}

/// Opens data, and what became of it in words.
fn told(path: &Path, options: &ReadOptions) -> String {
    let account = |data: Dataset| data.account.lines().join("\n");
    open(path, options).map_or_else(|error| error.to_string(), account)
}

/// Why data cannot be inspected, or what is wrong with its splits.
fn inspected(path: &Path) -> String {
    match inspect(path, &ReadOptions::default()) {
        Ok(found) => {
            let problems = found.splits.into_iter().filter_map(|split| split.problem);
            problems.collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

fn labeled_told(path: &Path) -> String {
    match labeled::open(path, &LabeledOptions::default()) {
        Ok(data) => data.account.lines().join("\n"),
        Err(error) => error.to_string(),
    }
}

fn assert_holds(found: &str, words: &str) {
    assert!(found.contains(words), "no '{words}' in: {found}");
}

/// Makes a pipe that nobody writes to; false where there are none.
fn make_pipe(path: &Path) -> bool {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    made.is_ok_and(|status| status.success())
}

#[test]
#[cfg(unix)]
fn row_2_links_to_folders_lead_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("data");
    fs::create_dir_all(root.join("more")).unwrap();
    for name in ["a", "more/b"] {
        fs::write(root.join(name).with_extension("jpg"), b"A").unwrap();
        fs::write(root.join(name).with_extension("txt"), "one\n").unwrap();
    }
    for (link, target) in [("self", "."), ("more/parent", ".."), ("more/again", "..")] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    let data = open(&root, &ReadOptions::default()).unwrap();
    assert_eq!(data.n_images(), 2);
    assert_holds(&data.account.lines().join("\n"), "3 folders: it is a link");
    let found = inspect(&root, &ReadOptions::default()).unwrap();
    assert_eq!(found.splits[0].images, 2);
    // Hundreds of links, in a folder where there is nothing to find.
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for n in 0..500 {
        std::os::unix::fs::symlink(".", empty.join(n.to_string())).unwrap();
    }
    open(&empty, &ReadOptions::default()).unwrap_err();
}

#[test]
fn rows_3_and_4_sizes_of_archives_are_measured_before_they_are_believed() {
    let names = [
        "tar_loop_L",
        "tar_loop_neg512",
        "tar_txt_neg",
        "tar_x_huge",
        "wds_gnu_984a9de6",
        "wds_gnu_e830dba5",
        "wds_pax_4b26cee4",
        "wds_pax_6f1648dd",
        "wds_pax_8799a3cd",
    ];
    for name in names {
        let home = tempfile::tempdir().unwrap();
        let shard = home.path().join("s.tar");
        fs::copy(input(name).with_extension("tar"), &shard).unwrap();
        for path in [home.path(), &shard] {
            let found = told(path, &ReadOptions::default());
            let said = [
                "the archive ends inside it",
                "an extended header of",
                "an extended header that cannot be read",
                "a size that is not a number",
            ];
            assert!(
                said.iter().any(|words| found.contains(words)),
                "{name}: {found}"
            );
            inspected(path);
        }
    }
}

/// A deflated block of zeros that ends at a byte, so that it can stand many times one after another.
fn packed_zeros() -> (Vec<u8>, usize) {
    let n = 1 << 20;
    let mut packed = vec![0; n];
    let mut packer = flate2::Compress::new(flate2::Compression::best(), false);
    let status = packer.compress(&vec![0; n], &mut packed, flate2::FlushCompress::Full);
    assert_eq!(status.unwrap(), flate2::Status::Ok);
    packed.truncate(packer.total_out() as usize);
    (packed, n)
}

#[test]
fn row_6_an_archive_is_unpacked_no_further_than_its_header_says() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.npz");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for (name, shape) in [("images", [2, 2]), ("captions", [1 << 30, 1 << 10])] {
        zip.start_file(format!("{name}.npy"), options).unwrap();
        let header = truepair_core::npy::header_bytes("<f4", &shape);
        zip.write_all(&header).unwrap();
        zip.write_all(&vec![0; 1 << 20]).unwrap();
    }
    zip.finish().unwrap();
    assert_holds(&told(&path, &ReadOptions::default()), "bytes");
}

#[test]
fn row_6_a_matlab_variable_has_a_ratio() {
    let (zeros, n) = packed_zeros();
    let mut stream = vec![0x78, 0x9c];
    // The tag of a matrix of 4 GB, as a stored block.
    let tag = [14u32.to_le_bytes(), u32::MAX.to_le_bytes()].concat();
    stream.extend([0, 8, 0, !8, !0]);
    stream.extend(tag);
    // More than is allowed without a ratio.
    for _ in 0..(80 << 20) / n {
        stream.extend(&zeros);
    }
    let mut file = vec![b' '; 124];
    file.extend([0, 1]);
    file.extend(b"IM");
    file.extend(15u32.to_le_bytes());
    file.extend((stream.len() as u32).to_le_bytes());
    file.extend(stream);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.mat");
    fs::write(&path, file).unwrap();
    assert_holds(&labeled_told(&path), "is damaged or ends early");
}

#[test]
fn row_6_an_array_that_was_never_written_is_not_made() {
    let found = labeled_told(&input("sparse_2e30.h5"));
    assert_holds(&found, "most of it would be zeros");
}

#[test]
#[cfg(unix)]
fn row_8_nobody_waits_for_a_pipe() {
    let home = tempfile::tempdir().unwrap();
    let pipe = home.path().join("train_ims.npy");
    if !make_pipe(&pipe) {
        return;
    }
    fs::write(home.path().join("train_caps.txt"), "one\n").unwrap();
    assert_holds(
        &told(home.path(), &ReadOptions::default()),
        "not a regular file",
    );
    // As a picture, as a caption, and under every ending that a format looks for.
    let folder = home.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.jpg"), b"A").unwrap();
    fs::write(folder.join("a.txt"), "one\n").unwrap();
    make_pipe(&folder.join("b.jpg"));
    fs::write(folder.join("b.txt"), "two\n").unwrap();
    let data = open(&folder, &ReadOptions::default()).unwrap();
    let pictures = (0..data.n_images()).filter_map(|row| data.images.picture(row));
    let read: Vec<_> = pictures.map(|picture| picture.read()).collect();
    let error = read.into_iter().find_map(Result::err).unwrap();
    assert_holds(&error, "not a regular file but a pipe");
    make_pipe(&folder.join("c.txt"));
    fs::write(folder.join("c.jpg"), b"C").unwrap();
    assert_holds(&told(&folder, &ReadOptions::default()), "but a pipe");
    for name in [
        "a.csv",
        "a.tsv",
        "a.json",
        "a.jsonl",
        "a.parquet",
        "a.npy",
        "a.npz",
        "a.safetensors",
        "a.tar",
        "a.tar.gz",
        "a.mat",
        "a.h5",
        "a.token",
        "a",
    ] {
        let own = home.path().join(format!("pipes-{name}"));
        fs::create_dir(&own).unwrap();
        let pipe = own.join(name);
        make_pipe(&pipe);
        for path in [&own, &pipe] {
            open(path, &ReadOptions::default()).unwrap_err();
            assert!(!inspected(path).is_empty(), "{}", path.display());
            labeled::open(path, &LabeledOptions::default()).unwrap_err();
        }
    }
}

#[test]
fn rows_9_and_24_links_and_new_kinds_of_hdf5_are_told_from_damage() {
    let found = labeled_told(&input("softlink_self.h5"));
    assert!(!found.contains("damaged"), "{found}");
    for name in ["latest.h5", "latest_soft.h5"] {
        assert_holds(&labeled_told(&input(name)), "used 12 arrays");
    }
    for name in ["empty.h5", "empty_latest.h5"] {
        let found = labeled_told(&input(name));
        assert_holds(&found, "used 12 arrays");
        assert_holds(&found, "1 array: it holds nothing (nothing)");
    }
    let found = labeled_told(&input("latest_chunk.h5"));
    assert_holds(&found, "a part of HDF5 that is not read");
    assert_holds(&found, "libver='v110'");
}

#[test]
fn row_10_no_report_shows_a_picture_from_outside_the_data() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::create_dir_all(data.join("sub")).unwrap();
    fs::write(home.path().join("x.png"), b"X").unwrap();
    fs::write(data.join("a.png"), b"A").unwrap();
    fs::write(data.join("sub/b.png"), b"B").unwrap();
    let outside = home.path().join("x.png");
    let outside = outside.display();
    let inside = fs::canonicalize(data.join("sub/b.png")).unwrap();
    let inside = inside.display();
    let up = "..";
    let mut table = format!(
        "image,caption\n../x.png,one\n{outside},two\na.png,three\nsub/{up}/{up}/x.png,four\n{inside},five\n"
    );
    table += "link.png,six\n";
    let n = 6;
    #[cfg(unix)]
    std::os::unix::fs::symlink("../x.png", data.join("link.png")).unwrap();
    let path = data.join("t.csv");
    fs::write(&path, table).unwrap();
    let mut rows = truepair_core::npy::header_bytes("<f4", &[n, 1]);
    rows.extend((0..n).flat_map(|row| (row as f32 + 1.0).to_le_bytes()));
    fs::write(data.join("t.npy"), rows).unwrap();
    let found = open(&path, &ReadOptions::default()).unwrap();
    let shown: Vec<&PathBuf> = found.image_files.iter().flatten().collect();
    let names: Vec<_> = shown.iter().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(names, ["a.png", "b.png"]);
    let account = found.account.lines().join("\n");
    assert_holds(&account, "outside the folder of the data");
    assert_holds(&account, "../x.png");
    // The folder that holds both is one that the user may name.
    let options = ReadOptions {
        pictures: Pictures::In(home.path().to_path_buf()),
        ..ReadOptions::default()
    };
    let _ = open(&path, &options);
    // As pictures that are encoded: they are read, and the report is told which of them it may not show.
    let options = ReadOptions {
        pictures: Pictures::Beside,
        ..ReadOptions::default()
    };
    let found = open(&path, &options).unwrap();
    let shown: Vec<bool> = found.image_files.iter().map(Option::is_some).collect();
    let expected = [false, false, true, false, true, false];
    assert_eq!(shown, expected);
    assert_holds(
        &found.account.lines().join("\n"),
        "outside the folder of the data",
    );
}

#[test]
fn row_12_labels_and_arrays_without_width_are_refused() {
    for name in ["lab_n_by_0", "lab_precomp"] {
        let found = labeled_told(&input(name));
        assert_holds(&found, "train_labels.npy");
    }
    let shape = |name: &str| truepair_core::npy::read_ints(&input(name)).map(|(_, shape)| shape);
    for name in ["labels_n_by_0.npy", "ev_labels.npy"] {
        let n = shape(name).map_or(3, |shape| shape[0]);
        let error = read_codes(&input(name), n, None).unwrap_err().to_string();
        assert_holds(&error, name);
    }
    let error = read_codes(
        &input("labels_n_by_0.npy"),
        shape("labels_n_by_0.npy").unwrap()[0],
        None,
    );
    assert_holds(&error.unwrap_err().to_string(), "0 classes, expected 1 to");
    let found = told(&input("npy_0_by_2e40"), &ReadOptions::default());
    assert_holds(&found, "0");
}

#[test]
fn row_13_a_damaged_table_is_an_error() {
    for name in [
        "gzip_186a1885",
        "none_2cc73008",
        "snappy_dc2a2f52",
        "zstd_9afac39c",
    ] {
        let path = input(&format!("pq_{name}.parquet"));
        let options = ReadOptions {
            features: Some(input("pq.npy")),
            ..ReadOptions::default()
        };
        let found = told(&path, &options);
        assert_holds(&found, &format!("pq_{name}.parquet"));
        let _ = inspect(&path, &options);
    }
}

#[test]
fn row_15_thousands_of_groups_are_listed_once() {
    // Written by the library that reads them, with what a data set needs beside the groups.
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("groups.h5");
    let mut file = hdf5_pure::FileBuilder::new();
    for n in 0..8000 {
        let group = file.create_group(&format!("g{n}"));
        file.add_group(group.finish());
    }
    file.write(&path).unwrap();
    let start = std::time::Instant::now();
    let _ = labeled_told(&path);
    let seconds = start.elapsed().as_secs();
    assert!(seconds < 30, "{seconds} s");
}

#[test]
fn row_16_errors_name_what_they_met() {
    // What is printed is escaped where it is printed; here only that no reader fails otherwise.
    let found = told(&input("escape_csv"), &ReadOptions::default());
    assert_holds(&found, "pairs.csv:35");
    let found = told(&input("escape_header"), &ReadOptions::default());
    assert!(!found.is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn row_25_an_endless_device_is_not_read() {
    for name in ["/dev/zero", "/dev/urandom"] {
        let path = Path::new(name);
        open(path, &ReadOptions::default()).unwrap_err();
        labeled::open(path, &LabeledOptions::default()).unwrap_err();
        let error = read_codes(path, 3, None).unwrap_err().to_string();
        assert_holds(&error, "not a regular file but a device");
        let error = truepair_read::relevance::read_ids(path, 3)
            .unwrap_err()
            .to_string();
        assert_holds(&error, "not a regular file but a device");
        truepair_read::relevance::read_qrels(path).unwrap_err();
        truepair_read::relevance::read_map(path).unwrap_err();
        truepair_read::checkpoint::read(path).unwrap_err();
    }
}

#[test]
fn row_26_a_broken_header_of_safetensors_is_named() {
    let home = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("a.safetensors", &b"\x09\0\0\0\0\0\0\0{\"images\""[..]),
        ("b.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\xff{}"),
        ("c.npz", b"PK\x03\x04 cut"),
        ("d.parquet", b"PAR1 cut PAR1"),
    ] {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        assert_holds(&inspected(&path), "not a readable");
    }
}
