//! How an encoder's pictures are prepared, as public exporters write it down.

use std::path::Path;

use serde_json::Value;
use truepair_core::error::Place;
use truepair_core::source_file;
use truepair_core::{Error, Result};

use crate::preprocess::{Fit, Preprocessing};
use crate::resize::Filter;

/// What is known of a [`Preprocessing`]; the rest is open.
///
/// ```
/// use truepair_image::{KnownPreprocessing, Preprocessing};
///
/// let given = KnownPreprocessing { size: Some(384), ..KnownPreprocessing::default() };
/// let found = KnownPreprocessing::from(&Preprocessing::clip());
/// let both = given.or(&found);
/// assert_eq!((both.size, both.mean), (Some(384), found.mean));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KnownPreprocessing {
    /// Side of the square in pixels.
    pub size: Option<usize>,
    /// Shorter side before the middle is cut out.
    pub resize: Option<usize>,
    /// What happens to pictures that are not square.
    pub fit: Option<Fit>,
    /// Kernel of the resampling.
    pub filter: Option<Filter>,
    /// Mean of each color, of values in [0, 1].
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of each color, of values in [0, 1].
    pub std: Option<[f32; 3]>,
}

impl From<&Preprocessing> for KnownPreprocessing {
    fn from(whole: &Preprocessing) -> Self {
        Self {
            size: Some(whole.size),
            resize: whole.resize,
            fit: Some(whole.fit),
            filter: Some(whole.filter),
            mean: Some(whole.mean),
            std: Some(whole.std),
        }
    }
}

impl KnownPreprocessing {
    /// The files in which exporters put these settings, the best first.
    pub const FILES: [&'static str; 3] = [
        "preprocessor_config.json",
        "processor_config.json",
        "open_clip_config.json",
    ];

    /// What is known here, and of `other` what is open here. A shorter side belongs to its size.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let resize = match self.size {
            Some(_) => self.resize,
            None => self.resize.or(other.resize),
        };
        Self {
            size: self.size.or(other.size),
            resize,
            fit: self.fit.or(other.fit),
            filter: self.filter.or(other.filter),
            mean: self.mean.or(other.mean),
            std: self.std.or(other.std),
        }
    }

    /// The settings in one of the [`FILES`](Self::FILES); `None` where it says nothing of pictures.
    ///
    /// # Errors
    /// If the file cannot be read, or asks for what cannot be done; the message names the key.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let bad = |problem: String| {
            let remedy = "correct the file, or give the settings as arguments";
            Error::data(path, Place::Whole, problem, remedy)
        };
        let bytes = source_file::read(path, source_file::SETTINGS)
            .map_err(|source| Error::io(path, "read", source))?;
        let file: Value = serde_json::from_slice(&bytes)
            .map_err(|cause| bad(format!("not preprocessing settings: {cause}")))?;
        let found = if file["preprocess_cfg"].is_object() {
            of_open_clip(&file).map(Some)
        } else if file["image_processor"].is_object() {
            of_transformers(&file["image_processor"]).map(Some)
        } else if of_pictures(&file) {
            of_transformers(&file).map(Some)
        } else {
            Ok(None)
        };
        found.map_err(bad)
    }
}

/// Whether an object has keys of pictures: processors of texts alone are stored in files of the same
/// name.
fn of_pictures(file: &Value) -> bool {
    let keys = ["size", "crop_size", "image_mean", "image_std", "do_resize"];
    keys.iter().any(|key| !file[*key].is_null())
}

type Found<T> = std::result::Result<T, String>;

