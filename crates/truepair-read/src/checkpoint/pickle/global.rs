//! The classes and functions that state dicts name, and what the machine does in their place.

use std::rc::Rc;

use crate::checkpoint::element::Element;

/// A class or function that a pickle names.
#[derive(Debug, Clone)]
pub(in crate::checkpoint) struct Global {
    /// Module and name, joined by a dot.
    pub(in crate::checkpoint) name: Rc<str>,
    pub(super) role: Role,
}

/// What stands in for a call of a [`Global`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Makes a dictionary.
    OrderedDict,
    /// Makes an empty `argparse.Namespace`; `BUILD` fills it.
    Namespace,
    /// `torch.Size`: its argument.
    Size,
    /// Makes a tensor of a storage, an offset, a shape and strides.
    RebuildTensor,
    /// Makes a parameter of a tensor: that tensor.
    RebuildParameter,
    /// `_codecs.encode`: how protocol 2 writes bytes.
    Encode,
    /// `bytes`: how protocol 2 writes no bytes.
    Bytes,
    NumberType,
    NumpyScalar,
    /// A storage class; occurs in persistent ids, never in calls.
    Storage(Element),
    /// Any other: the call gives an opaque object.
    Unknown,
}

impl Global {
    /// The global `name` of `module`.
    pub(super) fn new(module: &str, name: &str) -> Self {
        Self {
            name: format!("{module}.{name}").into(),
            role: Role::of(module, name),
        }
    }
}

impl Role {
    fn of(module: &str, name: &str) -> Role {
        match (module, name) {
            ("collections", "OrderedDict") => Role::OrderedDict,
            ("argparse", "Namespace") => Role::Namespace,
            ("torch", "Size") => Role::Size,
            // The first form is that of PyTorch before 0.4.
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Role::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Role::RebuildParameter
            }
            ("_codecs", "encode") => Role::Encode,
            ("__builtin__" | "builtins", "bytes") => Role::Bytes,
            ("numpy", "dtype") => Role::NumberType,
            // Renamed in NumPy 2.
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Role::NumpyScalar,
            ("torch" | "torch.cuda" | "torch.storage", class) => {
                Element::of_storage_class(class).map_or(Role::Unknown, Role::Storage)
            }
            _ => Role::Unknown,
        }
    }
}
