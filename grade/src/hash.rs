//! Names for contents, and numbers that cannot be guessed.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use labrecord::Seed;
use sha2::{Digest as _, Sha256};

use crate::workspace::Files;

/// A hash over files: equal for equal sources, on any machine.
#[must_use]
pub fn of_files(files: &Files) -> String {
    let mut hash = Sha256::new();
    for (path, contents) in files {
        for part in [path.as_bytes(), contents] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize()[..8])
}

/// A hash over several texts.
#[must_use]
pub fn of_texts(texts: &[&str]) -> String {
    let files = texts.iter().enumerate();
    of_files(&files.map(|(n, text)| (n.to_string(), text.as_bytes().to_vec())).collect())
}

/// The seed of the n-th run of a test in a grading: nobody knows it who does not know the secret.
#[must_use]
pub fn seed(secret: &str, test: &str, n: u64) -> Seed {
    let hash = Sha256::digest(format!("{secret} {test} {n}"));
    Seed(hash.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
}

/// 128 random bits of the system's, in hexadecimal.
///
/// # Errors
///
/// If the system gives none.
pub fn secret() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system gives no randomness")?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
