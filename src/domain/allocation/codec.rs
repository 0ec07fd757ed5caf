//! The variable part of an allocation as one run of bytes, with repeated names kept once.
//!
//! Not a stored format: it lives in memory only and never leaves this process.

use std::collections::HashMap;
use std::sync::Arc;

use super::Holder;
use crate::domain::bytes::{self, write_length, write_text};
use crate::domain::command::{ResourceClaim, Tags};
use crate::domain::id::{AccountId, PoolId};
use crate::domain::kind::ResourceKind;

/// At most so many texts are kept once; more are written out where they occur. Names come from outside.
const TEXTS_INTERNED_MAX: usize = 65_536;

/// What an allocation's bytes say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Details {
    pub(super) description: Option<String>,
    pub(super) tags: Tags,
    pub(super) holder: Holder,
}

/// Texts that many allocations share: tag keys and regions.
#[derive(Debug, Default)]
pub(super) struct Texts {
    by_number: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    scratch: Vec<u8>,
}

impl Texts {
    pub(super) fn encode(&mut self, description: Option<&str>, tags: &Tags, holder: HolderRef<'_>) -> Box<[u8]> {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        bytes.push(match holder {
            HolderRef::Custom => CUSTOM,
            HolderRef::Pool(_) => POOL,
            HolderRef::Resource(_) => RESOURCE,
        });
        write_optional(&mut bytes, description);
        self.write_tags(&mut bytes, tags);
        match holder {
            HolderRef::Custom => {}
            HolderRef::Pool(pool) => bytes.extend(pool.bits().to_le_bytes()),
            HolderRef::Resource(claim) => {
                let kind = ResourceKind::ALL.iter().position(|kind| *kind == claim.kind);
                write_length(&mut bytes, kind.expect("ALL lists every kind"));
                write_text(&mut bytes, &claim.id);
                match &claim.region {
                    None => bytes.push(0),
                    Some(region) => {
                        bytes.push(1);
                        self.write_shared(&mut bytes, region.as_str());
                    }
                }
                match claim.account {
                    None => bytes.push(0),
                    Some(account) => {
                        bytes.push(1);
                        bytes.extend(account.number().to_le_bytes());
                    }
                }
                self.write_tags(&mut bytes, &claim.tags);
            }
        }
        let exact = Box::from(bytes.as_slice());
        self.scratch = bytes;
        exact
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Details {
        let mut bytes = Reader(bytes::Reader::new(bytes));
        let tag = bytes.byte();
        let description = bytes.optional();
        let tags = self.read_tags(&mut bytes);
        let holder = match tag {
            CUSTOM => Holder::Custom,
            POOL => Holder::Pool(PoolId::from_bits(u128::from_le_bytes(bytes.array())).expect(WRITTEN)),
            _ => {
                let kind = *ResourceKind::ALL.get(bytes.number()).expect("a kind was written");
                let id = bytes.text().to_owned();
                let region = (bytes.byte() == 1).then(|| self.read_shared(&mut bytes));
                let region = region.map(|region| region.parse().expect("a region was written"));
                let account = (bytes.byte() == 1).then(|| u64::from_le_bytes(bytes.array()));
                let account = account.map(|number| AccountId::from_number(number).expect(WRITTEN));
                Holder::Resource(ResourceClaim { kind, id, region, account, tags: self.read_tags(&mut bytes) })
            }
        };
        Details { description, tags, holder }
    }

    fn write_tags(&mut self, bytes: &mut Vec<u8>, tags: &Tags) {
        write_length(bytes, tags.len());
        for (key, value) in tags {
            self.write_shared(bytes, key);
            write_text(bytes, value);
        }
    }

    fn read_tags(&self, bytes: &mut Reader<'_>) -> Tags {
        let count = bytes.number();
        (0..count).map(|_| (self.read_shared(bytes), bytes.text().to_owned())).collect()
    }

    /// Writes a text's number, counted from 1; or 0 and the text.
    fn write_shared(&mut self, bytes: &mut Vec<u8>, text: &str) {
        if let Some(number) = self.number(text) {
            write_length(bytes, number + 1);
        } else {
            bytes.push(0);
            write_text(bytes, text);
        }
    }

    fn read_shared(&self, bytes: &mut Reader<'_>) -> String {
        match bytes.number().checked_sub(1) {
            Some(number) => self.by_number.get(number).expect("a written number was given out").to_string(),
            None => bytes.text().to_owned(),
        }
    }

    fn number(&mut self, text: &str) -> Option<usize> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number as usize);
        }
        if self.by_number.len() == TEXTS_INTERNED_MAX {
            return None;
        }
        let number = self.by_number.len();
        let text: Arc<str> = text.into();
        self.by_number.push(Arc::clone(&text));
        self.numbers.insert(text, u32::try_from(number).expect("few texts are interned"));
        Some(number)
    }
}

