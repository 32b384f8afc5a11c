//! SHA-256 of data, noise and files, as the hexadecimal text that every record of a run holds.

use std::io::{ErrorKind, Read};

use sha2::{Digest as _, Sha256};

/// Bytes read at once.
const BLOCK: usize = 1 << 20;

/// A SHA-256 of everything that is added, in order.
///
/// ```
/// use truepair_core::digest::Digest;
///
/// let mut digest = Digest::new();
/// digest.add(b"ab");
/// digest.add(b"c");
/// assert_eq!(&digest.hex()[..8], "ba7816bf");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// The digest of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds everything that `from` yields until its end.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn add_all(&mut self, from: &mut dyn Read) -> std::io::Result<()> {
        let mut block = vec![0; BLOCK];
        loop {
            match from.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(n) => self.add(&block[..n]),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }

    /// The 64 hexadecimal digits, lower case.
    pub fn hex(self) -> String {
        let bytes = self.0.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_and_its_bytes_give_one_digest() {
        let bytes = vec![7u8; BLOCK + 3];
        let (mut whole, mut read) = (Digest::new(), Digest::new());
        whole.add(&bytes);
        read.add_all(&mut bytes.as_slice()).unwrap();
        let (whole, read) = (whole.hex(), read.hex());
        assert_eq!((whole.len(), &whole), (64, &read));
    }
}
