//! Forward passes of ONNX models on the processor.
//!
//! Operators run one after another on the calling thread, with the sizes that their inputs turn out
//! to have; who has several inputs calls from several threads. The operators are those of exported
//! convolutional networks and transformers. A model that needs another one is refused by its name
//! when it is opened, before anything is computed.

mod op;
mod proto;
mod tensor;
mod weights;
mod wire;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use truepair_core::error::Place;
use truepair_core::{Error, Result};

use self::op::Operator;
use self::proto::{Graph, Port};
use self::wire::Fault;

pub(crate) use self::tensor::Tensor;
#[cfg(feature = "ort")]
pub(crate) use self::tensor::Values;

/// A model that is ready to run.
#[derive(Debug)]
pub(crate) struct Interpreter {
    path: PathBuf,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// Value of each input.
    input_slots: Vec<usize>,
    constants: Vec<(usize, Tensor)>,
    steps: Vec<Step>,
    slot_of: HashMap<String, usize>,
}

/// One operator and the values that it reads and writes.
#[derive(Debug)]
struct Step {
    operator: Operator,
    name: String,
    /// `None` where an optional input is left out.
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
}

impl Interpreter {
    /// Reads the model at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is no ONNX model, or needs an operator that is not known.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|cause| Error::io(path, "open", cause))?;
        // SAFETY: the mapping is read-only and ends with this function; a file that another program
        // shortens meanwhile ends the process, as for every mapped file.
        let bytes =
            unsafe { memmap2::Mmap::map(&file) }.map_err(|cause| Error::io(path, "read", cause))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let refuse = |fault: Fault| {
            let remedy = "export the encoder to ONNX again, in single precision";
            Error::data(path, Place::Whole, fault, remedy)
        };
        let graph = proto::read_model(&bytes, folder).map_err(refuse)?;
        Self::build(path, graph).map_err(refuse)
    }

    fn build(path: &Path, graph: Graph) -> Result<Self, Fault> {
        let mut slots = Slots::default();
        let input_slots = (graph.inputs.iter())
            .map(|port| slots.of(&port.name))
            .collect();
        let constants = graph.initializers.into_iter();
        let constants = constants
            .map(|(name, tensor)| (slots.of(&name), tensor))
            .collect();
        let mut steps = Vec::with_capacity(graph.nodes.len());
        for node in graph.nodes {
            let name = format!("{} '{}'", node.op, node.name);
            let operator = Operator::new(&node, graph.opset)?;
            let inputs = node
                .inputs
                .iter()
                .map(|name| slots.optional(name))
                .collect();
            let outputs = node
                .outputs
                .iter()
                .map(|name| slots.optional(name))
                .collect();
            steps.push(Step {
                operator,
                name,
                inputs,
                outputs,
            });
        }
        let unknown = graph
            .outputs
            .iter()
            .find(|port| !slots.by_name.contains_key(&port.name));
        if let Some(port) = unknown {
            return Err(format!("nothing computes the output '{}'", port.name));
        }
        Ok(Self {
            path: path.to_path_buf(),
            inputs: graph.inputs,
            outputs: graph.outputs,
            input_slots,
            constants,
            steps,
            slot_of: slots.by_name,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the inputs.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|port| port.name.as_str())
    }

    /// Sizes of input `index`; `None` where any size may stand.
    pub(crate) fn input_shape(&self, index: usize) -> &[Option<usize>] {
        &self.inputs[index].shape
    }

    /// Names of the outputs.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|port| port.name.as_str())
    }

    /// The output called `name` for `inputs`, in the order of [`inputs`](Self::inputs). Operators
    /// that do not lead to it are left out.
    ///
    /// # Errors
    /// If there is no such output, or the inputs do not fit an operator, which is then named.
    ///
    /// # Panics
    /// If there is another number of inputs.
    pub(crate) fn run(&self, inputs: Vec<Tensor>, name: &str) -> Result<Tensor> {
        assert_eq!(inputs.len(), self.inputs.len(), "one tensor per input");
        self.compute(inputs, name).map_err(|fault| {
            Error::data(
                &self.path,
                Place::Whole,
                fault,
                "check that the model reads such inputs",
            )
        })
    }

    fn compute(&self, inputs: Vec<Tensor>, name: &str) -> Result<Tensor, Fault> {
        let wanted = *(self.slot_of.get(name)).ok_or_else(|| format!("no output '{name}'"))?;
        let uses = self.uses(wanted);
        let mut left = uses.clone();
        let mut values: Vec<Option<Tensor>> = vec![None; self.slot_of.len()];
        for (slot, tensor) in &self.constants {
            values[*slot] = Some(tensor.clone());
        }
        for (slot, tensor) in self.input_slots.iter().zip(inputs) {
            values[*slot] = Some(tensor);
        }
        for step in &self.steps {
            if step.outputs.iter().flatten().all(|slot| uses[*slot] == 0) {
                continue;
            }
            let mut read = Vec::with_capacity(step.inputs.len());
            for slot in &step.inputs {
                read.push(slot.and_then(|slot| {
                    left[slot] -= 1;
                    match left[slot] {
                        // The last reader gets the value itself and may overwrite it.
                        0 => values[slot].take(),
                        _ => values[slot].clone(),
                    }
                }));
            }
            let results = step.operator.run(read);
            let results = results.map_err(|fault| format!("{}: {fault}", step.name))?;
            for (slot, result) in step.outputs.iter().zip(results) {
                if let Some(slot) = *slot
                    && left[slot] > 0
                {
                    values[slot] = Some(result);
                }
            }
        }
        values[wanted]
            .take()
            .ok_or_else(|| format!("'{name}' was not computed"))
    }

    /// How often every value is read on the way to `wanted`, which itself counts as read once.
    fn uses(&self, wanted: usize) -> Vec<u32> {
        let mut uses = vec![0; self.slot_of.len()];
        uses[wanted] = 1;
        for step in self.steps.iter().rev() {
            if step.outputs.iter().flatten().any(|slot| uses[*slot] > 0) {
                step.inputs
                    .iter()
                    .flatten()
                    .for_each(|slot| uses[*slot] += 1);
            }
        }
        uses
    }
}

