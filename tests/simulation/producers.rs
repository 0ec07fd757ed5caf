//! Producers: they ask for what makes sense, and for what does not, by the book and against it. They know what is
//! acknowledged, as anybody does who reads the log.

use std::collections::{BTreeMap, BTreeSet};

use ipam_ledger::address::{Cidr, Family};
use ipam_ledger::domain::change::Change;
use ipam_ledger::domain::command::{
    AddAccount, CommandBody, CreateIpam, CreateOrganization, CreatePool, DelegateAdmin, DeleteScope,
    DeregisterDelegatedAdministrator, ModifyIpam, ModifyScope, ObserveResource, ObservedCidr, Principal, Proof,
    ProvisionPoolCidr, RegisterDelegatedAdministrator, ReleaseAllocation, RemoveAccount, ResourceAttributes,
    RevokeAdmin, SetQuota, TagResource, Tags, UntagResource, Visibility,
};
use ipam_ledger::domain::id::{AccountId, ObjectId, OrganizationId, Region, Revision};
use ipam_ledger::domain::quota::Quota;
use ipam_ledger::log::record::Partition;
use ipam_ledger::log::wire::{CommandRequest, decode_command};
use serde_json::{Value, json};
use uuid::Uuid;

use super::faults::Fault;
use super::node::Handed;
use super::world::World;
use crate::model::generate::{self, Dice};
use crate::model::world::{Holder, Pool, World as Known};
use crate::model::{ADMIN, LATE, MANAGEMENT, MEMBER, STRANGER, account, preamble, region};

/// What was sent, to be sent again.
#[derive(Default)]
pub struct Producers {
    sent: Vec<Value>,
    /// Organisations that were set up once, by a script.
    set_up: BTreeSet<OrganizationId>,
    /// When something was asked for last, by step: it takes a while until anything is known of it.
    asked: BTreeMap<String, u64>,
}

/// What is not there after so many steps is asked for again.
const STEPS_OF_PATIENCE: u64 = 150;

impl World {
    /// A producer sends something.
    pub fn produce(&mut self) {
        if self.fault(Fault::Garbage) {
            let partition = self.any_partition();
            return self.put_garbage(partition);
        }
        let organization = self.random.of(&self.organizations).cloned().expect("there is one");
        if self.producers.set_up.insert(organization.clone()) {
            return self.set_up(&organization);
        }
        let again = !self.producers.sent.is_empty() && self.fault(Fault::Retry);
        let command = if again {
            let all = self.producers.sent.len();
            let lately = if self.random.one_in(2) { all.min(6) } else { all };
            self.producers.sent[all - 1 - self.random.below(lately)].clone()
        } else {
            let known = self.oracle.world(&organization);
            let (asks, body) = self.wish(&organization, &known);
            self.command(&organization, asks, body)
        };
        self.send(command);
    }

    pub fn put_garbage(&mut self, partition: Partition) {
        let bytes = self.random.bytes::<9>();
        let number = bytes[0];
        let options = [
            bytes.to_vec(),
            b"{\"command_id\":".to_vec(),
            format!("[{number}]").into_bytes(),
            b"{\"type\":\"AddAccount\"}".to_vec(),
        ];
        let garbage = self.random.of(&options).cloned().expect("there are some");
        self.put(partition, None, garbage, false);
    }

    /// Everything that an organisation needs, in one go. What goes wrong is asked for again later.
    fn set_up(&mut self, organization: &OrganizationId) {
        let script = match organization.lone_account() {
            Some(lone) => vec![(lone, create_ipam("eu-central-1").into())],
            None => preamble(),
        };
        for (asks, body) in script {
            self.not_lately(format!("{organization} {}", body.type_name()));
            let command = self.command(organization, asks, body);
            self.send(command);
        }
    }

