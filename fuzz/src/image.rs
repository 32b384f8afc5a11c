//! Pictures: JPEG, PNG, WebP, GIF and BMP, and the settings by which they are prepared.

use truepair_image::{
    KnownPreprocessing, MAX_PIXELS, PictureFormat, Preprocessing, decode_with_remark, jpeg,
};

use crate::scratch;

/// Pixels of a picture that is also prepared and decoded a second time.
const SMALL: usize = 1 << 16;

pub(crate) fn image(data: &[u8]) {
    if data.first() == Some(&b'{') {
        return settings(data);
    }
    let Ok((picture, _)) = decode_with_remark(data) else {
        return;
    };
    assert!(PictureFormat::of(data).is_some());
    let (width, height) = (picture.width(), picture.height());
    assert!((width * height) as u64 <= MAX_PIXELS);
    assert_eq!(picture.values().len(), 3 * width * height);
    if width * height > SMALL {
        return;
    }
    let (again, _) = decode_with_remark(data).expect("what was read once is read again");
    assert_eq!(picture.values(), again.values());
    let prepared = Preprocessing {
        size: 8,
        ..Preprocessing::clip()
    };
    let planes = prepared.planes(&picture);
    assert_eq!(planes.len(), 3 * 8 * 8);
    assert!(planes.iter().all(|number| number.is_finite()));
    if let Ok(thumbnail) = jpeg(&picture, 80) {
        let (read, _) = decode_with_remark(&thumbnail).expect("a picture that was just written");
        assert_eq!((read.width(), read.height()), (width, height));
    }
}

/// The files in which exporters put these settings.
fn settings(data: &[u8]) {
    for name in KnownPreprocessing::FILES {
        scratch::with_file(name, data, |path| {
            let Ok(Some(known)) = KnownPreprocessing::read(path) else {
                return;
            };
            assert_eq!(known, known.or(&KnownPreprocessing::default()));
        });
    }
}
