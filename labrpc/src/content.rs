//! What is in a message, as text for people: JSON, with byte strings shown as text where they are.
//!
//! Made only while somebody asks for it ([`Network::show_contents`](crate::Network::show_contents)).

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// Longest text of one message, in bytes. A longer one is cut, and is then no JSON any more.
const LONGEST: usize = 4096;

/// Of a string or byte string so much is shown, in bytes.
const LONGEST_STRING: usize = 64;

/// The text of a request or a reply.
pub(crate) fn show<T: Serialize>(value: &T) -> Arc<str> {
    let mut text = Text(Vec::new());
    let mut serializer = Serializer::with_formatter(&mut text, Short::default());
    // It fails only when it is long enough, or for maps whose keys JSON does not have.
    let whole = value.serialize(&mut serializer).is_ok();
    let mut text = String::from_utf8_lossy(&text.0).into_owned();
    if !whole {
        text.push_str(" ...");
    }
    text.into()
}

/// Takes text up to its greatest length.
struct Text(Vec<u8>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::other("long enough"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compact JSON whose strings are short.
#[derive(Default)]
struct Short {
    /// Bytes of the present string so far.
    string: usize,
}

impl Formatter for Short {
    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.string = 0;
        writer.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let left = LONGEST_STRING.saturating_sub(self.string);
        self.string += fragment.len();
        if fragment.len() <= left {
            return writer.write_all(fragment.as_bytes());
        }
        if left == 0 {
            return Ok(());
        }
        let shown = &fragment[..fragment.floor_char_boundary(left)];
        write!(writer, "{shown}...")
    }

    fn write_byte_array<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        let shown = &bytes[..bytes.len().min(LONGEST_STRING)];
        let printable = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        match std::str::from_utf8(shown) {
            Ok(text) if shown.iter().all(printable) && shown.len() == bytes.len() => {
                write!(writer, "\"{text}\"")
            }
            Ok(text) if shown.iter().all(printable) => {
                write!(writer, "\"{text}... ({} bytes)\"", bytes.len())
            }
            _ => write!(writer, "\"({} bytes)\"", bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use labgob::Bytes;

    use super::*;

    #[derive(Serialize)]
    struct Append {
        term: u64,
        entries: Vec<(u64, Bytes)>,
    }

    fn append(command: Vec<u8>) -> Append {
        Append { term: 3, entries: vec![(2, Bytes::from(command))] }
    }

    #[test]
    fn bytes_are_text_where_they_are_text() {
        assert_eq!(&*show(&append(b"put x".into())), r#"{"term":3,"entries":[[2,"put x"]]}"#);
        assert_eq!(&*show(&append(vec![0, 1])), r#"{"term":3,"entries":[[2,"(2 bytes)"]]}"#);
    }

    #[test]
    fn what_is_long_is_cut() {
        let text = show(&append(vec![b'.'; 1000]));
        assert!(text.ends_with(r#"... (1000 bytes)"]]}"#) && text.len() < 150, "{text}");
        let text = show(&"é".repeat(100));
        assert!(text.ends_with(r#"...""#) && text.len() < 100, "{text}");
        let text = show(&vec![7_u64; 10_000]);
        assert!(text.ends_with(" ...") && text.len() <= LONGEST + 4, "{}", text.len());
    }
}
