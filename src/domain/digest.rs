//! SHA-256 values, as they stand in records: 64 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use super::id::{IdError, serde_as_text};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand: every outcome is written with two digests, and `{:02x}` costs more than hashing it.
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        let mut text = [0_u8; 64];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 0xf)];
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::new(text, "a SHA-256: 64 lower-case hexadecimal digits");
        // Digits are as good as random: a jump for each would be foreseen wrongly every other time.
        let value = |digit: u8| match (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a')) {
            (number, _) if number < 10 => number,
            (_, letter) if letter < 6 => letter + 10,
            _ => u8::MAX,
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(error()) };
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() {
            return Err(error());
        }
        let mut all = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (value(*high), value(*low));
            all |= high | low;
            *byte = high << 4 | (low & 0xf);
        }
        if all > 0xf { Err(error()) } else { Ok(Self(bytes)) }
    }
}
serde_as_text!(Digest, "Digest", "^[0-9a-f]{64}$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_value_reads_back() {
        let empty = Digest::of(b"");
        assert_eq!(empty.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(empty.to_string().parse(), Ok(empty));
        for text in ["", "e3", &"E3".repeat(32), &"0".repeat(63), &"é".repeat(32)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        // Every character in every place.
        for at in 0..64 {
            for character in 0..=0x7f {
                let mut text = "0".repeat(64).into_bytes();
                text[at] = character;
                let text = String::from_utf8(text).expect("ASCII");
                let good = matches!(character, b'0'..=b'9' | b'a'..=b'f');
                match text.parse::<Digest>() {
                    Ok(digest) => assert!(good && digest.to_string() == text, "{text}"),
                    Err(_) => assert!(!good, "{text}"),
                }
            }
        }
    }
}
