//! Names the task whose stack overflows.
//!
//! A coroutine's stack ends with a guard page, and touching it is a segmentation fault: without this
//! the process would just be gone. The handler says which task it was; the process still ends, since
//! nothing can go on from there.

use std::cell::Cell;

thread_local! {
    /// The lowest address of the stack that this thread runs on; 0 while it runs on its own.
    static LOWEST: Cell<usize> = const { Cell::new(0) };
}

/// This thread goes on with the stack that ends at `lowest`.
#[inline]
pub(super) fn enter(lowest: usize) {
    LOWEST.set(lowest);
}

/// This thread is on its own stack again.
#[inline]
pub(super) fn leave() {
    LOWEST.set(0);
}

#[cfg(unix)]
pub(crate) use unix::install;

/// Nothing to install: the system's own message has to do.
#[cfg(not(unix))]
pub(crate) fn install() {}

#[cfg(unix)]
mod unix {
    use std::io::Write as _;
    use std::mem::MaybeUninit;
    use std::ptr;
    use std::sync::OnceLock;

    use super::LOWEST;
    use crate::kernel;

    /// As much as a page is on any machine this runs on.
    const GUARD: usize = 64 * 1024;

    /// What handled the signal before: std's own handler, for the stacks of OS threads.
    static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

    /// Installs the handler, once in a process. It runs on the alternate stack that std gives to
    /// every thread it starts.
    #[expect(unsafe_code, reason = "a signal handler is the only way to see the fault")]
    pub(crate) fn install() {
        PREVIOUS.get_or_init(|| {
            // SAFETY: all zeros is a valid `sigaction`, and its three fields are then set to a
            // handler of the right type, its flags, and an empty mask. Both pointers are to live
            // locals. The handler keeps to what it says below.
            unsafe {
                let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
                let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
                action.sa_sigaction = handler as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&raw mut action.sa_mask);
                let mut previous: libc::sigaction = MaybeUninit::zeroed().assume_init();
                libc::sigaction(libc::SIGSEGV, &raw const action, &raw mut previous);
                previous
            }
        });
    }

    /// Allocates nothing and takes no lock but that of the kernel, which is free whenever lab code
    /// runs; if it is not, the task stays nameless.
    #[expect(unsafe_code, reason = "the signal's information comes as a pointer")]
    extern "C" fn on_fault(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the system passes a valid pointer to a handler installed with `SA_SIGINFO`.
        let address = unsafe { (*info).si_addr() } as usize;
        let lowest = LOWEST.get();
        if lowest != 0 && (lowest.saturating_sub(GUARD)..lowest + GUARD).contains(&address) {
            say_who();
            std::process::abort();
        }
        let previous = PREVIOUS.get().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: gives the signal back to whoever had it, or to the system if that is not known
        // yet; when this returns, the fault happens again and goes there.
        unsafe {
            if previous.is_null() {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            } else {
                libc::sigaction(libc::SIGSEGV, previous, ptr::null_mut());
            }
        }
    }

    fn say_who() {
        let mut text = [0_u8; 512];
        let mut rest = &mut text[..];
        let named = kernel::try_with_unborrowed(|kernel| kernel.write_overflow(&mut rest).is_ok());
        let left = rest.len();
        let used = text.len() - left;
        let unnamed = b"\na task overflowed its stack\n";
        let message = if named == Some(true) { &text[..used] } else { &unnamed[..] };
        let _ = std::io::stderr().write_all(message);
    }
}
