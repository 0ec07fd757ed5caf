//! Names of things: typed, small, ordered, and the same wherever the log is replayed.
//!
//! Object ids look like AWS's (`ipam-pool-0123456789abcdef0`). They are hashes of what created
//! them, so nothing random enters the log: replaying a log gives the same ids.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A command's id, chosen by its producer; good for one command, for ever. Any UUID is accepted;
/// UUIDv7 is the cheapest to remember.
pub type CommandId = Uuid;

/// The text is not a well formed name of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

impl IdError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(64).collect(), expected }
    }
}

/// Serde and JSON Schema through `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($name:ty, $title:expr, $pattern:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::address::text::written(self, serializer)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::address::text::parsed(deserializer)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// A twelve-digit account number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

const ACCOUNT_DIGITS: u32 = 12;

impl AccountId {
    /// The account whose digits make this number; `None` when it has more than twelve.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        (number < 10_u64.pow(ACCOUNT_DIGITS)).then_some(Self(number))
    }

    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl FromStr for AccountId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::new(text, "an account id: twelve digits");
        if text.len() != ACCOUNT_DIGITS as usize || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        text.parse().map(Self).map_err(|_| error())
    }
}
serde_as_text!(AccountId, "AccountId", "^[0-9]{12}$");

/// The unit of consistency, one stream with one writer: an organisation (`o-` and 2 to 32 lower-case
/// letters and digits), or a lone account (twelve digits).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationId(Arc<str>);

impl OrganizationId {
    /// The account, when this is a lone account's stream and not an organisation's.
    #[must_use]
    pub fn lone_account(&self) -> Option<AccountId> {
        self.0.parse().ok()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<AccountId> for OrganizationId {
    fn from(account: AccountId) -> Self {
        Self(account.to_string().into())
    }
}

impl FromStr for OrganizationId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let organization = text.strip_prefix("o-").is_some_and(|rest| {
            (2..=32).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
        if organization || text.parse::<AccountId>().is_ok() {
            return Ok(Self(text.into()));
        }
        Err(IdError::new(
            text,
            "an organisation id (`o-` and 2 to 32 lower-case letters and digits) or an account id (twelve digits)",
        ))
    }
}
serde_as_text!(OrganizationId, "OrganizationId", "^(o-[a-z0-9]{2,32}|[0-9]{12})$");

/// A region, or a locale within one: letters, digits and hyphens, 2 to 32 of them. Published ranges of no
/// region in particular have `GLOBAL`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

impl Region {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Region {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if (2..=32).contains(&text.len()) && text.bytes().all(letter) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::new(text, "a region such as eu-central-1 (2 to 32 letters, digits and hyphens)"))
        }
    }
}
serde_as_text!(Region, "Region", "^[A-Za-z0-9-]{2,32}$");

/// What new ids are made from: one command of one organisation.
#[derive(Clone, Debug)]
pub struct IdSeed(Sha256);

impl IdSeed {
    #[must_use]
    pub fn new(organization: &OrganizationId, command: CommandId) -> Self {
        let mut hash = Sha256::new();
        hash.update(organization.as_str());
        hash.update([0]);
        hash.update(command.as_bytes());
        Self(hash)
    }

    /// 128 bits that depend on the command, on what they are for, and on `ordinal`, nothing else.
    #[must_use]
    pub fn bits(&self, purpose: &str, ordinal: u32) -> u128 {
        let mut hash = self.0.clone();
        hash.update(purpose);
        hash.update(ordinal.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let (head, _) = digest.split_first_chunk::<16>().expect("32 bytes begin with 16");
        u128::from_be_bytes(*head)
    }
}

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $digits:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// The `ordinal`-th new id of this kind that a command makes.
            #[must_use]
            pub fn new(seed: &IdSeed, ordinal: u32) -> Self {
                Self(seed.bits($prefix, ordinal) >> (128 - 4 * $digits))
            }

            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0
            }

            /// The id whose bits these are; `None` when they need more digits than an id has.
            pub(crate) fn from_bits(bits: u128) -> Option<Self> {
                (bits.leading_zeros() >= 128 - 4 * $digits).then_some(Self(bits))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{:0width$x}"), self.0, width = $digits)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError::new(text, concat!("an id such as ", $prefix, "-… with ", $digits, " lower-case hexadecimal digits"));
                let digits = text.strip_prefix(concat!($prefix, "-")).ok_or_else(error)?;
                if digits.len() != $digits || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    return Err(error());
                }
                u128::from_str_radix(digits, 16).map(Self).map_err(|_| error())
            }
        }
        serde_as_text!($name, stringify!($name), concat!("^", $prefix, "-[0-9a-f]{", $digits, "}$"));
    };
}

object_id!(
    /// An IPAM.
    IpamId, "ipam", 17
);
object_id!(
    /// A scope: one network's address space.
    ScopeId, "ipam-scope", 17
);
object_id!(
    /// A pool.
    PoolId, "ipam-pool", 17
);
object_id!(
    /// A CIDR provisioned to a pool.
    PoolCidrId, "ipam-pool-cidr", 32
);
object_id!(
    /// An allocation from a pool. Never used again after its release.
    AllocationId, "ipam-pool-alloc", 32
);
object_id!(
    /// A resource discovery.
    DiscoveryId, "ipam-res-disco", 17
);
object_id!(
    /// The association of a resource discovery with an IPAM.
    AssociationId, "ipam-res-disco-assoc", 17
);

