//! One pass over an archive: what its members are called, where they lie, and of the small ones that
//! are asked for, what they hold.

use std::collections::HashMap;
use std::path::Path;

use truepair_core::dataset::Account;
use truepair_core::error::{Error, Place, Result};

use super::header::{BLOCK, Extension, Header, text};
use super::tape::{Packing, Tape};

/// Longest extension of a header; real ones hold a path.
const EXTENSION_BYTES: u64 = 1 << 20;
/// Zeros after the end of an archive in which another one is looked for.
const ZEROS_BYTES: u64 = 1 << 26;

/// A regular file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dataset) struct Member {
    /// Path inside the archive, without a leading `./`.
    pub(in crate::dataset) name: String,
    /// Offset of the first byte, in the unpacked archive.
    pub(in crate::dataset) start: u64,
    /// Bytes.
    pub(in crate::dataset) len: u64,
    pub(in crate::dataset) storage: Storage,
}

/// How the bytes of a member are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataset) enum Storage {
    /// One after the other.
    Whole,
    /// Without the runs of zeros, which a map lists.
    Sparse,
}

/// The bytes of the member that a scan stands at.
pub(in crate::dataset) struct Content<'a> {
    tape: &'a mut Tape,
    len: u64,
}

impl Content<'_> {
    /// The bytes; `None` where there are more than `limit`, or the archive ends inside them.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(in crate::dataset) fn up_to(&mut self, limit: u64) -> Result<Option<Vec<u8>>> {
        if self.len > limit {
            return Ok(None);
        }
        let mut bytes = vec![0; self.len as usize];
        let filled = self.tape.fill(&mut bytes)?;
        Ok((filled == bytes.len()).then_some(bytes))
    }
}

/// What a scan found.
#[derive(Debug)]
pub(in crate::dataset) struct Scan<T> {
    /// Regular files in their order, with what was read of each.
    pub(in crate::dataset) entries: Vec<(Member, T)>,
    pub(in crate::dataset) account: Account,
    pub(in crate::dataset) packing: Packing,
}

/// Reads the headers of an archive (v7, ustar, GNU, PAX), and of each member what `read` wants.
///
/// Archives that were put together with `cat` are read to the last one's end, as GNU tar does with
/// `--ignore-zeros`. A hard link to a member before it is that member under another name.
///
/// # Errors
/// If the file cannot be read or a header is damaged, and those of `read`.
pub(in crate::dataset) fn scan<T: Clone>(
    path: &Path,
    mut read: impl FnMut(&Member, &mut Content<'_>) -> Result<T>,
) -> Result<Scan<T>> {
    let mut scanner = Scanner {
        path,
        tape: Tape::open(path)?,
        extension: Extension::default(),
        account: Account::default(),
    };
    let mut entries: Vec<(Member, T)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    while let Some(header) = scanner.next_header()? {
        let member = match scanner.member(&header)? {
            Some(Found::Member(member)) => member,
            Some(Found::HardLink { name, target }) => {
                // Only what was read before is looked up, so links cannot lead around in a circle.
                match places.get(&target).map(|at| entries[*at].clone()) {
                    Some((member, found)) => {
                        places.insert(name.clone(), entries.len());
                        entries.push((Member { name, ..member }, found));
                    }
                    None => {
                        let why =
                            "it is a hard link to a member that is not in the archive before it";
                        scanner.account.pass("member", why, name);
                    }
                }
                continue;
            }
            None => continue,
        };
        if !scanner.tape.may_hold(member.len) {
            scanner.cut_inside(&member.name);
            break;
        }
        let mut content = Content {
            tape: &mut scanner.tape,
            len: member.len,
        };
        let found = read(&member, &mut content)?;
        if !scanner.leave(member.start, member.len)? {
            scanner.cut_inside(&member.name);
            break;
        }
        places.insert(member.name.clone(), entries.len());
        entries.push((member, found));
    }
    Ok(Scan {
        entries,
        account: scanner.account,
        packing: scanner.tape.packing(),
    })
}

struct Scanner<'a> {
    path: &'a Path,
    tape: Tape,
    /// What was said of the next member.
    extension: Extension,
    account: Account,
}

