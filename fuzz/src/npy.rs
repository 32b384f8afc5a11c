//! NumPy's single arrays: features, indices, names, labels.

use std::path::Path;

use truepair_core::dataset::Features;
use truepair_core::npy::{Header, floats, header_bytes, ints, read_ints, texts};
use truepair_read::dataset::read_pairs;
use truepair_read::relevance::{read_all_ids, read_codes};

use crate::{arrays, pairs, scratch};

pub(crate) fn npy(data: &[u8]) {
    in_memory(data);
    scratch::with_file("array.npy", data, |path| {
        if let Ok(features) = Features::open_npy(path) {
            pairs::check_rows(&features);
        }
        if let Ok((values, shape)) = read_ints(path) {
            assert_eq!(values.len(), shape.iter().product::<usize>());
            written_again(&values, &shape);
        }
        let _ = read_all_ids(path);
        for n in [0, 1, 3] {
            let _ = read_codes(path, n, None);
        }
        for pair in read_pairs(path, 3, 6).unwrap_or_default() {
            assert!(pair.image < 3 && pair.caption < 6);
        }
    });
    arrays::read("npy", data);
    arrays::labeled_folder(data);
}

fn in_memory(data: &[u8]) {
    let path = Path::new("array.npy");
    let Ok(header) = Header::parse(path, data) else {
        return;
    };
    assert_eq!(header.n_bytes(), Some(data.len()));
    let n: usize = header.shape.iter().product();
    if let Ok(values) = floats(path, &header, data) {
        assert_eq!(values.len(), n);
    }
    if let Ok((values, _)) = ints(path, &header, data) {
        assert_eq!(values.len(), n);
    }
    if let Ok(values) = texts(path, &header, data) {
        assert_eq!(values.len(), n);
    }
}

/// Numbers that were read are the same after writing.
fn written_again(values: &[i64], shape: &[usize]) {
    let mut bytes = header_bytes("<i8", shape);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let path = Path::new("again.npy");
    let header = Header::parse(path, &bytes).expect("a header that was just written");
    let (again, shape_again) = ints(path, &header, &bytes).expect("numbers that were read before");
    assert_eq!((again.as_slice(), shape_again.as_slice()), (values, shape));
}