/// Any object that has an id of its own and can carry tags.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    Ipam(IpamId),
    Scope(ScopeId),
    Pool(PoolId),
    Allocation(AllocationId),
    Discovery(DiscoveryId),
    Association(AssociationId),
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipam(id) => id.fmt(f),
            Self::Scope(id) => id.fmt(f),
            Self::Pool(id) => id.fmt(f),
            Self::Allocation(id) => id.fmt(f),
            Self::Discovery(id) => id.fmt(f),
            Self::Association(id) => id.fmt(f),
        }
    }
}

impl FromStr for ObjectId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let kind = text.rsplit_once('-').map_or("", |(kind, _)| kind);
        match kind {
            IpamId::PREFIX => text.parse().map(Self::Ipam),
            ScopeId::PREFIX => text.parse().map(Self::Scope),
            PoolId::PREFIX => text.parse().map(Self::Pool),
            AllocationId::PREFIX => text.parse().map(Self::Allocation),
            DiscoveryId::PREFIX => text.parse().map(Self::Discovery),
            AssociationId::PREFIX => text.parse().map(Self::Association),
            _ => Err(IdError::new(
                text,
                "the id of an IPAM, scope, pool, allocation, resource discovery or discovery association",
            )),
        }
    }
}
serde_as_text!(ObjectId, "ObjectId", "^ipam(-scope|-pool|-pool-alloc|-res-disco|-res-disco-assoc)?-[0-9a-f]{17,32}$");

macro_rules! from_typed_id {
    ($($variant:ident($id:ty)),*) => {
        $(impl From<$id> for ObjectId {
            fn from(id: $id) -> Self {
                Self::$variant(id)
            }
        })*
    };
}
from_typed_id!(
    Ipam(IpamId),
    Scope(ScopeId),
    Pool(PoolId),
    Allocation(AllocationId),
    Discovery(DiscoveryId),
    Association(AssociationId)
);

/// The position of an outcome in its organisation's history: 1, 2, 3 …, rejections included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// Before the first outcome.
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn next(self) -> Self {
        // A record that somebody forged may say any number.
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_the_command_and_the_ordinal_alone() {
        let organization: OrganizationId = "o-example".parse().expect("well formed");
        let seed = IdSeed::new(&organization, Uuid::from_u128(7));
        assert_eq!(PoolId::new(&seed, 0), PoolId::new(&seed, 0));
        assert_ne!(PoolId::new(&seed, 0), PoolId::new(&seed, 1));
        assert_ne!(PoolId::new(&seed, 0).bits(), ScopeId::new(&seed, 0).bits());
        // Pinned: a log written today must give these ids for ever.
        assert_eq!(PoolId::new(&seed, 0).to_string(), "ipam-pool-8ece4a9f71bc02caf");
    }

    #[test]
    fn object_ids_read_back_as_their_own_kind() {
        for text in [
            "ipam-0123456789abcdef0",
            "ipam-scope-0123456789abcdef0",
            "ipam-pool-0123456789abcdef0",
            "ipam-pool-alloc-0123456789abcdef0123456789abcdef",
            "ipam-res-disco-0123456789abcdef0",
            "ipam-res-disco-assoc-0123456789abcdef0",
        ] {
            assert_eq!(text.parse::<ObjectId>().expect(text).to_string(), text);
        }
        for text in [
            "ipam-0123",
            "ipam-pool-0123456789ABCDEF0",
            "vpc-0123456789abcdef0",
            "",
            "-",
            "ipam-scope-é123456789abcdef0",
        ] {
            assert!(text.parse::<ObjectId>().is_err(), "{text}");
        }
    }

    #[test]
    fn organisations_and_lone_accounts() {
        let lone: OrganizationId = "012345678901".parse().expect("well formed");
        assert_eq!(lone.lone_account().map(|a| a.to_string()), Some("012345678901".to_owned()));
        let organization: OrganizationId = "o-exampleorgid".parse().expect("well formed");
        assert_eq!(organization.lone_account(), None);
        for text in ["o-", "o-A", "o-a", "12345", "x-abc", "o-abc def"] {
            assert!(text.parse::<OrganizationId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_account_has_twelve_digits() {
        let last: AccountId = "999999999999".parse().expect("well formed");
        assert_eq!(AccountId::from_number(last.number()), Some(last));
        assert_eq!(AccountId::from_number(last.number() + 1), None);
    }

    #[test]
    fn a_region_has_2_to_32_letters_digits_and_hyphens() {
        let longest = "r".repeat(32);
        for text in ["eu-central-1", "GLOBAL", "r1", &longest] {
            assert_eq!(text.parse::<Region>().expect(text).to_string(), text);
        }
        let too_long = "r".repeat(33);
        for text in ["", "r", &too_long, "eu_central_1", "eu central", "région"] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_revision_is_written_as_its_number() {
        assert_eq!(Revision::ZERO.next().to_string(), "1");
    }
}