    /// Sends a command: into the topic, or to a node.
    pub fn send(&mut self, command: Value) {
        let (key, digest) = self.oracle.once.sent(&command);
        let bytes = serde_json::to_vec(&command).expect("JSON");
        let home = self.oracle.once.home_of(&key.0);
        self.tell(|| format!("sends {command}"));
        self.producers.sent.push(command);
        if self.fault(Fault::HandedOver) {
            let to = if self.fault(Fault::HandedToStranger) { self.any_partition() } else { home };
            let holders: Vec<_> = self.owners[to.0 as usize].iter().copied().collect();
            if let Some(n) = self.random.of(&holders).copied().filter(|n| self.nodes[*n].is_up()) {
                let decoded = decode_command(&bytes).expect("it names its sender");
                self.nodes[n].queues.entry(to).or_default().push_back(Handed { key, digest, decoded });
            }
            return;
        }
        let partition = if self.fault(Fault::Misrouted) { self.any_partition() } else { home };
        let forwarded = self.fault(Fault::MarkForged);
        let name = Some(key.0.as_str().as_bytes().to_vec());
        if self.fault(Fault::SentTwice) {
            self.put(partition, name.clone(), bytes.clone(), forwarded);
        }
        self.put(partition, name, bytes, forwarded);
    }

    fn any_partition(&mut self) -> Partition {
        Partition(u32::try_from(self.random.below(self.topic.len())).expect("small"))
    }

    /// A command as it is sent, with an id of its own or, now and then, another's.
    pub fn command(&mut self, organization: &OrganizationId, asks: AccountId, body: CommandBody) -> Value {
        let (id, reused) = self.new_id(organization);
        let mut name = self.random.one_in(3).then(|| "ann".to_owned());
        if reused {
            // Another command for sure: reason and revision are no part of what makes two commands the same.
            name = Some(format!("bob {}", self.random.next()));
        }
        let principal = Principal { account: asks, name, proof: Proof::None };
        let mut request = CommandRequest::new(id, organization.clone(), principal, body);
        if self.fault(Fault::IfRevision) {
            let head = self.oracle.history(organization).revision().0;
            let back = self.random.below(6) as u64;
            request.if_revision = Some(Revision(head.saturating_sub(back)));
        }
        if self.random.one_in(2) {
            let long = self.oracle.small_records && self.random.one_in(6);
            request.reason = Some(if long { "because ".repeat(120) } else { "because".to_owned() });
        }
        let mut command = serde_json::to_value(&request).expect("JSON");
        if self.fault(Fault::Malformed) {
            self.spoil(&mut command);
        }
        command
    }

    /// An id, and whether another command has it.
    fn new_id(&mut self, organization: &OrganizationId) -> (Uuid, bool) {
        if self.fault(Fault::IdReused) {
            let of_it = |command: &&Value| command["organization"] == organization.as_str();
            let ids: Vec<_> = self.producers.sent.iter().rev().filter(of_it).take(30).cloned().collect();
            if let Some(known) = self.random.of(&ids) {
                let id = known["command_id"].as_str().and_then(|id| id.parse().ok());
                return (id.expect("an id"), true);
            }
        }
        (self.own_id(), false)
    }

    /// An id that no other command has.
    pub fn own_id(&mut self) -> Uuid {
        let odd = self.fault(Fault::OddId);
        let (version, micros) = match (odd, self.random.below(2)) {
            (true, 0) => (4, self.random.next()),
            // Made long ago, sent now.
            (true, _) => (7, self.now.micros().unsigned_abs() - self.random.next() % 10_000_000),
            _ => (7, self.now.micros().unsigned_abs()),
        };
        let random = u128::from(self.random.next());
        let high = u128::from(micros & 0xffff_ffff_ffff) << 80;
        let low = (random >> 52) << 64 | 0x8 << 60 | (random & 0x0fff_ffff_ffff_ffff);
        Uuid::from_u128(high | version << 76 | low)
    }

