//! Keys and values of the embedded log. Pinned by golden bytes below; a change needs a new `FORMAT_VERSION`,
//! and the old one stays readable.
//!
//! Key: partition (4 bytes), offset (8 bytes). Value: kind (1), epoch (8), seq (8), has a source offset (1), source
//! offset (8), appended at (8, microseconds), length of the key (2), key, value. All big endian.

use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::log::record::{Epoch, Header, Kind, NewRecord, Offset, Partition, Record, Seq, SourceOffset};

pub(super) const KEY_BYTES: usize = 12;
const FIXED_BYTES: usize = 36;

pub(super) fn key(partition: Partition, offset: u64) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (of_partition, of_offset) = key.split_at_mut(4);
    of_partition.copy_from_slice(&partition.0.to_be_bytes());
    of_offset.copy_from_slice(&offset.to_be_bytes());
    key
}

/// Partition and offset of a key; `None` when it is none.
pub(super) fn offset_of(key: &[u8]) -> Option<(Partition, u64)> {
    let mut bytes = Bytes(key);
    let found = (Partition(u32::from_be_bytes(bytes.take()?)), u64::from_be_bytes(bytes.take()?));
    bytes.0.is_empty().then_some(found)
}

pub(super) fn encode(record: &NewRecord, appended_at: Timestamp) -> Vec<u8> {
    let organization = record.key.as_ref().map_or("", |key| key.as_str()).as_bytes();
    let length = u16::try_from(organization.len()).expect("an organisation id is short");
    let header = record.header;
    let mut bytes = Vec::with_capacity(FIXED_BYTES + organization.len() + record.value.len());
    bytes.push(match header.kind {
        Kind::EpochOpened => 1,
        Kind::Outcome => 2,
        Kind::Passed => 3,
    });
    bytes.extend(header.epoch.0.to_be_bytes());
    bytes.extend(header.seq.0.to_be_bytes());
    bytes.push(u8::from(header.source.is_some()));
    bytes.extend(header.source.unwrap_or_default().0.to_be_bytes());
    bytes.extend(appended_at.micros().to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(organization);
    bytes.extend(&*record.value);
    bytes
}

pub(super) fn decode(offset: Offset, bytes: &[u8]) -> Result<Record, &'static str> {
    let mut bytes = Bytes(bytes);
    let record = decode_fields(offset, &mut bytes);
    record.ok_or("its bytes are not those of a record")
}

fn decode_fields(offset: Offset, bytes: &mut Bytes<'_>) -> Option<Record> {
    let kind = match bytes.take::<1>()? {
        [1] => Kind::EpochOpened,
        [2] => Kind::Outcome,
        [3] => Kind::Passed,
        _ => return None,
    };
    let epoch = Epoch(u64::from_be_bytes(bytes.take()?));
    let seq = Seq(u64::from_be_bytes(bytes.take()?));
    let source = match (bytes.take::<1>()?, u64::from_be_bytes(bytes.take()?)) {
        ([0], 0) => None,
        ([1], source) => Some(SourceOffset(source)),
        _ => return None,
    };
    let micros = i64::from_be_bytes(bytes.take()?);
    if !(Timestamp::MIN.micros()..=Timestamp::MAX.micros()).contains(&micros) {
        return None;
    }
    let key_bytes = usize::from(u16::from_be_bytes(bytes.take()?));
    let (_organization, value) = bytes.0.split_at_checked(key_bytes)?;
    Some(Record {
        offset,
        appended_at: Timestamp::from_micros(micros),
        header: Some(Header { kind, epoch, seq, source }),
        value: Arc::from(value),
    })
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> NewRecord {
        NewRecord {
            header: Header { kind: Kind::Outcome, epoch: Epoch(3), seq: Seq(258), source: Some(SourceOffset(5)) },
            key: Some("o-a1b2c3d4e5".parse().expect("an organisation id")),
            value: Arc::from(*b"{}"),
        }
    }

    #[test]
    fn version_1_is_pinned() {
        let bytes = encode(&record(), Timestamp::from_micros(1_000_000));
        let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(
            hex,
            "020000000000000003000000000000010201000000000000000500000000000f4240000c6f2d61316232633364346535"
                .to_owned()
                + "7b7d"
        );
        assert_eq!(key(Partition(1), 2), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(offset_of(&key(Partition(1), 2)), Some((Partition(1), 2)));
    }

    #[test]
    fn bytes_that_are_never_written_are_no_record() {
        let good = encode(&record(), Timestamp::from_micros(7));
        // Up to the length of the key, which a reader does not keep.
        for (at, byte) in (0..FIXED_BYTES - 2).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut bytes = good.clone();
            bytes[at] = byte;
            if let Ok(Record { appended_at, header: Some(header), value, .. }) = decode(Offset(9), &bytes) {
                assert_eq!(encode(&NewRecord { header, value, ..record() }, appended_at), bytes, "byte {at} is {byte}");
            }
        }
        for (at, byte) in [(0, 0), (0, 4), (17, 0), (17, 2)] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert!(decode(Offset(9), &bytes).is_err(), "byte {at} is {byte}");
        }
    }

    #[test]
    fn decodes_what_it_encoded_and_nothing_cut_short() {
        let new = record();
        let at = Timestamp::from_micros(7);
        let bytes = encode(&new, at);
        let expected = Record { offset: Offset(9), appended_at: at, header: Some(new.header), value: new.value };
        assert_eq!(decode(Offset(9), &bytes), Ok(expected));
        for length in 0..FIXED_BYTES + 12 {
            assert!(decode(Offset(9), &bytes[..length]).is_err(), "{length} bytes");
        }
        let without = NewRecord { key: None, header: Header { source: None, ..new.header }, value: Arc::from([]) };
        let decoded = decode(Offset(0), &encode(&without, at)).expect("a record");
        assert_eq!(decoded.header, Some(without.header));
        assert!(decoded.value.is_empty());
    }
}
