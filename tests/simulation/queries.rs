//! Queries: as of any moment, and of at least a revision. A node answers from whatever its views hold; the answer must be
//! the oracle's own past at that place.

use ipam_ledger::views::ledger::LEDGER;
use ipam_ledger::views::lineage::LineageView;

use super::faults::Fault;
use super::oracle::{overlaps, views};
use super::world::World;

impl World {
    /// One question to one node about one organisation.
    pub fn query(&mut self) {
        if !self.fault(Fault::Queries) {
            return;
        }
        let n = self.random.below(self.nodes.len());
        let id = self.random.of(&self.organizations).cloned().expect("there is one");
        let (what, nth) = (self.random.below(8), self.random.below(1 << 20));
        self.ask(n, &id, what, nth);
    }

    fn ask(&mut self, n: usize, id: &ipam_ledger::domain::id::OrganizationId, what: usize, nth: usize) {
        if !self.nodes[n].is_up() {
            return;
        }
        let partition = self.oracle.once.home_of(id);
        let disk = self.nodes[n].disk.lock();
        // After a crash one view may be behind the other for a while: nobody is answered before they are level.
        let [lineage, ledger] = [LineageView::NAME, LEDGER].map(|family| disk.positions(family).remove(&partition));
        if lineage != ledger {
            return;
        }
        let next = ledger.map(|position| position.admission.next).unwrap_or_default();
        let history = self.oracle.history(id);
        let known = history.known_before(next);
        if known.is_empty() {
            return;
        }
        let rows = disk.rows(LEDGER);
        match what {
            0 => self.coverage.hit("way", views::moments(rows, id, known, nth)),
            1 => views::outcomes(rows, id, known, nth),
            2 | 3 => views::objects(rows, id, &known[nth % known.len()]),
            4 => {
                let known = &known[..=nth % known.len()];
                views::lineages(disk.rows(LineageView::NAME), id, known, nth);
            }
            _ => {
                let known = &known[..=nth % known.len()];
                let (scopes, instants) = overlaps::questions(known);
                let now = self.now.plus_micros(self.random.between(0, 60_000_000));
                for scope in scopes {
                    let at = self.random.of(&instants).copied().filter(|_| self.random.one_in(3)).unwrap_or(now);
                    let at = at.plus_micros(self.random.between(-1, 1));
                    let limit = 1 + self.random.below(6);
                    let seen = overlaps::ask(disk.rows(LineageView::NAME), id, known, scope, at, limit);
                    let ways = [
                        (seen.pairs > 0, "overlaps"),
                        (seen.pairs > limit, "overlaps on several pages"),
                        (seen.customs, "overlaps with a custom allocation"),
                        (seen.pairs > 0 && at < self.now.plus_micros(-1_000_000), "overlaps of the past"),
                    ];
                    ways.iter().filter(|(so, _)| *so).for_each(|(_, way)| self.coverage.hit("way", way));
                }
            }
        }
    }

    /// When all is settled: every kind of question about every organisation, now and at some moment before.
    pub fn ask_everything(&mut self) {
        let n = self.random.below(self.nodes.len());
        for id in self.organizations.clone() {
            let last = self.oracle.history(&id).pasts.len().saturating_sub(1);
            for what in [0, 1, 2, 4, 5] {
                let before = self.random.below(last + 1);
                self.ask(n, &id, what, last);
                self.ask(n, &id, what, before);
            }
        }
    }
}