/// Numbers for the names of values.
#[derive(Debug, Default)]
struct Slots {
    by_name: HashMap<String, usize>,
}

impl Slots {
    fn of(&mut self, name: &str) -> usize {
        let next = self.by_name.len();
        *self.by_name.entry(name.to_owned()).or_insert(next)
    }

    fn optional(&mut self, name: &str) -> Option<usize> {
        (!name.is_empty()).then(|| self.of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn fixture(name: &str) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/encoders");
        root.join(name)
    }

    fn operators() -> Tensor {
        let values = (0..252).map(|n| (f64::from(n) * 0.37).sin() as f32);
        let values = values.collect();
        Tensor::floats(vec![2, 3, 7, 6], values).unwrap()
    }

    #[test]
    fn every_operator_gives_the_reference_values() {
        let model = Interpreter::open(&fixture("operators.onnx")).unwrap();
        let bytes = std::fs::read(fixture("operators.json")).unwrap();
        let expected: Value = serde_json::from_slice(&bytes).unwrap();
        for name in model.outputs() {
            let found = model.run(vec![operators()], name).unwrap();
            let shape: Vec<usize> =
                serde_json::from_value(expected[name]["shape"].clone()).unwrap();
            assert_eq!(found.shape(), shape, "{name}");
            let values: Vec<f64> =
                serde_json::from_value(expected[name]["values"].clone()).unwrap();
            let found: Vec<f64> = match found.values() {
                tensor::Values::Floats(values) => values.iter().map(|x| f64::from(*x)).collect(),
                tensor::Values::Ints(values) => values.iter().map(|x| *x as f64).collect(),
            };
            let largest = values.iter().fold(1.0f64, |m, x| m.max(x.abs()));
            for (at, (a, b)) in found.iter().zip(&values).enumerate() {
                let close = (a - b).abs() <= 2e-6 * largest;
                assert!(close, "{name}[{at}]: {a}, expected {b}");
            }
        }
        let covered = |op: &str| model.steps.iter().any(|step| step.name.starts_with(op));
        assert!(op::names().all(|op| covered(&format!("{op} "))));
    }

    #[test]
    fn files_that_are_cut_or_of_another_kind_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.onnx");
        let bytes = std::fs::read(fixture("tiny_image.onnx")).unwrap();
        for content in [&bytes[..bytes.len() / 2], b"no model", &[0xff; 64]] {
            std::fs::write(&path, content).unwrap();
            let error = Interpreter::open(&path).unwrap_err().to_string();
            assert!(error.contains("cut.onnx"), "{error}");
        }
        assert!(Interpreter::open(&folder.path().join("none.onnx")).is_err());
    }

    #[test]
    fn inputs_that_do_not_fit_name_the_operator() {
        let model = Interpreter::open(&fixture("tiny_image.onnx")).unwrap();
        let input = Tensor::floats(vec![1, 2, 4, 4], vec![0.0; 32]).unwrap();
        let error = model.run(vec![input], "pooled").unwrap_err().to_string();
        assert!(
            error.contains("Conv") && error.contains("2 channels"),
            "{error}"
        );
    }
}
