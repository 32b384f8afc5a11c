//! ONNX Runtime, loaded when it is asked for; nothing is downloaded and nothing is linked.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::f16;
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor as Value;
use truepair_core::error::Place;
use truepair_core::{Error, Result};

use super::wire::Fault;
use super::{Input, Numbers, Output, Tensor, Values};

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

    /// # Errors
    /// If the library does not take the model.
    pub(super) fn read(&self, model: &[u8]) -> Result<LoadedModel, Fault> {
        let fault = |cause: ort::Error| cause.to_string();
        let builder = Session::builder(&self.environment).map_err(fault)?;
        let builder = builder.with_intra_threads(self.threads.max(1));
        let mut builder = builder.map_err(|cause| cause.to_string())?;
        let session = builder.commit_from_memory(model).map_err(fault)?;
        Ok(LoadedModel(Mutex::new(session)))
    }
}

/// A model that ONNX Runtime runs, one input at a time on the library's own threads.
#[derive(Debug)]
pub(super) struct LoadedModel(Mutex<Session>);

impl LoadedModel {
    pub(super) fn run(
        &self,
        given: Vec<Tensor>,
        inputs: &[Input],
        name: &str,
    ) -> Result<Output, Fault> {
        let given = inputs.iter().zip(given).map(|(input, tensor)| {
            let value = value_of(tensor, input.numbers).map_err(|cause| cause.to_string())?;
            Ok((input.name.as_str(), value))
        });
        let given: Vec<(&str, SessionInputValue<'_>)> = given.collect::<Result<_, Fault>>()?;
        // A run that panicked left the session as it was.
        let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = session.run::<0>(given).map_err(|cause| cause.to_string())?;
        let output = found
            .get(name)
            .ok_or_else(|| format!("no output '{name}'"))?;
        let (shape, values) = match output.try_extract_tensor::<f16>() {
            Ok((shape, values)) => (shape, values.iter().map(|x| x.to_f32()).collect()),
            Err(_) => {
                let found = output.try_extract_tensor::<f32>();
                let (shape, values) = found.map_err(|cause| format!("output '{name}': {cause}"))?;
                (shape, values.to_vec())
            }
        };
        let size = |&size: &i64| usize::try_from(size).map_err(|cause| cause.to_string());
        Ok(Output {
            shape: shape.iter().map(size).collect::<Result<_, Fault>>()?,
            values,
        })
    }
}

fn value_of(tensor: Tensor, numbers: Numbers) -> ort::Result<SessionInputValue<'static>> {
    let shape = tensor.shape;
    Ok(match tensor.values {
        Values::Floats(values) if numbers == Numbers::F16 => {
            let values: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
            Value::from_array((shape, values))?.into()
        }
        Values::Floats(values) => Value::from_array((shape, values))?.into(),
        Values::Ints(values) if numbers == Numbers::I32 => {
            let narrow = |value: i64| value.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            let values: Vec<i32> = values.into_iter().map(narrow).collect();
            Value::from_array((shape, values))?.into()
        }
        Values::Ints(values) => Value::from_array((shape, values))?.into(),
    })
}
