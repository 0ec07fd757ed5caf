//! Instants, to the microsecond, in UTC. The domain never asks a clock; instants come in.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::id::IdError;

/// Microseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 in UTC with six decimals.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest and the latest instant that can be written with a four-digit year.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// # Panics
    /// Outside the years 1 to 9999.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        assert!(micros >= Self::MIN.0 && micros <= Self::MAX.0, "an instant lies in the years 1 to 9999");
        Self(micros)
    }

    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant `micros` later (or earlier, when negative), held within the years 1 to 9999.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(Self::MIN.0, Self::MAX.0))
    }

    fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).expect("the years 1 to 9999 are within chrono's range")
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_micros().clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_chrono().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|instant| instant.timestamp_micros())
            .filter(|micros| (Self::MIN.0..=Self::MAX.0).contains(micros))
            .map(Self)
            .ok_or_else(|| IdError::new(text, "an instant such as 2019-03-01T12:00:00Z (RFC 3339, years 1 to 9999)"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::address::text::written(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::address::text::parsed(deserializer)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "format": "date-time",
            "description": "An instant (RFC 3339). Written in UTC with microseconds; read with any offset."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_offset_and_writes_utc_with_microseconds() {
        let at: Timestamp = "2019-03-01T14:00:00.5+02:00".parse().expect("RFC 3339");
        assert_eq!(at.to_string(), "2019-03-01T12:00:00.500000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.plus_micros(1), Timestamp::MAX);
        assert_eq!(format!("{at:?}"), at.to_string());
        assert_eq!(Timestamp::from(at.to_chrono()), at);
        assert_eq!(serde_json::from_str::<Timestamp>("\"2019-03-01T12:00:00.5Z\"").expect("RFC 3339"), at);
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
        for text in ["", "yesterday", "2019-03-01", "2019-02-30T00:00:00Z", "10000-01-01T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
