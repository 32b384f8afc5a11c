//! Encoders on the way to a command, with towers of a few numbers.

use std::fs;

use truepair_read::dataset::write_kept;

use super::*;

/// A fixture of the library `truepair-encode`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../truepair-encode/fixtures")
        .join(name)
}

/// A table of six pictures in a folder beside it, the third of which is a text.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("photos")).unwrap();
    let mut table = String::from("license,image,caption\n");
    for index in 0..6 {
        let name = format!("photos/{index}.png");
        let path = home.path().join(&name);
        match index {
            2 => fs::write(&path, "a caption").unwrap(),
            _ => drop(fs::copy(fixture("pictures/rgb.png"), &path).unwrap()),
        }
        table += &format!("CC0,{name},a dog runs on {index}\n");
    }
    fs::write(home.path().join("pairs.csv"), table).unwrap();
    home
}

fn encoders() -> Encoders {
    Encoders {
        image_encoder: Some(fixture("encoders/tiny_image.onnx")),
        text_encoder: Some(fixture("encoders/tiny_text.onnx")),
        assume: Some(AssumptionChoice::Imagenet),
    }
}

/// The table of `home`, embedded with the cache in `home`.
fn embedded(home: &Path, encoders: &Encoders) -> Encoded {
    let loaded = LoadedEncoders::load(encoders).unwrap();
    let read = loaded.reading(&ReadOptions::default()).unwrap();
    let dataset = dataset::open(home.join("pairs.csv"), &read).unwrap();
    let cache = home.join("cache");
    loaded.embed(dataset, &cache, &mut Bars::new()).unwrap()
}

/// The folders of the cache, sorted.
fn cached(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.join("cache")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn pictures_and_captions_become_embeddings_and_broken_pictures_go() {
    let home = home();
    let Encoded { dataset, notes, .. } = embedded(home.path(), &encoders());
    let captions = dataset.caption_features.as_ref().unwrap();
    assert_eq!((dataset.images.dim(), captions.features.dim()), (8, 16));
    assert_eq!((dataset.n_images(), dataset.pairs.len()), (5, 5));
    assert_eq!(captions.features.len(), 5);
    assert_eq!(dataset.captions.as_ref().unwrap()[2], "a dog runs on 3");
    assert_eq!(dataset.image_ids[2], "photos/3.png");
    assert!(dataset.image_files.iter().all(Option::is_some));
    assert!(notes[1].contains("1 picture could not be decoded") && notes[1].contains("1 pair"));
    let passed = dataset.account.summary().unwrap();
    assert!(passed.contains("photos/2.png"), "{passed}");
}

#[test]
fn captions_stay_text_without_a_text_encoder() {
    let home = home();
    let alone = Encoders {
        text_encoder: None,
        ..encoders()
    };
    let encoded = embedded(home.path(), &alone);
    assert!(encoded.dataset.caption_features.is_none());
    assert_eq!(encoded.dataset.captions.unwrap().len(), 5);
}

#[test]
fn the_cleaned_list_is_a_table_with_the_columns_of_the_table() {
    let home = home();
    let encoded = embedded(home.path(), &encoders());
    let own = encoded.as_read.unwrap().of(&encoded.dataset);
    let keep = [true, true, false, true, true];
    let out = home.path().join("cleaned");
    write_kept(&own, &keep, &out).unwrap();
    let table = fs::read_to_string(out.join("pairs.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "license,image,caption");
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines.contains(&"CC0,photos/4.png,a dog runs on 4"));
    assert!(!table.contains("photos/2.png") && !table.contains("photos/3.png"));
}

#[test]
fn a_second_run_takes_the_embeddings_of_the_first_and_other_pictures_are_embedded_anew() {
    let home = home();
    let rows = |encoded: &Encoded| encoded.dataset.images.gather(&[0, 1, 2, 3, 4]).unwrap();
    // The file is mapped, so its numbers are taken out before it changes.
    let first = rows(&embedded(home.path(), &encoders()));
    let [folder] = &cached(home.path())[..] else {
        panic!("one folder")
    };
    // Only a run that reads this file sees what was changed in it.
    let part = folder.join("images_00000.npy");
    let mut bytes = fs::read(&part).unwrap();
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&42.0_f32.to_le_bytes());
    fs::write(&part, bytes).unwrap();
    let second = embedded(home.path(), &encoders());
    assert_ne!(first, rows(&second));
    assert_eq!(rows(&second).last(), Some(&42.0));

    fs::copy(
        fixture("pictures/rgb.bmp"),
        home.path().join("photos/5.png"),
    )
    .unwrap();
    let third = embedded(home.path(), &encoders());
    assert_eq!(cached(home.path()).len(), 2);
    assert_ne!(rows(&third).last(), Some(&42.0));
}

#[test]
fn without_an_image_encoder_the_error_names_both_files_and_the_command() {
    let home = home();
    let (path, read) = (home.path().join("pairs.csv"), ReadOptions::default());
    let refused = || Error::msg("pairs.csv: it names images but no features");
    let (none, typed) = (Encoders::default(), "truepair audit pairs.csv");
    let advised = none.advise(refused(), typed, (&path, &read), &mut Bars::new());
    let advised = advised.to_string();
    for part in [
        "no features",
        "image encoder",
        "text encoder",
        "Xenova/clip-vit-base-patch32",
        "`truepair audit pairs.csv --image-encoder",
    ] {
        assert!(advised.contains(part), "`{part}` is not in: {advised}");
    }
    fs::remove_dir_all(home.path().join("photos")).unwrap();
    let plain = none.advise(refused(), typed, (&path, &read), &mut Bars::new());
    assert_eq!(plain.to_string(), refused().to_string());
}

#[test]
fn embeddings_that_are_asked_for_twice_are_refused() {
    let loaded = LoadedEncoders::load(&encoders()).unwrap();
    let refused = |read: ReadOptions| loaded.reading(&read).unwrap_err().to_string();
    let features = ReadOptions {
        features: Some("x.npy".into()),
        ..ReadOptions::default()
    };
    assert!(refused(features).contains("--features"));
    let pixels = ReadOptions {
        pixels: Some(32),
        ..ReadOptions::default()
    };
    assert!(refused(pixels).contains("--pixels"));
    let captions = ReadOptions {
        caption_features: CaptionFeatures::Named("minilm".into()),
        ..ReadOptions::default()
    };
    assert!(refused(captions).contains("--caption-features"));
}
