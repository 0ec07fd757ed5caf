//! The rooms of `src/` and the arrows between them, as ARCHITECTURE.md draws them. Reads the `use` lines and paths.

use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("address", &[]),
    ("domain", &["address"]),
    ("log", &["address", "domain"]),
    ("processor", &["address", "domain", "log"]),
    ("views", &["address", "domain", "log"]),
    ("audit", &["address", "domain", "log", "views"]),
    ("api", &["address", "audit", "domain", "log", "processor", "views"]),
    ("cli", &["address", "api", "audit", "domain", "log", "processor", "views"]),
];

/// What the pure rooms may use beside std (docs/decisions/0001).
const PURE_CRATES: &[&str] = &["arrayvec", "chrono", "ipnet", "schemars", "serde", "sha2", "thiserror", "uuid"];

/// What must not be named in the pure rooms outside of tests.
const IMPURE: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "Utc::now",
    "new_v4",
    "now_v7",
    "rand::",
    "HashSet",
    "std::fs",
    "std::net::Tcp",
    "std::thread",
    "std::env",
    "async fn",
    "tokio",
    "rocksdb",
    "rdkafka",
    "println!",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a room is a folder") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code of a file without comments and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file is text");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn room(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    if folder.is_dir() { sources(&folder) } else { Vec::new() }
}

#[test]
fn arrows_between_rooms_go_one_way() {
    let mut wrong = Vec::new();
    for (name, allowed) in ARROWS {
        for path in room(name) {
            let code = code(&path);
            for (other, _) in ARROWS.iter().filter(|(other, _)| other != name && !allowed.contains(other)) {
                if code.contains(&format!("crate::{other}")) {
                    wrong.push(format!("{} uses {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_is_in_the_table() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("src is a folder") {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        assert!(!path.is_dir() || ARROWS.iter().any(|(room, _)| *room == name), "{name} has no arrows");
    }
}

#[test]
fn the_pure_rooms_are_pure() {
    let mut wrong = Vec::new();
    for path in ["address", "domain"].into_iter().flat_map(room) {
        let test = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .is_some_and(|stem| stem == "testing" || stem.ends_with("tests"));
        if test {
            continue;
        }
        let code = code(&path);
        for line in code.lines().filter_map(|line| line.trim().strip_prefix("use ")) {
            let root = line.split([':', ';', ' ']).next().unwrap_or_default();
            if !["std", "crate", "super", "self"].contains(&root)
                && !PURE_CRATES.contains(&root)
                && root.chars().next().is_some_and(char::is_lowercase)
            {
                wrong.push(format!("{}: use {line}", path.display()));
            }
        }
        for name in IMPURE.iter().filter(|name| code.contains(**name)) {
            wrong.push(format!("{}: {name}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
