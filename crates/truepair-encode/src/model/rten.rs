//! Models on the crate `rten`.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::rten::{ModelOptions, NodeId, RunOptions, Value, ValueOrView, ValueView};
use rten_tensor::prelude::*;

use super::depthwise::Depthwise;
use super::lane::Lane;
use super::part::Step;
use super::wire::Fault;
use super::{Input, Output, Tensor, Values};

/// A loaded model.
pub(super) struct Rten {
    steps: Vec<Loaded>,
    output: String,
}

/// One step to the output; names are those of the file.
enum Loaded {
    Graph {
        model: Box<::rten::Model>,
        given: Vec<(String, NodeId)>,
        outputs: Vec<(String, NodeId)>,
    },
    Depthwise {
        convolution: Depthwise,
        input: String,
        output: String,
    },
}

impl fmt::Debug for Rten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rten ({} steps)", self.steps.len())
    }
}

impl Rten {
    /// # Errors
    /// If an operator is not known, or the graph is not one that can be run.
    pub(super) fn load(steps: Vec<Step>, output: &str) -> Result<Self, Fault> {
        let steps = steps.into_iter().map(|step| match step {
            Step::Depthwise {
                convolution,
                input,
                output,
            } => Ok(Loaded::Depthwise {
                convolution,
                input,
                output,
            }),
            Step::Graph {
                model,
                given,
                outputs,
            } => load_graph(model, given, outputs),
        });
        Ok(Self {
            steps: steps.collect::<Result<_, _>>()?,
            output: output.to_owned(),
        })
    }

    pub(super) fn run(
        &self,
        inputs: Vec<Tensor>,
        names: &[Input],
        lane: &Lane,
    ) -> Result<Output, Fault> {
        let mut values: HashMap<&str, Value> = HashMap::new();
        for (input, tensor) in names.iter().zip(inputs) {
            values.insert(input.name.as_str(), value_of(tensor)?);
        }
        let missing = |name: &str| format!("'{name}' was not computed");
        for step in &self.steps {
            match step {
                Loaded::Graph {
                    model,
                    given,
                    outputs,
                } => {
                    let given = given.iter().map(|(name, id)| {
                        let value = values.get(name.as_str()).ok_or_else(|| missing(name))?;
                        Ok((*id, ValueOrView::from(value)))
                    });
                    let given: Vec<(NodeId, ValueOrView<'_>)> =
                        given.collect::<Result<_, Fault>>()?;
                    let ids: Vec<NodeId> = outputs.iter().map(|(_, id)| *id).collect();
                    let options = RunOptions::default().with_thread_pool(Some(lane.pool.clone()));
                    let found = guarded(|| {
                        let found = model.run(given, &ids, Some(options));
                        found.map_err(|cause| cause.to_string())
                    })?;
                    let names = outputs.iter().map(|(name, _)| name.as_str());
                    values.extend(names.zip(found));
                }
                Loaded::Depthwise {
                    convolution,
                    input,
                    output,
                } => {
                    let value = values.get(input.as_str()).ok_or_else(|| missing(input))?;
                    values.insert(output.as_str(), convolved(convolution, value)?);
                }
            }
        }
        let found = values.remove(self.output.as_str());
        match found.ok_or_else(|| missing(&self.output))? {
            Value::FloatTensor(tensor) => Ok(Output {
                shape: tensor.shape().to_vec(),
                values: tensor.into_data(),
            }),
            _ => Err("whole numbers where others are expected".into()),
        }
    }
}

fn convolved(convolution: &Depthwise, value: &Value) -> Result<Value, Fault> {
    let ValueView::FloatTensor(tensor) = value.as_view() else {
        return Err("Conv: whole numbers where others are expected".into());
    };
    let found = convolution.run(&Output {
        shape: tensor.shape().to_vec(),
        values: tensor.to_vec(),
    })?;
    value_of(Tensor {
        shape: found.shape,
        values: Values::Floats(found.values),
    })
}

fn load_graph(bytes: Vec<u8>, given: Vec<String>, outputs: Vec<String>) -> Result<Loaded, Fault> {
    let mut options = ModelOptions::with_all_ops();
    options.prepack_weights(true);
    let model = guarded(|| options.load(bytes).map_err(|cause| cause.to_string()))?;
    let node = |name: String| {
        let found = model.find_node(&name);
        let id = found.ok_or_else(|| format!("'{name}' is not part of the graph"))?;
        Ok((name, id))
    };
    let given = given.into_iter().map(node).collect::<Result<_, Fault>>()?;
    let outputs = outputs
        .into_iter()
        .map(node)
        .collect::<Result<_, Fault>>()?;
    Ok(Loaded::Graph {
        model: Box::new(model),
        given,
        outputs,
    })
}

fn value_of(tensor: Tensor) -> Result<Value, Fault> {
    let fault = |cause: &dyn fmt::Display| cause.to_string();
    match tensor.values {
        Values::Floats(values) => {
            Value::from_shape(tensor.shape, values).map_err(|cause| fault(&cause))
        }
        Values::Ints(values) => {
            let narrow = |value: i64| value.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            let values: Vec<i32> = values.into_iter().map(narrow).collect();
            Value::from_shape(tensor.shape, values).map_err(|cause| fault(&cause))
        }
    }
}

/// A graph that is whole may still be one that nobody meant; what it breaks is the file's fault.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = (panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!(
            "it cannot be run: {}",
            said.unwrap_or_else(|| "an operator gave up".into())
        ))
    })
}
