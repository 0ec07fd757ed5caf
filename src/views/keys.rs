//! Keys that sort like what they are made of, so that a scan is a question (design D25).
//!
//! A key begins with one byte, the kind of its row: never used again for another kind of the same view.
//! Then come parts, each self-delimiting: no part's bytes can be mistaken for a part and the start of the next.

use crate::address::{Cidr, Family};
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::time::Timestamp;

/// Most keys are no longer: they are made without growing.
const USUAL_BYTES: usize = 96;

/// A key under construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key of the rows of `kind`.
    #[must_use]
    pub fn new(kind: u8) -> Self {
        let mut key = Vec::with_capacity(USUAL_BYTES);
        key.push(kind);
        Self(key)
    }

    /// A key of the rows of `kind` of one organisation.
    #[must_use]
    pub fn of(kind: u8, organization: &OrganizationId) -> Self {
        Self::new(kind).text(organization.as_str())
    }

    /// The key that is these bytes.
    #[must_use]
    pub const fn exactly(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Text, in byte order; a text sorts before those it begins. NUL is escaped, so any text can be a part.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        let mut parts = text.as_bytes().split(|byte| *byte == 0);
        self.0.extend(parts.next().unwrap_or_default());
        for part in parts {
            self.0.extend([0, 0xff]);
            self.0.extend(part);
        }
        self.0.extend([0, 0]);
        self
    }

    #[must_use]
    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// 128 bits, such as the bits of an object's id.
    #[must_use]
    pub fn bits(mut self, bits: u128) -> Self {
        self.0.extend(bits.to_be_bytes());
        self
    }

    /// Latest first.
    #[must_use]
    pub fn revision_descending(self, revision: Revision) -> Self {
        self.number(!revision.0)
    }

    #[must_use]
    pub fn revision(self, revision: Revision) -> Self {
        self.number(revision.0)
    }

    #[must_use]
    pub fn instant(self, instant: Timestamp) -> Self {
        self.number(ordered(instant))
    }

    /// Latest first.
    #[must_use]
    pub fn instant_descending(self, instant: Timestamp) -> Self {
        self.number(!ordered(instant))
    }

    /// First address, then netmask length: every block stands before the blocks inside it. The family
    /// is not in it: rows of different families have different kinds.
    #[must_use]
    pub fn block(self, cidr: Cidr) -> Self {
        self.address(cidr.family(), cidr.first()).byte(cidr.length())
    }

    /// An address as a number, in as many bytes as its family has.
    #[must_use]
    pub fn address(mut self, family: Family, address: u128) -> Self {
        let bytes = address.to_be_bytes();
        let (_, low) = bytes.split_at(bytes.len() - usize::from(family.bits() / 8));
        self.0.extend(low);
        self
    }

    /// Appends bytes as they are: the rest of another key.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The key behind every key that begins with this one: the end of a scan.
    #[must_use]
    pub fn end(&self) -> Vec<u8> {
        after(&self.0)
    }
}

/// The smallest key behind all that begin with `prefix`.
#[must_use]
pub fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end
}

/// Where the organisation ends in a key that [`Key::of`] began: behind kind, text and terminator.
#[must_use]
pub fn organization_end(key: &[u8]) -> Option<usize> {
    // An organisation's id holds no NUL, so the first one begins its terminator.
    key.iter().skip(1).position(|byte| *byte == 0).map(|length| 1 + length + 2).filter(|end| *end <= key.len())
}

/// Where the text that begins at `start` ends in a key: behind its terminator.
#[must_use]
pub fn text_end(key: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at += key.get(at..)?.iter().position(|byte| *byte == 0)?;
        match key.get(at + 1)? {
            0xff => at += 2,
            _ => return Some(at + 2),
        }
    }
}

/// An instant as a number that sorts like it.
fn ordered(instant: Timestamp) -> u64 {
    instant.micros().cast_unsigned() ^ (1 << 63)
}

