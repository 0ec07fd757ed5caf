//! Honest logs, drawn: several organisations on several partitions, decided by the domain and written as writers do,
//! with all that is legal among them: ghosts, lost and doubled appends, late openings, records of nobody, offsets
//! without a record, partitions without any. And a reading of such logs that is told apart from the code's.

use std::collections::BTreeMap;

use ipam_ledger::address::Family;
use ipam_ledger::domain::command::{Command, CommandBody, CreatePool, Principal, Proof, ProvisionPoolCidr};
use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::id::{AccountId, OrganizationId};
use ipam_ledger::domain::outcome::{Decision, Outcome, SCHEMA_VERSION};
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::domain::{Context, State, apply_outcome, decide};
use ipam_ledger::log::partition::partition_of;
use ipam_ledger::log::record::{Epoch, EpochOpened, Header, Kind, LedgerId, Offset, Partition, Seq, SourceOffset};
use ipam_ledger::log::simulated::SimulatedLog;
use ipam_ledger::log::wire::{decode_outcome, encode_outcome};
use serde_json::Value;
use uuid::Uuid;

use super::model;
use super::model::generate::{self, Dice};
use super::model::world::World;
use super::random::Random;

pub const LEDGER: LedgerId = Uuid::from_u128(0x1ed);
const ORGANIZATIONS: [&str; 5] = ["o-aa", "o-ab", "o-bc", "o-cdef", "o-late"];

/// All that may be in a log.
pub fn organizations() -> Vec<OrganizationId> {
    ORGANIZATIONS.iter().map(|id| id.parse().expect("an id")).collect()
}

/// A record, or an offset without one behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub header: Option<Header>,
    pub value: Vec<u8>,
    /// A writer wrote it, and it counts.
    pub live: bool,
    /// So many offsets behind it hold nothing.
    pub gap: u64,
}

pub type Lane = Vec<Entry>;

/// Every organisation's records that count, each with partition and offset.
pub type Histories = BTreeMap<OrganizationId, Vec<(u32, u64, Vec<u8>)>>;

/// A log as lists.
#[derive(Clone, Debug)]
pub struct Lanes(pub Vec<Lane>);

struct Organization {
    id: OrganizationId,
    state: State,
    world: World,
    previous: Option<Digest>,
    script: Vec<(AccountId, CommandBody)>,
    /// Decided commands.
    commands: u128,
}

#[derive(Default)]
struct Writer {
    epoch: u64,
    seq: u64,
    source: u64,
}

impl Lanes {
    pub fn honest(random: &mut Random) -> Self {
        let partitions = 1 + random.below(3);
        let mut lanes = Self(vec![Lane::new(); partitions]);
        let mut writers: Vec<Writer> = (0..partitions).map(|_| Writer::default()).collect();
        let mut organizations: Vec<Organization> = ORGANIZATIONS.iter().map(|id| Organization::new(id)).collect();
        let mut now: Timestamp = "2024-01-01T00:00:00Z".parse().expect("an instant");
        let steps = 40 + random.below(120);
        for step in 0..steps {
            now = now.plus_micros(1_000_000);
            let late = step * 2 < steps;
            let among = organizations.len() - usize::from(late);
            // Some have much history, some little.
            let n = random.below(among).min(random.below(among));
            let organization = &mut organizations[n];
            let home = partition_of(&organization.id, u32::try_from(partitions).expect("few"));
            let (lane, writer) = (&mut lanes.0[home.0 as usize], &mut writers[home.0 as usize]);
            if writer.epoch == 0 {
                writer.open(lane, partitions);
            }
            match random.below(24) {
                0 => {
                    let lost = random.one_in(2).then(|| organization.decide(random, now, false));
                    if let Some(value) = lost {
                        // One append was lost, the one behind it arrived: the writer ends there.
                        let header = writer.header(Kind::Outcome, writer.seq + 1);
                        lane.push(Entry { header: Some(header), value, live: false, gap: 0 });
                    }
                    let ghost = writer.header(Kind::Outcome, writer.seq);
                    writer.open(lane, partitions);
                    if random.one_in(2) {
                        let value = organization.decide(random, now, false);
                        lane.push(Entry { header: Some(ghost), value, live: false, gap: 0 });
                    }
                }
                1 => {
                    let header = Header { source: Some(SourceOffset(writer.source)), ..writer.next(Kind::Passed) };
                    lane.push(Entry { header: Some(header), value: Vec::new(), live: true, gap: 0 });
                }
                2 => lane.push(Entry { header: None, value: b"of nobody".to_vec(), live: false, gap: 0 }),
                3 => lane.extend(lane.last().cloned().map(|last| Entry { live: false, ..last })),
                4 => lane.last_mut().expect("an opening").gap += 1 + random.below(3) as u64,
                5 => {
                    // Somebody who was slower.
                    let late = Writer { epoch: writer.epoch - 1, ..Writer::default() };
                    lane.push(Entry { live: false, ..late.opening(partitions) });
                }
                _ => {
                    let value = organization.decide(random, now, true);
                    let header = writer.next(Kind::Outcome);
                    lane.push(Entry { header: Some(header), value, live: true, gap: 0 });
                }
            }
        }
        // What a lost append left is legal once the next reign is open.
        for (lane, writer) in lanes.0.iter_mut().zip(&mut writers) {
            if writer.epoch > 0 && random.one_in(2) {
                writer.open(lane, partitions);
            }
        }
        lanes
    }

