//! Dense row-major tensors from strided views of storages.

use super::TensorValues;
use super::element::{Element, f32_of_bfloat16, f32_of_half};

/// A tensor as a pattern of positions in a storage, counted in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Position of the first element.
    pub(super) start: usize,
    /// Lengths of the axes.
    pub(super) shape: Vec<usize>,
    /// Steps between neighbors along each axis; as many as `shape` has.
    pub(super) strides: Vec<usize>,
}

impl View {
    /// A row-major tensor that fills its storage from the start.
    pub(super) fn dense(shape: &[usize]) -> Self {
        let mut strides = vec![1usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            // Without elements, the strides are never used.
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        Self {
            start: 0,
            shape: shape.to_vec(),
            strides,
        }
    }

    /// Number of elements; `None` when the product overflows.
    pub(super) fn n_elements(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        (self.shape.iter()).try_fold(1usize, |product, length| product.checked_mul(*length))
    }

    /// One more than the largest position, 0 without elements; `None` when it overflows.
    pub(super) fn end(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let axes = self.shape.iter().zip(&self.strides);
        let last = axes
            .clone()
            .try_fold(self.start, |last, (length, stride)| {
                last.checked_add((length - 1).checked_mul(*stride)?)
            })?;
        last.checked_add(1)
    }

    /// Whether the elements lie side by side in row-major order.
    fn is_dense(&self) -> bool {
        let mut dense_stride = 1;
        for (length, stride) in self.shape.iter().zip(&self.strides).rev() {
            if *length != 1 && *stride != dense_stride {
                return false;
            }
            dense_stride *= length;
        }
        true
    }
}

/// The elements of `view`, row-major, from the little-endian `bytes` of its storage; `None` for a
/// kind of numbers that is skipped.
///
/// # Panics
/// If `view` reaches beyond `bytes` or its number of elements overflows; the caller has checked.
pub(super) fn gather(view: &View, element: Element, bytes: &[u8]) -> Option<TensorValues> {
    use TensorValues::{F32, I64};
    Some(match element {
        Element::F16 => F32(each(view, bytes, |b| f32_of_half(u16::from_le_bytes(b)))),
        Element::Bf16 => F32(each(view, bytes, |b| {
            f32_of_bfloat16(u16::from_le_bytes(b))
        })),
        Element::F32 => F32(each(view, bytes, f32::from_le_bytes)),
        Element::F64 => F32(each(view, bytes, |b| f64::from_le_bytes(b) as f32)),
        Element::I8 => I64(each(view, bytes, |b| i8::from_le_bytes(b).into())),
        Element::I16 => I64(each(view, bytes, |b| i16::from_le_bytes(b).into())),
        Element::I32 => I64(each(view, bytes, |b| i32::from_le_bytes(b).into())),
        Element::I64 => I64(each(view, bytes, i64::from_le_bytes)),
        Element::U8 => I64(each(view, bytes, |b| u8::from_le_bytes(b).into())),
        Element::U16 => I64(each(view, bytes, |b| u16::from_le_bytes(b).into())),
        Element::U32 => I64(each(view, bytes, |b| u32::from_le_bytes(b).into())),
        Element::Bool => I64(each(view, bytes, |[b]: [u8; 1]| i64::from(b != 0))),
        Element::Skipped { .. } => return None,
    })
}

fn each<const WIDTH: usize, T>(
    view: &View,
    bytes: &[u8],
    decode: impl Fn([u8; WIDTH]) -> T,
) -> Vec<T> {
    let (numbers, _) = bytes.as_chunks::<WIDTH>();
    let n = view
        .n_elements()
        .expect("the number of elements was checked");
    if n == 0 {
        return Vec::new();
    }
    if view.is_dense() {
        let dense = &numbers[view.start..view.start + n];
        return dense.iter().map(|number| decode(*number)).collect();
    }
    // A dense scalar has no axes, so there is a last one here.
    let last = view.shape.len() - 1;
    let (length, stride) = (view.shape[last], view.strides[last]);
    let mut values = Vec::with_capacity(n);
    let mut row = Rows::new(view);
    while values.len() < n {
        let first = row.next_start();
        values.extend((0..length).map(|i| decode(numbers[first + i * stride])));
    }
    values
}

/// Starts of the rows along the last axis, in row-major order of the other axes.
struct Rows<'v> {
    view: &'v View,
    index: Vec<usize>,
    start: usize,
}

impl<'v> Rows<'v> {
    fn new(view: &'v View) -> Self {
        Self {
            view,
            index: vec![0; view.shape.len() - 1],
            start: view.start,
        }
    }

    /// The present row's start; moves on to the next row, after the last one to the first.
    fn next_start(&mut self) -> usize {
        let start = self.start;
        for axis in (0..self.index.len()).rev() {
            self.index[axis] += 1;
            self.start += self.view.strides[axis];
            if self.index[axis] < self.view.shape[axis] {
                break;
            }
            self.start -= self.view.strides[axis] * self.view.shape[axis];
            self.index[axis] = 0;
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(start: usize, shape: &[usize], strides: &[usize]) -> Vec<i64> {
        let view = View {
            start,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
        };
        let bytes: Vec<u8> = (0..24).collect();
        assert!(view.end().unwrap() <= bytes.len());
        match gather(&view, Element::U8, &bytes) {
            Some(TensorValues::I64(values)) => values,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn strides_give_the_elements_that_index_arithmetic_gives() {
        let (shape, strides) = ([2, 3, 2], [1, 4, 11]);
        let mut expected = Vec::new();
        for i in 0..2 {
            for j in 0..3 {
                for k in 0..2 {
                    expected.push((2 + i + 4 * j + 11 * k) as i64);
                }
            }
        }
        assert_eq!(gathered(2, &shape, &strides), expected);
    }

    #[test]
    fn dense_repeated_scalar_and_empty_views() {
        assert_eq!(gathered(4, &[2, 1, 2], &[2, 99, 1]), [4, 5, 6, 7]);
        assert_eq!(gathered(7, &[3], &[0]), [7, 7, 7]);
        assert_eq!(gathered(9, &[], &[]), [9]);
        assert_eq!(gathered(99, &[usize::MAX, 0], &[1, 1]), [0i64; 0]);
    }

    #[test]
    fn overflow_is_noticed() {
        let view = View {
            start: 1,
            shape: vec![usize::MAX, 2],
            strides: vec![1, 1],
        };
        assert_eq!(view.n_elements(), None);
        assert_eq!(view.end(), None);
    }
}
