//! How times and commands are printed, everywhere the same.

use labgob::Bytes;
use labrt::time::Duration;
use raftapi::ServerId;

/// A moment of the run: `at 1.840 s`.
#[must_use]
pub fn at(moment: Duration) -> String {
    format!("at {}.{:03} s", moment.as_secs(), moment.subsec_millis())
}

/// A length of time: `5 s`, `500 ms`.
#[must_use]
pub fn span(length: Duration) -> String {
    let millis = length.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{} s", millis / 1000)
    } else if millis > 10_000 {
        format!("{:.1} s", length.as_secs_f64())
    } else {
        format!("{millis} ms")
    }
}

/// A command as the tester wrote it, cut if it is long.
#[must_use]
pub fn command(bytes: &Bytes) -> String {
    const SHOWN: usize = 16;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let more = if bytes.len() > SHOWN { "..." } else { "" };
    format!("\"{text}{more}\"")
}

/// Servers as a list: `S0, S2 and S4`.
#[must_use]
pub fn list(servers: &[ServerId]) -> String {
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    match names.split_last() {
        None => "no server".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
