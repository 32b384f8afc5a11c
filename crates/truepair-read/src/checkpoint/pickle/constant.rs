//! The opcodes that push a number, a boolean, `None`, a text or bytes.

use super::heap::{Heap, Object};
use super::input::Input;
use super::opcode;
use super::value::Value;
use crate::checkpoint::error::Result;

/// The constant that the opcode `code` pushes, its operand read from `input`; `None` if `code` is
/// an opcode of another kind.
pub(super) fn read(code: u8, input: &mut Input<'_>, heap: &mut Heap) -> Result<Option<Value>> {
    Ok(Some(match code {
        opcode::NONE => Value::None,
        opcode::NEWTRUE => Value::Bool(true),
        opcode::NEWFALSE => Value::Bool(false),
        opcode::BININT => Value::Int(i32::from_le_bytes(input.array()?).into()),
        opcode::BININT1 => Value::Int(input.byte()?.into()),
        opcode::BININT2 => Value::Int(u16::from_le_bytes(input.array()?).into()),
        opcode::BINFLOAT => Value::Float(f64::from_be_bytes(input.array()?)),
        opcode::LONG1 | opcode::LONG4 => long(code, input, heap)?,
        _ => return string(code, input, heap),
    }))
}

fn long(code: u8, input: &mut Input<'_>, heap: &mut Heap) -> Result<Value> {
    let length = match code {
        opcode::LONG1 => input.byte()?.into(),
        _ => u32::from_le_bytes(input.array()?).into(),
    };
    let bytes = input.bytes(length)?;
    if bytes.len() > 8 {
        return Ok(heap.add(Object::Long(bytes.into())));
    }
    let negative = bytes.last().is_some_and(|high| high & 0x80 != 0);
    let mut extended = [if negative { 0xff } else { 0 }; 8];
    extended[..bytes.len()].copy_from_slice(&bytes);
    Ok(Value::Int(i64::from_le_bytes(extended)))
}

fn string(code: u8, input: &mut Input<'_>, heap: &mut Heap) -> Result<Option<Value>> {
    let length = match code {
        opcode::SHORT_BINUNICODE | opcode::SHORT_BINSTRING | opcode::SHORT_BINBYTES => {
            input.byte()?.into()
        }
        opcode::BINUNICODE | opcode::BINSTRING | opcode::BINBYTES => {
            u32::from_le_bytes(input.array()?).into()
        }
        opcode::BINUNICODE8 | opcode::BINBYTES8 | opcode::BYTEARRAY8 => {
            u64::from_le_bytes(input.array()?)
        }
        _ => return Ok(None),
    };
    let bytes = input.bytes(length)?;
    let is_text = matches!(
        code,
        opcode::SHORT_BINUNICODE | opcode::BINUNICODE | opcode::BINUNICODE8
    );
    let object = if is_text {
        // Python also writes lone surrogates, which no name or setting needs.
        Object::Text(String::from_utf8_lossy(&bytes).into())
    } else {
        Object::Bytes(bytes.into())
    };
    Ok(Some(heap.add(object)))
}
