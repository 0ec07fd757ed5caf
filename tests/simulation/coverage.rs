//! What happened, counted by name, and what must have happened in a run of the usual length.

use std::collections::BTreeMap;

use ipam_ledger::domain::command::CommandBody;
use ipam_ledger::domain::event::Event;

use super::faults::Fault;

/// Names of what happened, with a prefix that says of what kind it is.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    pub fn hit(&mut self, kind: &str, name: &str) {
        let mut key = String::with_capacity(kind.len() + name.len() + 1);
        key.push_str(kind);
        key.push(' ');
        key.push_str(name);
        *self.0.entry(key).or_default() += 1;
    }

    pub fn merge(&mut self, other: Self) {
        for (name, count) in other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    pub fn of(&self, kind: &str, name: &str) -> u64 {
        self.0.get(&format!("{kind} {name}")).copied().unwrap_or_default()
    }

    /// What should have happened and did not.
    pub fn missing(&self) -> Vec<String> {
        let mut expected: Vec<String> = Vec::new();
        let mut expect = |kind: &str, names: &mut dyn Iterator<Item = &str>| {
            expected.extend(names.map(|name| format!("{kind} {name}")));
        };
        expect("fault", &mut Fault::ALL.iter().map(|fault| fault.name()));
        expect("accepted", &mut CommandBody::TYPES.iter().copied());
        expect("event", &mut Event::TYPES.iter().copied());
        expect("code", &mut CODES.iter().copied());
        expect("refused", &mut REFUSED.iter().copied());
        expect("void", &mut VOIDS.iter().copied());
        expect("end", &mut ENDS.iter().copied());
        expect("report", &mut REPORTS.iter().copied());
        expect("position", &mut POSITIONS.iter().copied());
        expect("way", &mut WAYS.iter().copied());
        expected.retain(|name| !self.0.contains_key(name));
        expected
    }

    pub fn print(&self) -> String {
        let mut lines: Vec<_> = self.0.iter().map(|(name, count)| format!("{count:>10}  {name}")).collect();
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Rejection codes. Not reached here: `InternalError`, which is a defect and fails the run.
const CODES: &[&str] = &[
    "MalformedCommand",
    "UnknownCommandType",
    "IdempotentParameterMismatch",
    "RevisionMismatch",
    "RecordTooLarge",
    "InvalidParameterValue",
    "InvalidParameterCombination",
    "MissingParameter",
    "NothingToModify",
    "UnsupportedOperation",
    "UnauthorizedOperation",
    "AccountNotMonitored",
    "OrganizationNotFound",
    "OrganizationExists",
    "AccountExists",
    "AccountNotFound",
    "AdministratorExists",
    "AdministratorNotRegistered",
    "IpamNotFound",
    "ScopeNotFound",
    "PoolNotFound",
    "PoolCidrNotFound",
    "AllocationNotFound",
    "ObjectNotFound",
    "ObservationNotFound",
    "QuotaExceeded",
    "QuotaNotAdjustable",
    "DependencyViolation",
    "DefaultScope",
    "HomeRegion",
    "CidrNotInPool",
    "CidrNotInSourcePool",
    "CidrOverlap",
    "CidrInUse",
    "PoolEmpty",
    "PoolExhausted",
    "NetmaskLengthOutOfRange",
    "MissingResourceTags",
    "LocaleMismatch",
    "AllocationMismatch",
    "ResourceStillObserved",
    "ObservedInTheFuture",
];

const VOIDS: &[&str] = &[
    "ForeignHeaders",
    "UnreadableOpening",
    "EpochNotNext",
    "OtherLedger",
    "OtherPartitions",
    "EpochNotOpen",
    "SeqNotNext",
];

/// How incarnations end. Not reached: `Rebuild`, `Memory`, `NotOurs`, `OtherLedger`, `Unreadable` and `Unfoldable`, each of which
/// is a defect here and fails the run.
const ENDS: &[&str] = &[
    "Finished",
    "Deposed",
    "Unread",
    "Gap",
    "ClockOff",
    "OtherSource",
    "SourceEnds",
    "SourceExpired",
    "append",
    "letters",
    "log",
    "source",
];

/// Not reached: `Panicked`, which is a defect and fails the run.
const REPORTS: &[&str] = &["TookOver", "ClaimLost", "TwoGroups", "VoidRecords", "Acknowledged"];

/// What a node says of its views' positions at a start.
const POSITIONS: &[&str] = &["fits", "AheadOfLog", "OtherRecord", "OtherLedger"];

/// Paths that must be taken. Not reached: commands handed back, as a driver that asks for room first hands over none too many.
const WAYS: &[&str] = &[
    "answered",
    "answered again",
    "answered with a mismatch",
    "id forgotten and known",
    "started from a snapshot",
    "started from nothing",
    "views at different places",
    "dead letter: undecodable",
    "dead letter: forwarded here",
    "dead letter: mismatch",
    "misrouted",
    "view equals the fold",
    "ahead of the view",
    "before all history",
    "lone account",
    "settled",
    "refused another log",
    "a recreated topic from its beginning",
    "behind expired commands",
    "overlaps",
    "overlaps on several pages",
    "overlaps with a custom allocation",
    "overlaps of the past",
];

/// Refusals whose rule the model holds, by the command that meets it.
const REFUSED: &[&str] = &[
    "ModifyIpam HomeRegion",
    "ModifyIpam DependencyViolation",
    "ModifyIpam NothingToModify",
    "ModifyIpam InvalidParameterCombination",
    "ModifyScope NothingToModify",
    "ModifyScope ScopeNotFound",
    "TagResource InvalidParameterValue",
    "TagResource NothingToModify",
    "TagResource ObjectNotFound",
    "UntagResource NothingToModify",
    "UntagResource ObjectNotFound",
];
