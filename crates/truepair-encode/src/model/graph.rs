//! The graph of an ONNX file: what computes what, and the part of it that leads to one output.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use super::constant::{BFLOAT16, Constant, SINGLE, WeightFiles};
use super::message::{Message, check};
use super::node::Node;
use super::part::{Level, Part, Step, connect};
use super::wire::{
    Fault, Field, LONG_VARINT, Places, Value, fields, put_bytes, put_int, put_long_varint,
    put_varint, text,
};

/// Numbers that an operator may be told to make by a constant: 4 GiB of them.
const MOST_VALUES: i64 = 1 << 30;

/// The largest size of a window, of its steps and of what is put around a plane; encoders have some dozens.
const LARGEST_WINDOW: u64 = 1 << 12;

/// Operators that make tensors of sizes that an input names: its index.
const MAKERS: &[(&str, usize)] = &[
    ("ConstantOfShape", 0),
    ("Expand", 1),
    ("EyeLike", 1),
    ("Pad", 1),
    ("Range", 1),
    ("Resize", 3),
    ("Tile", 1),
];

/// What a graph consists of. Ranges are places in the file.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    nodes: Vec<Node>,
    constants: Vec<(String, Range<usize>)>,
    value_infos: Vec<Range<usize>>,
    /// Fields of the model besides the graph that a runtime reads.
    head: Vec<Range<usize>>,
}

/// An input or output of the graph.
#[derive(Debug, Default, Clone)]
pub(super) struct Port {
    pub(super) name: String,
    /// Sizes; `None` where any size may stand.
    pub(super) shape: Vec<Option<usize>>,
    /// Type of the numbers, as ONNX counts types.
    pub(super) kind: u64,
    raw: Range<usize>,
}

