//! Why a command was refused: a value of the domain, recorded like an acceptance.
//!
//! A rejection teaches: a stable code, the rule, the values involved, who is in the way, and what
//! would work. It is never an error of the machinery (those are `thiserror` types elsewhere).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// At most so many blockers are named; `total` counts all (design D21).
pub const BLOCKERS_NAMED_MAX: usize = 100;

/// Stable codes: one for each thing that a caller would handle differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Code {
    // The command as such.
    MalformedCommand,
    UnknownCommandType,
    IdempotentParameterMismatch,
    RevisionMismatch,
    RecordTooLarge,
    InternalError,
    // Its parameters.
    InvalidParameterValue,
    InvalidParameterCombination,
    MissingParameter,
    NothingToModify,
    UnsupportedOperation,
    // Who may.
    UnauthorizedOperation,
    AccountNotMonitored,
    // The organisation.
    OrganizationNotFound,
    OrganizationExists,
    AccountExists,
    AccountNotFound,
    AdministratorExists,
    AdministratorNotRegistered,
    // Objects.
    IpamNotFound,
    ScopeNotFound,
    PoolNotFound,
    PoolCidrNotFound,
    AllocationNotFound,
    ObjectNotFound,
    ObservationNotFound,
    QuotaExceeded,
    QuotaNotAdjustable,
    DependencyViolation,
    DefaultScope,
    HomeRegion,
    // Space.
    CidrNotInPool,
    CidrNotInSourcePool,
    CidrOverlap,
    CidrInUse,
    PoolEmpty,
    PoolExhausted,
    NetmaskLengthOutOfRange,
    MissingResourceTags,
    LocaleMismatch,
    AllocationMismatch,
    ResourceStillObserved,
    ObservedInTheFuture,
}

impl Code {
    /// The AWS error code with the same meaning (spec §1.20); `None` where AWS has none.
    #[must_use]
    pub const fn aws(self) -> Option<&'static str> {
        Some(match self {
            Self::MalformedCommand | Self::UnknownCommandType => "UnknownParameter",
            Self::IdempotentParameterMismatch => "IdempotentParameterMismatch",
            Self::InternalError => "InternalError",
            Self::InvalidParameterValue
            | Self::CidrNotInPool
            | Self::CidrNotInSourcePool
            | Self::CidrOverlap
            | Self::CidrInUse
            | Self::PoolEmpty
            | Self::PoolExhausted
            | Self::NetmaskLengthOutOfRange
            | Self::MissingResourceTags
            | Self::LocaleMismatch
            | Self::ObservedInTheFuture
            | Self::AccountNotFound
            | Self::PoolCidrNotFound => "InvalidParameterValue",
            Self::InvalidParameterCombination | Self::NothingToModify | Self::AllocationMismatch => {
                "InvalidParameterCombination"
            }
            Self::MissingParameter => "MissingParameter",
            Self::UnsupportedOperation | Self::AccountNotMonitored | Self::ResourceStillObserved => {
                "UnsupportedOperation"
            }
            Self::UnauthorizedOperation => "UnauthorizedOperation",
            Self::AdministratorNotRegistered => "IpamOrganizationAccountNotRegistered",
            Self::IpamNotFound => "InvalidIpamId.NotFound",
            Self::ScopeNotFound => "InvalidIpamScopeId.NotFound",
            Self::PoolNotFound => "InvalidIpamPoolId.NotFound",
            Self::AllocationNotFound => "InvalidIpamPoolAllocationId.NotFound",
            Self::QuotaExceeded | Self::AdministratorExists => "ResourceLimitExceeded",
            Self::DependencyViolation => "DependencyViolation",
            Self::DefaultScope | Self::HomeRegion => "IncorrectState",
            Self::RevisionMismatch
            | Self::RecordTooLarge
            | Self::OrganizationNotFound
            | Self::OrganizationExists
            | Self::AccountExists
            | Self::ObjectNotFound
            | Self::ObservationNotFound
            | Self::QuotaNotAdjustable => return None,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What stands in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blockers {
    /// Ids, or CIDRs where the blocker has no id; at most 100.
    pub named: Vec<String>,
    /// How many there are in all.
    pub total: u64,
    /// The HTTP query that lists all of them, when not all are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// Why a command was refused, and what would work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    pub code: Code,
    /// The AWS error code with the same meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_code: Option<Cow<'static, str>>,
    /// The rule, by its name in the behaviour reference (such as `INV-C1`) or as a sentence.
    pub rule: Cow<'static, str>,
    /// One or two sentences for people, with the values.
    pub message: String,
    /// The values involved, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<Cow<'static, str>, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blockers: Option<Blockers>,
    /// What would work, by name: `largest_free_block`, `canonical`, `allowed`, `nearest` …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub would_work: BTreeMap<Cow<'static, str>, String>,
}

impl Rejection {
    #[must_use]
    pub fn new(code: Code, rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            aws_code: code.aws().map(Cow::Borrowed),
            rule: Cow::Borrowed(rule),
            message: message.into(),
            values: BTreeMap::new(),
            blockers: None,
            would_work: BTreeMap::new(),
        }
    }

    /// Names a value involved.
    #[must_use]
    pub fn value(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.values.insert(Cow::Borrowed(name), value.to_string());
        self
    }

    /// Names something that would work.
    #[must_use]
    pub fn try_instead(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.would_work.insert(Cow::Borrowed(name), value.to_string());
        self
    }

    /// Names those in the way, at most [`BLOCKERS_NAMED_MAX`] of `total`, and the query that lists the rest.
    #[must_use]
    pub fn blocked_by<T: fmt::Display>(
        mut self,
        named: impl IntoIterator<Item = T>,
        total: u64,
        query: String,
    ) -> Self {
        let named: Vec<_> = named.into_iter().take(BLOCKERS_NAMED_MAX).map(|id| id.to_string()).collect();
        let query = (u64::try_from(named.len()).unwrap_or(u64::MAX) < total).then_some(query);
        self.blockers = Some(Blockers { named, total, query });
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_reads_as_its_code_and_its_message() {
        let rejection = Rejection::new(Code::PoolEmpty, "INV-P4", "There is no space.");
        assert_eq!(rejection.to_string(), "PoolEmpty: There is no space.");
    }
}
