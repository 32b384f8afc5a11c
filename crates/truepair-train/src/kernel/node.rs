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

use super::vector::zeros;

type Differentiable = Autodiff<Flex>;
type Tracked = <Differentiable as burn::backend::BackendTypes>::FloatTensorPrimitive;

/// A fused operation on dense `f32` arrays, row-major.
pub(crate) trait Operation: Debug + Send + Sync + 'static {
    /// What the backward pass needs besides the inputs.
    type Saved: Send + Sync + 'static;

    /// Whether the backward pass finds the output among its inputs, after all others.
    const KEEPS_OUTPUT: bool = false;

    /// The output and what the backward pass needs. `tracked` says whether there will be one.
    ///
    /// # Panics
    /// If an input has another shape than the operation is documented for.
    fn forward(&self, inputs: &[Array<'_>], tracked: bool) -> (Vec<f32>, Vec<usize>, Self::Saved);

    /// Adds to `gradients` the product of `gradient`, shaped as the output, with the derivative by
    /// each input that wants it.
    fn backward(
        &self,
        inputs: &[Array<'_>],
        saved: &Self::Saved,
        gradient: &[f32],
        gradients: &mut Gradients,
    );
}

/// An input of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array<'a> {
    /// Row-major.
    pub(crate) values: &'a [f32],
    /// Length of each axis.
    pub(crate) shape: &'a [usize],
}

impl Array<'_> {
    /// The shape as a fixed number of axes.
    ///
    /// # Panics
    /// If there is another number of axes.
    pub(crate) fn dims<const D: usize>(&self) -> [usize; D] {
        self.shape
            .try_into()
            .expect("an input of the documented rank")
    }
}

/// Gradients of the inputs that want one, zero at first. A buffer is allocated when it is first asked
/// for, so that an operation which makes its own never pays for the zeros.
#[derive(Debug)]
pub(crate) struct Gradients(Vec<Slot>);

#[derive(Debug)]
enum Slot {
    Unwanted,
    /// Wanted and all zero: the number of values.
    Zero(usize),
    Values(Vec<f32>),
}

impl Slot {
    fn take(&mut self) -> Option<Vec<f32>> {
        match std::mem::replace(self, Self::Unwanted) {
            Self::Unwanted => None,
            Self::Zero(n) => Some(zeros(n)),
            Self::Values(values) => Some(values),
        }
    }
}

impl Gradients {
    /// Whether input `index` wants its gradient.
    pub(crate) fn wants(&self, index: usize) -> bool {
        !matches!(self.0[index], Slot::Unwanted)
    }

    /// The gradient buffer of input `index`, if it wants one.
    pub(crate) fn get(&mut self, index: usize) -> Option<&mut [f32]> {
        let slot = &mut self.0[index];
        if let Slot::Zero(n) = *slot {
            *slot = Slot::Values(zeros(n));
        }
        match slot {
            Slot::Values(values) => Some(values),
            _ => None,
        }
    }

    /// Takes a buffer out; give it back with [`put`](Self::put). Several can be out at a time.
    pub(crate) fn take(&mut self, index: usize) -> Option<Vec<f32>> {
        self.0[index].take()
    }

    /// Sets the gradient of input `index`.
    pub(crate) fn put(&mut self, index: usize, values: Option<Vec<f32>>) {
        self.0[index] = values.map_or(Slot::Unwanted, Slot::Values);
    }
}

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
        let (output, _) = forward(&operation, &inputs, false);
        return Tensor::from_primitive::<Flex>(output);
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
            let (output, saved) = forward(&operation, &inputs, true);
            let mut inputs = Vec::from(inputs);
            inputs.extend(O::KEEPS_OUTPUT.then(|| output.clone()));
            let state = State(Arc::new(Recorded {
                operation,
                inputs,
                saved,
            }));
            prepared.finish(state, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(forward(&operation, &inputs, false).0),
    };
    Tensor::from_primitive::<Differentiable>(output)
}

fn forward<O: Operation>(
    operation: &O,
    inputs: &[FlexTensor],
    tracked: bool,
) -> (FlexTensor, O::Saved) {
    let shapes = shapes(inputs);
    let (values, shape, saved) = operation.forward(&arrays(inputs, &shapes), tracked);
    (FlexTensor::from_data(TensorData::new(values, shape)), saved)
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
        let mut gradients = Gradients(
            wanted
                .map(|(parent, array)| match parent {
                    Some(_) => Slot::Zero(array.values.len()),
                    None => Slot::Unwanted,
                })
                .collect(),
        );
        let values = gradient.as_slice().expect("a gradient is dense f32");
        recorded
            .operation
            .backward(&arrays, &recorded.saved, values, &mut gradients);
        for ((parent, mut slot), shape) in ops.parents.iter().zip(gradients.0).zip(shapes) {
            if let (Some(parent), Some(gradient)) = (parent, slot.take()) {
                let tensor = FlexTensor::from_data(TensorData::new(gradient, shape));
                graph.register::<Flex>(parent.id, tensor);
            }
        }
    }
}