    pub fn laid_down(&self) -> SimulatedLog {
        let log = SimulatedLog::new(u32::try_from(self.0.len()).expect("few"));
        for (lane, partition) in self.0.iter().zip((0..).map(Partition)) {
            for Entry { header, value, gap, .. } in lane {
                match header {
                    Some(header) => log.land_record(partition, *header, value),
                    None => log.land_foreign(partition, value),
                }
                log.skip_offsets(partition, *gap);
            }
            // A reader waits for what the last offsets hold; that they may hold nothing is tested elsewhere.
            log.truncate_back(partition, Offset(log.records(partition).last().map_or(0, |last| last.offset.0 + 1)));
        }
        log
    }

    /// Every organisation's records that count, each with partition and offset.
    pub fn histories(&self) -> Histories {
        self.read().0
    }

    /// Whether an open reign holds what comes behind a number that is not there.
    pub fn is_cut_off(&self) -> bool {
        self.read().1
    }

    fn read(&self) -> (Histories, bool) {
        let (mut histories, mut is_cut_off) = (Histories::new(), false);
        for (lane, partition) in self.0.iter().zip(0..) {
            let (mut reign, mut offset): (Option<(EpochOpened, u64)>, u64) = (None, 0);
            let mut ahead = 0;
            for Entry { header, value, gap, .. } in lane {
                let at = offset;
                offset += 1 + gap;
                let Some(header) = header else { continue };
                if header.kind == Kind::EpochOpened {
                    let Ok(opened) = serde_json::from_slice::<EpochOpened>(value) else { continue };
                    let next = match &reign {
                        None => opened.epoch == Epoch(1),
                        Some((open, _)) => {
                            opened.epoch == open.epoch.next()
                                && (opened.ledger, opened.partitions) == (open.ledger, open.partitions)
                        }
                    };
                    if next && opened.epoch == header.epoch && header.seq == Seq(0) && opened.partitions > 0 {
                        reign = Some((opened, 1));
                        ahead = 0;
                    }
                    continue;
                }
                let Some((open, next)) = &mut reign else { continue };
                if header.epoch != open.epoch || header.seq != Seq(*next) {
                    if header.epoch == open.epoch {
                        ahead = ahead.max(header.seq.0);
                    }
                    continue;
                }
                *next += 1;
                if header.kind != Kind::Outcome {
                    continue;
                }
                let Ok(json) = serde_json::from_slice::<Value>(value) else { continue };
                let Some(id) = json["organization"].as_str().and_then(|id| id.parse::<OrganizationId>().ok()) else {
                    continue;
                };
                let of_nobody = json["revision"].is_null() && json["decision"]["rejected"].is_object();
                if !of_nobody || histories.contains_key(&id) {
                    histories.entry(id).or_default().push((partition, at, value.clone()));
                }
            }
            is_cut_off |= reign.is_some_and(|(_, next)| ahead >= next);
        }
        (histories, is_cut_off)
    }

    /// Gives the records that are to count their numbers again, as a forger would.
    pub fn renumber(&mut self) {
        for lane in &mut self.0 {
            let (mut epoch, mut seq) = (Epoch(0), 1);
            for entry in lane.iter_mut().filter(|entry| entry.live) {
                let Some(header) = &mut entry.header else { continue };
                if header.kind == Kind::EpochOpened {
                    epoch = epoch.next();
                    (header.epoch, header.seq) = (epoch, Seq(0));
                    if let Ok(mut opened) = serde_json::from_slice::<EpochOpened>(&entry.value) {
                        opened.epoch = epoch;
                        entry.value = serde_json::to_vec(&opened).expect("plain data");
                    }
                    seq = 1;
                } else {
                    (header.epoch, header.seq) = (epoch, Seq(seq));
                    seq += 1;
                }
            }
        }
    }

    /// Carries every chain on behind a change, as a forger who can hash would.
    pub fn rehash(&mut self) {
        let mut ends: BTreeMap<OrganizationId, (u64, Digest)> = BTreeMap::new();
        for entry in self.0.iter_mut().flatten() {
            let outcome = Some(&entry.value).filter(|_| entry.live).and_then(|value| decode_outcome(value).ok());
            let Some(mut outcome) = outcome.filter(|outcome| outcome.revision.is_some()) else { continue };
            let end = ends.get(&outcome.organization).copied();
            let revision = end.map_or(1, |(revision, _)| revision + 1);
            outcome.revision = Some(ipam_ledger::domain::id::Revision(revision));
            outcome.previous = end.map(|(_, hash)| hash);
            entry.value = encode_outcome(&outcome);
            ends.insert(outcome.organization, (revision, Digest::of(&entry.value)));
        }
    }
}

