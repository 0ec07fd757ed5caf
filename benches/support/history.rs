//! A long history for benchmarks: commands decided by the domain in this process, their outcomes laid down in an
//! embedded log the way a writer does.
//!
//! A lone account hands out /26 blocks of 10.0.0.0/8 to VPCs. Every block is allocated and its VPC observed; in a
//! second pass, in another order, the VPC is gone, the block released, and allocated to another VPC.

use std::path::Path;

use ipam_ledger::address::{Cidr, Family};
use ipam_ledger::domain::command::{
    AllocateCidr, Command, CommandBody, CreateIpam, CreatePool, ObserveResource, ObserveResourceGone, ObservedCidr,
    Principal, Proof, ProvisionPoolCidr, ReleaseAllocation, ResourceAttributes, ResourceClaim, Tags,
};
use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::event::Event;
use ipam_ledger::domain::id::{AccountId, AllocationId, OrganizationId, PoolId, Region};
use ipam_ledger::domain::kind::ResourceKind;
use ipam_ledger::domain::outcome::{Decision, Moment, Outcome, SCHEMA_VERSION};
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::domain::{Context, State, advance, decide};
use ipam_ledger::log::embedded::EmbeddedLog;
use ipam_ledger::log::record::{Epoch, EpochOpened, Header, Kind, NewRecord, Partition, Seq};
use ipam_ledger::log::wire::encode_outcome;
use ipam_ledger::log::{Appender, Log as _};
use uuid::Uuid;

/// The netmask length of the blocks.
pub const LENGTH: u8 = 26;
/// All blocks of the pool.
const BLOCKS_MAX: usize = 1 << (LENGTH - 8);
/// Records per append.
const BATCH: usize = 10_000;
/// Odd, and far from the powers of two: multiples of it visit all blocks, far apart.
const STRIDE: usize = 98_765;
const START_MICROS: i64 = 1_700_000_000_000_000;
const ACCOUNT: &str = "111122223333";

/// Who it all belongs to.
pub fn organization() -> OrganizationId {
    ACCOUNT.parse().expect("an account")
}

/// The block of this number.
pub fn block(number: usize) -> Cidr {
    let address = (10 << 24) | (u128::try_from(number).expect("small") << (32 - LENGTH));
    Cidr::containing(Family::Ipv4, address, LENGTH)
}

/// Writes a log in `directory` with the history of so many blocks; the number of outcomes in it.
pub fn write(directory: &Path, blocks: usize) -> usize {
    assert!(blocks <= BLOCKS_MAX, "the pool has {BLOCKS_MAX} blocks");
    let log = EmbeddedLog::open(directory, 1).expect("a log");
    let mut scribe = Scribe::new(log.appender(Partition(0)).expect("an appender"));
    let created = scribe.run(CreateIpam {
        home_region: scribe.region.clone(),
        operating_regions: Vec::new(),
        description: None,
        name: None,
        tags: Tags::new(),
    });
    let [Event::IpamCreated(ipam)] = created.as_slice() else { panic!("no IPAM") };
    let created = scribe.run(CreatePool {
        scope: Some(ipam.private_default_scope),
        address_family: Some(Family::Ipv4),
        locale: Some(scribe.region.clone()),
        ..CreatePool::default()
    });
    let [Event::PoolCreated(pool)] = created.as_slice() else { panic!("no pool") };
    let pool = pool.pool;
    let space = "10.0.0.0/8".parse().expect("a CIDR");
    scribe.run(ProvisionPoolCidr { pool, cidr: Some(space), netmask_length: None });
    let first: Vec<_> = (0..blocks)
        .map(|number| {
            let allocation = scribe.allocate(pool, number, 0);
            scribe.observe(number);
            allocation
        })
        .collect();
    let mut again = 0;
    for step in 0..BLOCKS_MAX {
        let number = step * STRIDE % BLOCKS_MAX;
        if let Some(allocation) = first.get(number) {
            scribe.gone(number);
            scribe.run(ReleaseAllocation { allocation: *allocation, pool: None, cidr: None, force: false });
            scribe.allocate(pool, number, 1);
            again += 1;
        }
    }
    assert_eq!(again, blocks, "the stride visits every block");
    scribe.append();
    scribe.outcomes
}

/// Decides and writes down.
struct Scribe {
    state: State,
    previous: Option<Digest>,
    appender: Box<dyn Appender>,
    ready: Vec<NewRecord>,
    seq: Seq,
    outcomes: usize,
    account: AccountId,
    region: Region,
}

