//! Tar archives: where their members lie, so that each can be read alone, and how to write one.
//!
//! Why not the crate `tar`: it unpacks archives. What is needed here it does not give: offsets of
//! bytes in messages, archives that were cut inside a member or put together with `cat` told apart
//! from whole ones, and no member read that nobody asked for.

mod header;
mod scan;
mod tape;
mod write;

pub(super) use scan::{Content, Member, Storage, scan};
pub(super) use tape::{Packing, Tape};
#[cfg(test)]
pub(super) use write::archive;
pub(super) use write::{write_end, write_header, write_padding};
