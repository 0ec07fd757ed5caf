//! The server that runs on a data directory: it says where it listens in `serve.json` there, and holds a lock on that
//! file as long as it lives. So `--data DIRECTORY` means the same ledger whether or not a server runs on it.
//!
//! The lock is the system's and goes with the process, however it ends: a file that nobody has locked is what a killed
//! server left, and says nothing. This is not what keeps two writers apart; that is the log's own lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

const FILE: &str = "serve.json";
/// Bytes of the file: an address and a number.
const FILE_BYTES_MAX: u64 = 4_096;
/// A server that has locked the file writes it at once.
const READ_ATTEMPTS_MAX: usize = 20;
const READ_PAUSE: Duration = Duration::from_millis(50);

/// What a running server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub url: String,
    pub pid: u32,
}

/// This process serves the directory, until dropped.
#[derive(Debug)]
pub struct Notice {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl Notice {
    /// Says that this process serves `directory` at `address`.
    ///
    /// # Errors
    /// When the file cannot be written, or another process serves the directory.
    pub fn post(directory: &Path, address: SocketAddr) -> io::Result<Self> {
        let path = directory.join(FILE);
        // Not truncated before it is locked: it may be another's.
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        file.try_lock()?;
        let running = Running { url: format!("http://{}", reachable(address)), pid: std::process::id() };
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(&running)?)?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        // While it is locked, so that it is no successor's.
        let _ = fs::remove_file(&self.path);
    }
}

/// The server that runs on `directory`, if any.
///
/// # Errors
/// When one does, and what it says cannot be read.
pub fn find(directory: &Path) -> io::Result<Option<Running>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut file = match File::open(directory.join(FILE)) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut text = Vec::new();
        Read::by_ref(&mut file).take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        match serde_json::from_slice(&text) {
            Ok(running) => return Ok(Some(running)),
            Err(error) if attempt == READ_ATTEMPTS_MAX => return Err(error.into()),
            Err(_) => std::thread::sleep(READ_PAUSE),
        }
    }
}

/// Where this machine reaches a server that listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_while_it_lives_and_not_by_what_it_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        assert_eq!(find(path).expect("nothing is there"), None);
        let notice = Notice::post(path, "0.0.0.0:4726".parse().expect("an address")).expect("posted");
        let running = Running { url: "http://127.0.0.1:4726".to_owned(), pid: std::process::id() };
        assert_eq!(find(path).expect("it can be read"), Some(running.clone()));
        let second = Notice::post(path, "127.0.0.1:1".parse().expect("an address")).expect_err("it is served already");
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(find(path).expect("the first stands"), Some(running.clone()));
        drop(notice);
        assert!(!path.join(FILE).exists());
        // What a killed server leaves: the file, and no lock.
        fs::write(path.join(FILE), serde_json::to_vec(&running).expect("JSON")).expect("written");
        assert_eq!(find(path).expect("it can be read"), None);
        let notice = Notice::post(path, "[::]:9".parse().expect("an address")).expect("it is nobody's");
        assert_eq!(find(path).expect("it can be read").map(|one| one.url).as_deref(), Some("http://[::1]:9"));
        drop(notice);
    }
}
