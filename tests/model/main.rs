//! The rules of the domain against a naive model of them.
//!
//! Random commands go to `decide` and to the model, which was written from the behaviour reference and the design,
//! not from the code: sets of blocks, every pair compared. They must agree on accepted or refused, on the kind of
//! reason, and on the block that is handed out; after every command the invariants are checked on what the events alone
//! say. Now and then the state is replaced by what its stored rows give back.

#![allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate, reason = "a test")]

#[path = "../support/model/mod.rs"]
mod model;

use std::collections::BTreeMap;

use ipam_ledger::address::Cidr;
use ipam_ledger::domain::command::{Command, CommandBody, CreatePool, Principal, Proof, ProvisionPoolCidr};
use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::id::{AccountId, ScopeId};
use ipam_ledger::domain::outcome::Moment;
use ipam_ledger::domain::pool::Placement;
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::domain::{Context, Decided, Row, RowKey, State, advance, decide};
use proptest::prelude::*;
use uuid::Uuid;

use model::effects::{as_asked, leaves_a_mark};
use model::generate::{self, Dice};
use model::predict::predict;
use model::world::World;
use model::{ADMIN, account, agrees, region};

struct Run {
    state: State,
    world: World,
    rows: BTreeMap<RowKey, Row>,
    now: Timestamp,
    commands: u128,
    /// What was asked, and what came of it; shown when it goes wrong.
    told: Vec<String>,
}

impl Run {
    /// An organisation with a delegated administrator, its IPAM, and quotas that are soon met.
    fn new() -> Self {
        let state = State::new("o-model".parse().expect("well formed"));
        let now = "2024-01-01T00:00:00Z".parse().expect("well formed");
        let mut run =
            Self { state, world: World::default(), rows: BTreeMap::new(), now, commands: 0, told: Vec::new() };
        run.state.track_rows();
        for (principal, body) in model::preamble() {
            let command = run.command(principal, body, None);
            run.decide(&command).unwrap_or_else(|refused| panic!("{:?}: {refused:?}", command.body));
        }
        run
    }

    /// Pools of both families with and without locale, one inside another, placed as `first` says.
    fn plant(&mut self, first: u8) {
        let scopes: Vec<ScopeId> = self.world.scopes.iter().map(|scope| scope.id).collect();
        let placement = [Placement::FirstFit, Placement::BestFit, Placement::Random][usize::from(first) % 3];
        let pool = |scope: usize, text: &str, locale: Option<&str>| {
            let cidr: Cidr = text.parse().expect("well formed");
            let address_family = Some(cidr.family());
            let locale = locale.map(region);
            (
                CreatePool { scope: Some(scopes[scope]), address_family, locale, placement, ..CreatePool::default() },
                cidr,
            )
        };
        for (body, cidr) in [
            pool(0, "10.0.0.0/22", None),
            pool(0, "fd01::/118", Some("eu-central-1")),
            pool(1, "10.0.0.0/23", Some("eu-west-1")),
            pool(0, "10.0.1.0/24", Some("eu-central-1")),
        ] {
            let mut body = body;
            if cidr.length() == 24 {
                body.scope = None;
                body.source_pool = self.world.pools.first().map(|pool| pool.id);
            }
            let command = self.command(account(ADMIN), body.into(), None);
            self.decide(&command).expect("a pool");
            let pool = self.world.pools.last().expect("it was made").id;
            let body = ProvisionPoolCidr { pool, cidr: Some(cidr), netmask_length: None };
            let command = self.command(account(ADMIN), body.into(), None);
            self.decide(&command).expect("space");
        }
    }

    fn command(&mut self, principal: AccountId, body: CommandBody, reason: Option<&str>) -> Command {
        self.commands += 1;
        Command {
            id: Uuid::from_u128(self.commands),
            organization: self.state.id().clone(),
            principal: Principal { account: principal, name: None, proof: Proof::None },
            if_revision: None,
            reason: reason.map(ToOwned::to_owned),
            digest: Digest::of(&self.commands.to_be_bytes()),
            body,
        }
    }

    /// Decides and folds, in the ledger and in the model.
    fn decide(&mut self, command: &Command) -> Decided {
        self.told.push(format!("{} at {}: {:?}", command.principal.account, self.now, command.body));
        let decided = decide(&self.state, command, &Context { decided_at: self.now });
        match &decided {
            Ok(events) => self.told.extend(events.iter().map(|event| format!("    {event:?}"))),
            Err(refused) => self.told.push(format!("    refused: {refused}")),
        }
        let moment = Moment { revision: self.state.moment().revision.next(), decided_at: self.now };
        let events = decided.as_deref().unwrap_or_default();
        advance(&mut self.state, moment, events);
        for event in events {
            self.world.fold(moment.revision, event);
        }
        self.world.check();
        for key in self.state.take_touched() {
            match self.state.row(&key) {
                Some(row) => drop(self.rows.insert(key, row)),
                None => drop(self.rows.remove(&key)),
            }
        }
        self.now = self.now.plus_micros(1_000_000);
        decided
    }

    /// Goes on with what the stored rows give back.
    fn restore(&mut self) {
        let mut state = State::restore(self.state.id().clone(), self.rows.values().cloned());
        assert_eq!(state.moment(), self.state.moment());
        for key in self.rows.keys() {
            assert_eq!(state.row(key), self.state.row(key), "{key:?} comes back as it was");
        }
        state.track_rows();
        self.state = state;
    }

    fn step(&mut self, bytes: &[u8]) -> Result<(), TestCaseError> {
        let mut dice = Dice(bytes);
        let (principal, body) = generate::command(&mut dice, &self.world, self.now);
        let reason = bytes.last().filter(|byte| **byte % 2 == 0).map(|_| "because");
        let command = self.command(principal, body, reason);
        let prediction = predict(&self.world, &command, self.now);
        let before = leaves_a_mark(&command.body).then(|| self.world.clone());
        let decided = self.decide(&command);
        if let Some(before) = before.filter(|_| decided.is_ok()) {
            as_asked(&before, &command.body, &self.world);
        }
        agrees(&prediction, &decided).map_err(|why| TestCaseError::fail(format!("{why}\n{}", self.told.join("\n"))))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.told.join("\n"));
        }
    }
}

/// `MODEL_CASES` sets how many runs; 300 take a few seconds.
fn cases() -> u32 {
    std::env::var("MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_domain_does_what_the_model_foresees(
        planted in prop::bool::weighted(0.8),
        steps in prop::collection::vec(prop::collection::vec(any::<u8>(), 32), 1..140),
    ) {
        let mut run = Run::new();
        if planted {
            run.plant(steps[0][31]);
        }
        for (number, bytes) in steps.iter().enumerate() {
            run.step(bytes)?;
            if number % 16 == 15 {
                run.restore();
            }
        }
    }
}
