//! Values that are texts in JSON, parsed where they lie.
//!
//! `Cow<str>` would do, but serde copies every text into it, and an outcome has some twenty of them.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};

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
    use crate::address::Cidr;

    #[test]
    fn what_is_no_text_is_told_so() {
        let error = serde_json::from_str::<Cidr>("7").expect_err("a number is no CIDR");
        assert!(error.to_string().contains("expected a string"), "{error}");
    }
}
