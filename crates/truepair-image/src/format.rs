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
