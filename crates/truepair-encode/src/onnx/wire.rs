//! Protobuf's wire format: field numbers and values of a message, nothing of what they mean.

/// Why bytes are not a model; without the file's name.
pub(super) type Fault = String;

/// A value of the wire format.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Int(u64),
    Eight,
    Bytes(&'a [u8]),
    Four(u32),
}

/// Field numbers and values of a message.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Value<'_>), Fault>> {
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

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
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
        5 => Value::Four(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((tag >> 3, value))
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

pub(super) fn packed_floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (cells, _) = bytes.as_chunks::<4>();
    cells.iter().map(|cell| f32::from_le_bytes(*cell))
}