impl Scribe {
    fn new(mut appender: Box<dyn Appender>) -> Self {
        let opened = EpochOpened {
            schema: SCHEMA_VERSION,
            epoch: Epoch(1),
            writer: Uuid::new_v4(),
            ledger: Uuid::new_v4(),
            partitions: 1,
        };
        let header = Header { kind: Kind::EpochOpened, epoch: Epoch(1), seq: Seq(0), source: None };
        let value = serde_json::to_vec(&opened).expect("it serialises");
        appender.append(vec![NewRecord { header, key: None, value: value.into() }]).expect("the log takes records");
        Self {
            state: State::new(organization()),
            previous: None,
            appender,
            ready: Vec::new(),
            seq: Seq(1),
            outcomes: 0,
            account: ACCOUNT.parse().expect("an account"),
            region: "eu-central-1".parse().expect("a region"),
        }
    }

    fn run(&mut self, body: impl Into<CommandBody>) -> Vec<Event> {
        let revision = self.state.moment().revision.next();
        // A second between commands: UUIDv7 and time alike.
        let seconds = i64::try_from(revision.0).expect("few revisions");
        let decided_at = Timestamp::from_micros(START_MICROS).plus_micros(seconds * 1_000_000);
        let millis = u128::try_from(decided_at.micros() / 1_000).expect("after 1970");
        let principal = Principal { account: self.account, name: Some("terraform".to_owned()), proof: Proof::None };
        let id = Uuid::from_u128(millis << 80 | 0x7 << 76 | 0x8 << 60 | u128::from(revision.0));
        let command = Command {
            id,
            organization: self.state.id().clone(),
            principal,
            if_revision: None,
            reason: None,
            digest: Digest::of(id.as_bytes()),
            body: body.into(),
        };
        let events = decide(&self.state, &command, &Context { decided_at }).expect("the history's commands are good");
        advance(&mut self.state, Moment { revision, decided_at }, &events);
        self.lay_down(command, Moment { revision, decided_at }, events.clone());
        events
    }

    fn lay_down(&mut self, command: Command, moment: Moment, events: Vec<Event>) {
        let outcome = Outcome {
            schema: SCHEMA_VERSION,
            organization: command.organization,
            revision: Some(moment.revision),
            command_id: command.id,
            command_type: command.body.type_name().to_owned(),
            digest: command.digest,
            principal: command.principal,
            reason: command.reason,
            decided_at: moment.decided_at,
            previous: self.previous,
            decision: Decision::Accepted(events),
        };
        let value = encode_outcome(&outcome);
        self.previous = Some(Digest::of(&value));
        let header = Header { kind: Kind::Outcome, epoch: Epoch(1), seq: self.seq, source: None };
        self.seq = self.seq.next();
        self.outcomes += 1;
        self.ready.push(NewRecord { header, key: Some(outcome.organization), value: value.into() });
        if self.ready.len() == BATCH {
            self.append();
        }
    }

    fn append(&mut self) {
        self.appender.append(std::mem::take(&mut self.ready)).expect("the log takes records");
    }

    fn allocate(&mut self, pool: PoolId, number: usize, generation: u8) -> AllocationId {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let resource = ResourceClaim {
            kind: ResourceKind::Vpc,
            id: vpc(number, generation),
            region: Some(self.region.clone()),
            account: Some(self.account),
            tags: Tags::new(),
        };
        let allocated = self.run(AllocateCidr {
            pool,
            cidr: Some(block(number)),
            netmask_length: None,
            allowed_cidrs: Vec::new(),
            disallowed_cidrs: Vec::new(),
            description: Some("payments, staging".to_owned()),
            tags: Tags::from([tag("env", "staging"), tag("team", "payments")]),
            resource: Some(resource),
        });
        match allocated.as_slice() {
            [Event::CidrAllocated(allocated)] => allocated.allocation,
            other => panic!("no allocation: {other:?}"),
        }
    }

    fn observe(&mut self, number: usize) {
        let attributes = ResourceAttributes {
            account: Some(self.account),
            region: Some(self.region.clone()),
            name: Some(format!("payments-{number}")),
            source: Some("agent".to_owned()),
            ..ResourceAttributes::default()
        };
        let observed_at = self.now();
        self.run(ObserveResource {
            kind: ResourceKind::Vpc,
            id: vpc(number, 0),
            observed_at,
            cidrs: vec![ObservedCidr { cidr: block(number), visibility: None }],
            attributes,
        });
    }

    fn gone(&mut self, number: usize) {
        let observed_at = self.now();
        let source = Some("agent".to_owned());
        self.run(ObserveResourceGone { kind: ResourceKind::Vpc, id: vpc(number, 0), observed_at, source });
    }

    fn now(&self) -> Timestamp {
        self.state.moment().decided_at
    }
}

fn vpc(number: usize, generation: u8) -> String {
    format!("vpc-{generation:x}{number:016x}")
}
