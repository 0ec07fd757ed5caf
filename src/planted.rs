//! Deliberate defects, one at a time, to learn whether the simulation finds them.
//!
//! Only with the feature `planted-bugs`, which nothing but that test turns on; without it [`planted`] is constantly
//! false and costs nothing. `grep -rn 'planted(' src` shows every place.

macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {
        /// One defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $($(#[doc = $doc])* $name),* }

        impl Bug {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What is wrong.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii()),* }
            }
        }
    };
}

bugs!(
    // Admission: each condition of design D5 left out.
    /// An opening of any epoch is valid.
    AdmissionEpochNotNext,
    /// An opening of another ledger is valid.
    AdmissionOtherLedger,
    /// An opening that names another number of partitions is valid.
    AdmissionOtherPartitions,
    /// An opening whose headers say otherwise than its value is valid.
    AdmissionHeaderUnchecked,
    /// A deposed writer's outcomes are valid.
    AdmissionEpochNotOpen,
    /// An outcome of any sequence number is valid.
    AdmissionSeqUnchecked,
    // The writer.
    /// Commands are answered when they are decided.
    AnswerBeforeReadBack,
    /// A duplicate is answered before the original is acknowledged.
    DuplicateAnsweredEarly,
    /// Any opening of the epoch that was claimed counts as one's own.
    OpeningOfAnotherWriter,
    /// Records go before the letters of earlier commands.
    LettersBehindRecords,
    /// A batch that ends without an outcome does not say so.
    PassedLeftOut,
    /// Ids are forgotten before the memory covers them.
    ForgottenUncovered,
    /// What is forgotten is not looked up.
    ForgottenNotLookedUp,
    /// An id restored from a snapshot is not looked up.
    SnapshotIdsNotLookedUp,
    /// A command whose id belongs to another one is decided all the same.
    MismatchDecided,
    /// A clock that is far off decides.
    ClockUnchecked,
    /// An outcome is decided by the clock even where that went back.
    TimeGoesBack,
    /// Commands are decided wherever they land.
    DecidedWhereItLanded,
    /// A forwarded command is forwarded again.
    ForwardedAgain,
    /// Reading goes on one command too far.
    ResumesTooFar,
    /// A command topic that was recreated is read on from where the old one was left.
    OtherSourceUnchecked,
    /// A record that left no outcome is not compared with what stands there now.
    PassedUnchecked,
    /// Commands that expired undecided are passed over.
    ExpiredUnnoticed,
    /// A deposed writer carries on.
    DeposedCarriesOn,
    /// A rejection is no link of the chain.
    RejectionNotChained,
    // The wire.
    /// The digest of a command says nothing of who asks.
    DigestWithoutPrincipal,
    // The rules.
    /// A release leaves the block taken in the index of free space.
    ReleaseKeepsBlock,
    /// Observed resources are handed out.
    ObservedHandedOut,
    /// One more than the quota.
    QuotaOffByOne,
    /// Top-level pools may overlap.
    TopLevelOverlap,
    /// A child's block may be held by another.
    ChildOverHolder,
    /// The shortest netmask of a pool is not asked.
    MinLengthUnchecked,
    /// Tags that a pool requires are not asked.
    TagsUnchecked,
    /// Forbidden ranges are handed out.
    DisallowedHandedOut,
    /// A cascade counts one allocation too few.
    CascadeMiscounts,
    /// The block of a child stays held when it is deprovisioned.
    DeprovisionKeepsHold,
    /// A region is removed while pools have it as their locale.
    RegionInUseRemoved,
    /// A scope keeps the description that it had.
    ScopeDescriptionKept,
    /// Tags stay when they are removed.
    UntagIgnored,
    /// Accounts that join later are not covered.
    LateMembersUncovered,
    /// The management account may administer.
    ManagementAdministers,
    /// A resource gone at the instant at which it was seen is gone.
    GoneBeatsPresent,
    /// `if_revision` lets the revision before pass.
    IfRevisionOffByOne,
    /// Counters forget IPv6.
    UtilizationForgetsIpv6,
    // The views.
    /// A view's position is written apart from its rows.
    PositionApart,
    /// What a view holds is folded again after a crash.
    FoldedTwice,
    /// The record at a position is not compared.
    PositionRecordUnchecked,
    /// The ledger of a position is not compared.
    PositionLedgerUnchecked,
    /// As of a revision, the one before is answered.
    AsOfOffByOne,
    /// As of an instant, the revision decided then is left out.
    AsOfInstantExclusive,
    /// The newest command id of a partition is not kept.
    NewestCommandNotKept,
    /// A released allocation is still listed.
    ReleasedStillListed,
    /// The counters of a pool are not brought up to date by its allocations.
    UsageStale,
    /// Observations do not change what is free.
    FreeSpaceStale,
    /// The observation that arrives last wins.
    LastToArriveWins,
    /// A retraction changes no interval.
    RetractionIgnored,
    /// Allocations closed by a cascade go on.
    CascadeIgnored,
    /// Custom allocations overlap with nobody.
    OverlapForgetsCustoms,
    /// Two overlap since the earlier of their starts.
    OverlapSinceEarlier,
);

#[cfg(feature = "planted-bugs")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a defect in this thread, or takes it out.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether the defect is planted in this thread.
    #[must_use]
    pub fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::{plant, planted};

/// Whether the defect is planted.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn planted(_: Bug) -> bool {
    false
}