/// What a header stands before.
enum Found {
    Member(Member),
    /// A member before it, by another name.
    HardLink {
        name: String,
        target: String,
    },
}

/// What stands where a header is expected.
enum Block {
    Header(Header),
    Zeros,
    /// Nothing, or part of a block.
    End,
    Other(String),
}

impl Scanner<'_> {
    /// The next header of a member; `None` at the end of the archive.
    fn next_header(&mut self) -> Result<Option<Header>> {
        match self.block()? {
            Block::Header(header) => Ok(Some(header)),
            Block::End => {
                let why = "the archive has no mark of its end, so it was cut or is still written";
                self.account.pass("rest of a shard", why, self.name());
                Ok(None)
            }
            Block::Zeros => self.header_after_zeros(),
            Block::Other(problem) => Err(self.damaged(&problem, self.tape.at() - BLOCK as u64)),
        }
    }

    fn header_after_zeros(&mut self) -> Result<Option<Header>> {
        let first = self.tape.at();
        while self.tape.at() - first <= ZEROS_BYTES {
            match self.block()? {
                Block::Zeros => {}
                Block::End => return Ok(None),
                Block::Header(header) => {
                    let how = "it goes on after its end, as archives put together with cat do, and \
                               is read to the last end";
                    self.account.chose_for("shard", how, self.name());
                    return Ok(Some(header));
                }
                Block::Other(_) => {
                    let why = "what follows its end is not a tar archive";
                    self.account.pass("rest of a shard", why, self.name());
                    return Ok(None);
                }
            }
        }
        let why = "what follows many zeros after its end was not looked at";
        self.account.pass("rest of a shard", why, self.name());
        Ok(None)
    }

    fn block(&mut self) -> Result<Block> {
        let mut block = [0; BLOCK];
        if self.tape.fill(&mut block)? < BLOCK {
            return Ok(Block::End);
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(Block::Zeros);
        }
        Ok(Header::parse(&block).map_or_else(Block::Other, Block::Header))
    }

    /// The regular file that the header stands before; of anything else, what it says is taken up
    /// and its bytes are left out.
    fn member(&mut self, header: &Header) -> Result<Option<Found>> {
        match header.kind {
            b'L' => {
                let content = self.extension_of(header)?;
                self.extension.name.get_or_insert(text(&content));
                return Ok(None);
            }
            b'x' | b'X' => {
                let at = self.tape.at();
                let content = self.extension_of(header)?;
                if self.extension.add_pax(&content).is_none() {
                    return Err(self.damaged("an extended header that cannot be read", at));
                }
                return Ok(None);
            }
            b'K' => {
                let content = self.extension_of(header)?;
                self.extension.link.get_or_insert(text(&content));
                return Ok(None);
            }
            // What is said of all members.
            b'g' => {
                self.leave(self.tape.at(), header.len)?;
                return Ok(None);
            }
            _ => {}
        }
        let extension = std::mem::take(&mut self.extension);
        let name = extension.name.unwrap_or_else(|| header.name.clone());
        let len = extension.len.unwrap_or(header.len);
        if header.kind == b'1' {
            let target = extension.link.unwrap_or_else(|| header.link.clone());
            return Ok(Some(Found::HardLink {
                name: plain_name(&name),
                target: plain_name(&target),
            }));
        }
        let is_regular = matches!(header.kind, 0 | b'0' | b'7' | b'S') && !name.ends_with('/');
        if !is_regular {
            self.pass_over(header.kind, &name, len)?;
            return Ok(None);
        }
        if header.has_more_map {
            self.skip_map()?;
        }
        Ok(Some(Found::Member(Member {
            name: plain_name(&name),
            start: self.tape.at(),
            len,
            storage: match header.kind == b'S' || extension.is_sparse {
                true => Storage::Sparse,
                false => Storage::Whole,
            },
        })))
    }

    fn pass_over(&mut self, kind: u8, name: &str, len: u64) -> Result<()> {
        match kind {
            b'2' => {
                let why =
                    "it is a symbolic link; store the file itself, as tar does with --dereference";
                self.account.pass("member", why, name);
            }
            0 | b'0' | b'5' | b'7' | b'S' => self.account.used("folder of an archive", 1),
            // A label of the whole archive.
            b'V' => {}
            _ => {
                let why = "it is not a regular file";
                self.account.pass("member", why, name);
            }
        }
        // Folders, links and devices have no bytes, whatever their size says.
        if !matches!(kind, b'1'..=b'6') {
            self.leave(self.tape.at(), len)?;
        }
        Ok(())
    }

    /// The blocks of GNU's maps of holes; the last byte in use of each says whether another follows.
    fn skip_map(&mut self) -> Result<()> {
        let mut block = [0; BLOCK];
        while self.tape.fill(&mut block)? == BLOCK && block[504] != 0 {}
        Ok(())
    }

    fn extension_of(&mut self, header: &Header) -> Result<Vec<u8>> {
        let at = self.tape.at();
        if header.len > EXTENSION_BYTES {
            let problem = format!("an extended header of {} bytes", header.len);
            return Err(self.damaged(&problem, at));
        }
        let mut content = vec![0; header.len as usize];
        self.tape.fill(&mut content)?;
        self.leave(at, header.len)?;
        Ok(content)
    }

    /// Goes behind the `len` bytes that begin at `start`, and says whether they were there.
    fn leave(&mut self, start: u64, len: u64) -> Result<bool> {
        let block = BLOCK as u64;
        let Some(padded) = len.checked_next_multiple_of(block) else {
            return Ok(false);
        };
        let Some(end) = start.checked_add(padded) else {
            return Ok(false);
        };
        let left = end - self.tape.at();
        let skipped = self.tape.skip(left)?;
        // The last block of a cut archive may be short and its member whole all the same.
        Ok(left - skipped <= padded - len)
    }

    fn cut_inside(&mut self, name: &str) {
        let why = "the archive ends inside it";
        self.account.pass("member", why, name);
    }

    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn damaged(&self, problem: &str, at: u64) -> Error {
        Error::data(
            self.path,
            Place::Whole,
            format!("{problem} at byte {at}"),
            "it is not a tar archive or was damaged: copy or write it again",
        )
    }
}

