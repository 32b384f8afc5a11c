//! Pictures that stand in the lines of a text file: an id, a tab, and the picture in Base64.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use truepair_core::dataset::{Account, Picture, PictureColumn};
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use super::base64;
use super::judged::Items;
use crate::text_file::open_regular;

/// Bytes of one line.
const LONGEST: u64 = 1 << 28;

/// Where the pictures of a file begin and end.
pub(super) struct Base64Pictures {
    path: PathBuf,
    /// First byte, number of bytes, and number of the line, by picture.
    lines: Vec<(u64, u32, u64)>,
}

impl Base64Pictures {
    /// Reads the file once for its ids and checks every picture's Base64; what cannot be a picture
    /// is noted by its line.
    ///
    /// # Errors
    /// If the file cannot be read, a line has no tab, or an id was used before.
    pub(super) fn open(path: &Path, account: &mut Account) -> Result<Items<Picture>> {
        let failed = |source| Error::io(path, "read", source);
        let mut reader = BufReader::new(open_regular(path)?);
        let mut found: Items<()> = Items::default();
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        let (mut start, mut number) = (0, 0);
        loop {
            line.clear();
            let n = (&mut reader).take(LONGEST + 1).read_until(b'\n', &mut line);
            let n = n.map_err(failed)? as u64;
            if n == 0 {
                break;
            }
            number += 1;
            let place = Place::Line(number);
            if n > LONGEST {
                let problem = format!("more than {LONGEST} bytes without a line end");
                let remedy = "write one picture a line";
                return Err(Error::data(path, place, problem, remedy));
            }
            if let Some((id, at)) = fields(path, place, &line)? {
                match base64::check(&line[at..]) {
                    Ok(()) => {
                        found.add(path, place, id, ())?;
                        lines.push((start + at as u64, (n - at as u64) as u32, number));
                    }
                    Err(problem) => {
                        let name = format!("line {number}, id {id}: {problem}");
                        account.pass("picture", "its Base64 is broken", name);
                    }
                }
            }
            start += n;
        }
        let column = Arc::new(Self {
            path: path.to_path_buf(),
            lines,
        });
        let mut pictures = Items::default();
        for (record, id) in (0..).zip(found.ids) {
            let column: Arc<dyn PictureColumn> = column.clone();
            let place = Place::Record(u64::from(record) + 1);
            pictures.add(path, place, id, Picture::Value { column, record })?;
        }
        Ok(pictures)
    }
}

/// The id of a line, and where the picture begins; `None` of an empty line.
fn fields(path: &Path, place: Place, line: &[u8]) -> Result<Option<(String, usize)>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let refuse = |problem: &str, remedy: &str| Err(Error::data(path, place, problem, remedy));
    let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
        return refuse("no tab in the line", "write id, tab, picture in Base64");
    };
    let id = line[..tab].strip_prefix(b"\xef\xbb\xbf");
    let id = std::str::from_utf8(id.unwrap_or(&line[..tab]));
    match id.map(str::trim) {
        Ok(id) => Ok(Some((id.to_owned(), tab + 1))),
        Err(_) => refuse("the id is not valid UTF-8", "save the file as UTF-8"),
    }
}

impl PictureColumn for Base64Pictures {
    fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self, record: u32) -> String {
        let line = self.lines.get(record as usize);
        line.map_or_else(String::new, |(_, _, line)| format!("line {line}"))
    }

    fn read(&self, record: u32) -> Result<Vec<u8>, String> {
        let of_line = self.lines.get(record as usize);
        let (start, len, _) = *of_line.ok_or("there is no such line")?;
        let read = || {
            let mut file = source_file::open(&self.path)?;
            file.seek(SeekFrom::Start(start))?;
            let mut text = vec![0; len as usize];
            file.read_exact(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|cause: std::io::Error| format!("cannot be read: {cause}"))?;
        base64::decode(&text)
    }
}

impl fmt::Debug for Base64Pictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.lines.len();
        write!(f, "Base64Pictures({}, {n})", self.path.display())
    }
}
