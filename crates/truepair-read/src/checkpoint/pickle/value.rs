//! The values of a pickle, which are plain numbers or refer to an object.

/// A value on the stack of the machine, in its memo or in a container.
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Object(ObjectId),
}

/// The number of an object in its [`Heap`](super::heap::Heap).
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint) struct ObjectId(pub(super) usize);
