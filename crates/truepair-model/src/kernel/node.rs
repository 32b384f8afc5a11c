//! How a fused operation becomes one node of the autodiff graph.

use std::fmt::{self, Debug};
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients as Graph;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::tensor::{Device, Tensor, TensorData};
use truepair_kernel::{Array, Gradients, Operation, Output};

type Differentiable = Autodiff<Flex>;
type Tracked = <Differentiable as burn::backend::BackendTypes>::FloatTensorPrimitive;

/// A tensor of any rank on its way into an operation.
pub(crate) enum Operand {
    Plain(FlexTensor),
    Tracked(Tracked),
}

/// Whether tensors on `device` go through fused operations; otherwise the twin must run.
pub(crate) fn is_fused(device: &Device) -> bool {
    *device == Device::flex() || *device == Device::flex().autodiff()
}

impl<const D: usize> From<Tensor<D>> for Operand {
    fn from(tensor: Tensor<D>) -> Self {
        if tensor.device().is_autodiff() {
            Self::Tracked(tensor.try_into_primitive::<Differentiable>().expect(CPU))
        } else {
            Self::Plain(tensor.try_into_primitive::<Flex>().expect(CPU))
        }
    }
}

const CPU: &str = "fused operations run on the CPU backend without gradient checkpointing";

/// Runs a fused operation. The output is on the differentiable device if any input is.
///
/// # Panics
/// If an input is not on the CPU or not of `f32`.
pub(crate) fn apply<O: Operation, const N: usize, const D: usize>(
    operation: O,
    inputs: [Operand; N],
) -> Tensor<D> {
    if inputs
        .iter()
        .all(|input| matches!(input, Operand::Plain(_)))
    {
        let inputs = inputs.map(|input| match input {
            Operand::Plain(tensor) => dense(tensor),
            Operand::Tracked(tensor) => dense(tensor.into_primitive()),
        });
        return Tensor::from_primitive::<Flex>(output(&operation, &inputs));
    }
    let (mut nodes, mut values) = (Vec::new(), Vec::new());
    for input in inputs {
        let tracked = match input {
            Operand::Plain(tensor) => Tracked::new(tensor),
            Operand::Tracked(tensor) => tensor,
        };
        let (value, node) = tracked.into_parts();
        nodes.push(node);
        values.push(dense(value));
    }
    let Ok(nodes) = <[_; N]>::try_from(nodes) else {
        unreachable!("one node an input")
    };
    let Ok(inputs) = <[FlexTensor; N]>::try_from(values) else {
        unreachable!("one value an input")
    };
    let prepared = Node::<O>(std::marker::PhantomData)
        .prepare::<NoCheckpointing>(nodes)
        .compute_bound()
        .stateful();
    let output = match prepared {
        OpsKind::Tracked(prepared) => {
            let shapes = shapes(&inputs);
            let (output, saved) = operation.forward(&arrays(&inputs, &shapes));
            let output = tensor(output);
            let mut inputs = Vec::from(inputs);
            inputs.extend(O::KEEPS_OUTPUT.then(|| output.clone()));
            let state = State(Arc::new(Recorded {
                operation,
                inputs,
                saved,
            }));
            prepared.finish(state, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(output(&operation, &inputs)),
    };
    Tensor::from_primitive::<Differentiable>(output)
}

fn output<O: Operation>(operation: &O, inputs: &[FlexTensor]) -> FlexTensor {
    tensor(operation.output(&arrays(inputs, &shapes(inputs))))
}

fn tensor(Output { values, shape }: Output) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn dense(tensor: FlexTensor) -> FlexTensor {
    match tensor.is_contiguous() {
        true => tensor,
        false => tensor.to_contiguous(),
    }
}

fn shapes(inputs: &[FlexTensor]) -> Vec<Vec<usize>> {
    inputs.iter().map(|input| input.shape().to_vec()).collect()
}

fn arrays<'a>(inputs: &'a [FlexTensor], shapes: &'a [Vec<usize>]) -> Vec<Array<'a>> {
    (inputs.iter().zip(shapes))
        .map(|(input, shape)| Array {
            values: input.as_slice().expect("dense tensors of f32"),
            shape,
        })
        .collect()
}

struct Recorded<O: Operation> {
    operation: O,
    /// The output stands last where the operation keeps it.
    inputs: Vec<FlexTensor>,
    saved: O::Saved,
}

struct State<O: Operation>(Arc<Recorded<O>>);

impl<O: Operation> Clone for State<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<O: Operation> Debug for State<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.operation.fmt(f)
    }
}

struct Node<O>(std::marker::PhantomData<O>);

impl<O> Debug for Node<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fused operation")
    }
}

impl<O: Operation, const N: usize> Backward<Flex, N> for Node<O> {
    type State = State<O>;

    fn backward(self, ops: Ops<Self::State, N>, graph: &mut Graph, _: &mut Checkpointer) {
        let gradient = dense(graph.consume::<Flex>(&ops.node));
        let recorded = &ops.state.0;
        let shapes = shapes(&recorded.inputs);
        let arrays = arrays(&recorded.inputs, &shapes);
        let wanted = ops.parents.iter().zip(&arrays);
        let wanted = wanted.map(|(parent, array)| parent.as_ref().map(|_| array.values.len()));
        let mut gradients = Gradients::zero(wanted);
        let values = gradient.as_slice().expect("a gradient is dense f32");
        recorded
            .operation
            .backward(&arrays, &recorded.saved, values, &mut gradients);
        let gradients = ops.parents.iter().zip(gradients.into_values());
        for ((parent, values), shape) in gradients.zip(shapes) {
            if let (Some(parent), Some(values)) = (parent, values) {
                graph.register::<Flex>(parent.id, tensor(Output { values, shape }));
            }
        }
    }
}
