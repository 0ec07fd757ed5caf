//! Takes outcomes as they come, from a log or from a file, sends each to its organisation's judge, and keeps what
//! does not fit until all evidence has been seen.
//!
//! An organisation in which something is wrong is followed no further; the others are.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::chain::Last;
use super::complaint::Complaint;
use super::diagnosis::{Case, Link, Witness};
use super::judge::Judge;
use super::kept::Kept;
use super::report::{Finding, Head, Kind, Place, Report};
use crate::domain::digest::Digest;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::outcome::{Decision, Outcome};
use crate::log::partition::partition_of;

#[derive(Debug, Default)]
pub(super) struct Examiner<'a> {
    /// Commands whose digests are to be those on record.
    kept: Option<&'a Kept>,
    judges: BTreeMap<OrganizationId, Followed>,
    suspects: Vec<Suspect>,
    /// Records that were admitted and whose organisation cannot be read.
    unreadable: Vec<Unreadable>,
    pub report: Report,
}

#[derive(Debug)]
enum Followed {
    Sound(Box<Judge>),
    Broken,
}

/// A record that does not fit; what it is, all records of its organisation tell.
#[derive(Debug)]
struct Suspect {
    organization: OrganizationId,
    link: Link,
    last: Option<Last>,
    complaint: Complaint,
}

#[derive(Debug)]
struct Unreadable {
    place: Place,
    hash: Digest,
    why: String,
    /// Its first bytes, where the organisation is named.
    begin: Vec<u8>,
}

impl Unreadable {
    const BEGIN_BYTES_MAX: usize = 256;

    fn names(&self, organization: &OrganizationId) -> bool {
        let id = format!("\"{organization}\"");
        self.begin.windows(id.len()).any(|part| part == id.as_bytes())
    }
}

/// What places a record in its history, whatever else is in it.
#[derive(Debug, Deserialize)]
pub(super) struct Peek {
    pub organization: OrganizationId,
    #[serde(default)]
    pub revision: Option<Revision>,
    #[serde(default)]
    pub previous: Option<Digest>,
}

