//! Which fields of ONNX's messages are messages again, so that a file is walked to its end before
//! anything else reads it.
//!
//! Source of the field numbers: `onnx.proto3`, onnx/onnx@v1.19.

use super::constant::Constant;
use super::wire::{Fault, Value, fields};

/// The messages that a runtime looks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Graph,
    Node,
    Attribute,
    Tensor,
    Port,
    Type,
    TensorType,
    Shape,
    Dimension,
    Entry,
}

/// Message, field number, and the message in that field.
const PARTS: &[(Message, u64, Message)] = &[
    (Message::Graph, 1, Message::Node),
    (Message::Graph, 5, Message::Tensor),
    (Message::Graph, 11, Message::Port),
    (Message::Graph, 12, Message::Port),
    (Message::Graph, 13, Message::Port),
    (Message::Node, 5, Message::Attribute),
    (Message::Attribute, 5, Message::Tensor),
    (Message::Attribute, 6, Message::Graph),
    (Message::Tensor, 13, Message::Entry),
    (Message::Port, 2, Message::Type),
    (Message::Type, 1, Message::TensorType),
    (Message::TensorType, 2, Message::Shape),
    (Message::Shape, 1, Message::Dimension),
];

/// Graphs inside graphs that are read; exporters write two or three.
const DEEPEST: usize = 8;

/// Walks a message and all in it.
///
/// # Errors
/// If a length does not fit, graphs are nested deeper than eight times, or the numbers of a
/// constant are not those of its shape.
pub(super) fn check(bytes: &[u8], message: Message, depth: usize) -> Result<(), Fault> {
    if depth > DEEPEST {
        return Err(format!("it nests graphs deeper than {DEEPEST} times"));
    }
    for field in fields(bytes) {
        let field = field?;
        let part = (PARTS.iter())
            .find(|(whole, number, _)| *whole == message && *number == field.number)
            .map(|(_, _, part)| *part);
        match (part, field.value) {
            (Some(part), Value::Bytes(inner)) => {
                check(inner, part, depth + usize::from(part == Message::Graph))?;
            }
            (Some(_), _) => return Err("a number stands where a message is expected".into()),
            (None, _) => {}
        }
    }
    if message == Message::Tensor {
        Constant::read(bytes)?.check()?;
    }
    Ok(())
}
