//! Tensors by name without a program among them: as weights, and as features.

use crate::{arrays, scratch, tensors};

pub(crate) fn safetensors(data: &[u8]) {
    scratch::with_file("model.safetensors", data, tensors::read_all);
    arrays::read("safetensors", data);
}
