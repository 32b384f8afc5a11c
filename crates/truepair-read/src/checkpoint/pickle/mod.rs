//! Python pickles as plain data: an interpreter of the opcodes that imports and calls nothing.
//!
//! Protocols 2 to 5 are read. The objects of one pickle lie in a [`Heap`] and refer to each other
//! by number, so that shared and cyclic structures neither leak nor need recursion.

mod call;
mod constant;
mod global;
mod heap;
mod input;
mod machine;
mod numpy;
mod opcode;
mod value;

pub(super) use heap::{Heap, Object, StorageRef, TensorRef};
pub(super) use input::Input;
pub(super) use machine::load;
pub(super) use value::Value;

/// Whether `start` are the first bytes of a pickle of a protocol that is read.
pub(super) fn is_start(start: &[u8]) -> bool {
    start.first() == Some(&opcode::PROTO)
        && start
            .get(1)
            .is_some_and(|version| PROTOCOLS.contains(version))
}

const PROTOCOLS: std::ops::RangeInclusive<u8> = 2..=5;

/// The objects of one pickle.
pub(super) struct Pickle {
    pub(super) heap: Heap,
    /// The object that was pickled; it refers to the others.
    pub(super) root: Value,
}
