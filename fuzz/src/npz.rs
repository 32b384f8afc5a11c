//! NumPy's archives of arrays.

use crate::arrays;

pub(crate) fn npz(data: &[u8]) {
    arrays::read("npz", data);
}
