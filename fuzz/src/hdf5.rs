//! HDF5, of `h5py` and of MATLAB 7.3.

use crate::{labeled, scratch};

pub(crate) fn hdf5(data: &[u8]) {
    for name in ["data.h5", "data.mat"] {
        scratch::with_file(name, data, labeled::read);
    }
}
