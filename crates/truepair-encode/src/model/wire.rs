//! Protobuf's wire format: field numbers and values of a message, nothing of what they mean.

use std::ops::Range;

/// Why bytes are not a model; without the file's name.
pub(crate) type Fault = String;

/// A value of the wire format.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Int(u64),
    Eight,
    Bytes(&'a [u8]),
    Four,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
    /// The field as it stands in the message, its number included.
    pub(super) raw: &'a [u8],
}

/// The fields of a message. Every length is checked against the bytes that are there.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Fault>> {
    let mut rest = bytes;
    let mut broken = false;
    std::iter::from_fn(move || {
        if rest.is_empty() || broken {
            return None;
        }
        let field = field(&mut rest);
        broken = field.is_none();
        Some(field.ok_or_else(|| "the file is cut short or is not an ONNX model".to_owned()))
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let whole = *rest;
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Int(varint(rest)?),
        1 => {
            take(rest, 8)?;
            Value::Eight
        }
        2 => {
            let len = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(take(rest, len)?)
        }
        5 => {
            take(rest, 4)?;
            Value::Four
        }
        _ => return None,
    };
    Some(Field {
        number: tag >> 3,
        value,
        raw: &whole[..whole.len() - rest.len()],
    })
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn packed_ints(bytes: &[u8]) -> Result<Vec<i64>, Fault> {
    let mut rest = bytes;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let value = varint(&mut rest).ok_or("a list of integers is cut short")?;
        values.push(value as i64);
    }
    Ok(values)
}

/// Appends a varint.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a number that is written as long as any may be, to be replaced later.
pub(super) const LONG_VARINT: usize = 10;

/// Appends a varint of [`LONG_VARINT`] bytes.
pub(super) fn put_long_varint(value: u64, out: &mut Vec<u8>) {
    let part = |at: usize| (value >> (7 * at)) as u8;
    out.extend((0..LONG_VARINT - 1).map(|at| part(at) | 0x80));
    out.push(part(LONG_VARINT - 1) & 0x7f);
}

/// Appends a whole number as field `number`.
pub(super) fn put_int(number: u64, value: u64, out: &mut Vec<u8>) {
    put_varint(number << 3, out);
    put_varint(value, out);
}

/// Appends bytes, a text or a message as field `number`.
pub(super) fn put_bytes(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(number << 3 | 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Turns slices of the file into ranges.
pub(super) struct Places<'a>(pub(super) &'a [u8]);

impl Places<'_> {
    pub(super) fn of(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr() as usize - self.0.as_ptr() as usize;
        start..start + part.len()
    }
}
