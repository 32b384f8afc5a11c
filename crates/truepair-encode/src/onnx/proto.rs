//! The fields of an ONNX file that a forward pass needs, read from the protobuf wire format.
//!
//! Source of the field numbers: `onnx.proto3`, onnx/onnx@v1.19.

use std::path::Path;

use super::tensor::Tensor;
use super::weights;
use super::wire::{Fault, Value, fields, packed_floats, packed_ints, text};

/// A computation graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) initializers: Vec<(String, Tensor)>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    /// Version of the standard operators.
    pub(super) opset: i64,
}

/// An input or output of the graph.
#[derive(Debug, Default, Clone)]
pub(super) struct Port {
    pub(super) name: String,
    /// Sizes; `None` where any size may stand.
    pub(super) shape: Vec<Option<usize>>,
}

/// One operator.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) op: String,
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Vec<Attribute>,
}

/// A constant setting of an operator.
#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) float: Option<f32>,
    pub(super) int: Option<i64>,
    pub(super) text: Option<String>,
    pub(super) floats: Vec<f32>,
    pub(super) ints: Vec<i64>,
    pub(super) tensor: Option<Tensor>,
}

/// Reads a model; weights in files of their own lie in `folder`.
pub(super) fn read_model(bytes: &[u8], folder: &Path) -> Result<Graph, Fault> {
    let mut graph = None;
    let mut opset = 0;
    for field in fields(bytes) {
        match field? {
            (7, Value::Bytes(bytes)) => graph = Some(read_graph(bytes, folder)?),
            (8, Value::Bytes(bytes)) => {
                let (domain, version) = read_opset(bytes)?;
                if domain.is_empty() || domain == "ai.onnx" {
                    opset = version;
                }
            }
            _ => {}
        }
    }
    let mut graph = graph.ok_or("it holds no graph")?;
    graph.opset = opset;
    Ok(graph)
}

fn read_opset(bytes: &[u8]) -> Result<(String, i64), Fault> {
    let mut found = (String::new(), 0);
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => found.0 = text(bytes),
            (2, Value::Int(version)) => found.1 = version as i64,
            _ => {}
        }
    }
    Ok(found)
}

fn read_graph(bytes: &[u8], folder: &Path) -> Result<Graph, Fault> {
    let mut graph = Graph::default();
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => graph.nodes.push(read_node(bytes, folder)?),
            (5, Value::Bytes(bytes)) => graph.initializers.push(weights::read(bytes, folder)?),
            (11, Value::Bytes(bytes)) => graph.inputs.push(read_port(bytes)?),
            (12, Value::Bytes(bytes)) => graph.outputs.push(read_port(bytes)?),
            _ => {}
        }
    }
    let constants: Vec<&String> = graph.initializers.iter().map(|(name, _)| name).collect();
    // Files of old versions list their weights among the inputs.
    graph.inputs.retain(|port| !constants.contains(&&port.name));
    Ok(graph)
}

fn read_node(bytes: &[u8], folder: &Path) -> Result<Node, Fault> {
    let mut node = Node::default();
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => node.inputs.push(text(bytes)),
            (2, Value::Bytes(bytes)) => node.outputs.push(text(bytes)),
            (3, Value::Bytes(bytes)) => node.name = text(bytes),
            (4, Value::Bytes(bytes)) => node.op = text(bytes),
            (5, Value::Bytes(bytes)) => node.attributes.push(read_attribute(bytes, folder)?),
            (7, Value::Bytes(bytes)) => node.domain = text(bytes),
            _ => {}
        }
    }
    Ok(node)
}

fn read_attribute(bytes: &[u8], folder: &Path) -> Result<Attribute, Fault> {
    let mut attribute = Attribute::default();
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => attribute.name = text(bytes),
            (2, Value::Four(bits)) => attribute.float = Some(f32::from_bits(bits)),
            (3, Value::Int(value)) => attribute.int = Some(value as i64),
            (4, Value::Bytes(bytes)) => attribute.text = Some(text(bytes)),
            (5, Value::Bytes(bytes)) => attribute.tensor = Some(weights::read(bytes, folder)?.1),
            (7, Value::Four(bits)) => attribute.floats.push(f32::from_bits(bits)),
            (7, Value::Bytes(bytes)) => attribute.floats.extend(packed_floats(bytes)),
            (8, Value::Int(value)) => attribute.ints.push(value as i64),
            (8, Value::Bytes(bytes)) => attribute.ints.extend(packed_ints(bytes)?),
            _ => {}
        }
    }
    Ok(attribute)
}

fn read_port(bytes: &[u8]) -> Result<Port, Fault> {
    let mut port = Port::default();
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => port.name = text(bytes),
            (2, Value::Bytes(bytes)) => port.shape = read_type(bytes)?,
            _ => {}
        }
    }
    Ok(port)
}

/// `TypeProto.tensor_type.shape.dim[]`: the value of every dimension that has one.
fn read_type(bytes: &[u8]) -> Result<Vec<Option<usize>>, Fault> {
    let mut sizes = Vec::new();
    for tensor in children(bytes, 1)? {
        for shape in children(tensor, 2)? {
            for dim in children(shape, 1)? {
                let mut size = None;
                for field in fields(dim) {
                    if let (1, Value::Int(value)) = field? {
                        size = usize::try_from(value).ok().filter(|size| *size > 0);
                    }
                }
                sizes.push(size);
            }
        }
    }
    Ok(sizes)
}

fn children(bytes: &[u8], number: u64) -> Result<Vec<&[u8]>, Fault> {
    let mut found = Vec::new();
    for field in fields(bytes) {
        match field? {
            (n, Value::Bytes(bytes)) if n == number => found.push(bytes),
            _ => {}
        }
    }
    Ok(found)
}
