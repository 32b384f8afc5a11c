//! The graph of an ONNX file: what computes what, and the part of it that leads to one output.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use super::constant::{Constant, WeightFiles};
use super::depthwise::{Depthwise, Padding};
use super::message::{Message, check};
use super::wire::{
    Fault, Field, LONG_VARINT, Value, fields, packed_ints, put_bytes, put_int, put_long_varint,
    put_varint, text,
};

/// Numbers that an operator may be told to make by a constant: 4 GiB of them.
const MOST_VALUES: i64 = 1 << 30;

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

/// One operator.
#[derive(Debug, Default)]
struct Node {
    op: String,
    inputs: Vec<String>,
    /// Names that graphs inside it read.
    captured: Vec<String>,
    outputs: Vec<String>,
    /// The value of a `Constant`.
    tensor: Option<Range<usize>>,
    settings: Vec<NodeSetting>,
    /// The message, and the field that it stands in.
    inner: Range<usize>,
    raw: Range<usize>,
}

/// A constant setting of an operator.
#[derive(Debug, Default)]
struct NodeSetting {
    name: String,
    text: String,
    ints: Vec<i64>,
}

/// Turns slices of the file into ranges.
struct Places<'a>(&'a [u8]);

impl Places<'_> {
    fn of(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr() as usize - self.0.as_ptr() as usize;
        start..start + part.len()
    }
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
            if product.is_none_or(|product| product > MOST_VALUES) {
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
        let needed = self.names_needed(output)?;
        let constants = self.named_constants();
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
        connect(&mut parts, &self.inputs, output);
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

    fn named_constants(&self) -> HashMap<&str, &Range<usize>> {
        let constants = self.constants.iter();
        constants
            .map(|(name, place)| (name.as_str(), place))
            .collect()
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
            if constant.is_external() {
                let mut inside = Vec::new();
                files.put(&constant, &mut inside)?;
                put_bytes(5, &inside, graph);
            } else {
                put_bytes(5, stored, graph);
            }
        }
        for (number, names, known) in [
            (11, &part.given, &self.inputs),
            (12, &part.outputs, &self.outputs),
        ] {
            for name in names {
                match known.iter().find(|port| port.name == *name) {
                    Some(port) => graph.extend_from_slice(&bytes[port.raw.clone()]),
                    None => {
                        let mut port = Vec::new();
                        put_bytes(1, name.as_bytes(), &mut port);
                        put_bytes(number, &port, graph);
                    }
                }
            }
        }
        for place in &self.value_infos {
            graph.extend_from_slice(&bytes[place.clone()]);
        }
        let mut length = Vec::new();
        put_long_varint((model.len() - start - LONG_VARINT) as u64, &mut length);
        model[start..start + LONG_VARINT].copy_from_slice(&length);
        Ok(model)
    }
}

/// What is computed at once.
#[derive(Default)]
struct Part<'a> {
    nodes: Vec<&'a Node>,
    /// Values that it reads from elsewhere.
    given: Vec<&'a str>,
    /// Values that others read from it.
    outputs: Vec<&'a str>,
}

/// One step to an output.
pub(super) enum Step {
    Graph {
        /// A model file.
        model: Vec<u8>,
        given: Vec<String>,
        outputs: Vec<String>,
    },
    Depthwise {
        convolution: Depthwise,
        input: String,
        output: String,
    },
}

