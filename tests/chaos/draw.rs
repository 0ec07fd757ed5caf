//! What is drawn: numbers from a seed, and what is printed when a test fails.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

/// `SplitMix64`: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// From `CHAOS_SEED`, or from the clock; gives the seed.
    pub fn seeded() -> (Self, u64) {
        let by_clock = || u64::from(UNIX_EPOCH.elapsed().expect("a clock after 1970").subsec_nanos());
        let seed = setting("CHAOS_SEED").unwrap_or_else(by_clock);
        (Self(seed), seed)
    }

    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// One of its own, for something that runs beside.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from))
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

pub fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Where a test's servers have their data and logs. Deleted when the test succeeds; when it fails, the ends of the
/// logs are printed, and how to replay it.
pub struct Scene {
    path: PathBuf,
    replay: String,
}

/// Lines of each log that are printed.
const TAIL_LINES: usize = 25;

impl Scene {
    /// Of a test that draws. `settings`: the variables, beside the seed, that make the same run.
    pub fn drawn(test: &str, seed: u64, settings: &str) -> Self {
        let scene = Self::of(test, &format!("CHAOS_SEED={seed} {settings} "));
        println!("seed {seed}; to replay: {}", scene.replay);
        scene
    }

    /// Of a test that does the same in every run.
    pub fn plain(test: &str) -> Self {
        Self::of(test, "")
    }

    fn of(test: &str, settings: &str) -> Self {
        let root = std::env::var_os("CHAOS_DIRECTORY").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = root.join(format!("ipam-chaos-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self { path, replay: format!("{settings}cargo test --test chaos {test} -- --nocapture") }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a server of this scene logs; every start of it adds to the same file.
    pub fn log(&self, server: &str) -> PathBuf {
        self.path.join(format!("{server}.log"))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            if std::env::var_os("CHAOS_DIRECTORY").is_some() {
                return;
            }
            let _ = std::fs::remove_dir_all(&self.path);
            return;
        }
        for file in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|kind| kind == "log") {
                let text = std::fs::read_to_string(file.path()).unwrap_or_default();
                let lines: Vec<_> = text.lines().collect();
                println!("--- the end of {}", file.path().display());
                lines[lines.len().saturating_sub(TAIL_LINES)..].iter().for_each(|line| println!("{line}"));
            }
        }
        println!("--- data and logs are kept in {}; to replay: {}", self.path.display(), self.replay);
    }
}
