//! Who waits for what the views will hold: an outcome by its command's id, or a revision of an organisation.
//!
//! A commit wakes those who wait for something in it and nobody else, so that any number of clients can wait while any
//! number of others' commands are decided. Nothing is read here: who is woken looks. Register first, then look, then
//! wait: what is committed in between wakes too.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::id::{CommandId, OrganizationId, Revision};
use crate::domain::outcome::Outcome;

/// All who wait. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Mutex<Registered>>);

#[derive(Debug, Default)]
struct Registered {
    /// Given to waiters in turn, so that two of one thing are told apart.
    next: u64,
    outcomes: BTreeMap<OrganizationId, BTreeMap<(CommandId, u64), oneshot::Sender<()>>>,
    revisions: BTreeMap<OrganizationId, BTreeMap<(Revision, u64), oneshot::Sender<()>>>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The outcome of this command.
    Outcome(CommandId),
    /// This revision, or a later one.
    Revision(Revision),
}

impl Waiting {
    /// Looks, and as long as nothing is found, looks again when what is awaited was committed, and when `wait` is over.
    ///
    /// # Errors
    /// Those of `look`.
    pub async fn until<T, E>(
        &self,
        organization: &OrganizationId,
        awaited: Awaited,
        wait: Duration,
        mut look: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let committed = self.register(organization, awaited);
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if tokio::time::timeout_at(until, committed).await.is_err() {
                // What was committed between the last look and now.
                return look();
            }
        }
    }

    /// Resolves when what is awaited is committed after this call. Dropped, it waits no more.
    pub fn register(&self, organization: &OrganizationId, awaited: Awaited) -> impl Future<Output = ()> + Send + use<> {
        let (sender, committed) = oneshot::channel();
        let mut registered = self.lock();
        let turn = registered.next;
        registered.next += 1;
        match awaited {
            Awaited::Outcome(id) => {
                registered.outcomes.entry(organization.clone()).or_default().insert((id, turn), sender);
            }
            Awaited::Revision(revision) => {
                registered.revisions.entry(organization.clone()).or_default().insert((revision, turn), sender);
            }
        }
        drop(registered);
        let seat = Seat { waiting: self.clone(), organization: organization.clone(), awaited, turn };
        async move {
            let _seat = seat;
            // An error would mean that the sender was dropped unsent, which only a woken waiter's is.
            drop(committed.await);
        }
    }

    /// Wakes those who wait for one of these outcomes, or for a revision up to one of theirs.
    pub(super) fn committed<'a>(&self, outcomes: impl IntoIterator<Item = &'a Outcome>) {
        let mut registered = self.lock();
        for outcome in outcomes {
            if registered.is_empty() {
                return;
            }
            registered.wake(outcome);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        // What it guards is whole at every moment, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    fn is_empty(&self) -> bool {
        self.outcomes.is_empty() && self.revisions.is_empty()
    }

    fn wake(&mut self, outcome: &Outcome) {
        let organization = &outcome.organization;
        if let Some(waiters) = self.outcomes.get_mut(organization) {
            let of_this = (outcome.command_id, 0)..=(outcome.command_id, u64::MAX);
            let turns: Vec<_> = waiters.range(of_this).map(|(key, _)| *key).collect();
            for waiter in turns.iter().filter_map(|key| waiters.remove(key)) {
                // Whoever waited may be gone.
                let _ = waiter.send(());
            }
            if waiters.is_empty() {
                self.outcomes.remove(organization);
            }
        }
        if let (Some(reached), Some(waiters)) = (outcome.revision, self.revisions.get_mut(organization)) {
            while let Some(first) = waiters.first_entry().filter(|first| first.key().0 <= reached) {
                let _ = first.remove().send(());
            }
            if waiters.is_empty() {
                self.revisions.remove(organization);
            }
        }
    }
}

/// A waiter's registration, withdrawn when it waits no more.
struct Seat {
    waiting: Waiting,
    organization: OrganizationId,
    awaited: Awaited,
    turn: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut registered = self.waiting.lock();
        match &self.awaited {
            Awaited::Outcome(id) => withdraw(&mut registered.outcomes, &self.organization, &(*id, self.turn)),
            Awaited::Revision(revision) => {
                withdraw(&mut registered.revisions, &self.organization, &(*revision, self.turn));
            }
        }
    }
}

