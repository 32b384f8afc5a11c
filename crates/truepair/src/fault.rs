//! Faults of the program itself: a panic becomes exit code 2 and a message that says where, and how
//! to report it. A panic that a library catches, since a file is at fault, is the library's to tell of.

use std::panic::{AssertUnwindSafe, Location, PanicHookInfo, catch_unwind, set_hook};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, anyhow};

use crate::failure::{EXIT_CODE, Failure};
use crate::render::{self, Form};

const REPORT: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

/// What the last panic said; told when nobody caught it.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// What the standard library says when a thread that others wait for has panicked.
const OF_ANOTHER: &str = "a scoped thread panicked";

fn keep(panic: &PanicHookInfo<'_>) {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none() || panic.payload_as_str() != Some(OF_ANOTHER) {
        *last = Some(message(panic));
    }
}

/// Runs the program so that a panic ends it with exit code 2.
pub(crate) fn contain(form: Form, run: impl FnOnce() -> ExitCode) -> ExitCode {
    set_hook(Box::new(keep));
    // Nothing of what `run` touched is used after a panic.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        let last = last.unwrap_or_else(|| describe(None, None));
        render::note(&format!("error: {last}"));
        let error = "internal fault of the program; standard error says where";
        Failure::of(error, &[], EXIT_CODE).print(form);
        ExitCode::from(EXIT_CODE)
    })
}

/// Runs a part of the work so that a panic in it is an error, and ends nothing else.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let problem = (panic.downcast_ref::<&str>().copied())
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(anyhow!(
            "a fault in the program: {} (please report it)",
            problem.unwrap_or("it gave up without a word")
        ))
    })
}

fn message(panic: &PanicHookInfo<'_>) -> String {
    describe(panic.payload_as_str(), panic.location())
}

fn describe(problem: Option<&str>, place: Option<&Location<'_>>) -> String {
    let problem = problem.unwrap_or("no message");
    let place = place.map_or_else(String::new, |place| format!(" ({place})"));
    format!(
        "internal fault: {problem}{place}\n  this is a defect of truepair {}, not of your data; please \
         report it with the command and this text: {REPORT}",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_exit_code_2() {
        let code = |run: fn() -> ExitCode| format!("{:?}", contain(Form::Text, run));
        assert_eq!(
            code(|| ExitCode::from(1)),
            format!("{:?}", ExitCode::from(1))
        );
        let faulty = code(|| {
            let caught = catch_unwind(|| panic!("caught by a library"));
            assert!(caught.is_err());
            std::thread::scope(|scope| {
                scope.spawn(|| panic!("boom"));
            });
            ExitCode::SUCCESS
        });
        // The hook is the process's: give it back to the other tests.
        drop(std::panic::take_hook());
        assert_eq!(faulty, format!("{:?}", ExitCode::from(2)));
    }

    #[test]
    fn a_caught_fault_is_an_error_that_says_what_broke() {
        let n_rows = std::hint::black_box(3);
        let error = caught::<()>(|| panic!("expected 2 rows, got {n_rows}")).unwrap_err();
        assert!(error.to_string().contains("expected 2 rows, got 3"));
        assert_eq!(caught(|| Ok(n_rows)).unwrap(), 3);
    }

    #[test]
    fn the_message_says_what_where_and_what_to_do() {
        let message = describe(Some("boom"), Some(Location::caller()));
        assert!(message.starts_with("internal fault: boom ("), "{message}");
        assert!(message.contains("fault.rs:"), "{message}");
        assert!(
            message.contains("report it") && message.contains("/issues"),
            "{message}"
        );
    }
}
