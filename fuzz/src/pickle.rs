//! Checkpoints of `torch.save`: pickles, alone or in a zip archive.

use crate::{scratch, tensors};

pub(crate) fn pickle(data: &[u8]) {
    scratch::with_file("model.pth.tar", data, tensors::read_all);
}
