//! The record headers of `ipam.events`. All readers must agree on them for ever, in any language: numbers are
//! decimal ASCII without sign or leading zeros, each header comes at most once, other headers do not matter.
//! Anything else is somebody else's record, and void.

use rdkafka::message::{Header as KafkaHeader, Headers, OwnedHeaders};

use crate::log::record::{Epoch, Header, Kind, Seq, SourceOffset};

const KIND: &str = "ipam-kind";
const EPOCH: &str = "ipam-epoch";
const SEQ: &str = "ipam-seq";
const SOURCE: &str = "ipam-source";

const KINDS: [(Kind, &str); 3] =
    [(Kind::EpochOpened, "epoch-opened"), (Kind::Outcome, "outcome"), (Kind::Passed, "passed")];

pub(super) fn write(header: Header) -> OwnedHeaders {
    let kind = KINDS.iter().find(|(kind, _)| *kind == header.kind).map_or("", |(_, name)| name);
    let mut headers = OwnedHeaders::new_with_capacity(4);
    let numbers = [(EPOCH, Some(header.epoch.0)), (SEQ, Some(header.seq.0)), (SOURCE, header.source.map(|at| at.0))];
    headers = headers.insert(KafkaHeader { key: KIND, value: Some(kind) });
    for (key, number) in numbers {
        if let Some(number) = number {
            headers = headers.insert(KafkaHeader { key, value: Some(&number.to_string()) });
        }
    }
    headers
}

pub(super) fn read(headers: &impl Headers) -> Option<Header> {
    let (mut kind, mut epoch, mut seq, mut source) = (None, None, None, None);
    for header in headers.iter() {
        let is_repeated = match header.key {
            KIND => kind.replace(read_kind(header.value?)?).is_some(),
            EPOCH => epoch.replace(Epoch(read_number(header.value?)?)).is_some(),
            SEQ => seq.replace(Seq(read_number(header.value?)?)).is_some(),
            SOURCE => source.replace(SourceOffset(read_number(header.value?)?)).is_some(),
            _ => false,
        };
        if is_repeated {
            return None;
        }
    }
    Some(Header { kind: kind?, epoch: epoch?, seq: seq?, source })
}

fn read_kind(value: &[u8]) -> Option<Kind> {
    KINDS.iter().find(|(_, name)| name.as_bytes() == value).map(|(kind, _)| *kind)
}

fn read_number(value: &[u8]) -> Option<u64> {
    let text = str::from_utf8(value).ok()?;
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> OwnedHeaders {
        pairs
            .iter()
            .fold(OwnedHeaders::new(), |headers, &(key, value)| headers.insert(KafkaHeader { key, value: Some(value) }))
    }

    #[test]
    fn reads_what_it_wrote() {
        for kind in [Kind::EpochOpened, Kind::Outcome, Kind::Passed] {
            for source in [None, Some(SourceOffset(0)), Some(SourceOffset(u64::MAX))] {
                let header = Header { kind, epoch: Epoch(7), seq: Seq(0), source };
                assert_eq!(read(&write(header)), Some(header));
            }
        }
    }

    #[test]
    fn what_a_processor_does_not_write_is_foreign() {
        let good = [("ipam-kind", "outcome"), ("ipam-epoch", "1"), ("ipam-seq", "10")];
        let with = |more: &[(&str, &str)]| read(&headers(&[&good, more].concat()));
        assert!(with(&[]).is_some());
        assert!(with(&[("traceparent", "00-ab")]).is_some(), "other headers do not matter");
        assert!(with(&[("ipam-source", "0")]).is_some());
        for value in ["", "-1", "+1", "01", "1 ", " 1", "1.0", "0x1", "18446744073709551616", "١"] {
            assert!(with(&[("ipam-source", value)]).is_none(), "{value:?}");
        }
        assert!(with(&[("ipam-seq", "10")]).is_none(), "twice");
        for left_out in 0..good.len() {
            let mut pairs = good.to_vec();
            pairs.remove(left_out);
            assert!(read(&headers(&pairs)).is_none(), "without {}", good[left_out].0);
        }
        assert!(read(&headers(&[("ipam-kind", "Outcome"), good[1], good[2]])).is_none());
        assert!(read(&OwnedHeaders::new()).is_none());
        let null = OwnedHeaders::new().insert(KafkaHeader { key: "ipam-kind", value: None::<&str> });
        assert!(read(&null).is_none());
    }
}
