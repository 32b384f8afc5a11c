//! One operator of a graph: what it reads and gives, and how it is written for the runtime.

use std::collections::HashSet;
use std::ops::Range;

use super::constant::{BFLOAT16, Constant, SINGLE};
use super::depthwise::{Depthwise, Padding};
use super::wire::{Fault, Field, Places, Value, fields, packed_ints, put_bytes, put_int, text};

/// Types of settings: a whole number, a constant, a list of whole numbers.
const INT: u64 = 2;
const TENSOR: u64 = 4;
const INTS: u64 = 7;

/// Settings of windows and their places.
const WINDOWS: &[&str] = &[
    "kernel_shape",
    "pads",
    "strides",
    "dilations",
    "output_padding",
];

/// One operator.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) op: String,
    pub(super) inputs: Vec<String>,
    /// Names that graphs inside it read.
    pub(super) captured: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// The value of a `Constant`.
    pub(super) tensor: Option<Range<usize>>,
    settings: Vec<NodeSetting>,
    /// The message, and the field that it stands in.
    inner: Range<usize>,
    raw: Range<usize>,
}

/// A constant setting of an operator.
#[derive(Debug, Default)]
pub(super) struct NodeSetting {
    name: String,
    text: String,
    ints: Vec<i64>,
}

impl Node {
    pub(super) fn read(
        field: &Field<'_>,
        bytes: &[u8],
        places: &Places<'_>,
    ) -> Result<Self, Fault> {
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

    pub(super) fn gives(&self, names: &HashSet<&str>) -> bool {
        self.outputs
            .iter()
            .any(|name| names.contains(name.as_str()))
    }

    fn setting(&self, name: &str) -> Option<&NodeSetting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// # Errors
    /// If a window, its steps or what is put around a plane are larger than `largest`.
    pub(super) fn check_windows(&self, largest: u64) -> Result<(), Fault> {
        let mut settings = self.settings.iter();
        let of_windows = |setting: &&NodeSetting| WINDOWS.contains(&setting.name.as_str());
        let is_wide = |size: &i64| size.unsigned_abs() > largest;
        match settings.find(|setting| of_windows(setting) && setting.ints.iter().any(is_wide)) {
            Some(setting) => {
                let NodeSetting { name, ints, .. } = setting;
                Err(format!(
                    "{}: {name} {ints:?}, at most {largest} are read",
                    self.op
                ))
            }
            None => Ok(()),
        }
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
    pub(super) fn depthwise(
        &self,
        weights: &Constant<'_>,
        bias: Option<&Constant<'_>>,
    ) -> Option<Depthwise> {
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
    /// which does nothing outside training, takes the size of a window from its setting alone, not
    /// from the weights `[m, c, h, w]`, and does not know bfloat16, which becomes single precision.
    ///
    /// # Errors
    /// If it is to be padded before the picture rather than after it, which `rten` does the other
    /// way round.
    pub(super) fn put(
        &self,
        bytes: &[u8],
        weights: Option<&[i64]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if let Some(one) = self.settings.iter().find(|one| one.text == "SAME_LOWER") {
            return Err(format!(
                "{} with {} = SAME_LOWER is not supported",
                self.op, one.name
            ));
        }
        let has = |name: &str| self.setting(name).is_some();
        match self.op.as_str() {
            "Dropout" if !self.inputs.is_empty() && !self.outputs.is_empty() => {
                self.put_anew(
                    "Identity",
                    (&self.inputs[..1], &self.outputs[..1]),
                    None,
                    out,
                );
            }
            "Conv" if !has("kernel_shape") && weights.is_some_and(|size| size.len() > 2) => {
                let mut window = Vec::new();
                put_bytes(1, b"kernel_shape", &mut window);
                let sizes = weights.unwrap_or_default().iter().skip(2);
                sizes.for_each(|size| put_int(8, *size as u64, &mut window));
                put_int(20, INTS, &mut window);
                let mut node = bytes[self.inner.clone()].to_vec();
                put_bytes(5, &window, &mut node);
                put_bytes(1, &node, out);
            }
            _ => match self.setting_in_single(bytes)? {
                Some(setting) => {
                    self.put_anew(&self.op, (&self.inputs, &self.outputs), Some(&setting), out);
                }
                None => out.extend_from_slice(&bytes[self.raw.clone()]),
            },
        }
        Ok(())
    }

    /// The only setting of an operator that makes numbers of bfloat16, made to make those of single
    /// precision; `None` where it makes others.
    fn setting_in_single(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut setting = Vec::new();
        let casts = self.op == "Cast"
            && self
                .setting("to")
                .is_some_and(|to| to.ints == [BFLOAT16 as i64]);
        if casts {
            put_bytes(1, b"to", &mut setting);
            put_int(3, SINGLE, &mut setting);
            put_int(20, INT, &mut setting);
            return Ok(Some(setting));
        }
        let Some(place) = &self.tensor else {
            return Ok(None);
        };
        let constant = Constant::read(&bytes[place.clone()])?;
        if constant.kind() != BFLOAT16 {
            return Ok(None);
        }
        let mut tensor = Vec::new();
        constant.put_single(&mut tensor);
        put_bytes(1, b"value", &mut setting);
        put_bytes(5, &tensor, &mut setting);
        put_int(20, TENSOR, &mut setting);
        Ok(Some(setting))
    }

    /// Appends an operator with these inputs and outputs and at most one setting.
    fn put_anew(
        &self,
        op: &str,
        (inputs, outputs): (&[String], &[String]),
        setting: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) {
        let mut node = Vec::new();
        for (number, names) in [(1, inputs), (2, outputs)] {
            let names = names.iter();
            names.for_each(|name| put_bytes(number, name.as_bytes(), &mut node));
        }
        put_bytes(4, op.as_bytes(), &mut node);
        setting
            .into_iter()
            .for_each(|setting| put_bytes(5, setting, &mut node));
        put_bytes(1, &node, out);
    }
}