/// The keys of transformers' image processors.
fn of_transformers(file: &Value) -> Found<KnownPreprocessing> {
    let asks = |key: &str, default: bool| file[key].as_bool().unwrap_or(default);
    if !asks("do_resize", true) {
        return Err("do_resize = false, expected pictures that are resized".into());
    }
    if asks("do_pad", false) {
        return Err("do_pad = true, which is not supported".into());
    }
    let side_of = |key: &str| Some(&file[key]).filter(|size| !size.is_null()).map(side);
    let (shorter, crop) = (
        side_of("size").transpose()?,
        side_of("crop_size").transpose()?,
    );
    let cuts = asks("do_center_crop", crop.is_some());
    let stretched = file["size"].get("height").is_some() && !cuts;
    let size = match (cuts, crop, shorter) {
        (true, Some(crop), _) => Some(crop),
        (_, _, shorter) => shorter,
    };
    let mut found = KnownPreprocessing {
        size,
        resize: shorter.filter(|shorter| cuts && Some(*shorter) != size),
        fit: Some(if stretched { Fit::Stretch } else { Fit::Crop }),
        filter: match file["resample"].as_u64() {
            Some(3) => Some(Filter::Bicubic),
            Some(2) => Some(Filter::Bilinear),
            None if file["resample"].is_null() => None,
            _ => return Err(format!("resample = {}, expected 2 or 3", file["resample"])),
        },
        ..KnownPreprocessing::default()
    };
    // Those of ConvNeXt: below 384 pixels the middle is cut out of a larger picture.
    if let (Some(part), Some(size)) = (file["crop_pct"].as_f64(), size) {
        let larger = (size as f64 / part) as usize;
        (found.resize, found.fit) = match size {
            ..384 => (Some(larger), Some(Fit::Crop)),
            _ => (None, Some(Fit::Stretch)),
        };
    }
    (found.mean, found.std) = scale_of(file)?;
    Ok(found)
}

/// A number of each color, where it is known.
type Colors = Option<[f32; 3]>;

/// Mean and deviation of values in [0, 1], where `file` counts otherwise too.
fn scale_of(file: &Value) -> Found<(Colors, Colors)> {
    let asks = |key: &str, default: bool| file[key].as_bool().unwrap_or(default);
    let factor = match asks("do_rescale", true) {
        true => file["rescale_factor"].as_f64().unwrap_or(1.0 / 255.0),
        false => 1.0,
    };
    let (mut mean, mut std) = match asks("do_normalize", true) {
        true => (three(file, "image_mean")?, three(file, "image_std")?),
        false => (Some([0.0; 3]), Some([1.0; 3])),
    };
    if asks("rescale_offset", false) {
        mean = mean.map(|mean| mean.map(|mean| mean + 1.0));
    }
    // What is one white pixel there.
    let white = (255.0 * factor) as f32;
    if !(white > 0.0 && white.is_finite()) {
        return Err(format!("rescale_factor = {factor}"));
    }
    if (white - 1.0).abs() > 1e-3 {
        mean = mean.map(|mean| mean.map(|mean| mean / white));
        std = std.map(|std| std.map(|std| std / white));
    }
    Ok((mean, std))
}

/// The keys of open_clip.
fn of_open_clip(file: &Value) -> Found<KnownPreprocessing> {
    let prepare = &file["preprocess_cfg"];
    let size = match &prepare["size"] {
        Value::Null => &file["model_cfg"]["vision_cfg"]["image_size"],
        size => size,
    };
    let fit = match prepare["resize_mode"].as_str() {
        None | Some("shortest") => Fit::Crop,
        Some("squash") => Fit::Stretch,
        Some(other) => {
            return Err(format!(
                "resize_mode = {other}, expected shortest or squash"
            ));
        }
    };
    let filter = match prepare["interpolation"].as_str() {
        None => None,
        Some("bicubic") => Some(Filter::Bicubic),
        Some("bilinear") => Some(Filter::Bilinear),
        Some(other) => {
            return Err(format!(
                "interpolation = {other}, expected bicubic or bilinear"
            ));
        }
    };
    Ok(KnownPreprocessing {
        size: (!size.is_null()).then(|| side(size)).transpose()?,
        resize: None,
        fit: Some(fit),
        filter,
        mean: three(prepare, "mean")?,
        std: three(prepare, "std")?,
    })
}

/// A number of each color, or one for all of them.
fn three(file: &Value, key: &str) -> Found<Colors> {
    let value = &file[key];
    if value.is_null() {
        return Ok(None);
    }
    if let Some(one) = value.as_f64() {
        return Ok(Some([one as f32; 3]));
    }
    let found: Option<[f32; 3]> = serde_json::from_value(value.clone()).ok();
    found
        .map(Some)
        .ok_or_else(|| format!("{key} = {value}, expected three numbers"))
}