/// Reads the parts of a key back, in the order they were put in. Every method is `None` where the key ends early.
#[derive(Clone, Copy, Debug)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Behind the kind.
    #[must_use]
    pub fn new(key: &'a [u8]) -> Option<Self> {
        key.split_first().map(|(_, rest)| Self(rest))
    }

    /// What follows a prefix that is known.
    #[must_use]
    pub const fn behind(part: &'a [u8]) -> Self {
        Self(part)
    }

    pub fn text(&mut self) -> Option<String> {
        let mut text = Vec::new();
        loop {
            match self.byte()? {
                0 => match self.byte()? {
                    0xff => text.push(0),
                    _ => return String::from_utf8(text).ok(),
                },
                byte => text.push(byte),
            }
        }
    }

    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*head))
    }

    pub fn bits(&mut self) -> Option<u128> {
        let (head, rest) = self.0.split_first_chunk::<16>()?;
        self.0 = rest;
        Some(u128::from_be_bytes(*head))
    }

    pub fn revision(&mut self) -> Option<Revision> {
        self.number().map(Revision)
    }

    pub fn revision_descending(&mut self) -> Option<Revision> {
        self.number().map(|number| Revision(!number))
    }

    pub fn instant(&mut self) -> Option<Timestamp> {
        self.number().map(unordered)
    }

    pub fn instant_descending(&mut self) -> Option<Timestamp> {
        self.number().map(|number| unordered(!number))
    }

    pub fn block(&mut self, family: Family) -> Option<Cidr> {
        let width = usize::from(family.bits() / 8);
        let (address, rest) = self.0.split_at_checked(width)?;
        self.0 = rest;
        let address = address.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let length = self.byte().filter(|length| *length <= family.bits())?;
        Some(Cidr::containing(family, address, length))
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

fn unordered(number: u64) -> Timestamp {
    let micros = (number ^ (1 << 63)).cast_signed();
    Timestamp::from_micros(micros.clamp(Timestamp::MIN.micros(), Timestamp::MAX.micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn keys_sort_like_their_parts() {
        let text = |text: &str| Key::new(1).text(text).byte(0).into_bytes();
        let mut texts = ["b", "", "a\0", "a", "ab", "a\0b"].map(text).to_vec();
        texts.sort();
        assert_eq!(texts, ["", "a", "a\0", "a\0b", "ab", "b"].map(text));
        let time = |micros: i64| Key::new(1).instant(instant(micros)).into_bytes();
        assert!(time(-5) < time(-1) && time(-1) < time(0) && time(0) < time(7));
        let latest = |micros: i64| Key::new(1).instant_descending(instant(micros)).into_bytes();
        assert!(latest(-5) > latest(-1) && latest(-1) > latest(0) && latest(0) > latest(7));
        let block = |text: &str| Key::new(1).block(text.parse().expect("a CIDR")).into_bytes();
        assert!(block("10.0.0.0/8") < block("10.0.0.0/16") && block("10.0.0.0/16") < block("10.1.0.0/16"));
        assert!(block("::/0") < block("2001:db8::/32"));
    }

    #[test]
    fn what_is_put_in_is_read_back() {
        let cidr: Cidr = "2001:db8::/32".parse().expect("a CIDR");
        let key = Key::new(9)
            .text("a\0b")
            .block(cidr)
            .instant_descending(instant(-7))
            .revision(Revision(3))
            .revision_descending(Revision(4))
            .bits(5)
            .into_bytes();
        let mut reader = KeyReader::new(&key).expect("a kind");
        assert_eq!(reader.text().as_deref(), Some("a\0b"));
        assert_eq!(reader.block(Family::Ipv6), Some(cidr));
        assert_eq!(reader.instant_descending(), Some(instant(-7)));
        assert_eq!(reader.revision(), Some(Revision(3)));
        assert_eq!(reader.revision_descending(), Some(Revision(4)));
        assert_eq!(reader.bits(), Some(5));
        assert!(reader.byte().is_none() && reader.rest().is_empty());
    }

    #[test]
    fn a_text_ends_behind_its_terminator() {
        let key = Key::new(9).text("a\0b").text("").byte(7).into_bytes();
        let end = text_end(&key, 1).expect("it ends");
        assert_eq!(key.get(end..), Some([0, 0, 7].as_slice()));
        assert_eq!(text_end(&key, end), Some(end + 2));
        assert_eq!(text_end(&key, end + 2), None);
    }

    #[test]
    fn the_end_of_a_scan_is_behind_all_that_begins_with_the_key() {
        assert_eq!(Key::new(1).byte(0xff).end(), [2]);
        assert_eq!(Key::new(1).byte(7).end(), [1, 8]);
    }
}