/// A part of the graph and the convolutions that follow it.
type Level<'a> = (Part<'a>, Vec<(&'a Node, Depthwise)>);

/// Notes which values pass between parts and convolutions; `inputs` are those of the model.
fn connect<'a>(parts: &mut [Level<'a>], inputs: &'a [Port], output: &'a str) {
    let made_by = |nodes: &[&'a Node]| -> HashSet<&'a str> {
        let outputs = nodes.iter().flat_map(|node| &node.outputs);
        outputs.map(String::as_str).collect()
    };
    // Names that only a graph inside an operator knows are none of these.
    let mut known: HashSet<&str> = inputs.iter().map(|port| port.name.as_str()).collect();
    for (part, convolutions) in parts.iter() {
        known.extend(made_by(&part.nodes));
        known.extend(
            convolutions
                .iter()
                .map(|(node, _)| node.outputs[0].as_str()),
        );
    }
    let mut read_elsewhere: Vec<HashSet<&str>> = Vec::new();
    for (part, _) in parts.iter_mut() {
        let made = made_by(&part.nodes);
        let nodes = part.nodes.iter();
        let read = nodes.flat_map(|node| node.inputs.iter().chain(&node.captured));
        let read: HashSet<&str> = read
            .map(String::as_str)
            .filter(|name| known.contains(name) && !made.contains(name))
            .collect();
        part.given = read.iter().copied().collect();
        part.given.sort_unstable();
        read_elsewhere.push(read);
    }
    let of_convolutions: HashSet<&str> = (parts.iter())
        .flat_map(|(_, convolutions)| convolutions.iter())
        .map(|(node, _)| node.inputs[0].as_str())
        .collect();
    for (at, (part, _)) in parts.iter_mut().enumerate() {
        let is_read = |name: &&str| {
            *name == output
                || of_convolutions.contains(name)
                || read_elsewhere
                    .iter()
                    .enumerate()
                    .any(|(n, read)| n != at && read.contains(name))
        };
        let made = part
            .nodes
            .iter()
            .flat_map(|node| node.outputs.iter().map(String::as_str));
        part.outputs = made
            .filter(|name| !name.is_empty())
            .filter(is_read)
            .collect();
    }
}

impl Node {
    fn read(field: &Field<'_>, bytes: &[u8], places: &Places<'_>) -> Result<Self, Fault> {
        let mut node = Self {
            inner: places.of(bytes),
            raw: places.of(field.raw),
            ..Self::default()
        };
        for field in fields(bytes) {
            let field = field?;
            let Value::Bytes(inner) = field.value else {
                continue;
            };
            match field.number {
                1 => node.inputs.push(text(inner)),
                2 => node.outputs.push(text(inner)),
                4 => node.op = text(inner),
                5 => node.read_attribute(inner, places)?,
                _ => {}
            }
        }
        Ok(node)
    }

    fn read_attribute(&mut self, bytes: &[u8], places: &Places<'_>) -> Result<(), Fault> {
        let mut setting = NodeSetting::default();
        for field in fields(bytes) {
            let field = field?;
            match (field.number, field.value) {
                (1, Value::Bytes(name)) => setting.name = text(name),
                (3 | 8, Value::Int(value)) => setting.ints.push(value as i64),
                (4, Value::Bytes(value)) => setting.text = text(value),
                (8, Value::Bytes(values)) => setting.ints.extend(packed_ints(values)?),
                (5, Value::Bytes(tensor)) => self.tensor = Some(places.of(tensor)),
                (6, Value::Bytes(graph)) => self.capture(graph)?,
                _ => {}
            }
        }
        self.settings.push(setting);
        Ok(())
    }

    /// Notes what the operators of a graph inside this one read, from wherever it comes.
    fn capture(&mut self, graph: &[u8]) -> Result<(), Fault> {
        for field in fields(graph) {
            let field = field?;
            match (field.number, field.value) {
                (1, Value::Bytes(node)) => {
                    for field in fields(node) {
                        let field = field?;
                        match (field.number, field.value) {
                            (1, Value::Bytes(name)) => self.captured.push(text(name)),
                            (5, Value::Bytes(attribute)) => self.capture_in(attribute)?,
                            _ => {}
                        }
                    }
                }
                // An outer value may be given back as it is.
                (12, Value::Bytes(port)) => {
                    let name = fields(port).find_map(|field| match field {
                        Ok(Field {
                            number: 1,
                            value: Value::Bytes(name),
                            ..
                        }) => Some(text(name)),
                        _ => None,
                    });
                    self.captured.extend(name);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn capture_in(&mut self, attribute: &[u8]) -> Result<(), Fault> {
        for field in fields(attribute) {
            let field = field?;
            if let (6, Value::Bytes(graph)) = (field.number, field.value) {
                self.capture(graph)?;
            }
        }
        Ok(())
    }

    fn gives(&self, names: &HashSet<&str>) -> bool {
        self.outputs
            .iter()
            .any(|name| names.contains(name.as_str()))
    }

    fn setting(&self, name: &str) -> Option<&NodeSetting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Two sizes of a setting, `default` where it is left out; `None` where it holds others.
    fn two(&self, name: &str, default: usize) -> Option<[usize; 2]> {
        let Some(setting) = self.setting(name) else {
            return Some([default; 2]);
        };
        let sizes: Option<Vec<usize>> = (setting.ints.iter())
            .map(|size| usize::try_from(*size).ok())
            .collect();
        sizes?.try_into().ok()
    }

    /// The convolution of every channel by itself that the operator is, with its weights
    /// `[m, 1, h, w]` and bias; `None` where it is something else.
    fn depthwise(&self, weights: &Constant<'_>, bias: Option<&Constant<'_>>) -> Option<Depthwise> {
        let &[filters, 1, rows, columns] = weights.shape() else {
            return None;
        };
        let group = self
            .setting("group")
            .and_then(|group| group.ints.first().copied());
        let window = [usize::try_from(rows).ok()?, usize::try_from(columns).ok()?];
        let stride = self.two("strides", 1)?;
        if group != Some(filters) || self.two("dilations", 1)? != [1, 1] || stride.contains(&0) {
            return None;
        }
        let by = |setting: &NodeSetting| -> Option<[usize; 4]> {
            let by = setting.ints.iter().map(|size| usize::try_from(*size).ok());
            by.collect::<Option<Vec<usize>>>()?.try_into().ok()
        };
        let padding = match self
            .setting("auto_pad")
            .map_or("NOTSET", |setting| &setting.text)
        {
            "SAME_UPPER" => Padding::Same,
            "VALID" => Padding::By([0; 4]),
            "NOTSET" => Padding::By(self.setting("pads").map_or(Some([0; 4]), by)?),
            _ => return None,
        };
        Some(Depthwise {
            window,
            stride,
            padding,
            weights: weights.floats()?,
            bias: bias.map_or(Some(Vec::new()), Constant::floats)?,
        })
    }

    /// Appends the operator, mended where `rten` 0.27 does not read the standard: it lacks Dropout,
    /// which does nothing outside training, and takes the size of a window from its setting alone,
    /// not from the weights `[m, c, h, w]`.
    ///
    /// # Errors
    /// If it is to be padded before the picture rather than after it, which `rten` does the other
    /// way round.
    fn put(&self, bytes: &[u8], weights: Option<&[i64]>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let has = |name: &str| self.setting(name).is_some();
        if self
            .settings
            .iter()
            .any(|setting| setting.text == "SAME_LOWER")
        {
            return Err(format!(
                "{} with auto_pad = SAME_LOWER is not supported",
                self.op
            ));
        }
        match (
            self.op.as_str(),
            self.inputs.first(),
            self.outputs.as_slice(),
        ) {
            ("Dropout", Some(input), [output, ..]) => {
                let mut node = Vec::new();
                put_bytes(1, input.as_bytes(), &mut node);
                put_bytes(2, output.as_bytes(), &mut node);
                put_bytes(4, b"Identity", &mut node);
                put_bytes(1, &node, out);
            }
            ("Conv", ..) if !has("kernel_shape") && weights.is_some_and(|size| size.len() > 2) => {
                let mut window = Vec::new();
                put_bytes(1, b"kernel_shape", &mut window);
                let sizes = weights.unwrap_or_default().iter().skip(2);
                sizes.for_each(|size| put_int(8, *size as u64, &mut window));
                // The type: a list of whole numbers.
                put_int(20, 7, &mut window);
                let mut node = bytes[self.inner.clone()].to_vec();
                put_bytes(5, &window, &mut node);
                put_bytes(1, &node, out);
            }
            _ => out.extend_from_slice(&bytes[self.raw.clone()]),
        }
        Ok(())
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
