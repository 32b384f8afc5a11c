//! Ctrl-C and SIGTERM: long work is asked to stop at its next safe point; the second signal kills, and so does a minute
//! in which that point did not come.
//!
//! Work that can save its state reads [`stop_flag`]. Work that cannot leaves the flag alone and
//! names what must not stay behind ([`remove_on_interrupt`]).

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::render;

/// What a shell reports for a program that SIGINT ended.
pub(crate) const EXIT_CODE: u8 = 130;

/// How long after a signal the wait for a safe point is told, and ended. Files are whole at every point, so nothing but
/// the work since the last of them is lost.
const TOLD_AFTER: Duration = Duration::from_secs(3);
const ENDED_AFTER: Duration = Duration::from_secs(60);

static STOP: AtomicBool = AtomicBool::new(false);
static STOPS_ITSELF: AtomicBool = AtomicBool::new(false);
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Installs the handler; called once, before any work.
pub(crate) fn install() -> anyhow::Result<()> {
    Ok(ctrlc::set_handler(on_signal)?)
}

/// The flag that long work polls. From here on the first signal only sets it.
pub(crate) fn stop_flag() -> &'static AtomicBool {
    STOPS_ITSELF.store(true, Ordering::SeqCst);
    &STOP
}

/// The work that polled the flag is done: from here on a signal ends the program again, unless other work
/// asks for the flag.
pub(crate) fn stop_at_once() {
    STOPS_ITSELF.store(false, Ordering::SeqCst);
}

/// Whether a signal came; work that it stopped ends with an error and [`EXIT_CODE`].
pub(crate) fn was_asked_to_stop() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// Names a folder of unfinished output, or a file, that must be removed on a signal.
pub(crate) fn remove_on_interrupt(folder: &Path) {
    unfinished().push(folder.to_path_buf());
}

/// The folder is finished or already gone.
pub(crate) fn forget(folder: &Path) {
    unfinished().retain(|other| other != folder);
}

fn unfinished() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    // A poisoned lock only means that a thread died while holding it; the list is still a list.
    UNFINISHED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn on_signal() {
    let first = !STOP.swap(true, Ordering::SeqCst);
    if first && STOPS_ITSELF.load(Ordering::SeqCst) {
        std::thread::spawn(lose_patience);
        return;
    }
    end();
}

/// Tells whoever waits for the safe point, and ends the program when it does not come: work that hangs, on a disk of a
/// network for instance, looks at no flag.
fn lose_patience() {
    // Told from a thread of its own: where nobody reads what is told, telling takes for ever.
    std::thread::spawn(|| {
        std::thread::sleep(TOLD_AFTER);
        render::note("stopping at the next safe point; a second signal ends at once");
    });
    std::thread::sleep(ENDED_AFTER);
    end();
}

fn end() -> ! {
    for folder in unfinished().iter() {
        // The program is about to end: there is nobody left to report a failure to.
        let _ = std::fs::remove_dir_all(folder);
        let _ = std::fs::remove_file(folder);
    }
    std::process::exit(EXIT_CODE.into());
}
