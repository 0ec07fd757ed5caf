//! Files of an audit: small texts that are read whole, and new files that replace nothing.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::cli::failure::Failure;

/// Bytes of a key or checkpoint: enough for the heads of a million organisations.
const TEXT_BYTES_MAX: u64 = 256 << 20;

/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Unreadable(format!("{}: {error}", path.display()));
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(TEXT_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Makes a file, writes it, and sees it on disk. What was written is removed when that fails.
///
/// # Errors
/// When it is there already, or cannot be written.
pub fn write_new<T>(
    path: &Path,
    private: bool,
    write: impl FnOnce(&mut File) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mode = if private { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|error| {
        let why = if error.kind() == ErrorKind::AlreadyExists {
            "it is there already, and nothing is overwritten: choose another name".to_owned()
        } else {
            error.to_string()
        };
        Failure::usage(format!("{}: {why}", path.display()))
    })?;
    let written = write(&mut file)
        .and_then(|written| file.sync_all().map(|()| written).map_err(|error| Failure::Unreadable(error.to_string())));
    if written.is_err() {
        drop(std::fs::remove_file(path));
    }
    written
}