impl Peek {
    pub(super) fn at(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    pub(super) fn link(&self, place: Place, valid: bool, hash: Digest) -> Link {
        Link { place, valid, revision: self.revision, previous: self.previous, hash }
    }
}

impl<'a> Examiner<'a> {
    pub(super) fn new(kept: Option<&'a Kept>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Judges an outcome. `trusted` ones are before a checkpoint.
    pub(super) fn outcome(&mut self, outcome: &Outcome, hash: Digest, place: Place, trusted: bool) {
        match outcome.decision {
            Decision::Accepted(_) => self.report.accepted += 1,
            Decision::Rejected(_) => self.report.rejected += 1,
        }
        self.report.trusted += u64::from(trusted);
        let organization = &outcome.organization;
        let kept = self.kept.and_then(|kept| kept.answered_by(outcome));
        let followed = match self.judges.get_mut(organization) {
            Some(followed) => followed,
            None if outcome.revision.is_none() && matches!(outcome.decision, Decision::Rejected(_)) => {
                self.report.unattached += 1;
                match kept {
                    Some(Err(problem)) => {
                        let (organization, revision, kind) = (Some(organization.clone()), None, Kind::Wrong);
                        self.report.findings.push(Finding { place, organization, revision, kind, problem });
                    }
                    Some(Ok(())) => self.report.proved += 1,
                    None => {}
                }
                return;
            }
            None => self
                .judges
                .entry(organization.clone())
                .or_insert_with_key(|id| Followed::Sound(Box::new(Judge::new(id)))),
        };
        let Followed::Sound(judge) = followed else { return };
        let last = judge.last();
        let is_kept = kept.is_some();
        let judged =
            judge.add(outcome, hash, place, trusted).and_then(|()| kept.unwrap_or(Ok(())).map_err(Complaint::Rule));
        if let Err(complaint) = judged {
            *followed = Followed::Broken;
            if !self.explained_by_unreadable(outcome, last, &complaint) {
                let link = Link::of(outcome, hash, place);
                self.suspects.push(Suspect { organization: organization.clone(), link, last, complaint });
            }
        } else {
            self.report.proved += u64::from(is_kept);
        }
    }

    /// An admitted record that is no outcome which this program reads.
    pub(super) fn unreadable(&mut self, value: &[u8], hash: Digest, place: Place, why: String) {
        let Some(peek) = Peek::at(value) else {
            let begin = value.iter().take(Unreadable::BEGIN_BYTES_MAX).copied().collect();
            self.unreadable.push(Unreadable { place, hash, why, begin });
            return;
        };
        if peek.revision.is_none() && !self.judges.contains_key(&peek.organization) {
            // Part of no history, as far as it can be read.
            let (organization, revision, kind) = (Some(peek.organization), None, Kind::Unreadable);
            let problem = format!("{why}; nothing behind it tells whether it was changed");
            self.report.findings.push(Finding { place, organization, revision, kind, problem });
            return;
        }
        let link = peek.link(place, true, hash);
        let organization = peek.organization;
        let last = match self.judges.insert(organization.clone(), Followed::Broken) {
            Some(Followed::Broken) => return,
            Some(Followed::Sound(judge)) => judge.last(),
            None => None,
        };
        let expected = last.map_or(Revision(1), |last| last.moment.revision.next());
        let complaint = if peek.revision != Some(expected) {
            Complaint::Revision { expected }
        } else if peek.previous == last.map(|last| last.hash) {
            Complaint::Unreadable(why)
        } else {
            Complaint::Previous
        };
        self.suspects.push(Suspect { organization, link, last, complaint });
    }

    /// Whether an organisation is where the ledger's number of partitions puts it. Asked once for each.
    pub(super) fn placed(&mut self, outcome: &Outcome, hash: Digest, place: Place, partitions: u32) {
        let Place::Log { partition, .. } = place else { return };
        let organization = &outcome.organization;
        if self.judges.contains_key(organization) || partition_of(organization, partitions) == partition {
            return;
        }
        let complaint = Complaint::Rule(format!("partition {} decides it", partition_of(organization, partitions)));
        self.judges.insert(organization.clone(), Followed::Broken);
        let link = Link::of(outcome, hash, place);
        self.suspects.push(Suspect { organization: organization.clone(), link, last: None, complaint });
    }

    /// Follows an organisation from before its first record.
    pub(super) fn expect(&mut self, organization: &OrganizationId) {
        self.judges.insert(organization.clone(), Followed::Sound(Box::new(Judge::new(organization))));
    }

    /// Follows an organisation no further: something that is wrong with it was found.
    pub(super) fn give_up(&mut self, organization: &OrganizationId) {
        self.judges.insert(organization.clone(), Followed::Broken);
    }

    /// Whether this would be the next record of its organisation.
    pub(super) fn goes_on(&self, peek: &Peek) -> bool {
        let head = match self.judges.get(&peek.organization) {
            Some(Followed::Broken) => return false,
            Some(Followed::Sound(judge)) => judge.head(),
            None => None,
        };
        let next = head.map_or(Revision(1), |head| head.revision.next());
        peek.revision == Some(next) && peek.previous == head.map(|head| head.hash)
    }

    /// Holds the histories against the heads that a checkpoint of this partition names.
    pub(super) fn hold_against<'b>(
        &mut self,
        heads: impl Iterator<Item = (&'b OrganizationId, Head)>,
        place: Place,
        ended_before: bool,
    ) {
        let mut named: BTreeMap<_, _> = heads.collect();
        let mut findings = Vec::new();
        let mut differs = |organization: &OrganizationId, revision, kind, problem| {
            findings.push(Finding { place, organization: Some(organization.clone()), revision, kind, problem });
        };
        for (organization, followed) in &self.judges {
            let signed = named.remove(organization);
            let Followed::Sound(judge) = followed else { continue };
            match (judge.last(), signed) {
                (Some(last), Some(signed)) if last.moment.revision < signed.revision => {
                    let kind = if ended_before { Kind::Dropped } else { Kind::Rewritten };
                    let (revision, signed) = (last.moment.revision, signed.revision);
                    differs(
                        organization,
                        Some(revision),
                        kind,
                        format!(
                            "the history before the checkpoint ends at revision {revision}; revision {signed} was signed"
                        ),
                    );
                }
                (Some(last), Some(signed)) if last.hash != signed.hash || last.moment.revision != signed.revision => {
                    let revision = last.moment.revision;
                    differs(
                        organization,
                        Some(revision),
                        Kind::Rewritten,
                        format!(
                            "its hash is {}; the checkpoint has revision {} with {}",
                            last.hash, signed.revision, signed.hash
                        ),
                    );
                }
                (Some(last), None) => {
                    let problem = "the checkpoint knows no such organisation at its position".to_owned();
                    differs(organization, Some(last.moment.revision), Kind::Rewritten, problem);
                }
                _ => {}
            }
        }
        for (organization, signed) in named {
            let kind = if ended_before { Kind::Dropped } else { Kind::Rewritten };
            let problem = format!("nothing of it is here; revision {} was signed", signed.revision);
            differs(organization, None, kind, problem);
        }
        for finding in &findings {
            if let Some(organization) = &finding.organization {
                self.judges.insert(organization.clone(), Followed::Broken);
            }
        }
        self.report.findings.extend(findings);
    }

    /// The revision that is missing before a record which has no effect. `stood` are those that came before it, and had
    /// none either.
    pub(super) fn missing_before(
        &self,
        peek: &Peek,
        stood: &mut BTreeMap<OrganizationId, Revision>,
    ) -> Option<(OrganizationId, Revision)> {
        let head = match self.judges.get(&peek.organization) {
            Some(Followed::Broken) => return None,
            Some(Followed::Sound(judge)) => judge.head(),
            None => None,
        };
        let last = stood.get(&peek.organization).copied().or(head.map(|head| head.revision)).unwrap_or_default();
        let revision = peek.revision?;
        if revision == last.next() {
            stood.insert(peek.organization.clone(), revision);
        }
        (revision > last.next()).then(|| (peek.organization.clone(), last.next()))
    }

    /// The end of an organisation's history, while it is sound.
    pub(super) fn last(&self, organization: &OrganizationId) -> Option<Last> {
        match self.judges.get(organization)? {
            Followed::Sound(judge) => judge.last(),
            Followed::Broken => None,
        }
    }

    /// Nothing was found so far.
    pub(super) fn is_clean(&self) -> bool {
        self.suspects.is_empty() && self.unreadable.is_empty() && self.report.findings.is_empty()
    }

    /// The organisations whose records are needed as evidence.
    pub(super) fn suspected(&self) -> BTreeMap<OrganizationId, Vec<Link>> {
        self.suspects.iter().map(|suspect| (suspect.organization.clone(), Vec::new())).collect()
    }

    /// Names what is wrong, by the evidence. A `witness` knows how the one history that was looked at ended.
    pub(super) fn conclude(
        mut self,
        evidence: &BTreeMap<OrganizationId, Vec<Link>>,
        witness: Option<Witness>,
    ) -> Report {
        for Suspect { organization, link, last, complaint } in &self.suspects {
            let links = evidence.get(organization).map(Vec::as_slice).unwrap_or_default();
            // What was read a second time may hold less than before: the suspicion stands all the same.
            let at = links.iter().position(|other| other.place == link.place).unwrap_or(links.len());
            let named = Case { suspect: *link, links, at, last: *last, complaint, witness }.name();
            self.report.findings.push(Finding {
                place: named.place,
                organization: Some(organization.clone()),
                revision: named.revision,
                kind: named.kind,
                problem: named.problem,
            });
        }
        let alone = self.unreadable.len() == 1;
        for Unreadable { place, hash, why, .. } in self.unreadable {
            let named = witness.map(|witness| witness.hash).filter(|_| alone && self.suspects.is_empty());
            let (kind, problem) = match named {
                Some(named) if named != hash => {
                    (Kind::Changed, format!("{why}, and its bytes are not those that the manifest names"))
                }
                Some(_) => (Kind::Unreadable, format!("{why}; it is as it was written")),
                None => (Kind::Unreadable, format!("{why}; nothing behind it tells whether it was changed")),
            };
            self.report.findings.push(Finding { place, organization: None, revision: None, kind, problem });
        }
        self.report.findings.sort_by_key(|finding| finding.place);
        for (organization, followed) in &self.judges {
            if let Followed::Sound(judge) = followed
                && let Some(head) = judge.head()
            {
                self.report.heads.insert(organization.clone(), head);
            }
        }
        self.report
    }

    /// A revision that is missing here may be a record that could not be read.
    fn explained_by_unreadable(&mut self, outcome: &Outcome, last: Option<Last>, complaint: &Complaint) -> bool {
        let Complaint::Revision { expected } = complaint else { return false };
        if outcome.revision != Some(expected.next()) {
            return false;
        }
        let named = self.unreadable.iter().position(|one| outcome.previous == Some(one.hash));
        let between = |one: &Unreadable| last.is_none_or(|last| last.place < one.place);
        let own = || self.unreadable.iter().position(|one| between(one) && one.names(&outcome.organization));
        let any = || self.unreadable.iter().position(between);
        let Some(at) = named.or_else(own).or_else(any) else { return false };
        let Unreadable { place, hash, why, .. } = self.unreadable.remove(at);
        let (kind, problem) = if outcome.previous == Some(hash) {
            (Kind::Unreadable, format!("{why}; it is as it was written"))
        } else {
            (Kind::Changed, format!("{why}, and its bytes are not those that revision {} names", expected.next()))
        };
        let organization = Some(outcome.organization.clone());
        self.report.findings.push(Finding { place, organization, revision: Some(*expected), kind, problem });
        true
    }
}
