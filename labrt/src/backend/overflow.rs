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
    use std::mem::MaybeUninit;
    use std::ptr;
    use std::sync::OnceLock;

    use super::LOWEST;
    use crate::kernel;

    /// As much as a page is on any machine this runs on.
    const GUARD: usize = 64 * 1024;

    /// Touching a guard page: Linux sends the first of these, macOS the second.
    const SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

    /// What handled the signals before: std's own handler, for the stacks of OS threads.
    static PREVIOUS: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

    /// Installs the handler, once in a process. It runs on the alternate stack that std gives to
    /// every thread it starts.
    #[expect(unsafe_code, reason = "a signal handler is the only way to see the fault")]
    pub(crate) fn install() {
        PREVIOUS.get_or_init(|| {
            SIGNALS.map(|signal| {
                // SAFETY: all zeros is a valid `sigaction`, and its three fields are then set to a
                // handler of the right type, its flags, and an empty mask. Both pointers are to live
                // locals. The handler keeps to what it says below.
                unsafe {
                    let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
                    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                        on_fault;
                    action.sa_sigaction = handler as usize;
                    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                    libc::sigemptyset(&raw mut action.sa_mask);
                    let mut previous: libc::sigaction = MaybeUninit::zeroed().assume_init();
                    let failed = libc::sigaction(signal, &raw const action, &raw mut previous);
                    debug_assert_eq!(failed, 0, "{signal} is a signal that can be handled");
                    previous
                }
            })
        });
    }

    /// Allocates nothing and takes no lock but that of the kernel, which is free whenever lab code
    /// runs; if it is not, the task stays nameless.
    #[expect(unsafe_code, reason = "the signal's information comes as a pointer")]
    extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the system passes a valid pointer to a handler installed with `SA_SIGINFO`.
        let address = unsafe { (*info).si_addr() } as usize;
        let lowest = LOWEST.get();
        if lowest != 0 && (lowest.saturating_sub(GUARD)..lowest + GUARD).contains(&address) {
            say_who();
            std::process::abort();
        }
        let place = SIGNALS.iter().position(|&other| other == signal);
        let previous = PREVIOUS.get().zip(place).map_or(ptr::null(), |(all, n)| &raw const all[n]);
        // SAFETY: gives the signal back to whoever had it, or to the system if that is not known
        // yet; when this returns, the fault happens again and goes there.
        unsafe {
            if previous.is_null() {
                libc::signal(signal, libc::SIG_DFL);
            } else {
                libc::sigaction(signal, previous, ptr::null_mut());
            }
        }
    }

    #[expect(unsafe_code, reason = "std's stderr has a lock, which this thread may hold")]
    fn say_who() {
        let mut text = [0_u8; 1024];
        let mut rest = &mut text[..];
        let named = kernel::try_with_unborrowed(|kernel| kernel.write_overflow(&mut rest).is_ok());
        let left = rest.len();
        let used = text.len() - left;
        let unnamed = b"\na task overflowed its stack\n";
        let message = if named == Some(true) { &text[..used] } else { &unnamed[..] };
        // SAFETY: the pointer and the length are those of a live slice.
        let _ = unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len()) };
    }
}