    /// Something is wrong inside; who asks is still known.
    fn spoil(&mut self, command: &mut Value) {
        match self.random.below(6) {
            0 => command["colour"] = json!("blue"),
            1 => command["type"] = json!("MakeCoffee"),
            2 => drop(command.as_object_mut().and_then(|members| members.remove("payload"))),
            3 => command["schema"] = json!(99),
            4 => command["payload"]["colour"] = json!("blue"),
            _ => command["if_revision"] = json!("the last one"),
        }
    }

    /// Who asks, and for what.
    pub fn wish(&mut self, organization: &OrganizationId, known: &Known) -> (AccountId, CommandBody) {
        let lone = organization.lone_account().is_some();
        if let Some(missing) = missing(known, lone)
            && self.not_lately(format!("{organization} {}", missing.1.type_name()))
        {
            return missing;
        }
        let spacious = known.pools.iter().filter(|pool| !known.cidrs_of(pool.id).is_empty()).count();
        if spacious < 3
            && let Some(wish) = self.grow(known)
            && self.not_lately(format!("{organization} {:?}", wish.1))
        {
            return wish;
        }
        if self.random.one_in(7) {
            return self.odd_wish(known);
        }
        let bytes = self.random.bytes::<48>();
        generate::command(&mut Dice(&bytes), known, self.now)
    }

    fn not_lately(&mut self, what: String) -> bool {
        let now = self.done;
        let before = self.producers.asked.get(&what).copied();
        let patient = before.is_some_and(|before| now < before + STEPS_OF_PATIENCE);
        if !patient {
            self.producers.asked.insert(what, now);
        }
        !patient
    }

    /// Pools with space, so that there is something to allocate from.
    fn grow(&mut self, known: &Known) -> Option<(AccountId, CommandBody)> {
        let ipam = known.ipams.first()?;
        let scope = known.scopes.iter().find(|scope| scope.is_default && scope.visibility == Visibility::Private)?;
        let empty: Vec<&Pool> = known.pools.iter().filter(|pool| known.cidrs_of(pool.id).is_empty()).collect();
        if let Some(pool) = self.random.of(&empty) {
            let mut body = ProvisionPoolCidr { pool: pool.id, cidr: None, netmask_length: None };
            match (pool.source, pool.family) {
                (Some(source), family) => {
                    // By length, or where somebody has it already.
                    let held: Vec<_> = known.holds_of(source).map(|hold| hold.cidr).collect();
                    match self.random.of(&held).copied().filter(|_| self.random.one_in(3)) {
                        Some(cidr) => body.cidr = Some(cidr),
                        None => body.netmask_length = Some(family.bits() - 6 - self.random.below(3) as u8),
                    }
                }
                (None, family) => {
                    let base = if family == Family::Ipv4 { 0x0a00_0000 } else { 0xfd01_u128 << 112 };
                    let block = |n: u128| Cidr::containing(family, base + (n << 8), family.bits() - 8);
                    let is_free = |block: &Cidr| !known.provisioned.iter().any(|(_, other)| other.overlaps(*block));
                    let free: Vec<_> = (0..4).map(block).filter(is_free).collect();
                    body.cidr = Some(self.random.of(&free).copied()?);
                }
            }
            return Some((ipam.owner, body.into()));
        }
        let mut body = CreatePool { locale: self.random.one_in(2).then(|| self.locale()), ..CreatePool::default() };
        match known.pools.first().filter(|_| self.random.one_in(2)) {
            Some(source) => {
                body.source_pool = Some(source.id);
                body.locale.clone_from(&source.locale);
            }
            None => {
                body.scope = Some(scope.id);
                body.address_family = Some(if self.random.one_in(3) { Family::Ipv6 } else { Family::Ipv4 });
            }
        }
        if self.random.one_in(4) {
            let family = known.pools.first().filter(|_| body.source_pool.is_some()).map(|pool| pool.family);
            body.allocation_min_netmask_length =
                Some(family.or(body.address_family).map_or(32, Family::bits) - 4 - self.random.below(2) as u8);
        }
        if self.random.one_in(4) {
            body.allocation_resource_tags = [("env".to_owned(), "prod".to_owned())].into();
        }
        Some((ipam.owner, body.into()))
    }

