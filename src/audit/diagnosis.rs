//! From a record that does not fit to what was done to the history: changed, dropped, swapped, doubled or inserted.
//!
//! One record alone never tells. The evidence is all records of the organisation, void ones too: each names the hash
//! of the one before, so what comes after vouches for what came before. Where the evidence fits two stories the text
//! says so. Pure: it reads nothing.

use super::chain::Last;
use super::complaint::Complaint;
use super::report::{Kind, Place};
use crate::domain::digest::Digest;
use crate::domain::id::Revision;
use crate::domain::outcome::Outcome;

/// One record of the organisation, as evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub place: Place,
    /// Whether admission lets it count.
    pub valid: bool,
    pub revision: Option<Revision>,
    pub previous: Option<Digest>,
    pub hash: Digest,
}

impl Link {
    pub(super) fn of(outcome: &Outcome, hash: Digest, place: Place) -> Self {
        Self { place, valid: true, revision: outcome.revision, previous: outcome.previous, hash }
    }
}

/// What somebody outside of the history says of its last record: the manifest of an export.
#[derive(Clone, Copy, Debug)]
pub(super) struct Witness {
    pub revision: Revision,
    pub hash: Digest,
}

/// What was done, and to which record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub kind: Kind,
    pub place: Place,
    pub revision: Option<Revision>,
    pub problem: String,
}

/// A record that does not fit, and what it was held against.
pub(super) struct Case<'a> {
    pub suspect: Link,
    /// All records of the organisation, in the order in which they stand.
    pub links: &'a [Link],
    /// Which of them the suspect is; their number when it is none of them.
    pub at: usize,
    /// The last that did.
    pub last: Option<Last>,
    pub complaint: &'a Complaint,
    pub witness: Option<Witness>,
}

