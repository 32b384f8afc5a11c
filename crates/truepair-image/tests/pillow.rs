//! Decoding and resampling against the pixels of Pillow; see `fixtures/pictures/README.md`.

use std::path::PathBuf;

use truepair_image::{Filter, Preprocessing, Problem, Rgb, decode, resize};

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pictures");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The pixels of a binary PPM file.
fn pixels(name: &str) -> Rgb {
    let bytes = fixture(name);
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let header = std::str::from_utf8(&bytes[..end]).unwrap();
    let [_, width, height, _] = header.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{header}")
    };
    let side = |text: &str| text.parse().unwrap();
    Rgb::new(side(width), side(height), bytes[end + 1..].to_vec())
}

/// Largest and mean difference of two pictures of one size.
#[track_caller]
fn difference(found: &Rgb, expected: &Rgb) -> (u8, f64) {
    let sides = |picture: &Rgb| (picture.width(), picture.height());
    assert_eq!(sides(found), sides(expected));
    let pairs = found.values().iter().zip(expected.values());
    let differences: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    let total: f64 = differences.iter().map(|d| f64::from(*d)).sum();
    let largest = differences.iter().max().copied().unwrap();
    (largest, total / differences.len() as f64)
}

#[test]
fn lossless_formats_give_the_pixels_of_pillow() {
    for name in [
        "rgb.png",
        "alpha.png",
        "alpha.webp",
        "palette.png",
        "rgb16.png",
        "gray16.png",
        "frames.gif",
        "rgb.bmp",
    ] {
        let found = decode(&fixture(name)).unwrap();
        let expected = pixels(&(name.replace('.', "_") + ".ppm"));
        assert_eq!(difference(&found, &expected), (0, 0.0), "{name}");
    }
}

/// Decoders of lossy formats may round differently; colors that were stored at half the width are
/// interpolated differently too.
#[test]
fn lossy_formats_give_nearly_the_pixels_of_pillow() {
    for (name, largest, mean) in [
        ("rgb.jpg", 3, 0.3),
        ("progressive.jpg", 3, 0.3),
        ("gray.jpg", 2, 0.3),
        ("cmyk.jpg", 4, 0.5),
        ("turned3.jpg", 3, 0.3),
        ("turned6.jpg", 3, 0.3),
        ("turned7.jpg", 3, 0.3),
        ("lossy.webp", 3, 0.5),
        ("subsampled.jpg", 12, 0.8),
    ] {
        let found = decode(&fixture(name)).unwrap();
        let expected = pixels(&(name.replace('.', "_") + ".ppm"));
        let difference = difference(&found, &expected);
        assert!(
            difference.0 <= largest && difference.1 <= mean,
            "{name}: {difference:?}"
        );
    }
}

#[test]
fn resampling_is_that_of_pillow_to_the_bit() {
    let scene = decode(&fixture("rgb.png")).unwrap();
    for (word, filter) in [("bicubic", Filter::Bicubic), ("bilinear", Filter::Bilinear)] {
        for (width, height) in [(17, 11), (56, 9), (96, 70), (48, 10)] {
            let found = resize(&scene, width, height, filter);
            let expected = pixels(&format!("resize_{word}_{width}x{height}.ppm"));
            let difference = difference(&found, &expected);
            assert_eq!(difference, (0, 0.0), "{word} {width} x {height}");
        }
    }
    let settings = Preprocessing {
        size: 16,
        resize: Some(20),
        ..Preprocessing::default()
    };
    let difference = difference(&settings.square(&scene), &pixels("crop_20_16.ppm"));
    assert_eq!(difference, (0, 0.0));
}

#[test]
fn files_that_end_too_early_are_damaged() {
    for name in ["rgb.png", "frames.gif", "alpha.webp", "rgb.bmp"] {
        let bytes = fixture(name);
        let cut = decode(&bytes[..bytes.len() / 2]);
        assert!(matches!(cut, Err(Problem::Damaged(_))), "{name}: {cut:?}");
    }
    // The header of a JPEG without its scan.
    let bytes = fixture("rgb.jpg");
    let cut = decode(&bytes[..200]);
    assert!(matches!(cut, Err(Problem::Damaged(_))), "{cut:?}");
}
