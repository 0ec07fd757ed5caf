//! A block of addresses, canonical by construction: no value of [`Cidr`] has host bits set, and
//! none is an IPv4 block dressed up as IPv6.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AddressCount, text};

/// The two address families. A pool has one; blocks of different families never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// The number of bits of an address, which is the longest netmask length.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

/// Why a text is not a CIDR; says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    #[error("`{text}` has host bits set; the block is {canonical}")]
    HostBits { text: String, canonical: Cidr },
    #[error("`{text}` has no netmask length; a single address is written {address}/{bits}", bits = if address.is_ipv4() { 32 } else { 128 })]
    NoLength { text: String, address: IpAddr },
    #[error("`{text}` is an IPv4 block in IPv6 clothes; write {canonical}")]
    Mapped { text: String, canonical: Cidr },
    #[error("`{text}` is an IPv4 address in IPv6 clothes with a netmask that reaches outside it")]
    MappedTooWide { text: String },
    #[error("`{text}` has netmask length {length}; an {family} block has 0 to {}", family.bits())]
    TooLong { text: String, length: u32, family: Family },
    #[error("`{text}` has a leading zero, which some read as octal; write each number without it")]
    LeadingZero { text: String },
    #[error("`{text}` is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32")]
    Malformed { text: String },
}

/// A canonical block of addresses.
///
/// Ordered by family, then first address, then netmask length (the larger block first), so that
/// in a sorted list every block stands directly before the blocks inside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// The block of `family` with `length` network bits that contains the address numbered `address`.
    ///
    /// # Panics
    /// When `length` or `address` is out of the family's range: both come from other blocks or from
    /// arithmetic on them, so that is a defect, not bad input.
    #[must_use]
    pub fn containing(family: Family, address: u128, length: u8) -> Self {
        match family {
            Family::Ipv4 => {
                let address = u32::try_from(address).expect("an IPv4 address has 32 bits");
                let net = Ipv4Net::new(Ipv4Addr::from(address), length).expect("an IPv4 netmask has 0 to 32 bits");
                Self(IpNet::V4(net.trunc()))
            }
            Family::Ipv6 => {
                let net = Ipv6Net::new(Ipv6Addr::from(address), length).expect("an IPv6 netmask has 0 to 128 bits");
                Self(IpNet::V6(net.trunc()))
            }
        }
    }

    /// The block of one address (/32 or /128). IPv4-mapped IPv6 addresses become IPv4.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// Reads a block, clearing host bits where they are set, as EC2 does.
    ///
    /// # Errors
    /// As [`Cidr::from_str`], host bits excepted.
    pub fn parse_lenient(text: &str) -> Result<Self, CidrError> {
        match text.parse() {
            Err(CidrError::HostBits { canonical, .. }) => Ok(canonical),
            other => other,
        }
    }

    #[must_use]
    pub const fn family(self) -> Family {
        match self.0 {
            IpNet::V4(_) => Family::Ipv4,
            IpNet::V6(_) => Family::Ipv6,
        }
    }

    /// The netmask length: number of network bits.
    #[must_use]
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// The first address, as a number.
    #[must_use]
    pub fn first(self) -> u128 {
        match self.0 {
            IpNet::V4(net) => u32::from(net.network()).into(),
            IpNet::V6(net) => net.network().into(),
        }
    }

    /// The last address, as a number.
    #[must_use]
    pub fn last(self) -> u128 {
        match self.0 {
            IpNet::V4(net) => u32::from(net.broadcast()).into(),
            IpNet::V6(net) => net.broadcast().into(),
        }
    }

    /// The first address.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.0.network()
    }

    #[must_use]
    pub fn count(self) -> AddressCount {
        AddressCount::of_host_bits(self.family().bits() - self.length())
    }

    /// Whether every address of `other` is in this block (a block contains itself).
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two share an address. Blocks are aligned, so one then contains the other.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// The block of `length` bits around this one, or itself; `None` when `length` is longer than its own.
    #[must_use]
    pub fn widened_to(self, length: u8) -> Option<Self> {
        (length <= self.length()).then(|| Self::containing(self.family(), self.first(), length))
    }

    /// The lower and the upper half; `None` for a single address.
    #[must_use]
    pub fn halves(self) -> Option<(Self, Self)> {
        let length = self.length() + 1;
        (length <= self.family().bits()).then(|| {
            (
                Self::containing(self.family(), self.first(), length),
                Self::containing(self.family(), self.last(), length),
            )
        })
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        // Errors repeat the text: bound it, it came from outside.
        let shown = || text.chars().take(64).collect::<String>();
        let malformed = || CidrError::Malformed { text: shown() };
        let Some((address_text, length_text)) = text.split_once('/') else {
            return Err(match parse_address(text) {
                Ok(address) => CidrError::NoLength { text: shown(), address },
                Err(LeadingZero) => CidrError::LeadingZero { text: shown() },
                Err(NotAnAddress) => malformed(),
            });
        };
        let address = parse_address(address_text).map_err(|problem| match problem {
            LeadingZero => CidrError::LeadingZero { text: shown() },
            NotAnAddress => malformed(),
        })?;
        // Only a sign would be read as a number all the same.
        if !length_text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed());
        }
        if length_text.len() > 1 && length_text.starts_with('0') {
            return Err(CidrError::LeadingZero { text: shown() });
        }
        let length: u32 = length_text.parse().map_err(|_| malformed())?;
        let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let Some(length) = u8::try_from(length).ok().filter(|length| *length <= family.bits()) else {
            return Err(CidrError::TooLong { text: shown(), length, family });
        };
        if let IpAddr::V6(v6) = address
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            let Some(v4_length) = length.checked_sub(96) else {
                return Err(CidrError::MappedTooWide { text: shown() });
            };
            let canonical = Self::containing(Family::Ipv4, u32::from(v4).into(), v4_length);
            return Err(CidrError::Mapped { text: shown(), canonical });
        }
        let net = IpNet::new(address, length).map_err(|_| malformed())?;
        let canonical = Self(net.trunc());
        if canonical.0 != net {
            return Err(CidrError::HostBits { text: shown(), canonical });
        }
        Ok(canonical)
    }
}

