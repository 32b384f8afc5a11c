//! Every layout gives the same rows, and a bad row is named.

use half::f16;

use super::*;
use crate::npy::header_bytes;

/// Writes `[2, 2, 3]` numbers 0..12 in any layout.
fn stored(descr: &str, fortran: bool, shape: &[usize], numbers: &[u8]) -> Features {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let mut bytes = header_bytes(descr, shape);
    if fortran {
        let text = String::from_utf8_lossy(&bytes[10..]).replace("False", "True ");
        bytes.truncate(10);
        bytes.extend(text.as_bytes());
    }
    bytes.extend(numbers);
    std::fs::write(&path, bytes).unwrap();
    Features::open_npy(&path).unwrap()
}

fn numbers<const W: usize>(values: &[f32], encode: impl Fn(f32) -> [u8; W]) -> Vec<u8> {
    values.iter().flat_map(|x| encode(*x)).collect()
}

#[test]
fn every_type_and_byte_order_reads_the_same_rows() {
    let values: Vec<f32> = (0..12).map(|x| x as f32 - 5.5).collect();
    let half = f16::from_f32;
    let layouts = [
        ("<f2", numbers(&values, |x| half(x).to_le_bytes())),
        (">f2", numbers(&values, |x| half(x).to_be_bytes())),
        ("<f4", numbers(&values, f32::to_le_bytes)),
        (">f4", numbers(&values, f32::to_be_bytes)),
        ("<f8", numbers(&values, |x| f64::from(x).to_le_bytes())),
        (">f8", numbers(&values, |x| f64::from(x).to_be_bytes())),
    ];
    for (descr, bytes) in layouts {
        let features = stored(descr, false, &[2, 2, 3], &bytes);
        assert_eq!(
            (features.len(), features.regions(), features.dim()),
            (2, 2, 3)
        );
        assert_eq!(features.to_matrix().unwrap().values(), values, "{descr}");
        assert_eq!(
            features.gather(&[1, 1]).unwrap()[6..],
            values[6..],
            "{descr}"
        );
    }
}

#[test]
fn fortran_order_reads_the_same_rows() {
    let value = |i: usize, r: usize, c: usize| (100 * i + 10 * r + c) as f32;
    let (n, regions, dim) = (2, 4, 3);
    let mut bytes = Vec::new();
    for c in 0..dim {
        for r in 0..regions {
            for i in 0..n {
                bytes.extend(value(i, r, c).to_le_bytes());
            }
        }
    }
    let features = stored("<f4", true, &[n, regions, dim], &bytes);
    let mut row = vec![0.0; 12];
    for i in 0..n {
        features.copy_row(i, &mut row).unwrap();
        for (at, x) in row.iter().enumerate() {
            assert_eq!(*x, value(i, at / dim, at % dim));
        }
    }
}

#[test]
fn pooling_is_the_mean_over_regions() {
    let features = Features::from_regions(vec![1.0, 2.0, 3.0, 6.0], 2, 2);
    assert_eq!(features.pooled().unwrap().values(), [2.0, 4.0]);
    assert_eq!(features.to_matrix().unwrap().dim(), 4);
}

#[test]
fn selections_and_shards_keep_their_order() {
    let a = Features::from_rows(vec![0.0, 1.0], 1);
    let b = Features::from_rows(vec![2.0, 3.0, 4.0], 1);
    let all = Features::concat(&[a, b]).unwrap();
    assert_eq!(all.to_matrix().unwrap().values(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    let some = all.select(&[4, 0, 2]).select(&[0, 2]);
    assert_eq!(some.gather(&[0, 1]).unwrap(), [4.0, 2.0]);
    assert!(some.copy_row(2, &mut [0.0]).is_err());
    assert!(Features::concat(&[all, Features::from_rows(vec![0.0; 2], 2)]).is_err());
}

#[test]
fn the_first_bad_row_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = vec![1.0; 40_000];
        values[2 * 19_000 + 1] = bad;
        values[2 * 19_500] = bad;
        let features = Features::from_rows(values, 2);
        let error = features.check_finite(&mut ()).unwrap_err().to_string();
        assert!(
            error.starts_with("features in memory: row 19000:"),
            "{error}"
        );
        features.select(&[0, 1, 2]).check_finite(&mut ()).unwrap();
    }
}

#[test]
fn half_precision_overflow_is_caught_as_infinite() {
    let features = stored("<f8", false, &[1, 1], &1e300_f64.to_le_bytes());
    assert!(features.check_finite(&mut ()).is_err());
}

#[test]
fn features_whose_lengths_are_no_numbers_of_single_precision_are_refused() {
    // An attack on revision 188a689 multiplied features by 1e30, and an audit found everything wrong.
    let error = |values: &[f32]| {
        let features = Features::from_rows(values.to_vec(), 2);
        features.check_finite(&mut ()).unwrap_err().to_string()
    };
    let large = error(&[1.0, 2.0, 3e30, 1.0]);
    assert!(
        large.contains("row 1: a feature of size 3e30 is too large for single precision"),
        "{large}"
    );
    let small = error(&[1e-40, 0.0, -2e-40, 1e-40]);
    assert!(small.contains("too small for single precision"), "{small}");
    for usable in [[0.0, 0.0], [1e-40, 1.0], [1e15, -1e15]] {
        let features = Features::from_rows(usable.to_vec(), 2);
        features.check_finite(&mut ()).unwrap();
    }
}

#[test]
fn scaled_integers_are_rows_like_others() {
    let path = std::path::Path::new("a.npy");
    let bytes = [header_bytes("|i1", &[2, 2]), vec![1, 2, 3, 0xfc]].concat();
    let header = Header::parse(path, &bytes).unwrap();
    let open = |scale| Features::from_scaled(path, bytes.clone().into(), &header, scale);
    let rows = open(Scale::Rows([1.0, 10.0].into())).unwrap();
    assert_eq!(
        rows.select(&[1, 0]).gather(&[0, 1]).unwrap(),
        [30.0, -40.0, 1.0, 2.0]
    );
    let columns = open(Scale::Columns([1.0, 10.0].into())).unwrap();
    let joined = Features::concat(&[rows, columns]).unwrap();
    assert_eq!(joined.gather(&[1, 2]).unwrap(), [30.0, -40.0, 1.0, 20.0]);
    assert_eq!(joined.dtype(), "i8");
    for wrong in [
        Scale::All(f32::NAN),
        Scale::Rows([1.0].into()),
        Scale::Columns([1.0; 3].into()),
    ] {
        let error = open(wrong).unwrap_err().to_string();
        assert!(
            error.contains("one number a row (2) or column (2)"),
            "{error}"
        );
    }
    let floats = [header_bytes("<f4", &[1, 1]), vec![0; 4]].concat();
    let header = Header::parse(path, &floats).unwrap();
    let error = Features::from_scaled(path, floats.into(), &header, Scale::All(1.0));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("f32 numbers with a scale")
    );
    let wide = Header {
        number: Number::F32,
        big_endian: false,
        fortran: false,
        shape: vec![0, 1 << 40],
        start: 0,
    };
    let error = Features::from_encoded(path, vec![0; 4].into(), &wide).unwrap_err();
    assert!(error.to_string().contains("at most 2^28"), "{error}");
}
