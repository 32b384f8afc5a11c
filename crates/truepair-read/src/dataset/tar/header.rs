//! One block before every member of a tar archive, and the extensions that correct it.

/// The unit of the format.
pub(super) const BLOCK: usize = 512;

/// Where the fields of a header lie.
mod field {
    use std::ops::Range;

    pub(super) const NAME: Range<usize> = 0..100;
    pub(super) const SIZE: Range<usize> = 124..136;
    pub(super) const SUM: Range<usize> = 148..156;
    pub(super) const KIND: usize = 156;
    pub(super) const LINK: Range<usize> = 157..257;
    pub(super) const MAGIC: Range<usize> = 257..263;
    pub(super) const PREFIX: Range<usize> = 345..500;
    /// In GNU's sparse members: whether a block with more of the map follows.
    pub(super) const MORE_MAP: usize = 482;
}

/// What a header says of its member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: String,
    /// In links: the member that is meant.
    pub(super) link: String,
    pub(super) kind: u8,
    /// Bytes that follow.
    pub(super) len: u64,
    /// Whether more blocks of a map of holes follow.
    pub(super) has_more_map: bool,
}

impl Header {
    /// Understands a block; `Err` says what is wrong with it.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, String> {
        if !is_sum_right(block) {
            return Err("no tar header".into());
        }
        let prefix = match &block[field::MAGIC] {
            // GNU's own headers have other fields there.
            b"ustar\0" => text(&block[field::PREFIX]),
            _ => String::new(),
        };
        let name = text(&block[field::NAME]);
        let kind = block[field::KIND];
        Ok(Self {
            name: match prefix.is_empty() {
                true => name,
                false => format!("{prefix}/{name}"),
            },
            link: text(&block[field::LINK]),
            kind,
            len: number(&block[field::SIZE])
                .ok_or("a tar header with a size that is not a number")?,
            has_more_map: kind == b'S' && block[field::MORE_MAP] != 0,
        })
    }
}

/// The checksum is taken with spaces in its own place; old programs added signed bytes.
fn is_sum_right(block: &[u8; BLOCK]) -> bool {
    let Some(stated) = octal(&block[field::SUM]) else {
        return false;
    };
    let byte = |at: usize| match field::SUM.contains(&at) {
        true => b' ',
        false => block[at],
    };
    let unsigned: i64 = (0..BLOCK).map(|at| i64::from(byte(at))).sum();
    let signed: i64 = (0..BLOCK).map(|at| i64::from(byte(at) as i8)).sum();
    i64::try_from(stated).is_ok_and(|stated| stated == unsigned || stated == signed)
}

/// Octal digits, or GNU's large binary numbers.
fn number(bytes: &[u8]) -> Option<u64> {
    if bytes[0] & 0x80 == 0 {
        return octal(bytes);
    }
    let (high, low) = bytes.split_at(bytes.len() - 8);
    let is_small = high[0] == 0x80 && high[1..].iter().all(|byte| *byte == 0);
    is_small.then(|| low.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

fn octal(bytes: &[u8]) -> Option<u64> {
    let digits = text(bytes);
    match digits.trim() {
        // Programs leave the size of folders and links empty.
        "" => Some(0),
        digits => u64::from_str_radix(digits, 8).ok(),
    }
}

/// Bytes up to the first that is zero.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// What extensions before a header say of the member after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) name: Option<String>,
    /// In links: the member that is meant.
    pub(super) link: Option<String>,
    pub(super) len: Option<u64>,
    pub(super) is_sparse: bool,
}

impl Extension {
    /// Adds the records `LENGTH KEY=VALUE\n` of a PAX header; `None` when they are damaged.
    pub(super) fn add_pax(&mut self, content: &[u8]) -> Option<()> {
        let mut rest = content;
        // Some programs fill the rest with zeros.
        while rest.first().is_some_and(|byte| *byte != 0) {
            let space = rest.iter().position(|byte| *byte == b' ')?;
            let len: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
            let record = rest.get(space + 1..len.checked_sub(1)?)?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            self.add(&record[..equals], &record[equals + 1..])?;
            rest = rest.get(len..)?;
        }
        Some(())
    }

    fn add(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            // The path of a sparse member is made up; its name stands elsewhere.
            b"path" if self.is_sparse && self.name.is_some() => {}
            b"path" => self.name = Some(text(value)),
            b"linkpath" => self.link = Some(text(value)),
            b"size" => self.len = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
            b"GNU.sparse.name" => {
                self.is_sparse = true;
                self.name = Some(text(value));
            }
            key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary_and_never_overflow() {
        assert_eq!(number(b"00000001000\0"), Some(512));
        assert_eq!(number(b"       1000 "), Some(512));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x02\0"), Some(512));
        assert_eq!(number(b"\x80\0\0\x01\0\0\0\0\0\0\x02\0"), None);
        assert_eq!(number(&[0xff; 12]), None);
        assert_eq!(number(b"12x000000000"), None);
    }

    #[test]
    fn pax_records_correct_name_and_size() {
        let mut found = Extension::default();
        found
            .add_pax("15 path=é.jpg\n19 size=8589934592\n\0\0".as_bytes())
            .unwrap();
        assert_eq!(found.name.as_deref(), Some("é.jpg"));
        assert_eq!(found.len, Some(1 << 33));
        for damaged in ["99 path=a\n", "0 path=a\n", "x path=a\n", "9 path\n"] {
            let mut found = Extension::default();
            assert_eq!(found.add_pax(damaged.as_bytes()), None, "{damaged}");
        }
    }
}