impl Graph {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// If they are not a whole ONNX model.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let places = Places(bytes);
        let mut graph = Self::default();
        let mut found = false;
        for field in fields(bytes) {
            let field = field?;
            match (field.number, field.value) {
                // Version of the format, and of the operators.
                (1, Value::Int(_)) | (8, Value::Bytes(_)) => graph.head.push(places.of(field.raw)),
                (7, Value::Bytes(inner)) => {
                    check(inner, Message::Graph, 0)?;
                    graph.read_graph(inner, &places)?;
                    found = true;
                }
                _ => {}
            }
        }
        if !found {
            return Err("it holds no graph".into());
        }
        // Files of old versions list their weights among the inputs.
        let constants: HashSet<&String> = graph.constants.iter().map(|(name, _)| name).collect();
        graph.inputs.retain(|port| !constants.contains(&port.name));
        graph.check_sizes(bytes)?;
        Ok(graph)
    }

    fn read_graph(&mut self, bytes: &[u8], places: &Places<'_>) -> Result<(), Fault> {
        for field in fields(bytes) {
            let field = field?;
            let Value::Bytes(inner) = field.value else {
                continue;
            };
            match field.number {
                1 => self.nodes.push(Node::read(&field, inner, places)?),
                5 => {
                    let name = Constant::read(inner)?.name;
                    self.constants.push((name, places.of(inner)));
                }
                11 => self.inputs.push(Port::read(&field, inner, places)?),
                12 => self.outputs.push(Port::read(&field, inner, places)?),
                // Values of this type are computed in single precision.
                13 if Port::read(&field, inner, places)?.kind == BFLOAT16 => {}
                13 => self.value_infos.push(places.of(field.raw)),
                15 => return Err("it holds sparse constants, which are not supported".into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// # Errors
    /// If a constant tells an operator to make a tensor that is too large to be meant.
    fn check_sizes(&self, bytes: &[u8]) -> Result<(), Fault> {
        let named: HashMap<&str, &Range<usize>> = (self.constants.iter())
            .map(|(name, place)| (name.as_str(), place))
            .collect();
        for node in &self.nodes {
            node.check_windows(LARGEST_WINDOW)?;
            let Some((_, index)) = MAKERS.iter().find(|(op, _)| *op == node.op) else {
                continue;
            };
            let place = node.inputs.get(*index);
            let place = place.and_then(|name| named.get(name.as_str()).copied().cloned());
            let Some(place) = place.or_else(|| self.constant_node(node.inputs.get(*index)?)) else {
                continue;
            };
            let Some(sizes) = Constant::read(&bytes[place])?.sizes() else {
                continue;
            };
            let product = (sizes.iter()).try_fold(1i64, |product, size| {
                product.checked_mul(size.checked_abs()?.max(1))
            });
            let is_wide = |size: &i64| size.unsigned_abs() > LARGEST_WINDOW;
            let is_pad = node.op == "Pad";
            if product.is_none_or(|product| product > MOST_VALUES)
                || (is_pad && sizes.iter().any(is_wide))
            {
                return Err(format!("{}: a tensor of sizes {sizes:?}", node.op));
            }
        }
        Ok(())
    }

    /// The tensor of the operator `Constant` that gives `name`.
    fn constant_node(&self, name: &str) -> Option<Range<usize>> {
        let mut constants = self.nodes.iter().filter(|node| node.op == "Constant");
        let node = constants.find(|node| node.outputs.iter().any(|output| output == name))?;
        // Where a tensor stands in it was found when it was read.
        node.tensor.clone()
    }

    /// The shape of a constant.
    fn shape_of(&self, bytes: &[u8], name: Option<&String>) -> Result<Option<Vec<i64>>, Fault> {
        let found = self.constants.iter().find(|(known, _)| Some(known) == name);
        let Some((_, place)) = found else {
            return Ok(None);
        };
        Constant::read(&bytes[place.clone()]).map(|constant| Some(constant.shape().to_vec()))
    }

    /// The inputs that lead to `output`, in the order of the file.
    ///
    /// # Errors
    /// If nothing computes it.
    pub(super) fn inputs_of(&self, output: &str) -> Result<Vec<&Port>, Fault> {
        let needed = self.names_needed(output)?;
        let inputs = self.inputs.iter();
        Ok(inputs
            .filter(|port| needed.contains(port.name.as_str()))
            .collect())
    }

    fn names_needed<'a>(&'a self, output: &'a str) -> Result<HashSet<&'a str>, Fault> {
        let mut maker: HashMap<&str, &Node> = HashMap::new();
        for node in &self.nodes {
            let outputs = node.outputs.iter().filter(|name| !name.is_empty());
            maker.extend(outputs.map(|name| (name.as_str(), node)));
        }
        let mut needed = HashSet::new();
        let mut open = vec![output];
        while let Some(name) = open.pop() {
            if name.is_empty() || !needed.insert(name) {
                continue;
            }
            if let Some(node) = maker.get(name) {
                open.extend(node.inputs.iter().chain(&node.captured).map(String::as_str));
            }
        }
        let given = self.inputs.iter().map(|port| &port.name);
        let known = given.chain(self.constants.iter().map(|(name, _)| name));
        if maker.contains_key(output) || known.into_iter().any(|name| name == output) {
            return Ok(needed);
        }
        Err(format!("nothing computes the output '{output}'"))
    }

    /// A model file with what leads to `output`, its weights inside; weights in files of their own
    /// lie in `folder`.
    ///
    /// # Errors
    /// If nothing computes the output, or a file of weights cannot be read.
    #[cfg(any(test, feature = "ort"))]
    pub(super) fn cut(&self, bytes: &[u8], folder: &Path, output: &str) -> Result<Vec<u8>, Fault> {
        let needed = self.names_needed(output)?;
        let nodes = self
            .nodes
            .iter()
            .filter(|node| node.gives(&needed))
            .collect();
        let part = Part {
            nodes,
            given: self
                .inputs_of(output)?
                .iter()
                .map(|port| port.name.as_str())
                .collect(),
            outputs: vec![output],
        };
        self.write(bytes, &mut WeightFiles::in_folder(folder), &part)
    }

    /// What leads to `output` in steps: parts of the graph, and between them the convolutions of
    /// every channel by itself.
    ///
    /// # Errors
    /// If nothing computes the output, or a file of weights cannot be read.
    pub(super) fn steps(
        &self,
        bytes: &[u8],
        folder: &Path,
        output: &str,
    ) -> Result<Vec<Step>, Fault> {
        let mut parts = self.levels(bytes, output)?;
        let inputs = self.inputs.iter().map(|port| port.name.as_str());
        connect(&mut parts, inputs, output);
        let mut files = WeightFiles::in_folder(folder);
        let mut steps = Vec::new();
        for (part, convolutions) in parts {
            if !part.outputs.is_empty() {
                steps.push(Step::Graph {
                    model: self.write(bytes, &mut files, &part)?,
                    given: part.given.iter().map(|name| (*name).to_owned()).collect(),
                    outputs: part.outputs.iter().map(|name| (*name).to_owned()).collect(),
                });
            }
            for (node, convolution) in convolutions {
                steps.push(Step::Depthwise {
                    convolution,
                    input: node.inputs[0].clone(),
                    output: node.outputs[0].clone(),
                });
            }
        }
        if steps.is_empty() {
            return Err(format!("nothing computes the output '{output}'"));
        }
        Ok(steps)
    }

    /// The operators that lead to `output`, by the number of such convolutions before them.
    fn levels<'a>(&'a self, bytes: &[u8], output: &'a str) -> Result<Vec<Level<'a>>, Fault> {
        let needed = self.names_needed(output)?;
        let constants = self.constants.iter();
        let constants: HashMap<&str, &Range<usize>> = constants
            .map(|(name, place)| (name.as_str(), place))
            .collect();
        let read = |name: Option<&String>| -> Result<Option<Constant<'_>>, Fault> {
            let place = name.and_then(|name| constants.get(name.as_str()));
            place
                .map(|place| Constant::read(&bytes[(*place).clone()]))
                .transpose()
        };
        // After how many convolutions a value is there.
        let mut level: HashMap<&str, usize> = HashMap::new();
        let mut parts: Vec<Level<'_>> = Vec::new();
        for node in self.nodes.iter().filter(|node| node.gives(&needed)) {
            let inputs = node.inputs.iter().chain(&node.captured);
            let levels = inputs.filter_map(|name| level.get(name.as_str()));
            let own = levels.copied().max().unwrap_or(0);
            parts.resize_with(parts.len().max(own + 1), Default::default);
            let weights = if node.op == "Conv" {
                read(node.inputs.get(1))?
            } else {
                None
            };
            let bias = read(node.inputs.get(2))?;
            let has_bias = node.inputs.get(2).is_some_and(|name| !name.is_empty());
            let convolution = weights.filter(|_| has_bias == bias.is_some());
            let convolution = convolution.and_then(|w| node.depthwise(&w, bias.as_ref()));
            let after = own + usize::from(convolution.is_some());
            level.extend(node.outputs.iter().map(|name| (name.as_str(), after)));
            match convolution {
                Some(convolution) => parts[own].1.push((node, convolution)),
                None => parts[own].0.nodes.push(node),
            }
        }
        Ok(parts)
    }

    /// A model file of a part.
    fn write(
        &self,
        bytes: &[u8],
        files: &mut WeightFiles,
        part: &Part<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let mut model = Vec::new();
        for place in &self.head {
            model.extend_from_slice(&bytes[place.clone()]);
        }
        // The length of the graph is put in when it is known.
        put_varint(7 << 3 | 2, &mut model);
        let start = model.len();
        put_long_varint(0, &mut model);
        let graph = &mut model;
        let mut read: HashSet<&str> = part.outputs.iter().copied().collect();
        for node in &part.nodes {
            read.extend(node.inputs.iter().chain(&node.captured).map(String::as_str));
            let weights = self.shape_of(bytes, node.inputs.get(1))?;
            node.put(bytes, weights.as_deref(), graph)?;
        }
        let constants = self.constants.iter();
        for (_, place) in constants.filter(|(name, _)| read.contains(name.as_str())) {
            let stored = &bytes[place.clone()];
            let constant = Constant::read(stored)?;
            let mut inside = Vec::new();
            if constant.is_external() {
                files.put(&constant, &mut inside)?;
                put_bytes(5, &inside, graph);
            } else if constant.kind() == BFLOAT16 {
                constant.put_single(&mut inside);
                put_bytes(5, &inside, graph);
            } else {
                put_bytes(5, stored, graph);
            }
        }
        self.put_ports(bytes, part, graph);
        for place in &self.value_infos {
            graph.extend_from_slice(&bytes[place.clone()]);
        }
        let mut length = Vec::new();
        put_long_varint((model.len() - start - LONG_VARINT) as u64, &mut length);
        model[start..start + LONG_VARINT].copy_from_slice(&length);
        Ok(model)
    }

    /// Appends the inputs and outputs of a part.
    fn put_ports(&self, bytes: &[u8], part: &Part<'_>, graph: &mut Vec<u8>) {
        for (number, names, known) in [
            (11, &part.given, &self.inputs),
            (12, &part.outputs, &self.outputs),
        ] {
            for name in names {
                match known.iter().find(|port| port.name == *name) {
                    Some(port) if port.kind == BFLOAT16 => {
                        put_bytes(number, &single_port(name), graph);
                    }
                    Some(port) => graph.extend_from_slice(&bytes[port.raw.clone()]),
                    None => {
                        let mut port = Vec::new();
                        put_bytes(1, name.as_bytes(), &mut port);
                        put_bytes(number, &port, graph);
                    }
                }
            }
        }
    }
}

impl Port {
    fn read(field: &Field<'_>, bytes: &[u8], places: &Places<'_>) -> Result<Self, Fault> {
        let mut port = Self {
            raw: places.of(field.raw),
            ..Self::default()
        };
        for field in fields(bytes) {
            let field = field?;
            match (field.number, field.value) {
                (1, Value::Bytes(name)) => port.name = text(name),
                (2, Value::Bytes(kind)) => port.read_type(kind)?,
                _ => {}
            }
        }
        Ok(port)
    }

    /// `TypeProto.tensor_type`: the type of the numbers, and every size that has a value.
    fn read_type(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for tensor in children(bytes, 1)? {
            for field in fields(tensor) {
                if let Field {
                    number: 1,
                    value: Value::Int(kind),
                    ..
                } = field?
                {
                    self.kind = kind;
                }
            }
            for shape in children(tensor, 2)? {
                for dimension in children(shape, 1)? {
                    let mut size = None;
                    for field in fields(dimension) {
                        if let Field {
                            number: 1,
                            value: Value::Int(value),
                            ..
                        } = field?
                        {
                            size = usize::try_from(value as i64).ok().filter(|size| *size > 0);
                        }
                    }
                    self.shape.push(size);
                }
            }
        }
        Ok(())
    }
}

fn children(bytes: &[u8], number: u64) -> Result<Vec<&[u8]>, Fault> {
    let mut found = Vec::new();
    for field in fields(bytes) {
        match field? {
            Field {
                number: n,
                value: Value::Bytes(bytes),
                ..
            } if n == number => found.push(bytes),
            _ => {}
        }
    }
    Ok(found)
}

/// A port of numbers of single precision and any shape.
fn single_port(name: &str) -> Vec<u8> {
    let (mut tensor, mut kind, mut port) = (Vec::new(), Vec::new(), Vec::new());
    put_int(1, SINGLE, &mut tensor);
    put_bytes(1, &tensor, &mut kind);
    put_bytes(1, name.as_bytes(), &mut port);
    put_bytes(2, &kind, &mut port);
    port
}
