//! The fuzz targets as ordinary tests: every input of the corpora, and a bounded number of inputs changed at random from
//! them, the same ones in every run. The search itself is `scripts/fuzz` (docs/fuzzing.md).

#![allow(clippy::indexing_slicing, reason = "what is not there fails the test")]

mod targets;

use std::path::Path;

const CHANGED_INPUTS: usize = 5_000;
const INPUT_BYTES_MAX: usize = 8_192;
/// What means something to one decoder or another.
const TOKENS: [&[u8]; 20] = [
    b"null",
    b"0",
    b"-1",
    b"18446744073709551616",
    b"1e400",
    b"\"",
    b"{",
    b"[",
    b"]",
    b"}",
    b",",
    b":",
    b"/33",
    b"::ffff:",
    b"%ff",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"9999-12-31T23:59:59.999999Z",
    b"&as_of=rev:0",
];

macro_rules! targets {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })+

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),+];
            assert_eq!(targets::TARGETS.map(|target| target.name), replayed);
        }
    };
}
targets!(command, outcome, record, envelope, query, rows, cidr, when);

fn replay(name: &str) {
    let check = targets::named(name).expect("a target").check;
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "there is no corpus for {name}");
    for input in &corpus {
        check(input);
    }
    let mut random = Random(name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte)));
    for _ in 0..CHANGED_INPUTS {
        check(&changed(&corpus, &mut random));
    }
}

/// By name, so that every machine has the same order.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files: Vec<_> = [tests.join("fuzz/corpus").join(name), tests.join("golden").join(name)]
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("it is read")).collect()
}

fn changed(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let (from, until) = random.part(input.len());
        match random.below(6) {
            0 => drop(input.drain(from..until)),
            1 => input.extend_from_within(from..until),
            2 => drop(input.splice(from..until, TOKENS[random.below(TOKENS.len())].iter().copied())),
            3 => {
                let other = &corpus[random.below(corpus.len())];
                let (begin, end) = random.part(other.len());
                input.splice(from..until, other[begin..end].iter().copied());
            }
            4 => input.truncate(until),
            _ => {
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 32).expect("32 bits") % bound.max(1)
    }

    /// Where a part of so many bytes begins and ends.
    fn part(&mut self, length: usize) -> (usize, usize) {
        let (a, b) = (self.below(length + 1), self.below(length + 1));
        (a.min(b), a.max(b))
    }
}
