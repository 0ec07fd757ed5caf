//! One resource with its observations, and what they say about now.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decide::AHEAD_MICROS_MAX;
use crate::address::Cidr;
use crate::domain::command::{ObservedCidr, ResourceAttributes};
use crate::domain::event::ResourceName;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::planted::{Bug, planted};

/// One resource with all its observations that stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    pub name: ResourceName,
    /// By instant, then revision. Empty when all were withdrawn: nothing is known of it, but when that changed.
    pub observations: Vec<Observation>,
    /// The revision of the last observation or retraction.
    pub changed_at: Revision,
}

/// What was seen of a resource at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    pub observed_at: Timestamp,
    /// What the sender said, where it was ahead of the ledger's clock.
    pub reported_at: Option<Timestamp>,
    /// The revision that recorded it.
    pub revision: Revision,
    /// Who said that it is gone; what is there names its source among its attributes.
    pub source: Option<String>,
    /// Absent: the resource was not there. Shared between equal neighbours.
    pub presence: Option<Arc<Presence>>,
}

/// What a resource that was there looked like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Sorted.
    pub cidrs: Vec<ObservedCidr>,
    pub attributes: ResourceAttributes,
}

impl Resource {
    /// What the resource looks like now: what was seen at the latest instant of all. Nothing when it is gone,
    /// several when observations conflict; present beats gone at one instant.
    pub fn current(&self) -> impl Iterator<Item = &Presence> {
        let instant = self.observations.last().map(|last| last.observed_at);
        let latest = self.observations.iter().rev().take_while(move |one| Some(one.observed_at) == instant);
        let gone = planted(Bug::GoneBeatsPresent) && latest.clone().any(|one| one.presence.is_none());
        latest.filter(move |_| !gone).filter_map(|one| one.presence.as_deref())
    }

    /// Whether the resource holds an address of `cidr` now.
    #[must_use]
    pub fn is_observed_in(&self, cidr: Cidr) -> bool {
        self.current().flat_map(|presence| &presence.cidrs).any(|seen| seen.cidr.overlaps(cidr))
    }

    /// Whether such an observation stands for `instant`. One that was recorded earlier because its sender's clock ran fast is
    /// the same only while nothing later is known: behind that, what it says of `instant` is news.
    pub(super) fn knows(&self, instant: Timestamp, same: impl Fn(&Observation) -> bool) -> bool {
        let latest = self.observations.last().map(|last| last.observed_at);
        self.at(instant).any(|one| same(one) && (one.observed_at == instant || Some(one.observed_at) == latest))
    }

    /// The standing observations recorded for `instant`, by the ledger's time or by the sender's.
    pub(super) fn at(&self, instant: Timestamp) -> impl Iterator<Item = &Observation> {
        // What is reported ahead of the clock is recorded at most a minute before the instant it names.
        let earliest = instant.plus_micros(-AHEAD_MICROS_MAX);
        let from = self.observations.partition_point(|one| one.observed_at < earliest);
        let candidates = self.observations.iter().skip(from).take_while(move |one| one.observed_at <= instant);
        candidates.filter(move |one| one.observed_at == instant || one.reported_at == Some(instant))
    }

    pub(super) fn record(&mut self, mut observation: Observation) {
        let key = |one: &Observation| (one.observed_at, one.revision);
        let position = self.observations.partition_point(|one| key(one) <= key(&observation));
        let neighbours = [position.checked_sub(1), Some(position)];
        for neighbour in neighbours.into_iter().flatten().filter_map(|at| self.observations.get(at)) {
            if neighbour.presence == observation.presence {
                observation.presence.clone_from(&neighbour.presence);
            }
        }
        self.observations.insert(position, observation);
    }

    pub(super) fn withdraw(&mut self, revision: Revision) {
        self.observations.retain(|one| one.revision != revision);
    }
}