impl Organization {
    fn new(id: &str) -> Self {
        let id: OrganizationId = id.parse().expect("an id");
        let mut script = model::preamble();
        script.reverse();
        let (state, world) = (State::new(id.clone()), World::default());
        Self { id, state, world, previous: None, script, commands: 0 }
    }

    /// The value of an outcome; what is not `kept` was decided by somebody whose decisions did not count.
    fn decide(&mut self, random: &mut Random, now: Timestamp, kept: bool) -> Vec<u8> {
        self.commands += 1;
        let (principal, body) = match self.script.last().cloned() {
            // Somebody asks for an organisation that is not there.
            _ if !self.state.exists() && random.one_in(4) => {
                let dice: Vec<u8> = (0..24).map(|_| random.next().to_le_bytes()[0]).collect();
                generate::command(&mut Dice(&dice), &self.world, now)
            }
            Some(asked) => {
                if kept {
                    self.script.pop();
                }
                asked
            }
            None if self.world.provisioned.len() < 3 && random.one_in(2) => self.next_space(random),
            None => {
                let dice: Vec<u8> = (0..24).map(|_| random.next().to_le_bytes()[0]).collect();
                generate::command(&mut Dice(&dice), &self.world, now)
            }
        };
        let id = Uuid::from_u128(u128::from(self.id.as_str().as_bytes()[2]) << 64 | self.commands);
        let command = Command {
            id,
            organization: self.id.clone(),
            principal: Principal { account: principal, name: None, proof: Proof::None },
            if_revision: None,
            reason: random.one_in(3).then(|| format!("reason {}", self.commands)),
            digest: Digest::of(format!("{body:?}").as_bytes()),
            body,
        };
        let decided = decide(&self.state, &command, &Context { decided_at: now });
        let exists = self.state.exists() || decided.is_ok();
        let outcome = Outcome {
            schema: SCHEMA_VERSION,
            organization: self.id.clone(),
            revision: exists.then(|| self.state.moment().revision.next()),
            command_id: id,
            command_type: command.body.type_name().to_owned(),
            digest: command.digest,
            principal: command.principal,
            reason: command.reason,
            decided_at: now,
            previous: self.previous.filter(|_| exists),
            decision: decided.map_or_else(|no| Decision::Rejected(Box::new(no)), Decision::Accepted),
        };
        let value = encode_outcome(&outcome);
        if kept && exists {
            apply_outcome(&mut self.state, &outcome);
            outcome.events().iter().for_each(|event| self.world.fold(self.state.moment().revision, event));
            self.previous = Some(Digest::of(&value));
        }
        value
    }
}

impl Organization {
    /// Pools with space, one inside another: without them random commands are mostly refused.
    fn next_space(&self, random: &mut Random) -> (AccountId, CommandBody) {
        let (World { pools, provisioned, scopes, .. }, asks) = (&self.world, model::account(model::ADMIN));
        let locale = Some(model::region("eu-central-1")).filter(|_| pools.len() > 1);
        let empty = pools.iter().find(|pool| provisioned.iter().all(|(of, _)| *of != pool.id));
        let body = match (empty, pools.first()) {
            (Some(pool), _) => {
                let cidr = if pool.source.is_some() { "10.0.1.0/24" } else { "10.0.0.0/22" };
                let cidr = Some(cidr.parse().expect("a CIDR"));
                ProvisionPoolCidr { pool: pool.id, cidr, netmask_length: None }.into()
            }
            (None, Some(top)) => {
                CreatePool { source_pool: Some(top.id).filter(|_| !random.one_in(4)), locale, ..Self::top() }.into()
            }
            (None, None) => CreatePool { scope: scopes.first().map(|scope| scope.id), ..Self::top() }.into(),
        };
        (asks, body)
    }

    fn top() -> CreatePool {
        CreatePool { address_family: Some(Family::Ipv4), ..CreatePool::default() }
    }
}

impl Writer {
    fn open(&mut self, lane: &mut Lane, partitions: usize) {
        lane.push(self.opening(partitions));
        (self.epoch, self.seq) = (self.epoch + 1, 1);
    }

    /// The opening of the reign after this one.
    fn opening(&self, partitions: usize) -> Entry {
        let epoch = Epoch(self.epoch + 1);
        let partitions = u32::try_from(partitions).expect("few");
        let writer = Uuid::from_u128(u128::from(epoch.0));
        let opened = EpochOpened { schema: SCHEMA_VERSION, epoch, writer, ledger: LEDGER, partitions };
        let header = Header { kind: Kind::EpochOpened, epoch, seq: Seq(0), source: None };
        let value = serde_json::to_vec(&opened).expect("plain data");
        Entry { header: Some(header), value, live: true, gap: 0 }
    }

    fn header(&self, kind: Kind, seq: u64) -> Header {
        Header { kind, epoch: Epoch(self.epoch), seq: Seq(seq), source: None }
    }

    fn next(&mut self, kind: Kind) -> Header {
        let header = self.header(kind, self.seq);
        (self.seq, self.source) = (self.seq + 1, self.source + 1);
        header
    }
}
