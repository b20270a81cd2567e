//! Lengths of time on the command line: `90s`, `10m`, `8h`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Reads a number and a unit.
///
/// # Errors
///
/// If it is neither.
pub fn parse(text: &str) -> Result<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().context("it is written 90s, 10m or 8h")?;
    let unit = match &text[end..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => bail!("it is written 90s, 10m or 8h"),
    };
    Ok(Duration::from_secs(number.saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("8h", 28_800)] {
            assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds));
        }
        for text in ["", "10", "m", "-1s", "1.5h", "10 m"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