fn withdraw<K: Ord>(
    waiters: &mut BTreeMap<OrganizationId, BTreeMap<K, oneshot::Sender<()>>>,
    organization: &OrganizationId,
    key: &K,
) {
    if let Some(of_organization) = waiters.get_mut(organization) {
        of_organization.remove(key);
        if of_organization.is_empty() {
            waiters.remove(organization);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::domain::command::SetQuota;
    use crate::domain::quota::Quota;
    use crate::views::testing::{ADMIN, Ledger, MANAGEMENT};

    const COMMITS: usize = 1_000;
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Outcomes of one organisation, not committed yet.
    fn outcomes() -> Vec<Outcome> {
        let mut ledger = Ledger::new(1);
        ledger.organization("o-aa");
        let value = |n: usize| u32::try_from(n % 1_000).expect("small");
        (0..COMMITS)
            // Some are refused: an outcome like any.
            .map(|n| {
                (
                    if n.is_multiple_of(3) { ADMIN } else { MANAGEMENT },
                    SetQuota { quota: Quota::PoolsPerScope, value: value(n) },
                )
            })
            .map(|(asks, body)| ledger.decide("o-aa", asks, body))
            .collect()
    }

    fn nobody_waits(waiting: &Waiting) -> bool {
        waiting.lock().is_empty()
    }

    /// As many clients as commits, each for its own: looks grow with their number, not with its square.
    #[tokio::test]
    async fn a_commit_wakes_who_waits_for_it_and_nobody_else() {
        let outcomes = outcomes();
        let organization = outcomes[0].organization.clone();
        let by_id = |outcome: &Outcome| Awaited::Outcome(outcome.command_id);
        let by_revision = |outcome: &Outcome| Awaited::Revision(outcome.revision.expect("on record"));
        for awaited in [by_id as fn(&Outcome) -> Awaited, by_revision] {
            let (waiting, looks, committed) = (Waiting::default(), AtomicUsize::new(0), AtomicUsize::new(0));
            let clients = outcomes.iter().enumerate().map(|(n, outcome)| {
                let (looks, committed) = (&looks, &committed);
                let look = move || {
                    looks.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, Infallible>((committed.load(Ordering::Relaxed) > n).then_some(n))
                };
                waiting.until(&organization, awaited(outcome), PATIENCE, look)
            });
            let commits = async {
                tokio::task::yield_now().await;
                for outcome in &outcomes {
                    committed.fetch_add(1, Ordering::Relaxed);
                    waiting.committed([outcome]);
                    tokio::task::yield_now().await;
                }
            };
            let (found, ()) = tokio::join!(join_all(clients), commits);
            assert!(found.into_iter().enumerate().all(|(n, found)| found == Ok(Some(n))));
            assert_eq!(looks.into_inner(), 2 * COMMITS, "each looks when it comes and when it is woken");
            assert!(nobody_waits(&waiting));
        }
    }

    #[tokio::test]
    async fn what_is_committed_while_one_looks_is_not_missed() {
        let outcomes = outcomes();
        let (waiting, looks) = (Waiting::default(), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                waiting.committed([&outcomes[0]]);
                return Ok::<_, Infallible>(None);
            }
            Ok(Some(()))
        };
        let awaited = Awaited::Outcome(outcomes[0].command_id);
        let found = waiting.until(&outcomes[0].organization, awaited, PATIENCE, look).await;
        assert_eq!((found, looks.get()), (Ok(Some(())), 2));
    }

    #[tokio::test]
    async fn who_has_waited_long_enough_looks_once_more_and_is_forgotten() {
        let (waiting, looks) = (Waiting::default(), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            Ok::<_, Infallible>(None::<()>)
        };
        let organization = "o-aa".parse().expect("well formed");
        let wait = Duration::from_millis(5);
        let found = waiting.until(&organization, Awaited::Revision(Revision(9)), wait, look).await;
        assert_eq!((found, looks.get()), (Ok(None), 2));
        drop(waiting.register(&organization, Awaited::Outcome(CommandId::nil())));
        assert!(nobody_waits(&waiting));
    }
}
