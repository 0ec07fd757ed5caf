//! A tiny world for table tests of the rules: one organisation, a clock that ticks by itself, numbered commands.
//!
//! Everything in it is deterministic: the same commands in the same order give the same ids, instants
//! and events. What `decide` answers is folded at once, the way the writer does it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::apply::advance;
use super::ask::{Context, Decided};
use super::command::{
    AddAccount, AllocateCidr, Command, CommandBody, CreateIpam, CreateOrganization, CreatePool, CreateScope,
    DelegateAdmin, Principal, Proof, ProvisionPoolCidr, Tags,
};
use super::decide::decide;
use super::digest::Digest;
use super::event::{Event, IpamCreated};
use super::id::{AccountId, IpamId, PoolId, Region, Revision, ScopeId};
use super::outcome::Moment;
use super::rejection::{Code, Rejection};
use super::state::State;
use super::time::Timestamp;
use crate::address::{Cidr, Family};

/// The accounts of [`World::organization`] and [`World::with_ipam`].
pub const MANAGEMENT: &str = "000000000001";
pub const ADMIN: &str = "000000000002";
pub const MEMBER: &str = "000000000003";
/// In no organisation.
pub const STRANGER: &str = "999999999999";

/// 2024-01-01T00:00:00Z: when the clock of every world starts.
const START_MICROS: i64 = 1_704_067_200_000_000;
/// How far the clock moves with every command.
const TICK_MICROS: i64 = 1_000_000;

pub fn account(text: &str) -> AccountId {
    text.parse().expect("a test's account id is well formed")
}

pub fn region(text: &str) -> Region {
    text.parse().expect("a test's region is well formed")
}

pub fn cidr(text: &str) -> Cidr {
    text.parse().expect("a test's CIDR is well formed")
}

pub fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A custom allocation of this very block.
pub fn allocate(pool: PoolId, block: &str) -> AllocateCidr {
    AllocateCidr {
        pool,
        cidr: Some(cidr(block)),
        netmask_length: None,
        allowed_cidrs: Vec::new(),
        disallowed_cidrs: Vec::new(),
        description: None,
        tags: Tags::new(),
        resource: None,
    }
}

/// A refusal in all that programs read: its code, its values, who is in the way, what would work.
#[track_caller]
pub fn assert_refused(
    rejection: &Rejection,
    code: Code,
    values: &[(&str, &str)],
    blockers: &[&str],
    would_work: &[(&str, &str)],
) {
    let pairs = |map: &BTreeMap<Cow<'static, str>, String>| -> Vec<(String, String)> {
        map.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    };
    let sorted = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        pairs.sort();
        pairs
    };
    assert_eq!(rejection.code, code, "{rejection:#?}");
    assert_eq!(rejection.aws_code.as_deref(), code.aws());
    assert_eq!(pairs(&rejection.values), sorted(values), "the values of {rejection:#?}");
    let named = rejection.blockers.as_ref().map(|blockers| blockers.named.clone()).unwrap_or_default();
    assert_eq!(named, blockers, "the blockers of {rejection:#?}");
    assert_eq!(pairs(&rejection.would_work), sorted(would_work), "what would work by {rejection:#?}");
    assert!(!rejection.rule.is_empty() && rejection.message.ends_with('.'), "{rejection:#?}");
}

/// One organisation with its clock and its counter of commands.
#[derive(Debug)]
pub struct World {
    pub state: State,
    /// What the next command carries beside its body.
    pub principal: Principal,
    pub reason: Option<String>,
    pub if_revision: Option<Revision>,
    now: Timestamp,
    commands: u128,
}

impl World {
    /// Nothing has happened in `organization` (`o-…`, or a lone account's id) yet. The management account
    /// asks, or the lone account.
    pub fn empty(organization: &str) -> Self {
        let state = State::new(organization.parse().expect("a test's organisation id is well formed"));
        let asks = state.id().lone_account().unwrap_or_else(|| account(MANAGEMENT));
        Self {
            state,
            principal: Principal { account: asks, name: None, proof: Proof::None },
            reason: None,
            if_revision: None,
            now: Timestamp::from_micros(START_MICROS),
            commands: 0,
        }
    }

    /// An organisation of [`MANAGEMENT`], [`ADMIN`] and [`MEMBER`], no administrator yet. The management
    /// account asks.
    pub fn organization() -> Self {
        let mut world = Self::empty("o-example");
        world.accept(CreateOrganization { management_account: account(MANAGEMENT) });
        for member in [ADMIN, MEMBER] {
            world.accept(AddAccount { account: account(member), name: None });
        }
        world
    }

