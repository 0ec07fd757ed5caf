//! What an enemy does to a log or to an export, drawn.

use ipam_ledger::log::record::{Epoch, Kind, Seq, SourceOffset};
use serde_json::Value;

use super::history::{Entry, Lane, Lanes};
use super::random::Random;

/// Does one thing to a log; `other` is another history of the same organisations. Says what.
pub fn log(random: &mut Random, lanes: &mut Lanes, other: &Lanes) -> String {
    let n = random.below(lanes.0.len());
    let values: Vec<Vec<u8>> = lanes.0.iter().flatten().map(|entry| entry.value.clone()).collect();
    let elsewhere: Vec<Entry> = lanes.0.iter().chain(&other.0).flatten().cloned().collect();
    let count = lanes.0.len();
    let lane = &mut lanes.0[n];
    if lane.is_empty() {
        return "nothing".to_owned();
    }
    let (i, j) = (random.below(lane.len()), random.below(lane.len()));
    match random.below(13) {
        0 => {
            lane.remove(i);
            format!("lane {n}: {i} dropped")
        }
        1 => {
            lane.swap(i, j);
            format!("lane {n}: {i} and {j} swapped")
        }
        2 => {
            let next = (i + 1).min(lane.len() - 1);
            lane.swap(i, next);
            format!("lane {n}: {i} and {next} swapped")
        }
        3 => {
            let entry = lane[i].clone();
            lane.insert(j, entry);
            format!("lane {n}: {i} doubled at {j}")
        }
        4 => {
            let mut entry = random.of(&elsewhere).expect("records").clone();
            if random.one_in(2) {
                entry.header = lane[i].header;
            }
            lane.insert(i, entry);
            format!("lane {n}: another's inserted at {i}")
        }
        5..=7 => {
            let changed = field(random, &lane[i].value, &values);
            lane[i].value = changed;
            format!("lane {n}: a field of {i} changed")
        }
        8 => {
            byte(random, &mut lane[i].value);
            format!("lane {n}: a byte of {i} changed")
        }
        9 => {
            header(random, &mut lane[i]);
            format!("lane {n}: the headers of {i} changed")
        }
        10 => {
            lane.truncate(i);
            format!("lane {n}: cut off at {i}")
        }
        11 => {
            let rest = other.0.get(n).map(|lane| lane.iter().skip(j).cloned().collect::<Lane>()).unwrap_or_default();
            lane.truncate(i);
            lane.extend(rest);
            format!("lane {n}: up to {i}, another history from {j}")
        }
        _ => {
            lanes.0.swap(n, (n + 1) % count);
            format!("lane {n} and the next swapped")
        }
    }
}

/// Does one thing to the lines of an export, the manifest among them.
pub fn lines(random: &mut Random, lines: &mut Vec<Vec<u8>>) -> String {
    let values = lines.clone();
    let (mut i, j) = (random.below(lines.len()), random.below(lines.len()));
    if random.one_in(4) {
        i = 0;
    }
    match random.below(8) {
        0 => {
            lines.remove(i.max(1) % values.len());
            format!("line {} dropped", i + 1)
        }
        1 => {
            lines.swap(i.max(1) % values.len(), j.max(1) % values.len());
            format!("lines {} and {} swapped", i + 1, j + 1)
        }
        2 => {
            let line = lines[i].clone();
            lines.insert(j + 1, line);
            format!("line {} doubled at {}", i + 1, j + 2)
        }
        3..=5 => {
            lines[i] = field(random, &values[i], &values);
            format!("a field of line {} changed", i + 1)
        }
        6 => {
            byte(random, &mut lines[i]);
            format!("a byte of line {} changed", i + 1)
        }
        _ => {
            lines.truncate(i + 1);
            format!("cut off behind line {}", i + 1)
        }
    }
}

fn byte(random: &mut Random, value: &mut Vec<u8>) {
    let at = random.below(value.len());
    match value.get_mut(at) {
        Some(byte) => *byte ^= 1 << random.below(7),
        None => value.push(b'?'),
    }
}

fn header(random: &mut Random, entry: &mut Entry) {
    let Some(header) = &mut entry.header else { return };
    match random.below(5) {
        0 => header.epoch = Epoch([0, 1, header.epoch.0 + 1, u64::MAX][random.below(4)]),
        1 => header.seq = Seq([0, 1, header.seq.0 + 1, u64::MAX][random.below(4)]),
        2 => header.kind = [Kind::EpochOpened, Kind::Outcome, Kind::Passed][random.below(3)],
        3 => header.source = Some(SourceOffset(random.next())),
        _ => entry.header = None,
    }
}

/// Another value in one place: one that stands in such a place elsewhere, a number beside it, or none.
fn field(random: &mut Random, value: &[u8], values: &[Vec<u8>]) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(value) else { return value.to_vec() };
    let mut paths = Vec::new();
    leaves(&json, &mut String::new(), &mut paths);
    // What the rules are about, more often than its share.
    if random.one_in(3) && paths.iter().any(|path| path.ends_with("/cidr")) {
        paths.retain(|path| path.ends_with("/cidr"));
    }
    let Some(path) = random.of(&paths) else { return value.to_vec() };
    if random.one_in(8) {
        let (parent, name) = path.rsplit_once('/').expect("a pointer");
        match json.pointer_mut(parent) {
            Some(Value::Object(members)) => drop(members.remove(name)),
            Some(Value::Array(list)) => drop(list.pop()),
            _ => {}
        }
    } else {
        let others: Vec<Value> = values
            .iter()
            .filter_map(|value| serde_json::from_slice::<Value>(value).ok())
            .filter_map(|other| other.pointer(path).cloned())
            .collect();
        let other = random.of(&others).cloned();
        let leaf = json.pointer_mut(path).expect("it is there");
        *leaf = match (&leaf, other) {
            (_, Some(other)) if other != *leaf => other,
            (Value::Number(number), _) => {
                let number = number.as_u64().unwrap_or_default();
                [number + 1, number.saturating_sub(1), u64::MAX][random.below(3)].into()
            }
            (Value::String(text), _) => {
                let mut text = text.clone().into_bytes();
                let at = random.below(text.len());
                if let Some(byte) = text.get_mut(at).filter(|byte| byte.is_ascii_digit()) {
                    *byte = b'0' + u8::try_from(random.below(10)).expect("a digit");
                }
                String::from_utf8(text).expect("ASCII for ASCII").into()
            }
            (Value::Bool(is), _) => (!*is).into(),
            _ => Value::Null,
        };
    }
    serde_json::to_vec(&json).expect("it was JSON")
}

fn leaves(value: &Value, path: &mut String, paths: &mut Vec<String>) {
    let length = path.len();
    let mut into = |name: &str, value: &Value| {
        path.push('/');
        path.push_str(name);
        leaves(value, path, paths);
        path.truncate(length);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| into(name, value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, value)| into(&n.to_string(), value)),
        _ => paths.push(path.clone()),
    }
}
