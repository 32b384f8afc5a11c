//! The operators, by the names that the ONNX standard gives them.
//!
//! Every function gets its inputs and returns its outputs; what does not fit is a fault in words,
//! to which the model adds the operator's name.

mod combine;
mod convolution;
mod index;
mod layout;
mod linear;
mod normalize;
mod pool;
mod reduce;
mod unary;

use super::proto::{Attribute, Node};
use super::tensor::Tensor;
use super::wire::Fault;

/// What an operator computes from its inputs.
type Compute = fn(&Settings, Inputs) -> Result<Vec<Tensor>, Fault>;

/// Every known operator, sorted by name.
const OPERATORS: &[(&str, Compute)] = &[
    ("Abs", unary::abs),
    ("Add", combine::add),
    ("And", combine::and),
    ("ArgMax", reduce::arg_max),
    ("AveragePool", pool::average),
    ("BatchNormalization", normalize::batch),
    ("Cast", unary::cast),
    ("Ceil", unary::ceil),
    ("Clip", unary::clip),
    ("Concat", layout::concat),
    ("Constant", index::constant),
    ("ConstantOfShape", index::constant_of_shape),
    ("Conv", convolution::conv),
    ("Cos", unary::cos),
    ("CumSum", reduce::cum_sum),
    ("Div", combine::div),
    ("Dropout", unary::identity),
    ("Equal", combine::equal),
    ("Erf", unary::erf),
    ("Exp", unary::exp),
    ("Expand", layout::expand),
    ("Flatten", layout::flatten),
    ("Floor", unary::floor),
    ("Gather", index::gather),
    ("GatherElements", index::gather_elements),
    ("GatherND", index::gather_nd),
    ("Gelu", unary::gelu),
    ("Gemm", linear::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("GlobalMaxPool", pool::global_max),
    ("Greater", combine::greater),
    ("GreaterOrEqual", combine::greater_or_equal),
    ("HardSigmoid", unary::hard_sigmoid),
    ("HardSwish", unary::hard_swish),
    ("Identity", unary::identity),
    ("LayerNormalization", normalize::layer),
    ("LeakyRelu", unary::leaky_relu),
    ("Less", combine::less),
    ("LessOrEqual", combine::less_or_equal),
    ("Log", unary::log),
    ("LogSoftmax", normalize::log_softmax),
    ("LpNormalization", normalize::lp),
    ("MatMul", linear::mat_mul),
    ("Max", combine::max),
    ("MaxPool", pool::max),
    ("Min", combine::min),
    ("Mod", combine::modulo),
    ("Mul", combine::mul),
    ("Neg", unary::neg),
    ("Not", unary::not),
    ("Or", combine::or),
    ("Pad", layout::pad),
    ("Pow", combine::pow),
    ("Range", index::range),
    ("Reciprocal", unary::reciprocal),
    ("ReduceL2", reduce::l2),
    ("ReduceMax", reduce::max),
    ("ReduceMean", reduce::mean),
    ("ReduceMin", reduce::min),
    ("ReduceProd", reduce::product),
    ("ReduceSum", reduce::sum),
    ("Relu", unary::relu),
    ("Reshape", layout::reshape),
    ("Shape", index::shape),
    ("Sigmoid", unary::sigmoid),
    ("Sin", unary::sin),
    ("Slice", layout::slice),
    ("Softmax", normalize::softmax),
    ("Softplus", unary::softplus),
    ("Split", layout::split),
    ("Sqrt", unary::sqrt),
    ("Squeeze", layout::squeeze),
    ("Sub", combine::sub),
    ("Tanh", unary::tanh),
    ("Tile", layout::tile),
    ("Transpose", layout::transpose),
    ("Unsqueeze", layout::unsqueeze),
    ("Where", combine::choose),
];

/// Names of all operators.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, _)| *name)
}

/// An operator with its settings.
#[derive(Debug)]
pub(super) struct Operator {
    compute: Compute,
    settings: Settings,
}

impl Operator {
    /// # Errors
    /// If there is no such operator.
    pub(super) fn new(node: &Node, opset: i64) -> Result<Self, Fault> {
        let standard = node.domain.is_empty() || node.domain == "ai.onnx";
        let found = OPERATORS
            .iter()
            .find(|(name, _)| *name == node.op && standard);
        let Some((_, compute)) = found else {
            let domain = if standard { "" } else { node.domain.as_str() };
            return Err(format!(
                "it needs the operator {}{}{}, which is not supported",
                domain,
                if standard { "" } else { "." },
                node.op
            ));
        };
        let attributes = node.attributes.iter().map(Attribute::shallow).collect();
        Ok(Self {
            compute: *compute,
            settings: Settings {
                attributes,
                opset,
                n_outputs: node.outputs.len(),
            },
        })
    }

    pub(super) fn run(&self, inputs: Vec<Option<Tensor>>) -> Result<Vec<Tensor>, Fault> {
        (self.compute)(&self.settings, Inputs(inputs))
    }
}

/// The constant settings of an operator.
#[derive(Debug)]
pub(super) struct Settings {
    attributes: Vec<Attribute>,
    /// Version of the standard operators.
    opset: i64,
    n_outputs: usize,
}

impl Settings {
    fn find(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name).and_then(|a| a.int).unwrap_or(default)
    }

    fn float(&self, name: &str, default: f32) -> f32 {
        self.find(name).and_then(|a| a.float).unwrap_or(default)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.find(name)?.text.as_deref()
    }

    fn ints(&self, name: &str) -> Option<&[i64]> {
        self.find(name).map(|a| a.ints.as_slice())
    }
}

impl Attribute {
    fn shallow(&self) -> Attribute {
        Attribute {
            name: self.name.clone(),
            float: self.float,
            int: self.int,
            text: self.text.clone(),
            floats: self.floats.clone(),
            ints: self.ints.clone(),
            tensor: self.tensor.clone(),
        }
    }
}

/// The inputs of an operator.
pub(super) struct Inputs(Vec<Option<Tensor>>);

impl Inputs {
    fn len(&self) -> usize {
        self.0.len()
    }

    /// Input `index`.
    fn take(&mut self, index: usize) -> Result<Tensor, Fault> {
        let found = self.optional(index);
        found.ok_or_else(|| format!("input {index} is missing"))
    }

    fn optional(&mut self, index: usize) -> Option<Tensor> {
        self.0.get_mut(index)?.take()
    }

    /// A list of whole numbers: an input in new models, a setting in old ones.
    fn ints(
        &mut self,
        index: usize,
        settings: &Settings,
        name: &str,
    ) -> Result<Option<Vec<i64>>, Fault> {
        match self.optional(index) {
            Some(tensor) => Ok(Some(tensor.as_ints()?.to_vec())),
            None => Ok(settings.ints(name).map(<[i64]>::to_vec)),
        }
    }
}

/// One output.
fn one(tensor: Tensor) -> Result<Vec<Tensor>, Fault> {
    Ok(vec![tensor])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_sorted_and_others_refused_by_name() {
        assert!(OPERATORS.is_sorted_by_key(|(name, _)| *name));
        let node = Node {
            op: "Einsum".into(),
            ..Node::default()
        };
        let fault = Operator::new(&node, 17).unwrap_err();
        assert!(fault.contains("operator Einsum,"), "{fault}");
        let node = Node {
            op: "Add".into(),
            domain: "com.microsoft".into(),
            ..Node::default()
        };
        let fault = Operator::new(&node, 17).unwrap_err();
        assert!(fault.contains("com.microsoft.Add"), "{fault}");
    }
}