/// A number, a pair of equal ones, or an object with the shorter side or a square's height.
fn side(value: &Value) -> Found<usize> {
    let keys = ["shortest_edge", "height"];
    let of_pair = || value.as_array()?.first()?.as_u64();
    let number = (value.as_u64())
        .or_else(|| keys.iter().find_map(|key| value.get(key)?.as_u64()))
        .or_else(of_pair);
    let square = match (value.get("height"), value.get("width"), value.as_array()) {
        (Some(height), Some(width), _) => height == width,
        (_, _, Some(sides)) => sides.len() == 2 && sides[0] == sides[1],
        _ => true,
    };
    match number.map(|number| number as usize) {
        Some(number @ 1..=4096) if square => Ok(number),
        _ => Err(format!("a size of {value}, expected a square of pixels")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Option<KnownPreprocessing>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        KnownPreprocessing::read(&path)
    }

    fn known(name: &str, text: &str) -> KnownPreprocessing {
        read(name, text).unwrap().unwrap()
    }

    #[test]
    fn image_processors_are_understood() {
        let found = known(
            "preprocessor_config.json",
            r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
                "resample": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                "do_center_crop": true, "feature_extractor_type": "x"}"#,
        );
        let expected = KnownPreprocessing {
            size: Some(224),
            resize: Some(256),
            fit: Some(Fit::Crop),
            filter: Some(Filter::Bilinear),
            mean: Some([0.5; 3]),
            std: Some([0.5; 3]),
        };
        assert_eq!(found, expected);
        let inside = known(
            "processor_config.json",
            r#"{"image_processor": {"size": {"height": 384, "width": 384}, "do_normalize": false},
                "processor_class": "SiglipProcessor"}"#,
        );
        assert_eq!(
            (inside.size, inside.fit, inside.std, inside.filter),
            (Some(384), Some(Fit::Stretch), Some([1.0; 3]), None)
        );
        let text = r#"{"processor_class": "CLIPProcessor"}"#;
        assert_eq!(read("processor_config.json", text).unwrap(), None);
    }

    #[test]
    fn values_that_are_counted_otherwise_are_counted_from_0_to_1() {
        let bytes = known(
            "preprocessor_config.json",
            r#"{"size": 224, "do_rescale": false, "image_mean": [127.0, 127.0, 127.0],
                "image_std": [128.0, 128.0, 128.0]}"#,
        );
        assert_eq!(bytes.mean, Some([127.0 / 255.0; 3]));
        assert_eq!(bytes.std, Some([128.0 / 255.0; 3]));
        let halves = known(
            "preprocessor_config.json",
            r#"{"size": 224, "rescale_factor": 0.00784313725, "rescale_offset": true,
                "do_normalize": false}"#,
        );
        // 2 x - 1 is (x - 0.5) / 0.5.
        let close = |found: Option<[f32; 3]>| (found.unwrap()[0] - 0.5).abs() < 1e-5;
        assert!(close(halves.mean) && close(halves.std), "{halves:?}");
        let part = known(
            "preprocessor_config.json",
            r#"{"size": 224, "crop_pct": 0.875}"#,
        );
        assert_eq!((part.size, part.resize), (Some(224), Some(256)));
    }

    #[test]
    fn open_clip_is_understood() {
        let found = known(
            "open_clip_config.json",
            r#"{"model_cfg": {"vision_cfg": {"image_size": 256}},
                "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5],
                "interpolation": "bicubic", "resize_mode": "squash"}}"#,
        );
        assert_eq!(
            (found.size, found.fit, found.mean),
            (Some(256), Some(Fit::Stretch), Some([0.1, 0.2, 0.3]))
        );
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        for (name, text, word) in [
            (
                "preprocessor_config.json",
                r#"{"size": {"height": 384, "width": 200}}"#,
                "square",
            ),
            (
                "preprocessor_config.json",
                r#"{"size": 2, "do_resize": false}"#,
                "do_resize",
            ),
            (
                "preprocessor_config.json",
                r#"{"size": 2, "resample": 0}"#,
                "resample = 0",
            ),
            (
                "preprocessor_config.json",
                r#"{"size": 2, "image_mean": [1]}"#,
                "image_mean",
            ),
            (
                "open_clip_config.json",
                r#"{"preprocess_cfg": {"resize_mode": "longest"}}"#,
                "longest",
            ),
            (
                "preprocessor_config.json",
                "{",
                "not preprocessing settings",
            ),
        ] {
            let error = read(name, text).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(word), "{error}");
        }
    }
}
