//! Files as one `.tar.gz`: the same files, the same bytes.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use crate::workspace::Files;

/// What an archive may unpack to. A small file can hold a very large one.
const MAX_UNPACKED: u64 = 64 << 20;

/// Packs files, in the order of their names, without times or owners.
///
/// # Errors
///
/// If a name is too long for the format.
pub fn pack(files: &Files) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(contents.len() as u64);
        archive
            .append_data(&mut header, path, contents.as_slice())
            .with_context(|| path.clone())?;
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&archive.into_inner()?)?;
    Ok(packed.finish()?)
}

/// Unpacks the regular files of an archive into memory.
///
/// # Errors
///
/// If it is damaged, or unpacks to more than 64 MiB.
pub fn unpack(packed: &[u8]) -> Result<Files> {
    let mut files = Files::new();
    let mut left = MAX_UNPACKED;
    let mut archive = tar::Archive::new(GzDecoder::new(packed));
    for entry in archive.entries()? {
        let entry = entry.context("the archive is damaged")?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8(entry.path_bytes().into_owned())?;
        let mut contents = Vec::new();
        let size = entry.take(left + 1).read_to_end(&mut contents)? as u64;
        if size > left {
            bail!("the archive unpacks to more than {MAX_UNPACKED} bytes");
        }
        left -= size;
        files.insert(path.strip_prefix("./").unwrap_or(&path).to_owned(), contents);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let file = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
        Files::from([file("raft/src/lib.rs", "mod raft;"), file("a/empty.rs", "")])
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        assert_eq!(unpack(&pack(&files()).unwrap()).unwrap(), files());
    }

    #[test]
    fn equal_files_have_equal_archives() {
        assert_eq!(pack(&files()).unwrap(), pack(&files()).unwrap());
    }

    #[test]
    fn half_an_archive_is_refused() {
        let packed = pack(&files()).unwrap();
        assert!(unpack(&packed[..packed.len() / 2]).is_err());
    }
}