/// A holder that belongs to somebody else: what is encoded need not be copied first.
#[derive(Clone, Copy, Debug)]
pub(super) enum HolderRef<'a> {
    Custom,
    Pool(PoolId),
    Resource(&'a ResourceClaim),
}

impl<'a> From<&'a Holder> for HolderRef<'a> {
    fn from(holder: &'a Holder) -> Self {
        match holder {
            Holder::Custom => Self::Custom,
            Holder::Pool(pool) => Self::Pool(*pool),
            Holder::Resource(claim) => Self::Resource(claim),
        }
    }
}

/// Whether the holder is a child pool: the first byte says it.
pub(super) fn is_for_child_pool(bytes: &[u8]) -> bool {
    bytes.first() == Some(&POOL)
}

const CUSTOM: u8 = 0;
const POOL: u8 = 1;
const RESOURCE: u8 = 2;

fn write_optional(bytes: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => write_length(bytes, 0),
        Some(text) => {
            write_length(bytes, text.len() + 1);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
}

/// Reads what [`Texts::encode`] wrote in this process.
struct Reader<'a>(bytes::Reader<'a>);

const WRITTEN: &str = "what is read was written";

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.0.array().expect(WRITTEN)
    }

    fn byte(&mut self) -> u8 {
        self.0.byte().expect(WRITTEN)
    }

    fn number(&mut self) -> usize {
        self.0.number().and_then(|number| usize::try_from(number).ok()).expect(WRITTEN)
    }

    fn text(&mut self) -> &'a str {
        self.0.text().expect(WRITTEN)
    }

    fn optional(&mut self) -> Option<String> {
        let length = self.number().checked_sub(1)?;
        let text = std::str::from_utf8(self.0.take(length).expect(WRITTEN)).expect(WRITTEN);
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let tags: Tags = [("env", "prod"), ("ключ", "значение"), ("empty", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let claim = ResourceClaim {
            kind: ResourceKind::PublicIpv4Pool,
            id: "x".repeat(256),
            region: Some("eu-central-1".parse().expect("a region")),
            account: Some("000000000012".parse().expect("an account")),
            tags: tags.clone(),
        };
        let bare = ResourceClaim { region: None, account: None, tags: Tags::new(), ..claim.clone() };
        let mut texts = Texts::default();
        for holder in [
            Holder::Custom,
            Holder::Pool("ipam-pool-0123456789abcdef0".parse().expect("an id")),
            Holder::Resource(claim),
            Holder::Resource(bare),
        ] {
            for description in [None, Some(String::new()), Some("d".repeat(255))] {
                let bytes = texts.encode(description.as_deref(), &tags, (&holder).into());
                let expected = Details { description, tags: tags.clone(), holder: holder.clone() };
                assert_eq!(texts.decode(&bytes), expected);
            }
        }
    }

    #[test]
    fn more_texts_than_are_interned_are_written_out() {
        let mut texts = Texts::default();
        let key = |n: usize| format!("key-{n}");
        let blobs: Vec<_> = (0..TEXTS_INTERNED_MAX + 10)
            .map(|n| texts.encode(None, &Tags::from([(key(n), "v".to_owned())]), HolderRef::Custom))
            .collect();
        assert_eq!(texts.by_number.len(), TEXTS_INTERNED_MAX);
        for (n, bytes) in blobs.iter().enumerate() {
            assert!(texts.decode(bytes).tags.contains_key(&key(n)));
        }
    }
}
