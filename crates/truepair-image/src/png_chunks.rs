//! The chunks of a PNG file that its pixels need, without the others.
//!
//! Texts, profiles and times are none of our business, and some of them are packed: a picture of four pixels could
//! bring gigabytes of text. So the decoder never meets them.

use std::borrow::Cow;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Kinds of chunks that decide the pixels and how they are turned.
const OF_PIXELS: [&[u8; 4]; 6] = [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"];
/// The longest chunk of EXIF that is looked at: as long as one of a JPEG can be.
const LONGEST_EXIF: usize = 1 << 16;

/// The file without what its pixels do not need; what is no whole chunk stays, for the decoder to complain of.
pub(crate) fn of_pixels(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some(rest) = bytes.strip_prefix(SIGNATURE) else {
        return bytes.into();
    };
    if chunks(rest).all(|(kind, chunk)| is_of_pixels(kind, chunk)) {
        return bytes.into();
    }
    let mut kept = SIGNATURE.to_vec();
    let mut seen = 0;
    for (kind, chunk) in chunks(rest) {
        seen += chunk.len();
        if is_of_pixels(kind, chunk) {
            kept.extend(chunk);
        }
    }
    kept.extend(&rest[seen..]);
    kept.into()
}

fn is_of_pixels(kind: &[u8], chunk: &[u8]) -> bool {
    let is_long = kind == b"eXIf" && chunk.len() > LONGEST_EXIF;
    OF_PIXELS.iter().any(|known| kind == *known) && !is_long
}

/// Kind and bytes of every whole chunk: length, kind, content and checksum.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let (chunk, others) = rest.split_at_checked(length.checked_add(12)?)?;
        rest = others;
        Some((&chunk[4..8], chunk))
    })
}

/// What the first chunk says of the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) width: u32,
    pub(crate) height: u32,
    depth: u8,
    color: u8,
}

impl Header {
    /// `None` where the file does not begin with a header.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let (kind, chunk) = chunks(bytes.strip_prefix(SIGNATURE)?).next()?;
        if kind != b"IHDR" || chunk.len() < 25 {
            return None;
        }
        let number = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| chunk[at + byte]));
        Some(Self {
            width: number(8),
            height: number(12),
            depth: chunk[16],
            color: chunk[17],
        })
    }

    /// Bytes of a decoded pixel, before two bytes a sample become one.
    pub(crate) fn bytes_of_pixel(self) -> u64 {
        // Gray, color, palette, gray with alpha, color with alpha; any may be given transparency.
        let samples = match self.color {
            0 | 4 => 2,
            _ => 4,
        };
        samples * if self.depth > 8 { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [
            &(content.len() as u32).to_be_bytes()[..],
            kind,
            content,
            &[0; 4],
        ]
        .concat()
    }

    #[test]
    fn only_chunks_of_pixels_are_left_and_a_cut_file_stays_cut() {
        let header = chunk(b"IHDR", &[0, 0, 0, 7, 0, 0, 0, 9, 16, 6, 0, 0, 0]);
        let wanted = [
            SIGNATURE,
            &header,
            &chunk(b"IDAT", b"xyz"),
            &chunk(b"IEND", b""),
        ]
        .concat();
        let whole = [
            SIGNATURE,
            &header,
            &chunk(b"zTXt", &[1; 99]),
            &chunk(b"eXIf", &[1; LONGEST_EXIF]),
            &chunk(b"IDAT", b"xyz"),
            &chunk(b"iCCP", b"p"),
            &chunk(b"IEND", b""),
        ]
        .concat();
        assert_eq!(*of_pixels(&whole), wanted);
        assert!(matches!(of_pixels(&wanted), Cow::Borrowed(_)));
        let cut = of_pixels(&whole[..whole.len() - 14]).into_owned();
        assert_eq!(cut[..cut.len() - 11], wanted[..wanted.len() - 12]);
        let found = Header::of(&whole).unwrap();
        assert_eq!(
            (found.width, found.height, found.bytes_of_pixel()),
            (7, 9, 8)
        );
        assert_eq!(Header::of(b"\x89PNG\r\n\x1a\n"), None);
        assert_eq!(*of_pixels(b"GIF"), *b"GIF");
    }
}
