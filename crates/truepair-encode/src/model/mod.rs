//! Models in ONNX files: what stands in the file, and the part of it that leads to one output, run.
//!
//! A file is walked to its end before a runtime sees it, and a runtime sees only what leads to the
//! wanted output, with the weights put inside. So a file with two towers is two models, and neither
//! a length nor a size in a damaged file leads to an allocation.

mod constant;
mod depthwise;
mod graph;
mod lane;
mod message;
mod node;
#[cfg(feature = "ort")]
mod onnx_runtime;
mod part;
mod rten;
mod wire;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use memmap2::Mmap;
use truepair_core::error::Place;
use truepair_core::{Error, Result, source_file};

use self::graph::Graph;
use self::wire::Fault;

pub(crate) use self::lane::{Lane, side_by_side};
#[cfg(feature = "ort")]
pub use self::onnx_runtime::OnnxRuntime;

/// What runs an encoder.
#[derive(Debug, Clone, Default)]
pub enum Runtime {
    /// What is built in, the crate `rten`: inputs side by side, each on one thread.
    #[default]
    BuiltIn,
    /// The shared library of ONNX Runtime, with all operators that it knows.
    #[cfg(feature = "ort")]
    OnnxRuntime(OnnxRuntime),
}

/// Numbers that a model reads.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

/// An input as it is given to a model, in row-major order.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
}

/// What a model returns, in row-major order.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Type of an input's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    F32,
    F16,
    I32,
    I64,
    Other(u64),
}

impl Numbers {
    /// `kind` as ONNX counts types.
    fn of(kind: u64) -> Self {
        match kind {
            1 => Self::F32,
            6 => Self::I32,
            7 => Self::I64,
            10 => Self::F16,
            other => Self::Other(other),
        }
    }

    pub(crate) fn are_whole(self) -> bool {
        matches!(self, Self::I32 | Self::I64)
    }
}

/// An input of a model.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: String,
    /// Sizes; `None` where any size may stand.
    pub(crate) shape: Vec<Option<usize>>,
    pub(crate) numbers: Numbers,
}

/// An ONNX file that was found to be whole.
#[derive(Debug)]
pub(crate) struct ModelFile {
    path: PathBuf,
    bytes: Mmap,
    graph: Graph,
}

impl ModelFile {
    /// # Errors
    /// If the file is not a regular one, cannot be read, or is not a whole ONNX model.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = source_file::open(path).map_err(|cause| Error::io(path, "open", cause))?;
        // SAFETY: the mapping is read-only; a file that another program shortens meanwhile ends the
        // process, as for every mapped file.
        let bytes = unsafe { Mmap::map(&file) }.map_err(|cause| Error::io(path, "read", cause))?;
        let graph = Graph::read(&bytes).map_err(|fault| refused(path, fault))?;
        Ok(Self {
            path: path.to_path_buf(),
            bytes,
            graph,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the outputs.
    pub(crate) fn outputs(&self) -> Vec<&str> {
        let outputs = self.graph.outputs.iter();
        outputs.map(|port| port.name.as_str()).collect()
    }

    /// The inputs that lead to `output`.
    ///
    /// # Errors
    /// If nothing computes it.
    pub(crate) fn inputs_of(&self, output: &str) -> Result<Vec<Input>> {
        let ports = self.graph.inputs_of(output);
        let ports = ports.map_err(|fault| refused(&self.path, fault))?;
        let input = |port: &graph::Port| Input {
            name: port.name.clone(),
            shape: port.shape.clone(),
            numbers: Numbers::of(port.kind),
        };
        Ok(ports.into_iter().map(input).collect())
    }

    /// A model that computes `output`.
    ///
    /// # Errors
    /// If nothing computes it, a file of weights cannot be read, or the runtime does not know an
    /// operator that leads there.
    pub(crate) fn load(&self, output: &str, runtime: &Runtime) -> Result<Model> {
        let inputs = self.inputs_of(output)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let fault = |fault| refused(&self.path, fault);
        let engine = match runtime {
            Runtime::BuiltIn => {
                let steps = self
                    .graph
                    .steps(&self.bytes, folder, output)
                    .map_err(fault)?;
                rten::Rten::load(steps, output).map(Engine::BuiltIn)
            }
            #[cfg(feature = "ort")]
            Runtime::OnnxRuntime(runtime) => {
                let cut = self.graph.cut(&self.bytes, folder, output).map_err(fault)?;
                runtime.read(&cut).map(Engine::OnnxRuntime)
            }
        };
        Ok(Model {
            engine: engine.map_err(fault)?,
            path: self.path.clone(),
            inputs,
            output: output.to_owned(),
        })
    }
}

fn refused(path: &Path, fault: Fault) -> Error {
    let remedy = "check that the file was downloaded whole, or export the encoder to ONNX again";
    Error::data(path, Place::Whole, fault, remedy)
}

#[derive(Debug)]
enum Engine {
    BuiltIn(rten::Rten),
    #[cfg(feature = "ort")]
    OnnxRuntime(onnx_runtime::LoadedModel),
}

/// A model that is ready to compute one output.
#[derive(Debug)]
pub(crate) struct Model {
    engine: Engine,
    path: PathBuf,
    inputs: Vec<Input>,
    output: String,
}

impl Model {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Name of the output.
    pub(crate) fn output(&self) -> &str {
        &self.output
    }

    /// The output for `inputs`, in the order of [`inputs`](Self::inputs).
    ///
    /// # Errors
    /// If the inputs do not fit, or the output is not of fractions.
    ///
    /// # Panics
    /// If there is another number of inputs.
    pub(crate) fn run(&self, inputs: Vec<Tensor>, lane: &Lane) -> Result<Output> {
        assert_eq!(inputs.len(), self.inputs.len(), "one tensor per input");
        let output = match &self.engine {
            Engine::BuiltIn(model) => model.run(inputs, &self.inputs, lane),
            #[cfg(feature = "ort")]
            Engine::OnnxRuntime(model) => model.run(inputs, &self.inputs, &self.output),
        };
        output.map_err(|fault| {
            let remedy = "check that the model reads such inputs";
            Error::data(&self.path, Place::Whole, fault, remedy)
        })
    }
}

/// The output that the caller named, the first of the known names, or the first of all.
///
/// # Errors
/// If there is no such output.
pub(crate) fn choose_output(
    file: &ModelFile,
    named: Option<&str>,
    known: &[&str],
) -> Result<String> {
    let outputs = file.outputs();
    let there = |name: &str| outputs.contains(&name);
    let chosen = match named {
        Some(name) => Some(name).filter(|name| there(name)),
        None => {
            let known = known.iter().copied().find(|name| there(name));
            known.or_else(|| outputs.first().copied())
        }
    };
    chosen.map(str::to_owned).ok_or_else(|| {
        let problem = match named {
            Some(name) => format!("there is no output '{name}'"),
            None => "it has no output".to_owned(),
        };
        let remedy = format!("choose one of {}", outputs.join(", "));
        Error::data(file.path(), Place::Whole, problem, remedy)
    })
}

/// # Errors
/// If a number is NaN or infinite.
pub(crate) fn finite(vectors: Vec<f32>, model: &Model) -> Result<Vec<f32>> {
    if vectors.iter().all(|x| x.is_finite()) {
        return Ok(vectors);
    }
    Err(Error::data(
        model.path(),
        Place::Whole,
        "it returned a number that is not finite",
        "check that its weights are whole",
    ))
}
