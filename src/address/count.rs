//! Exact numbers of addresses.
//!
//! The whole IPv6 space holds 2^128 addresses: the one number of addresses that `u128` cannot
//! hold. [`AddressCount`] holds it, so nothing wraps and nothing saturates.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// 2^128, in decimal: the size of `::/0`.
const WHOLE_IPV6: &str = "340282366920938463463374607431768211456";

/// A number of addresses, from 0 to 2^128 inclusive. In JSON a decimal string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressCount {
    // Field order makes the derived ordering the numeric one.
    whole: bool,
    rest: u128,
}

impl AddressCount {
    pub const ZERO: Self = Self { whole: false, rest: 0 };

    /// The number of addresses in a block with `host_bits` free bits (0 to 128).
    #[must_use]
    pub const fn of_host_bits(host_bits: u8) -> Self {
        assert!(host_bits <= 128, "an address has at most 128 bits");
        if host_bits == 128 { Self { whole: true, rest: 0 } } else { Self { whole: false, rest: 1 << host_bits } }
    }

    /// The share of `total` that this is, in percent. 0 of 0 is 0.
    ///
    /// A figure for people: exact to about 15 significant digits.
    #[must_use]
    pub fn percent_of(self, total: Self) -> f64 {
        if total == Self::ZERO {
            return 0.0;
        }
        self.as_f64() / total.as_f64() * 100.0
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio for people; the exact counts stand beside it")]
    fn as_f64(self) -> f64 {
        if self.whole { 2f64.powi(128) } else { self.rest as f64 }
    }

    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match (self.whole, other.whole) {
            (true, _) if other.rest == 0 && !other.whole => Some(self),
            (_, true) if self.rest == 0 && !self.whole => Some(other),
            (false, false) => match self.rest.checked_add(other.rest) {
                Some(rest) => Some(Self { whole: false, rest }),
                None if self.rest.wrapping_add(other.rest) == 0 => Some(Self { whole: true, rest: 0 }),
                None => None,
            },
            _ => None,
        }
    }

    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match (self.whole, other.whole) {
            (false, true) => None,
            (true, true) => Some(Self::ZERO),
            (true, false) if other.rest == 0 => Some(self),
            (true, false) => Some(Self { whole: false, rest: 0u128.wrapping_sub(other.rest) }),
            (false, false) => match self.rest.checked_sub(other.rest) {
                Some(rest) => Some(Self { whole: false, rest }),
                None => None,
            },
        }
    }
}

impl From<u64> for AddressCount {
    fn from(n: u64) -> Self {
        Self { whole: false, rest: n.into() }
    }
}

impl From<u128> for AddressCount {
    fn from(rest: u128) -> Self {
        Self { whole: false, rest }
    }
}

impl TryFrom<AddressCount> for u128 {
    /// 2^128 itself, which has one bit more.
    type Error = AddressCount;
    fn try_from(count: AddressCount) -> Result<Self, AddressCount> {
        if count.whole { Err(count) } else { Ok(count.rest) }
    }
}

/// # Panics
/// When the sum exceeds 2^128, which disjoint blocks of one family cannot.
impl Add for AddressCount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.checked_add(other).expect("blocks of one family hold at most 2^128 addresses")
    }
}

impl AddAssign for AddressCount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// # Panics
/// When more is taken than there is.
impl Sub for AddressCount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.checked_sub(other).expect("no more addresses are taken than were counted")
    }
}

impl SubAssign for AddressCount {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for AddressCount {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for AddressCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.whole { f.pad(WHOLE_IPV6) } else { fmt::Display::fmt(&self.rest, f) }
    }
}

impl FromStr for AddressCount {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == WHOLE_IPV6 {
            return Ok(Self::of_host_bits(128));
        }
        text.parse::<u128>().map(Self::from)
    }
}

impl Serialize for AddressCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::address::text::written(self, serializer)
    }
}

impl<'de> Deserialize<'de> for AddressCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom(format!("`{text}` is not a number of addresses (0 to 2^128)")))
    }
}

impl JsonSchema for AddressCount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AddressCount".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "pattern": "^[0-9]{1,39}$",
            "description": "A number of addresses, 0 to 2^128, as a decimal string."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_ipv6_space_is_held_exactly() {
        let whole = AddressCount::of_host_bits(128);
        let half = AddressCount::of_host_bits(127);
        assert_eq!(half + half, whole);
        assert_eq!(whole - half, half);
        assert_eq!(whole.to_string(), "340282366920938463463374607431768211456");
        assert_eq!(whole.to_string().parse(), Ok(whole));
        assert_eq!(whole.checked_add(AddressCount::from(1u64)), None);
        assert_eq!(whole.checked_add(AddressCount::ZERO), Some(whole));
        assert_eq!(AddressCount::ZERO.checked_add(whole), Some(whole));
        assert_eq!(AddressCount::from(1u64).checked_add(whole), None);
        assert_eq!(whole.checked_add(whole), None);
        assert_eq!((whole - AddressCount::from(1u64)).checked_add(half), None);
        assert_eq!(whole.checked_sub(AddressCount::ZERO), Some(whole));
        assert_eq!((whole - AddressCount::from(1u64)) + AddressCount::from(1u64), whole);
        assert!(whole > half && half > AddressCount::ZERO);
        assert_eq!(half.checked_sub(whole), None);
        assert!((half.percent_of(whole) - 50.0).abs() < 1e-12);
    }

    #[test]
    fn every_number_but_the_whole_ipv6_space_is_a_u128() {
        for number in [0, 7, u128::MAX] {
            assert_eq!(u128::try_from(AddressCount::from(number)), Ok(number));
        }
        let whole = AddressCount::of_host_bits(128);
        assert_eq!(u128::try_from(whole), Err(whole));
    }

    #[test]
    fn in_json_it_is_a_decimal_string() {
        for text in ["\"0\"", "\"340282366920938463463374607431768211456\""] {
            let count: AddressCount = serde_json::from_str(text).expect("a number of addresses");
            assert_eq!(serde_json::to_string(&count).expect("plain data"), text);
        }
        let refused = serde_json::from_str::<AddressCount>("\"-1\"").expect_err("less than none");
        assert!(refused.to_string().starts_with("`-1` is not a number of addresses (0 to 2^128)"), "{refused}");
    }
}