enum AddressProblem {
    LeadingZero,
    NotAnAddress,
}
use AddressProblem::{LeadingZero, NotAnAddress};

fn parse_address(text: &str) -> Result<IpAddr, AddressProblem> {
    text.parse().map_err(|_| {
        let zero_led = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
        if !text.contains(':') && text.split('.').count() == 4 && text.split('.').any(zero_led) {
            LeadingZero
        } else {
            NotAnAddress
        }
    })
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() { f.pad(&self.0.to_string()) } else { fmt::Display::fmt(&self.0, f) }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::written(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parsed(deserializer)
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> Cow<'static, str> {
        "Cidr".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "maxLength": 43,
            "pattern": "^([0-9]{1,3}(\\.[0-9]{1,3}){3}/[0-9]{1,2}|[0-9a-f:.]{2,39}/[0-9]{1,3})$",
            "description": "A CIDR without host bits, such as 10.0.0.0/8 or 2001:db8::/32 (RFC 4632, RFC 4291, RFC 5952)."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect("a test's CIDR is well formed")
    }

    #[test]
    fn what_is_read_is_written_back() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "::/0", "2001:db8::/32", "2001:db8::1/128"] {
            assert_eq!(cidr(text).to_string(), text);
            assert_eq!(format!("{:?}", cidr(text)), text);
        }
    }

    #[test]
    fn every_refusal_says_what_would_be_right() {
        for (text, expect) in [
            ("10.0.0.5/24", "`10.0.0.5/24` has host bits set; the block is 10.0.0.0/24"),
            ("2001:db8::1/64", "`2001:db8::1/64` has host bits set; the block is 2001:db8::/64"),
            ("010.0.0.0/8", "`010.0.0.0/8` has a leading zero, which some read as octal; write each number without it"),
            ("10.0.0.0/08", "`10.0.0.0/08` has a leading zero, which some read as octal; write each number without it"),
            ("::ffff:10.0.0.0/104", "`::ffff:10.0.0.0/104` is an IPv4 block in IPv6 clothes; write 10.0.0.0/8"),
            (
                "::ffff:10.0.0.0/64",
                "`::ffff:10.0.0.0/64` is an IPv4 address in IPv6 clothes with a netmask that reaches outside it",
            ),
            ("10.0.0.0/33", "`10.0.0.0/33` has netmask length 33; an ipv4 block has 0 to 32"),
            ("2001:db8::/129", "`2001:db8::/129` has netmask length 129; an ipv6 block has 0 to 128"),
            ("10.0.0.0", "`10.0.0.0` has no netmask length; a single address is written 10.0.0.0/32"),
            (
                "10.1.2.010/32",
                "`10.1.2.010/32` has a leading zero, which some read as octal; write each number without it",
            ),
            ("256.0.0.0/8", "`256.0.0.0/8` is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
            ("010.0.0/8", "`010.0.0/8` is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
            ("10.0.0.0/4294967295", "`10.0.0.0/4294967295` has netmask length 4294967295; an ipv4 block has 0 to 32"),
            ("10.0.0.0/4294967296", "`10.0.0.0/4294967296` is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
            ("10.0.0/8", "`10.0.0/8` is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
            ("10.0.0.0/", "`10.0.0.0/` is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
            ("10.0.0.0/+8", "`10.0.0.0/+8` is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
            ("", "`` is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32"),
        ] {
            assert_eq!(text.parse::<Cidr>().expect_err(text).to_string(), expect);
        }
    }

    #[test]
    fn lenient_reading_clears_host_bits_and_nothing_else() {
        assert_eq!(Cidr::parse_lenient("100.68.0.18/18"), Ok(cidr("100.68.0.0/18")));
        assert!(Cidr::parse_lenient("10.0.0.0/33").is_err());
    }

    #[test]
    fn containment_overlap_and_order() {
        let (outer, inner, beside) = (cidr("10.0.0.0/8"), cidr("10.1.0.0/16"), cidr("11.0.0.0/8"));
        assert!(outer.contains(inner) && !inner.contains(outer) && outer.contains(outer));
        assert!(outer.overlaps(inner) && inner.overlaps(outer) && !outer.overlaps(beside));
        assert!(!cidr("::/0").overlaps(cidr("0.0.0.0/0")));
        let mut blocks = [beside, inner, cidr("10.0.0.0/16"), outer];
        blocks.sort();
        assert_eq!(blocks, [outer, cidr("10.0.0.0/16"), inner, beside]);
    }

    #[test]
    fn arithmetic_at_the_ends_of_the_space() {
        assert_eq!(cidr("::/0").count(), AddressCount::of_host_bits(128));
        assert_eq!(cidr("::/0").last(), u128::MAX);
        assert_eq!(cidr("0.0.0.0/0").last(), u128::from(u32::MAX));
        assert_eq!(cidr("::/0").halves(), Some((cidr("::/1"), cidr("8000::/1"))));
        assert_eq!(cidr("192.0.2.1/32").halves(), None);
        assert_eq!(cidr("10.1.0.0/16").widened_to(8), Some(cidr("10.0.0.0/8")));
        assert_eq!(cidr("10.0.0.0/8").widened_to(16), None);
    }
}
