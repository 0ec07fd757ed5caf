//! The ids of commands decided lately, with their outcomes (design D8).
//!
//! Ids are forgotten only when the memory behind the writer covers them, so none is ever unknown to both.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Limits;
use crate::domain::digest::Digest;
use crate::domain::id::{CommandId, OrganizationId};
use crate::log::record::{Offset, Seq};
use crate::planted::{Bug, planted};

/// Command ids belong to their organisation.
pub(super) type Key = (OrganizationId, CommandId);

pub(super) struct Recent {
    pub digest: Digest,
    pub value: Arc<[u8]>,
    /// The number of the record that this incarnation appended; `None` when it read the outcome.
    pub seq: Option<Seq>,
}

pub(super) struct Recents {
    by_id: HashMap<Key, Recent>,
    /// Acknowledged ones in the order of the log.
    order: VecDeque<(Offset, Key)>,
    bytes: usize,
    /// Whether there are ids that only the memory knows.
    forgot: bool,
    /// The greatest UUIDv7 among those.
    newest_forgotten: Option<CommandId>,
}

impl Recents {
    /// Before the first record: nothing is older.
    pub fn new() -> Self {
        Self { by_id: HashMap::new(), order: VecDeque::new(), bytes: 0, forgot: false, newest_forgotten: None }
    }

    /// Everything up to the snapshot is known to the memory only; `newest` is the greatest UUIDv7 there.
    pub fn behind_snapshot(newest: Option<CommandId>) -> Self {
        Self { forgot: !planted(Bug::SnapshotIdsNotLookedUp), newest_forgotten: newest, ..Self::new() }
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn get(&self, key: &Key) -> Option<&Recent> {
        self.by_id.get(key)
    }

    /// Whether an id that is not here may be in the memory: the ordinary command's is a UUIDv7 newer than
    /// all of those and needs no look-up.
    pub fn may_be_older(&self, id: CommandId) -> bool {
        self.forgot
            && !planted(Bug::ForgottenNotLookedUp)
            && !(is_v7(id) && self.newest_forgotten.is_none_or(|newest| id > newest))
    }

    pub fn decided(&mut self, key: Key, digest: Digest, value: Arc<[u8]>, seq: Seq) {
        self.bytes += value.len();
        self.by_id.insert(key, Recent { digest, value, seq: Some(seq) });
    }

    /// Its own reader has folded the outcome as valid.
    pub fn acknowledged(&mut self, key: Key, offset: Offset) {
        self.order.push_back((offset, key));
    }

    /// An outcome of the tail. The first one of an id stays the one that counts.
    pub fn folded(&mut self, key: Key, digest: Digest, value: Arc<[u8]>, offset: Offset) {
        if !self.by_id.contains_key(&key) {
            self.bytes += value.len();
            self.by_id.insert(key.clone(), Recent { digest, value, seq: None });
            self.order.push_back((offset, key));
        }
    }

    pub fn is_over(&self, limits: &Limits) -> bool {
        self.order.len() > limits.recent_ids_max || self.bytes > limits.recent_bytes_max
    }

    /// Forgets the oldest ids before `covered` until the rest is within the limits.
    pub fn forget(&mut self, limits: &Limits, covered: Offset) {
        let has = |offset: Offset| offset < covered || planted(Bug::ForgottenUncovered);
        while self.is_over(limits) && self.order.front().is_some_and(|(offset, _)| has(*offset)) {
            let Some((_, key)) = self.order.pop_front() else { break };
            if is_v7(key.1) {
                self.newest_forgotten = self.newest_forgotten.max(Some(key.1));
            }
            self.forgot = true;
            if let Some(recent) = self.by_id.remove(&key) {
                self.bytes -= recent.value.len();
            }
        }
    }
}

fn is_v7(id: CommandId) -> bool {
    id.get_version_num() == 7
}
