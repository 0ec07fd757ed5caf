//! A small disk of a test's own: a file system in memory, which only root may mount; elsewhere the test that wants one says
//! that it was skipped.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system, gone when dropped.
pub struct SmallDisk {
    pub path: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk of so many MiB in a new folder of `home`; `None` where this user may not.
    pub fn mount(home: &Path, mib: usize) -> Option<Self> {
        let path = home.join("disk");
        fs::create_dir_all(&path).expect("a directory");
        let size = format!("size={mib}m");
        match Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output() {
            Ok(output) if output.status.success() => Some(Self { path }),
            refused => {
                eprintln!("SKIPPED: no file system can be mounted here: {refused:?}");
                None
            }
        }
    }

    /// `ro` or `rw`.
    pub fn remount(&self, how: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.path).status();
        assert!(done.expect("mount runs").success(), "remounted {how}");
    }

    /// Takes all the room there is, to the last byte; the file that does.
    pub fn fill(&self) -> PathBuf {
        let path = self.path.join("filler");
        let mut file = fs::File::create(&path).expect("a file");
        // In ever smaller pieces.
        for bytes in [1 << 20, 4 << 10, 1] {
            let piece = vec![1; bytes];
            while file.write_all(&piece).is_ok() {}
        }
        path
    }

    pub fn make_room(&self) {
        fs::remove_file(self.path.join("filler")).expect("the filler");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("the small disk stays mounted at {}", self.path.display());
        }
    }
}