impl Case<'_> {
    /// Names what was done.
    pub(super) fn name(&self) -> Named {
        let suspect = self.suspect;
        // What does not fit may be behind another record that was changed, which only shows later.
        if let Complaint::Revision { .. } | Complaint::Unattached = self.complaint
            && let Some(named) = self.last_is_another()
        {
            return named;
        }
        match (self.complaint, suspect.revision) {
            (Complaint::Unattached, _) | (_, None) => self.without_revision(suspect),
            (Complaint::Revision { expected }, Some(revision)) if revision < *expected => {
                self.again(suspect, revision, *expected)
            }
            (Complaint::Revision { expected }, Some(revision)) => self.ahead(suspect, revision, *expected),
            (Complaint::Previous, Some(revision)) => self.unlinked(suspect, revision),
            (Complaint::DecidedAgain { first }, Some(revision)) => {
                let problem = format!("it decides the command that revision {first} decided");
                self.as_written(suspect, revision, Kind::Doubled, problem)
            }
            (Complaint::Rule(problem), Some(revision)) => {
                self.as_written(suspect, revision, Kind::Wrong, problem.clone())
            }
            (Complaint::Unreadable(problem), Some(revision)) => {
                self.as_written(suspect, revision, Kind::Unreadable, problem.clone())
            }
        }
    }

    /// Whether the last record that fitted is not the one that its genuine follower, which is out of its place, names.
    fn last_is_another(&self) -> Option<Named> {
        let last = self.last_link()?;
        let next = last.revision?.next();
        let followers = || self.rest().iter().filter(|link| link.valid && link.revision == Some(next));
        if followers().any(|link| link.previous == Some(last.hash)) {
            return None;
        }
        let genuine = |link: &&Link| {
            self.links.iter().any(|other| other.revision == Some(next.next()) && other.previous == Some(link.hash))
        };
        let follower = followers().find(genuine)?;
        if follower.previous == Some(self.suspect.hash) {
            return None;
        }
        Some(self.not_named(last, follower.previous, next))
    }

    fn without_revision(&self, suspect: Link) -> Named {
        let next = self.last_revision().next();
        if self.after(next).is_some() || self.after(next.next()).is_none() {
            let problem = "it has no revision, though its organisation exists: no writer does that";
            return named(Kind::Inserted, suspect, problem.to_owned());
        }
        named(Kind::Changed, suspect, format!("it has no revision, and revision {next} is missing here"))
    }

    /// A revision that was there already.
    fn again(&self, suspect: Link, revision: Revision, expected: Revision) -> Named {
        if suspect.previous == self.last_hash() && self.after(expected).is_none() {
            let problem = format!("it says revision {revision}, and stands where revision {expected} belongs");
            return named(Kind::Changed, suspect, problem);
        }
        let first = self.before(|link| link.valid && link.revision == Some(revision));
        let Some(first) = first else {
            return named(
                Kind::Inserted,
                suspect,
                format!("it is revision {revision}; revision {expected} comes next"),
            );
        };
        if first.hash == suspect.hash {
            let problem = format!("the same bytes stand at {} already", first.place);
            return named(Kind::Doubled, suspect, problem);
        }
        let follower =
            self.before(|link| link.valid && link.revision == Some(revision.next()) && expected > revision.next());
        let follower = follower.map(|follower| (follower.previous, format!("revision {}", revision.next())));
        match follower.or_else(|| self.voucher(revision)) {
            Some((hash, who)) if hash == Some(suspect.hash) => {
                let problem =
                    format!("another record of this revision stands at {}, and {who} names that one", suspect.place);
                named(Kind::Inserted, first, problem)
            }
            Some(_) => {
                let problem = format!(
                    "another record of this revision stands at {}, and the records around it fit without this one",
                    first.place
                );
                named(Kind::Inserted, suspect, problem)
            }
            None => {
                let problem = format!(
                    "another record of this revision stands at {}; nothing after them tells which of the two is genuine",
                    first.place
                );
                named(Kind::Inserted, suspect, problem)
            }
        }
    }

    /// A revision further on than the next.
    fn ahead(&self, suspect: Link, revision: Revision, expected: Revision) -> Named {
        if suspect.previous == self.last_hash() && self.after(expected).is_none() {
            let problem = format!("it says revision {revision}, and stands where revision {expected} belongs");
            return named(Kind::Changed, suspect, problem);
        }
        if let Some(other) = self.after(revision) {
            let problem = format!("it stands before revision {expected}, and in its place again at {}", other.place);
            let kind = if other.hash == suspect.hash { Kind::Doubled } else { Kind::Inserted };
            return named(kind, suspect, problem);
        }
        if let Some(earlier) = self.after(expected) {
            if self.is_linked(suspect, revision) {
                let problem = format!("it stands before revision {expected}, which is at {}", earlier.place);
                return named(Kind::Swapped, suspect, problem);
            }
            let problem = format!("no record before or after it belongs to it; revision {expected} comes next");
            return named(Kind::Inserted, suspect, problem);
        }
        let missing = match revision.0 - expected.0 {
            1 => format!("revision {expected} is missing"),
            _ => format!("revisions {expected} to {} are missing", revision.0 - 1),
        };
        let without_effect = self.links.iter().find(|link| !link.valid && link.revision == Some(expected));
        match without_effect {
            Some(link) if self.last.is_some_and(|last| link.place < last.place) => {
                let problem = format!(
                    "it stands before revision {}, out of its turn, and so has no effect; {missing} at {}",
                    self.last_revision(),
                    suspect.place
                );
                named(Kind::Swapped, *link, problem)
            }
            Some(link) => {
                let problem = format!(
                    "{missing} before it: what stands at {} has no effect, because a record of its reign before it is missing",
                    link.place
                );
                named(Kind::Dropped, suspect, problem)
            }
            None => named(Kind::Dropped, suspect, format!("{missing} before it")),
        }
    }

    /// The next revision, but not what the record before it is hashed to.
    fn unlinked(&self, suspect: Link, revision: Revision) -> Named {
        let same = |link: &&Link| link.revision == Some(revision) && link.previous == self.last_hash();
        if let Some(genuine) = self.rest().iter().find(same) {
            let problem =
                format!("it names a record before it that is not there; the genuine one is at {}", genuine.place);
            return named(Kind::Inserted, suspect, problem);
        }
        let Some(last) = self.last_link() else {
            return named(Kind::Changed, suspect, "it is the first, and names a record before it".to_owned());
        };
        if self.stands_elsewhere(suspect.previous).is_some() {
            return self.not_named(last, suspect.previous, revision);
        }
        match self.voucher(revision) {
            Some((hash, who)) if hash != Some(suspect.hash) => {
                let problem = format!(
                    "it names a hash that the record before it does not have, and {who} names another than its own; so \
                     nothing tells whether the one before it is as it was written"
                );
                named(Kind::Changed, suspect, problem)
            }
            Some(_) => self.not_named(last, suspect.previous, revision),
            None => {
                let problem = format!(
                    "its bytes are not those that revision {revision} names as the record before; that is the last record, so it may be that one which was changed"
                );
                named(Kind::Changed, last, problem)
            }
        }
    }

    /// A record that fits its neighbours before; what comes after tells whether it is as it was written.
    fn as_written(&self, suspect: Link, revision: Revision, kind: Kind, problem: String) -> Named {
        let genuine = self.rest().iter().find(|link| link.valid && link.revision == Some(revision));
        if let Some(genuine) = genuine {
            let problem = format!("{problem}; another record of this revision is at {}", genuine.place);
            return named(Kind::Inserted, suspect, problem);
        }
        match self.voucher(revision) {
            Some((hash, who)) if hash != Some(suspect.hash) => {
                let problem = format!("its bytes are not those that {who} names; as they stand {problem}");
                named(Kind::Changed, suspect, problem)
            }
            _ => named(kind, suspect, problem),
        }
    }

    fn is_linked(&self, suspect: Link, revision: Revision) -> bool {
        let before = self.links.iter().any(|link| {
            link.revision.is_some_and(|before| before.next() == revision) && Some(link.hash) == suspect.previous
        });
        before || self.after(revision.next()).is_some_and(|follower| follower.previous == Some(suspect.hash))
    }

    /// The hash that a record of this revision has by whoever names it, and who that is.
    fn voucher(&self, revision: Revision) -> Option<(Option<Digest>, String)> {
        if let Some(follower) = self.after(revision.next()) {
            return Some((follower.previous, format!("revision {}", revision.next())));
        }
        let witness = self.witness.filter(|witness| witness.revision == revision)?;
        Some((Some(witness.hash), "the manifest".to_owned()))
    }

    /// The last record is not the one that `next`, which is genuine, names as the one before it.
    fn not_named(&self, last: Link, names: Option<Digest>, next: Revision) -> Named {
        match (self.stands_elsewhere(names), last.revision) {
            (Some(genuine), Some(revision)) => {
                let problem =
                    format!("the record after it names another as revision {revision}, which is at {}", genuine.place);
                named(Kind::Inserted, last, problem)
            }
            _ => {
                let problem = format!("its bytes are not those that revision {next} names as the record before");
                named(Kind::Changed, last, problem)
            }
        }
    }

    fn stands_elsewhere(&self, hash: Option<Digest>) -> Option<&Link> {
        self.links.iter().find(|link| Some(link.hash) == hash)
    }

    fn last_link(&self) -> Option<Link> {
        let Last { moment, hash, place } = self.last?;
        Some(Link { place, valid: true, revision: Some(moment.revision), previous: None, hash })
    }

    fn last_revision(&self) -> Revision {
        self.last.map_or(Revision(0), |last| last.moment.revision)
    }

    fn last_hash(&self) -> Option<Digest> {
        self.last.map(|last| last.hash)
    }

    fn rest(&self) -> &[Link] {
        self.links.get(self.at + 1..).unwrap_or_default()
    }

    /// The first record of a revision behind the suspect.
    fn after(&self, revision: Revision) -> Option<Link> {
        self.rest().iter().find(|link| link.valid && link.revision == Some(revision)).copied()
    }

    fn before(&self, is: impl Fn(&Link) -> bool) -> Option<Link> {
        self.links.get(..self.at)?.iter().find(|link| is(link)).copied()
    }
}

fn named(kind: Kind, link: Link, problem: String) -> Named {
    Named { kind, place: link.place, revision: link.revision, problem }
}
