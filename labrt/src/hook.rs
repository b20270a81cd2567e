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
            // A look that fails is nobody's business (`sim::peek`).
            if mode() != Mode::Peeking {
                note(info);
                previous(info);
            }
        }));
    });
}

/// Adds one line before the usual message, and keeps the message for the failure's report.
fn note(info: &PanicHookInfo<'_>) {
    let message = kernel::panic_message(info.payload());
    let message = match info.location() {
        Some(location) => format!("{message}, at {}", kernel::place(location)),
        None => message,
    };
    if mode() == Mode::Real {
        eprintln!("{}", real::note_panic(message));
        return;
    }
    // If the kernel itself panicked it is borrowed, and there is nothing to add.
    let line = kernel::try_with_unborrowed(|kernel| {
        kernel.last_panic = Some(message);
        if let Some(task) = kernel.current_mut() {
            task.unwinding = true;
        }
        let now = seconds(Duration::from_nanos(kernel.now()));
        kernel.current_slot().map(|slot| format!("[{now}] {} panicked:", kernel.task_info(slot)))
    });
    if let Some(Some(line)) = line {
        eprintln!("{line}"); // which libtest captures
    }
}
