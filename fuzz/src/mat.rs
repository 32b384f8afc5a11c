//! MATLAB's files of the versions 4 to 7.

use crate::{labeled, scratch};

pub(crate) fn mat(data: &[u8]) {
    scratch::with_file("data.mat", data, labeled::read);
}
