//! What lab code prints, into the log of the run.

use std::fmt;

/// As std's `println!`, into the run's log: with its time and its server, if somebody reads it
/// (`LAB_LOG`), and otherwise at no cost, without even being formatted.
///
/// `use labrt::println;` at the top of a file is all it takes for lines in the form that older guides
/// to these labs teach, `<time> <TOPIC> S<n> message`, to be taken for what they are: the topic can
/// be asked for, and the message is in its server's column.
///
/// ```
/// use labrt::println;
/// # let (time, me, term) = (1280, 1, 4);
/// println!("{time:06} VOTE S{me} asks for votes in {term}");
/// ```
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => { $crate::print::line(::core::format_args!($($arg)*)) };
}

/// One line; see [`println!`](crate::println).
pub fn line(text: fmt::Arguments<'_>) {
    tracing::debug!(target: "print", "{text}");
}
