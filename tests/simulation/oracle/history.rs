//! The histories of organisations, as lists: every past state is kept whole.

use std::rc::Rc;
use std::sync::Arc;

use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::id::{OrganizationId, Revision};
use ipam_ledger::domain::outcome::{Moment, Outcome};
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::log::record::Offset;

use crate::model::world::World;

/// One outcome, and the world after it.
pub struct Past {
    pub moment: Moment,
    pub offset: Offset,
    pub outcome: Outcome,
    pub value: Arc<[u8]>,
    pub world: Rc<World>,
}

pub struct History {
    lone: bool,
    before: Rc<World>,
    pub pasts: Vec<Past>,
}

impl History {
    pub fn new(id: &OrganizationId) -> Self {
        let members = id.lone_account().into_iter().collect();
        Self {
            lone: id.lone_account().is_some(),
            before: Rc::new(World { members, ..World::default() }),
            pasts: Vec::new(),
        }
    }

    /// What is known now.
    pub fn world(&self) -> Rc<World> {
        Rc::clone(self.pasts.last().map_or(&self.before, |past| &past.world))
    }

    pub fn exists_or_lone(&self) -> bool {
        self.lone || !self.pasts.is_empty()
    }

    pub fn revision(&self) -> Revision {
        self.pasts.last().map_or(Revision::ZERO, |past| past.moment.revision)
    }

    /// Those that a view holds that has folded the records before `next`.
    pub fn known_before(&self, next: Offset) -> &[Past] {
        let count = self.pasts.iter().take_while(|past| past.offset < next).count();
        self.pasts.get(..count).unwrap_or_default()
    }

    /// Checks that an outcome is the next link of the chain, and adds it with the world that it makes.
    pub fn add(&mut self, offset: Offset, outcome: Outcome, value: &Arc<[u8]>) {
        let moment = outcome.moment().expect("it is part of the history");
        let last = self.pasts.last();
        assert_eq!(moment.revision.0, self.pasts.len() as u64 + 1, "revisions are 1, 2, 3 …");
        assert_eq!(outcome.previous, last.map(|past| Digest::of(&past.value)), "the chain");
        let before = last.map_or(Timestamp::MIN, |past| past.moment.decided_at);
        assert!(moment.decided_at > before, "time moves on: {} behind {before}", moment.decided_at);
        let mut world = (*self.world()).clone();
        for event in outcome.events() {
            world.fold(moment.revision, event);
        }
        world.check();
        let value = Arc::clone(value);
        self.pasts.push(Past { moment, offset, outcome, value, world: Rc::new(world) });
    }
}