    fn locale(&mut self) -> Region {
        region(if self.random.one_in(3) { "eu-west-1" } else { "eu-central-1" })
    }

    /// What is asked seldom.
    fn odd_wish(&mut self, known: &Known) -> (AccountId, CommandBody) {
        let management = account(MANAGEMENT);
        let owner = known.ipams.first().map_or(account(ADMIN), |ipam| ipam.owner);
        let everybody = [MANAGEMENT, ADMIN, MEMBER, LATE, STRANGER].map(account);
        let somebody = self.random.of(&everybody).copied().expect("there are five");
        let asks = if self.random.one_in(8) { somebody } else { management };
        if known.registered.is_some() && self.random.one_in(2) {
            return (
                management,
                DeregisterDelegatedAdministrator { account: known.registered.unwrap_or(somebody) }.into(),
            );
        }
        if known.administrator.is_none() && known.registered.is_none() && self.random.one_in(3) {
            return (management, RegisterDelegatedAdministrator { account: account(MEMBER) }.into());
        }
        if self.random.one_in(3)
            && let Some(wish) = self.released_too_early(known)
        {
            return (owner, wish);
        }
        match self.random.below(16) {
            0 if known.administrator.is_some() && self.random.one_in(2) => {
                (management, RevokeAdmin { account: known.administrator.unwrap_or(somebody) }.into())
            }
            0 => (asks, RegisterDelegatedAdministrator { account: somebody }.into()),
            1 => (asks, DeregisterDelegatedAdministrator { account: known.registered.unwrap_or(somebody) }.into()),
            2 => (asks, RevokeAdmin { account: known.administrator.unwrap_or(somebody) }.into()),
            3 => (asks, DelegateAdmin { account: somebody }.into()),
            4 => (asks, RemoveAccount { account: somebody }.into()),
            5 => (asks, AddAccount { account: somebody, name: None }.into()),
            6 => (asks, CreateOrganization { management_account: asks }.into()),
            7 => {
                let quotas = [Quota::PoolsPerScope, Quota::ScopesPerIpam, Quota::PoolDepth, Quota::IpamsPerRegion];
                let quota = self.random.of(&quotas).copied().expect("there are four");
                let now = u32::try_from(known.quota(quota)).expect("small");
                let value = if self.random.one_in(3) { 0 } else { (now + 1).min(now.max(8)) };
                (asks, SetQuota { quota, value }.into())
            }
            8 => (somebody, create_ipam("eu-west-1").into()),
            9 | 10 => {
                let Some(ipam) = known.ipams.first() else { return (owner, create_ipam("eu-central-1").into()) };
                let regions: Vec<_> = ipam.regions.iter().cloned().collect();
                let remove = self.random.of(&regions).cloned().filter(|_| self.random.one_in(2));
                let body = ModifyIpam {
                    ipam: ipam.id,
                    description: self.description(),
                    add_operating_regions: self.random.one_in(3).then(|| region("us-east-1")).into_iter().collect(),
                    remove_operating_regions: remove.into_iter().collect(),
                };
                (owner, body.into())
            }
            11 => {
                let scope = self.random.of(&known.scopes).map(|scope| scope.id);
                let scope = scope.unwrap_or_else(|| "ipam-scope-00000000000000000".parse().expect("well formed"));
                let description = self.description();
                (
                    owner,
                    if self.random.one_in(4) {
                        DeleteScope { scope }.into()
                    } else {
                        ModifyScope { scope, description }.into()
                    },
                )
            }
            12 | 13 => {
                let resource = self.object(known);
                (owner, TagResource { resource, tags: self.tags() }.into())
            }
            14 => {
                let resource = self.object(known);
                let keys = self.tags().into_keys().collect();
                (owner, UntagResource { resource, keys }.into())
            }
            _ => (owner, create_ipam("eu-central-1").into()),
        }
    }

