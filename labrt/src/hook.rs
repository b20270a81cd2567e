//! The panic hook: says which task of which node panicked, and when in virtual time.

use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::time::Duration;

use crate::backend;
use crate::kernel;
use crate::mode::{Mode, mode};
use crate::real;
use crate::sim::seconds;

/// Installs the hook, once in a process. Outside a simulation it does nothing of its own.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        backend::install_overflow_handler();
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A look that fails is nobody's business (`sim::observe`).
            if mode() == Mode::Observing {
                return;
            }
            let line = note(info);
            // What is still to be written is no crash: its message, in the failure, says it all.
            let is_known = line.is_some() && is_todo(&kernel::panic_message(info.payload()));
            if !is_quiet() && !is_known {
                if let Some(line) = line {
                    eprintln!("{line}"); // which libtest captures
                }
                previous(info);
            }
        }));
    });
}

/// Is this the message of a `todo!`?
fn is_todo(message: &str) -> bool {
    message == "not yet implemented" || message.starts_with("not yet implemented: ")
}

/// Does this thread's run want panics to print nothing?
fn is_quiet() -> bool {
    mode() == Mode::Simulated
        && kernel::try_with_unborrowed(|kernel| kernel.config.quiet) == Some(true)
}

/// Keeps the message for the failure's report, and returns the line that goes before the usual
/// message: who panicked, and when. `None` outside a run.
fn note(info: &PanicHookInfo<'_>) -> Option<String> {
    let message = kernel::panic_message(info.payload());
    let message = match info.location() {
        Some(location) => format!("{message}, at {}", kernel::place(location)),
        None => message,
    };
    if mode() == Mode::Real {
        return Some(real::note_panic(message));
    }
    // If the kernel itself panicked it is borrowed, and there is nothing to add.
    kernel::try_with_unborrowed(|kernel| {
        let task = kernel.current_slot().map(|slot| kernel.task_info(slot));
        kernel.last_panic = Some((message, task.clone()));
        if let Some(task) = kernel.current_mut() {
            task.unwinding = true;
        }
        let now = seconds(Duration::from_nanos(kernel.now()));
        task.map(|task| format!("[{now}] {task} panicked:"))
    })
    .flatten()
}
