//! Features in a `.npy` file, with what the core does not read beside it: a scale of integers.

use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Bytes, Features, Scale};
use truepair_core::error::{Error, Place, Result};
use truepair_core::npy::{self, Header, Number};

use crate::text_file::open_regular;

/// Opens `.npy` features; integers of one byte need a scale in `NAME_scale.npy` beside them.
///
/// # Errors
/// If the file is no features, or integers without a scale.
pub(crate) fn open_npy(path: &Path, account: &mut Account) -> Result<Features> {
    drop(open_regular(path)?);
    let bytes = Bytes::map(path)?;
    let header = Header::parse(path, &bytes)?;
    note_numbers(path, &header, account);
    let is_byte = matches!(header.number, Number::Int(1) | Number::Uint(1));
    let Some(beside) = scale_beside(path).filter(|_| is_byte) else {
        return match is_byte {
            true => Err(needs_scale(
                path,
                header.number,
                "put it into NAME_scale.npy beside it",
            )),
            false => Features::from_encoded(path, bytes, &header),
        };
    };
    let scale_bytes = Bytes::map(&beside)?;
    let scale_header = Header::parse(&beside, &scale_bytes)?;
    let scale = scale_of(&beside, &scale_header, &scale_bytes, &header)?;
    account.used("scale", 1);
    Features::from_scaled(path, bytes, &header, scale)
}

fn note_numbers(path: &Path, header: &Header, account: &mut Account) {
    if header.number == Number::Bf16 {
        let name = path.file_name().unwrap_or_default().display();
        account.chose(format!(
            "{name} holds numbers of two bytes without a name, read as bfloat16, as ml_dtypes saves \
             them"
        ));
    }
}

/// Says where the numbers of a `.npy` file have no name; what else is wrong with it is for its reader
/// to say.
pub(crate) fn note_nameless(path: &Path, account: &mut Account) {
    let bytes = Bytes::map(path);
    let header = bytes.and_then(|bytes| Header::parse_start(path, &bytes));
    if let Ok(header) = header {
        note_numbers(path, &header, account);
    }
}

/// The file of the scale of `path`.
pub(crate) fn scale_beside(path: &Path) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_string_lossy();
    let names = ["_scale.npy", "_scales.npy"].map(|end| format!("{stem}{end}"));
    let mut files = names.iter().map(|name| path.with_file_name(name));
    files.find(|file| file.is_file())
}

/// Integers of one byte that nothing says the size of.
pub(crate) fn needs_scale(path: &Path, number: Number, remedy: &str) -> Error {
    Error::data(
        path,
        Place::Whole,
        format!("features of {number} numbers need a scale"),
        format!(
            "{remedy}: one number, [n, 1] or [1, d]; or convert them: (a * scale).astype('float32')"
        ),
    )
}

/// The scale that an array holds for features of `header`.
///
/// # Errors
/// If it is neither one number nor one a row or column.
pub(crate) fn scale_of(path: &Path, header: &Header, bytes: &[u8], of: &Header) -> Result<Scale> {
    let values = npy::floats(path, header, bytes)?;
    let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
    let n = of.shape.first().copied().unwrap_or(0);
    let d = of.shape.last().copied().unwrap_or(0);
    let found = match header.shape[..] {
        [] | [1] | [1, 1] => Some(Scale::All(values[0])),
        [rows, 1] if rows == n => Some(Scale::Rows(values.into())),
        [rows, 1, 1] if rows == n => Some(Scale::Rows(values.into())),
        [1, columns] if columns == d => Some(Scale::Columns(values.into())),
        [length] if length == n && n != d => Some(Scale::Rows(values.into())),
        [length] if length == d && n != d => Some(Scale::Columns(values.into())),
        _ => None,
    };
    found.ok_or_else(|| {
        Error::data(
            path,
            Place::Whole,
            format!(
                "a scale of shape {:?} for features {:?}",
                header.shape, of.shape
            ),
            "write one number, one a row as [n, 1], or one a column as [1, d]",
        )
    })
}