/// The name without a leading `./`.
fn plain_name(name: &str) -> String {
    name.trim_start_matches("./").to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::write::{archive, entry};
    use super::*;

    fn scan_of(bytes: &[u8]) -> Result<Scan<()>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        std::fs::write(&path, bytes).unwrap();
        scan(&path, |_, _| Ok(()))
    }

    fn names(scan: &Scan<()>) -> Vec<&str> {
        let names = scan.entries.iter().map(|(member, ())| member.name.as_str());
        names.collect()
    }

    #[test]
    fn members_are_found_under_long_names_too() {
        let long = "x".repeat(130) + ".jpg";
        let mut bytes = entry("folder/", b'5', b"");
        bytes.extend(entry("./a.jpg", b'0', &[7; 513]));
        bytes.extend(entry("././@LongLink", b'L', format!("{long}\0").as_bytes()));
        bytes.extend(entry("xxx", b'0', b"12"));
        bytes.extend(entry("pax", b'g', b"20 comment=the whole\n"));
        bytes.extend(entry("pax", b'x', "15 path=é.jpg\n".as_bytes()));
        bytes.extend(entry("yyy", b'7', b"3"));
        bytes.extend([0; 1024]);
        let found = scan_of(&bytes).unwrap();
        assert_eq!(names(&found), ["a.jpg", &long, "é.jpg"]);
        let first = &found.entries[0].0;
        assert_eq!((first.start, first.len), (1024, 513));
        assert_eq!(found.account.summary(), None);
    }

    #[test]
    fn what_a_cut_archive_holds_whole_is_kept() {
        let bytes = archive(&[("a", &[1; 600]), ("b", &[2; 600])]);
        let found = scan_of(&bytes[..2300]).unwrap();
        assert_eq!(names(&found), ["a"]);
        let line = found.account.summary().unwrap();
        assert!(line.contains("the archive ends inside it (b)"), "{line}");
        let found = scan_of(&bytes[..3072]).unwrap();
        assert_eq!(names(&found), ["a", "b"]);
        assert!(
            found
                .account
                .summary()
                .unwrap()
                .contains("no mark of its end")
        );
        let error = scan_of(&[b'x'; 1024]).unwrap_err().to_string();
        assert!(error.contains("no tar header at byte 0"), "{error}");
    }

    #[test]
    fn archives_put_together_are_read_to_the_last_end() {
        let mut bytes = archive(&[("a", b"1")]);
        bytes.extend([0; 9216]);
        bytes.extend(archive(&[("b", b"2")]));
        let found = scan_of(&bytes).unwrap();
        assert_eq!(names(&found), ["a", "b"]);
        let line = found.account.summary().unwrap();
        assert!(line.contains("1 shard: it goes on after its end"), "{line}");
        let mut bytes = archive(&[("a", b"1")]);
        bytes.extend([b'x'; 600]);
        let found = scan_of(&bytes).unwrap();
        assert_eq!(names(&found), ["a"]);
        assert!(
            found
                .account
                .summary()
                .unwrap()
                .contains("is not a tar archive (a.tar)")
        );
    }

    #[test]
    fn links_and_holes_are_told() {
        let mut sparse = entry("s.bmp", b'S', &[1; 512]);
        // One more block of the map follows the header.
        sparse[482] = 1;
        let sum: u32 = sparse[..512].iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = sparse[148..156].iter().map(|byte| u32::from(*byte)).sum();
        let sum = format!("{:06o}\0 ", sum - own + 8 * 32);
        sparse[148..156].copy_from_slice(sum.as_bytes());
        sparse.splice(512..512, [0; 512]);
        let mut bytes = sparse;
        bytes.extend(entry("l.jpg", b'2', b""));
        let records = "22 GNU.sparse.major=1\n30 GNU.sparse.name=p/real.bmp\n";
        bytes.extend(entry("pax", b'x', records.as_bytes()));
        bytes.extend(entry("GNUSparseFile.1/real.bmp", b'0', b"map"));
        bytes.extend([0; 1024]);
        let found = scan_of(&bytes).unwrap();
        assert_eq!(names(&found), ["s.bmp", "p/real.bmp"]);
        let is_sparse = |(member, ()): &(Member, ())| member.storage == Storage::Sparse;
        assert!(found.entries.iter().all(is_sparse));
        assert_eq!(found.entries[0].0.start, 1024);
        assert!(
            found
                .account
                .summary()
                .unwrap()
                .contains("it is a symbolic link")
        );
    }

    #[test]
    fn hard_links_are_members_before_them_and_never_lead_around() {
        let mut bytes = Vec::new();
        for (name, target) in [
            ("./a.jpg", ""),
            ("b.jpg", "a.jpg"),
            ("c.jpg", "./b.jpg"),
            ("d.jpg", "d.jpg"),
            ("e.jpg", "f.jpg"),
        ] {
            let kind = if target.is_empty() { b'0' } else { b'1' };
            let mut own = entry(name, kind, if target.is_empty() { b"12" } else { b"" });
            own[157..157 + target.len()].copy_from_slice(target.as_bytes());
            resum(&mut own);
            bytes.extend(own);
        }
        bytes.extend(entry("pax", b'x', b"18 linkpath=a.jpg\n"));
        bytes.extend(entry("g.jpg", b'1', b""));
        bytes.extend([0; 1024]);
        let found = scan_of(&bytes).unwrap();
        assert_eq!(names(&found), ["a.jpg", "b.jpg", "c.jpg", "g.jpg"]);
        let all = found
            .entries
            .iter()
            .map(|(member, ())| (member.start, member.len));
        assert!(all.into_iter().all(|place| place == (512, 2)));
        let said = found.account.summary().unwrap();
        assert!(
            said.contains("2 members: it is a hard link") && said.contains("d.jpg, e.jpg"),
            "{said}"
        );
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_or_end_the_archive() {
        let mut bytes = entry("a", b'0', b"1");
        bytes[124..136].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xf0");
        resum(&mut bytes);
        let found = scan_of(&bytes).unwrap();
        assert!(found.entries.is_empty());
        assert!(
            found
                .account
                .summary()
                .unwrap()
                .contains("ends inside it (a)")
        );
        let mut bytes = entry("a", b'L', b"1");
        bytes[124..136].copy_from_slice(b"77777777777\0");
        resum(&mut bytes);
        let error = scan_of(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("an extended header of 8589934591 bytes"),
            "{error}"
        );
    }

    fn resum(bytes: &mut [u8]) {
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
        bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}
