//! Files of golden numbers; see `fixtures/golden/README.md`.

// Each test program uses some of this.
#![allow(dead_code, unreachable_pub)]

mod entry;

use safetensors::{Dtype, SafeTensors};
use truepair_core::scores::Matrix;

use entry::Entry;

pub fn read(name: &str) -> Vec<u8> {
    Entry::open(name).bytes
}

/// One file of tensors with its entry of the index.
pub struct Golden(Entry);

impl std::ops::Deref for Golden {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.0
    }
}

impl Golden {
    pub fn open(name: &str) -> Self {
        Self(Entry::open(name))
    }

    pub fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = self.tensors();
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
        tensor
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        let tensors = self.tensors();
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tensor.dtype(), Dtype::I64, "{name}");
        tensor
            .data()
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    pub fn matrix(&self, name: &str) -> Matrix {
        let dim = *self.tensors().tensor(name).unwrap().shape().last().unwrap();
        Matrix::new(self.floats(name), dim)
    }
}

/// # Panics
/// If a value differs by more than the folder's tolerance.
pub fn assert_close(name: &str, found: &[f64], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected
        .iter()
        .fold(0.0f64, |largest, &x| largest.max(f64::from(x).abs()));
    for (index, (&a, &b)) in found.iter().zip(expected).enumerate() {
        let difference = (a - f64::from(b)).abs();
        assert!(
            difference <= 1e-5 * largest + 1e-6,
            "{name}[{index}]: {a} against {b}"
        );
    }
}
