//! Values that are texts in JSON, parsed where they lie and written in one piece.
//!
//! `Cow<str>` and `collect_str` would do, but serde copies every text into the one and looks through every piece of the
//! other for what JSON escapes, and an outcome has some twenty texts.

use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::str::FromStr;

use arrayvec::ArrayString;
use serde::Serializer;
use serde::de::{self, Deserializer, Visitor};

/// Longer texts are written piece by piece. A digest has so many bytes.
const IN_ONE_PIECE_MAX: usize = 64;

/// Writes a value as the text that it is for people.
pub(crate) fn written<T, S>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: fmt::Display,
    S: Serializer,
{
    let mut text = ArrayString::<IN_ONE_PIECE_MAX>::new();
    match write!(text, "{value}") {
        Ok(()) => serializer.serialize_str(&text),
        Err(_) => serializer.collect_str(value),
    }
}

/// Reads a text and parses it.
pub(crate) fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Parsed(PhantomData))
}

struct Parsed<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Cidr;

    #[test]
    fn texts_of_every_length_are_written_whole() {
        for length in [0, 1, IN_ONE_PIECE_MAX - 1, IN_ONE_PIECE_MAX, IN_ONE_PIECE_MAX + 1, 1_000] {
            let text = "\"".repeat(length);
            let json = written(&text, serde_json::value::Serializer).expect("a text");
            assert_eq!(json, serde_json::Value::String(text));
        }
    }

    #[test]
    fn what_is_no_text_is_told_so() {
        let error = serde_json::from_str::<Cidr>("7").expect_err("a number is no CIDR");
        assert!(error.to_string().contains("expected a string"), "{error}");
    }
}
