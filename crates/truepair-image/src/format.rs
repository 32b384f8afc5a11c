//! Which format a picture has, by its first bytes, since endings lie.

/// A format of pictures that [`decode`](crate::decode) reads.
///
/// ```
/// use truepair_image::PictureFormat;
///
/// let found = PictureFormat::of(b"GIF89a...");
/// assert_eq!(found.map(PictureFormat::media_type), Some("image/gif"));
/// assert_eq!(PictureFormat::of(b"a caption"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// GIF.
    Gif,
    /// BMP.
    Bmp,
}

impl PictureFormat {
    /// The format that the first bytes announce; `None` for every other content.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let is_riff = bytes.starts_with(b"RIFF");
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', ..] => Some(Self::Gif),
            [b'B', b'M', ..] => Some(Self::Bmp),
            _ if is_riff && bytes.get(8..12) == Some(b"WEBP") => Some(Self::WebP),
            _ => None,
        }
    }

    /// The media type, for instance `image/png`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
        }
    }
}

/// Pictures that are not decoded, by their first bytes: `None` for every other content.
pub(crate) fn not_decoded(bytes: &[u8]) -> Option<&'static str> {
    let brand = bytes.get(4..12);
    let start = bytes.trim_ascii_start();
    match bytes {
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some("TIFF"),
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some("JPEG XL"),
        [b'8', b'B', b'P', b'S', ..] => Some("Photoshop"),
        _ if matches!(brand, Some(b"ftypavif" | b"ftypavis")) => Some("AVIF"),
        _ if matches!(
            brand,
            Some(b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypmsf1")
        ) =>
        {
            Some("HEIC")
        }
        _ if start.starts_with(b"<svg") => Some("SVG"),
        _ if start.starts_with(b"<?xml") && start.windows(4).take(4096).any(|w| w == b"<svg") => {
            Some("SVG")
        }
        _ => None,
    }
}