    /// [`World::organization`] with [`ADMIN`] delegated and owner of an IPAM at home in `eu-central-1` that
    /// operates in `eu-west-1`, too. The administrator asks.
    pub fn with_ipam() -> (Self, IpamCreated) {
        let mut world = Self::organization();
        world.accept(DelegateAdmin { account: account(ADMIN) });
        world.as_account(ADMIN);
        let ipam = world.create_ipam("eu-central-1", &["eu-west-1"]);
        (world, ipam)
    }

    /// From now on this account asks.
    pub fn as_account(&mut self, asks: &str) -> &mut Self {
        self.principal.account = account(asks);
        self
    }

    /// The instant at which the next command is decided.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The last revision.
    pub fn revision(&self) -> Revision {
        self.state.moment().revision
    }

    /// The next command with this body, not yet decided.
    pub fn command(&mut self, body: impl Into<CommandBody>) -> Command {
        self.commands += 1;
        Command {
            id: Uuid::from_u128(self.commands),
            organization: self.state.id().clone(),
            principal: self.principal.clone(),
            if_revision: self.if_revision,
            reason: self.reason.clone(),
            digest: Digest::of(&self.commands.to_be_bytes()),
            body: body.into(),
        }
    }

    /// Decides the next command and folds its outcome, as the writer does.
    pub fn decide(&mut self, body: impl Into<CommandBody>) -> Decided {
        let command = self.command(body);
        let decided = decide(&self.state, &command, &Context { decided_at: self.now });
        let events = decided.as_deref().unwrap_or_default();
        // A refusal by an organisation that does not exist is no part of any history.
        if decided.is_ok() || self.state.exists() {
            let moment = Moment { revision: self.state.moment().revision.next(), decided_at: self.now };
            advance(&mut self.state, moment, events);
        }
        self.now = self.now.plus_micros(TICK_MICROS);
        decided
    }

    /// The events of the next command.
    pub fn accept(&mut self, body: impl Into<CommandBody>) -> Vec<Event> {
        let body = body.into();
        let asked = format!("{body:?}");
        self.decide(body).unwrap_or_else(|rejection| panic!("{asked}\nwas refused: {rejection:#?}"))
    }

    /// Why the next command is refused.
    pub fn reject(&mut self, body: impl Into<CommandBody>) -> Rejection {
        let body = body.into();
        let asked = format!("{body:?}");
        match self.decide(body) {
            Err(rejection) => rejection,
            Ok(events) => panic!("{asked}\nwas accepted: {events:#?}"),
        }
    }

    /// An IPAM of the asking account.
    pub fn create_ipam(&mut self, home: &str, operating: &[&str]) -> IpamCreated {
        let events = self.accept(CreateIpam {
            home_region: region(home),
            operating_regions: operating.iter().copied().map(region).collect(),
            description: None,
            name: None,
            tags: Tags::new(),
        });
        match events.as_slice() {
            [Event::IpamCreated(created)] => created.clone(),
            other => panic!("creating an IPAM gave {other:#?}"),
        }
    }

    /// Another private scope.
    pub fn create_scope(&mut self, ipam: IpamId) -> ScopeId {
        let body = CreateScope { ipam, description: None, name: None, tags: Tags::new() };
        match self.accept(body).as_slice() {
            [Event::ScopeCreated(created)] => created.scope,
            other => panic!("creating a scope gave {other:#?}"),
        }
    }

    /// A pool, by whatever the command says.
    pub fn create_pool(&mut self, body: CreatePool) -> PoolId {
        match self.accept(body).as_slice() {
            [Event::PoolCreated(created)] => created.pool,
            other => panic!("creating a pool gave {other:#?}"),
        }
    }

    /// A top-level pool of the CIDR's family that holds it.
    pub fn top_pool(&mut self, scope: ScopeId, block: &str) -> PoolId {
        let block = cidr(block);
        let pool = self.create_pool(CreatePool {
            scope: Some(scope),
            address_family: Some(block.family()),
            ..CreatePool::default()
        });
        self.accept(ProvisionPoolCidr { pool, cidr: Some(block), netmask_length: None });
        pool
    }

    /// A pool without space.
    pub fn empty_pool(&mut self, scope: ScopeId, locale: Option<&str>) -> PoolId {
        self.create_pool(CreatePool {
            scope: Some(scope),
            address_family: Some(Family::Ipv4),
            locale: locale.map(region),
            ..CreatePool::default()
        })
    }

    /// An id of the right shape that names nothing.
    pub fn no_such_ipam() -> IpamId {
        "ipam-00000000000000000".parse().expect("well formed")
    }
}
