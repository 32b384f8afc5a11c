//! What stored integers are multiplied by, so that embeddings saved in one byte a number are rows
//! like all others.

use std::path::Path;
use std::sync::Arc;

use super::{Bytes, Features};
use crate::error::{Error, Place, Result};
use crate::npy::{Header, Number};

/// Factors of integers that stand for real numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// One for all.
    All(f32),
    /// One a row `[n]`.
    Rows(Arc<[f32]>),
    /// One a column `[d]`, the same in every row.
    Columns(Arc<[f32]>),
}

impl Scale {
    /// Multiplies row `row` by its factors.
    pub(super) fn apply(&self, row: usize, numbers: &mut [f32]) {
        match self {
            Self::All(factor) => numbers.iter_mut().for_each(|x| *x *= factor),
            Self::Rows(factors) => numbers.iter_mut().for_each(|x| *x *= factors[row]),
            Self::Columns(factors) => {
                for region in numbers.chunks_mut(factors.len()) {
                    region
                        .iter_mut()
                        .zip(&**factors)
                        .for_each(|(x, factor)| *x *= factor);
                }
            }
        }
    }

    fn is_finite(&self) -> bool {
        match self {
            Self::All(factor) => factor.is_finite(),
            Self::Rows(factors) | Self::Columns(factors) => factors.iter().all(|x| x.is_finite()),
        }
    }
}

impl Features {
    /// Features whose integers of one byte stand in `bytes` as `header` says and are multiplied by
    /// `scale`; `path` is for messages.
    ///
    /// ```
    /// use std::path::Path;
    /// use truepair_core::dataset::{Features, Scale};
    /// use truepair_core::npy::{Header, header_bytes};
    ///
    /// let file = [header_bytes("|i1", &[2, 2]), vec![1, 2, 3, 0xff]].concat();
    /// let path = Path::new("rows.npy");
    /// let header = Header::parse(path, &file)?;
    /// let rows = Features::from_scaled(path, file.into(), &header, Scale::All(0.5))?;
    /// assert_eq!(rows.gather(&[0, 1])?, [0.5, 1.0, 1.5, -0.5]);
    /// # Ok::<(), truepair_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// If they are no such integers `[n, d]` or `[n, regions, d]`, or the factors are not finite or
    /// of another number.
    pub fn from_scaled(path: &Path, bytes: Bytes, header: &Header, scale: Scale) -> Result<Self> {
        let refuse =
            |problem: String, remedy: &str| Err(Error::data(path, Place::Whole, problem, remedy));
        if !matches!(header.number, Number::Int(1) | Number::Uint(1)) {
            return refuse(
                format!("{} numbers with a scale, expected i8 or u8", header.number),
                "leave the scale out, or convert: np.save(path, (a * scale).astype('float32'))",
            );
        }
        let features = Self::stored_as(path, bytes, header)?;
        let (n, dim) = (features.len(), features.dim());
        let fits = match &scale {
            Scale::All(_) => true,
            Scale::Rows(factors) => factors.len() == n,
            Scale::Columns(factors) => factors.len() == dim,
        };
        if !fits || !scale.is_finite() {
            return refuse(
                format!("its scale is not finite, or not one number a row ({n}) or column ({dim})"),
                "write the scale as one number, [n, 1] or [1, d]",
            );
        }
        let mut part = features.parts[0].clone();
        part.scale = Some(scale);
        Ok(Self {
            parts: [part].into(),
            ..features
        })
    }
}
