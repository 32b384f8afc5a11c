//! What runs an encoder: the crate's own forward passes, or ONNX Runtime's shared library.

#[cfg(feature = "ort")]
mod onnx_runtime;

use std::path::Path;

use truepair_core::Result;

use crate::onnx::{self, Tensor};

#[cfg(feature = "ort")]
pub use onnx_runtime::OnnxRuntime;

/// What runs an encoder.
#[derive(Debug, Clone, Default)]
pub enum Runtime {
    /// The crate's own forward passes: one input at a time on the calling thread.
    #[default]
    BuiltIn,
    /// The shared library of ONNX Runtime, with all operators that it knows.
    #[cfg(feature = "ort")]
    OnnxRuntime(OnnxRuntime),
}

/// A model that is ready to run.
#[derive(Debug)]
pub(crate) enum Model {
    BuiltIn(onnx::Interpreter),
    #[cfg(feature = "ort")]
    OnnxRuntime(onnx_runtime::OnnxRuntimeModel),
}

/// Calls the same method of whichever model it is.
macro_rules! either {
    ($model:expr, $inner:ident => $call:expr) => {
        match $model {
            Model::BuiltIn($inner) => $call,
            #[cfg(feature = "ort")]
            Model::OnnxRuntime($inner) => $call,
        }
    };
}

impl Model {
    /// Reads the model at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is no ONNX model, or needs an operator that the runtime does not
    /// know.
    pub(crate) fn open(path: &Path, runtime: &Runtime) -> Result<Self> {
        match runtime {
            Runtime::BuiltIn => Ok(Model::BuiltIn(onnx::Interpreter::open(path)?)),
            #[cfg(feature = "ort")]
            Runtime::OnnxRuntime(runtime) => Ok(Model::OnnxRuntime(runtime.open(path)?)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        either!(self, model => model.path())
    }

    /// Names of the inputs.
    pub(crate) fn inputs(&self) -> Vec<&str> {
        either!(self, model => model.inputs().collect())
    }

    /// Sizes of input `index`; `None` where any size may stand.
    pub(crate) fn input_shape(&self, index: usize) -> &[Option<usize>] {
        either!(self, model => model.input_shape(index))
    }

    /// Names of the outputs.
    pub(crate) fn outputs(&self) -> Vec<&str> {
        either!(self, model => model.outputs().collect())
    }

    /// The output called `name` for `inputs`, in the order of [`inputs`](Self::inputs).
    ///
    /// # Errors
    /// If there is no such output, or the inputs do not fit.
    ///
    /// # Panics
    /// If there is another number of inputs.
    pub(crate) fn run(&self, inputs: Vec<Tensor>, name: &str) -> Result<Tensor> {
        either!(self, model => model.run(inputs, name))
    }
}
