//! The objects of a pickle.

use std::rc::Rc;

use super::global::Global;
use super::numpy::NumberType;
use super::value::{ObjectId, Value};
use crate::checkpoint::dense::View;
use crate::checkpoint::element::Element;

/// A value that is shared, changed after its creation, or too large for a [`Value`].
#[derive(Debug)]
pub(in crate::checkpoint) enum Object {
    Text(Box<str>),
    /// Bytes, or a text that Python 2 wrote.
    Bytes(Box<[u8]>),
    /// An integer of more than 64 bits: little-endian two's complement.
    Long(Box<[u8]>),
    /// A list, tuple, set or `torch.Size`.
    Sequence(Vec<Value>),
    /// A `dict` or `collections.OrderedDict`, in the order of insertion.
    Dict(Vec<(Value, Value)>),
    /// An `argparse.Namespace`: the dictionary of its attributes.
    Namespace(Vec<(Value, Value)>),
    /// A class or function that was named but not imported.
    Global(Global),
    Storage(Rc<StorageRef>),
    Tensor(Box<TensorRef>),
    /// A `numpy.dtype`.
    NumberType(NumberType),
    /// The result of a call that was not made, known by the name of the class or function.
    Opaque(Rc<str>),
}

/// A storage, or a part of one, as the persistent id in a pickle describes it.
#[derive(Debug)]
pub(in crate::checkpoint) struct StorageRef {
    /// Where its numbers are: the end of an archive entry's name, or a key of the legacy format.
    pub(in crate::checkpoint) key: Box<str>,
    pub(in crate::checkpoint) element: Element,
    /// The Python name of its class.
    pub(in crate::checkpoint) class: Rc<str>,
    /// Elements of the whole storage.
    pub(in crate::checkpoint) whole: usize,
    /// Position of the part's first element in the whole, 0 where the part is the whole.
    pub(in crate::checkpoint) start: usize,
    /// Elements of the part.
    pub(in crate::checkpoint) length: usize,
}

/// A tensor whose numbers have not been read.
#[derive(Debug)]
pub(in crate::checkpoint) struct TensorRef {
    pub(in crate::checkpoint) storage: Rc<StorageRef>,
    /// Positions within the part of the storage.
    pub(in crate::checkpoint) view: View,
}

/// The objects of one pickle.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Heap {
    objects: Vec<Object>,
}

impl Heap {
    /// Puts `object` on the heap.
    pub(super) fn add(&mut self, object: Object) -> Value {
        self.objects.push(object);
        Value::Object(ObjectId(self.objects.len() - 1))
    }

    /// The object that `value` refers to.
    pub(in crate::checkpoint) fn object(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(ObjectId(id)) => self.objects.get(id),
            _ => None,
        }
    }

    /// The object that `value` refers to, to be changed.
    pub(super) fn object_mut(&mut self, value: Value) -> Option<&mut Object> {
        match value {
            Value::Object(ObjectId(id)) => self.objects.get_mut(id),
            _ => None,
        }
    }

    /// All objects, in the order of their creation.
    pub(in crate::checkpoint) fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter()
    }

    /// The elements, if `value` is a sequence.
    pub(in crate::checkpoint) fn sequence(&self, value: Value) -> Option<&[Value]> {
        match self.object(value)? {
            Object::Sequence(values) => Some(values),
            _ => None,
        }
    }

    /// The text, if `value` is one; bytes count where they are valid UTF-8.
    pub(in crate::checkpoint) fn text(&self, value: Value) -> Option<&str> {
        match self.object(value)? {
            Object::Text(text) => Some(text),
            Object::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The kind of `value` in words, for messages.
    pub(super) fn describe(&self, value: Value) -> String {
        match value {
            Value::None => return "None".into(),
            Value::Bool(_) => return "a boolean".into(),
            Value::Int(integer) => return format!("the integer {integer}"),
            Value::Float(_) => return "a floating-point number".into(),
            Value::Object(_) => {}
        }
        match self.object(value) {
            Some(Object::Text(_)) => "a text".into(),
            Some(Object::Bytes(_)) => "bytes".into(),
            Some(Object::Long(_)) => "an integer of more than 64 bits".into(),
            Some(Object::Sequence(values)) => format!("a sequence of {}", values.len()),
            Some(Object::Dict(_)) => "a dictionary".into(),
            Some(Object::Namespace(_)) => "an argparse.Namespace".into(),
            Some(Object::Global(global)) => format!("the name {}", global.name),
            Some(Object::Storage(_)) => "a storage".into(),
            Some(Object::Tensor(_)) => "a tensor".into(),
            Some(Object::NumberType(_)) => "a numpy.dtype".into(),
            Some(Object::Opaque(name)) => format!("an object of {name}"),
            None => "nothing".into(),
        }
    }
}
