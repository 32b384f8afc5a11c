//! Reading the next part of a file while the part before it is put to use.

use truepair_core::error::Result;

/// Makes one part after another and hands each to `take`, in order, while the next one is made.
///
/// # Errors
/// Those of `take` and `make`, whichever comes first in the order of the parts.
pub(super) fn work_ahead<T: Send>(
    mut make: impl FnMut() -> Result<Option<T>> + Send,
    mut take: impl FnMut(T) -> Result<()> + Send,
) -> Result<()> {
    let mut ready = make()?;
    while let Some(part) = ready {
        let (taken, next) = rayon::join(|| take(part), &mut make);
        taken?;
        ready = next?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use truepair_core::error::Error;

    use super::*;

    #[test]
    fn parts_come_in_order_and_so_do_their_errors() {
        let run = |n_made: u32, n_taken: u32| {
            let (mut made, mut taken) = (0..n_made, Vec::new());
            let fails = |what: &str| Error::argument(what, "");
            let make = || match made.next() {
                Some(part) => Ok(Some(part)),
                None => Err(fails("make")),
            };
            let found = work_ahead(make, |part| {
                if part == n_taken {
                    return Err(fails("take"));
                }
                taken.push(part);
                Ok(())
            });
            (taken, found.unwrap_err().to_string())
        };
        let (taken, error) = run(3, 2);
        assert_eq!(taken, [0, 1]);
        assert!(
            error.contains("take"),
            "the part before comes first: {error}"
        );
        let (taken, error) = run(3, 9);
        assert_eq!(taken, [0, 1, 2]);
        assert!(error.contains("make"), "{error}");
    }
}