    /// A resource is seen where it has space, or its space is to be released.
    fn released_too_early(&mut self, known: &Known) -> Option<CommandBody> {
        let holds: Vec<_> = known.holds.iter().filter(|hold| matches!(hold.holder, Holder::Resource(_))).collect();
        let hold = self.random.of(&holds)?;
        let Holder::Resource(name) = &hold.holder else { return None };
        if self.random.one_in(2) {
            return Some(ReleaseAllocation { allocation: hold.id, pool: None, cidr: None, force: false }.into());
        }
        let attributes = ResourceAttributes {
            account: Some(account(ADMIN)),
            region: Some(region("eu-central-1")),
            ..ResourceAttributes::default()
        };
        let cidrs = vec![ObservedCidr { cidr: hold.cidr, visibility: None }];
        let (kind, id, observed_at) = (name.kind, name.id.clone(), self.now);
        Some(ObserveResource { kind, id, observed_at, cidrs, attributes }.into())
    }

    fn description(&mut self) -> Change<String> {
        match self.random.below(3) {
            0 => Change::Unchanged,
            1 => Change::Set("the lab".to_owned()),
            _ => Change::Clear,
        }
    }

    /// One or none; now and then so many that two of their kind are more than an object carries.
    fn tags(&mut self) -> Tags {
        let value = self.random.of(&["prod", "dev"]).copied().unwrap_or_default();
        match self.random.below(8) {
            0 => Tags::new(),
            1 => {
                let (from, count) = (self.random.below(2) * 26, 26 + self.random.below(2) * 26);
                (from..from + count).map(|n| (format!("key{n}"), value.to_owned())).collect()
            }
            n => [(if n < 5 { "env" } else { "Name" }.to_owned(), value.to_owned())].into(),
        }
    }

    fn object(&mut self, known: &Known) -> ObjectId {
        // One is named often, so that what was tagged is untagged.
        if let Some(ipam) = known.ipams.first()
            && self.random.one_in(2)
        {
            return ipam.id.into();
        }
        let mut objects: Vec<ObjectId> = known.ipams.iter().map(|ipam| ipam.id.into()).collect();
        objects.extend(known.ipams.iter().map(|ipam| ObjectId::from(ipam.discovery)));
        objects.extend(known.ipams.iter().map(|ipam| ObjectId::from(ipam.association)));
        objects.extend(known.scopes.iter().map(|scope| ObjectId::from(scope.id)));
        objects.extend(known.pools.iter().map(|pool| ObjectId::from(pool.id)));
        objects.extend(known.holds.iter().map(|hold| ObjectId::from(hold.id)));
        objects.push("ipam-res-disco-00000000000000000".parse().expect("well formed"));
        self.random.of(&objects).copied().expect("there is one")
    }
}

/// What an organisation needs before anything else can be asked of it.
fn missing(known: &Known, lone: bool) -> Option<(AccountId, CommandBody)> {
    if lone {
        return known.ipams.is_empty().then(|| (account(ADMIN), create_ipam("eu-central-1").into()));
    }
    preamble().into_iter().find(|(_, body)| match body {
        CommandBody::CreateOrganization(_) => known.management.is_none(),
        CommandBody::AddAccount(body) => !known.is_member(body.account),
        CommandBody::SetQuota(body) => !known.quotas.contains_key(&body.quota),
        CommandBody::DelegateAdmin(_) => {
            known.administrator.is_none() && known.registered.is_none() && known.ipams.is_empty()
        }
        CommandBody::CreateIpam(_) => known.ipams.is_empty(),
        _ => false,
    })
}

fn create_ipam(home: &str) -> CreateIpam {
    CreateIpam {
        home_region: region(home),
        operating_regions: vec![region("eu-west-1")],
        description: Some("the first".to_owned()),
        name: Some("main".to_owned()),
        tags: Tags::new(),
    }
}
