//! ONNX Runtime, loaded when it is asked for; nothing is downloaded and nothing is linked.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, Tensor as Value, ValueType};
use truepair_core::error::Place;
use truepair_core::{Error, Result};

use crate::onnx::{Tensor, Values};

/// The loaded library. A process loads one.
#[derive(Debug, Clone)]
pub struct OnnxRuntime {
    environment: Environment,
    threads: usize,
}

impl OnnxRuntime {
    /// Loads the shared library at `library` (`libonnxruntime.so`, `onnxruntime.dll`,
    /// `libonnxruntime.dylib`), version 1.17 or later; a model runs on this many threads.
    ///
    /// # Errors
    /// If there is no such library, it is older, or the process has loaded another one.
    pub fn load(library: &Path, threads: usize) -> Result<Self> {
        let refuse = |cause: String| {
            Error::data(
                library,
                Place::Whole,
                format!("cannot be used as ONNX Runtime: {cause}"),
                "name the shared library of ONNX Runtime 1.17 or later, for instance \
                 `libonnxruntime.so` of the package that its project publishes",
            )
        };
        // The binding looks for relative paths beside the program first.
        let path = (library.canonicalize()).map_err(|cause| Error::io(library, "open", cause))?;
        let builder = ort::init_from(path).map_err(|cause| refuse(cause.to_string()))?;
        let environment = builder.build().map_err(|cause| refuse(cause.to_string()))?;
        Ok(Self {
            environment,
            threads,
        })
    }

    pub(super) fn open(&self, path: &Path) -> Result<OnnxRuntimeModel> {
        let refuse = |cause: String| {
            let remedy = "export the encoder to ONNX again, or run it without --runtime";
            Error::data(path, Place::Whole, cause, remedy)
        };
        let builder = Session::builder(&self.environment).map_err(|e| refuse(e.to_string()))?;
        let builder = builder.with_intra_threads(self.threads.max(1));
        let mut builder = builder.map_err(|cause| refuse(cause.to_string()))?;
        let session = builder.commit_from_file(path);
        let session = session.map_err(|cause| refuse(cause.to_string()))?;
        let names = |ports: &[Outlet]| ports.iter().map(|port| port.name().to_owned()).collect();
        Ok(OnnxRuntimeModel {
            path: path.to_path_buf(),
            inputs: names(session.inputs()),
            shapes: session.inputs().iter().map(shape_of).collect(),
            outputs: names(session.outputs()),
            session: Mutex::new(session),
        })
    }
}

/// A model that ONNX Runtime runs, one input at a time on the library's own threads.
#[derive(Debug)]
pub(crate) struct OnnxRuntimeModel {
    path: PathBuf,
    inputs: Vec<String>,
    shapes: Vec<Vec<Option<usize>>>,
    outputs: Vec<String>,
    session: Mutex<Session>,
}

impl OnnxRuntimeModel {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(String::as_str)
    }

    pub(super) fn input_shape(&self, index: usize) -> &[Option<usize>] {
        &self.shapes[index]
    }

    pub(super) fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(String::as_str)
    }

    pub(super) fn run(&self, inputs: Vec<Tensor>, name: &str) -> Result<Tensor> {
        assert_eq!(inputs.len(), self.inputs.len(), "one tensor per input");
        self.compute(inputs, name).map_err(|cause| {
            let remedy = "check that the model reads such inputs";
            Error::data(&self.path, Place::Whole, cause, remedy)
        })
    }

    fn compute(&self, inputs: Vec<Tensor>, name: &str) -> Result<Tensor, String> {
        let given = self.inputs.iter().zip(inputs).map(|(name, tensor)| {
            let value = value_of(&tensor).map_err(|cause| cause.to_string())?;
            Ok((name.as_str(), value))
        });
        let given: Vec<(&str, SessionInputValue<'_>)> = given.collect::<Result<_, String>>()?;
        // A run that panicked left the session as it was.
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let found = session.run::<0>(given).map_err(|cause| cause.to_string())?;
        let output = found
            .get(name)
            .ok_or_else(|| format!("no output '{name}'"))?;
        let (shape, values) = output
            .try_extract_tensor::<f32>()
            .map_err(|cause| format!("output '{name}': {cause}"))?;
        let size = |&size: &i64| usize::try_from(size).map_err(|cause| cause.to_string());
        let shape = shape
            .iter()
            .map(size)
            .collect::<Result<Vec<usize>, String>>()?;
        Tensor::floats(shape, values.to_vec())
    }
}

fn value_of(tensor: &Tensor) -> ort::Result<SessionInputValue<'static>> {
    let shape = tensor.shape().to_vec();
    Ok(match tensor.values() {
        Values::Floats(values) => Value::from_array((shape, values.to_vec()))?.into(),
        Values::Ints(values) => Value::from_array((shape, values.to_vec()))?.into(),
    })
}

fn shape_of(port: &Outlet) -> Vec<Option<usize>> {
    match port.dtype() {
        ValueType::Tensor { shape, .. } => (shape.iter())
            .map(|&size| usize::try_from(size).ok())
            .collect(),
        _ => Vec::new(),
    }
}
