//! What the rules say of a command, read from the reference and the design: why it must be refused, if
//! so, and which block it gets.
//!
//! Every rule is asked, not only the first that fails: the order in which a ledger asks them is its own.

use std::collections::BTreeSet;

use ipam_ledger::address::Cidr;
use ipam_ledger::domain::change::Change;
use ipam_ledger::domain::command::{
    AllocateCidr, Command, CommandBody, CreateIpam, CreatePool, DeleteIpam, DeletePool, ModifyAllocation, ModifyIpam,
    ModifyPool, ObserveResource, ProvisionPoolCidr, ReleaseAllocation, ResourceClaim, Tags, Visibility,
};
use ipam_ledger::domain::event::ResourceName;
use ipam_ledger::domain::id::{AccountId, IpamId, ObjectId, PoolId, ScopeId};
use ipam_ledger::domain::kind::ResourceKind;
use ipam_ledger::domain::pool::Placement;
use ipam_ledger::domain::quota::Quota;
use ipam_ledger::domain::rejection::Code;
use ipam_ledger::domain::time::Timestamp;

use super::world::{Fact, Holder, Ipam, Pool, Scope, World};

/// Why, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    NotFound,
    Unauthorized,
    NotMonitored,
    Exists,
    /// The command makes no sense, whatever is free.
    Parameter,
    /// A rule of the pool forbids it.
    Rule,
    Space,
    Dependency,
    Quota,
    Machinery,
}

impl From<Code> for Reason {
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidParameterValue
            | Code::InvalidParameterCombination
            | Code::MissingParameter
            | Code::NothingToModify
            | Code::UnsupportedOperation
            | Code::AllocationMismatch
            | Code::ObservedInTheFuture => Self::Parameter,
            Code::UnauthorizedOperation => Self::Unauthorized,
            Code::AccountNotMonitored => Self::NotMonitored,
            Code::OrganizationNotFound
            | Code::AccountNotFound
            | Code::AdministratorNotRegistered
            | Code::IpamNotFound
            | Code::ScopeNotFound
            | Code::PoolNotFound
            | Code::PoolCidrNotFound
            | Code::AllocationNotFound
            | Code::ObjectNotFound
            | Code::ObservationNotFound => Self::NotFound,
            Code::OrganizationExists | Code::AccountExists | Code::AdministratorExists => Self::Exists,
            Code::QuotaExceeded | Code::QuotaNotAdjustable => Self::Quota,
            Code::DependencyViolation | Code::DefaultScope | Code::HomeRegion | Code::ResourceStillObserved => {
                Self::Dependency
            }
            Code::CidrNotInPool
            | Code::CidrNotInSourcePool
            | Code::CidrOverlap
            | Code::CidrInUse
            | Code::PoolEmpty
            | Code::PoolExhausted => Self::Space,
            Code::NetmaskLengthOutOfRange | Code::MissingResourceTags | Code::LocaleMismatch => Self::Rule,
            Code::MalformedCommand
            | Code::UnknownCommandType
            | Code::IdempotentParameterMismatch
            | Code::RevisionMismatch
            | Code::RecordTooLarge
            | Code::InternalError => Self::Machinery,
        }
    }
}

/// Which block an accepted command gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    Exactly(Cidr),
    OneOf(Vec<Cidr>),
}

#[derive(Clone, Debug, Default)]
pub struct Prediction {
    /// The command is refused for one of these; none: it is accepted.
    pub reasons: BTreeSet<Reason>,
    /// The reference leaves it open: it may be accepted all the same.
    pub open: bool,
    pub chosen: Option<Chosen>,
}

impl Prediction {
    pub fn refuse(&mut self, when: bool, reasons: &[Reason]) {
        if when {
            self.reasons.extend(reasons);
        }
    }

    /// Either answer is right.
    fn open(&mut self, when: bool, reasons: &[Reason]) {
        self.refuse(when, reasons);
        self.open |= when;
    }

    fn refused(reason: Reason) -> Self {
        Self { reasons: BTreeSet::from([reason]), ..Self::default() }
    }
}

use Reason::{Dependency, NotFound, NotMonitored, Parameter, Rule, Space};

/// The reference, §0.2.
const TAGS_MAX: usize = 50;

struct Asked<'a> {
    world: &'a World,
    principal: AccountId,
    command: &'a Command,
    now: Timestamp,
}

/// What must come of a command that is decided at `now`.
pub fn predict(world: &World, command: &Command, now: Timestamp) -> Prediction {
    let asked = Asked { world, principal: command.principal.account, command, now };
    if !world.is_member(asked.principal) {
        return Prediction::refused(Reason::Unauthorized);
    }
    let answer = match &command.body {
        CommandBody::CreateIpam(body) => Ok(asked.create_ipam(body)),
        CommandBody::DeleteIpam(body) => asked.delete_ipam(body),
        CommandBody::CreateScope(body) => asked.ipam(body.ipam).map(|ipam| {
            let mut it = Prediction::default();
            let scopes = world.scopes.iter().filter(|scope| scope.ipam == ipam.id).count();
            it.refuse(scopes >= world.quota(Quota::ScopesPerIpam), &[Reason::Quota]);
            it
        }),
        CommandBody::DeleteScope(body) => asked.scope(body.scope).map(|scope| {
            let mut it = Prediction::default();
            it.refuse(scope.is_default, &[Dependency]);
            it.refuse(world.pools.iter().any(|pool| pool.scope == scope.id), &[Dependency]);
            it
        }),
        CommandBody::ModifyIpam(body) => asked.modify_ipam(body),
        CommandBody::ModifyScope(body) => asked.scope(body.scope).map(|_| {
            let mut it = Prediction::default();
            it.refuse(body.description.is_unchanged(), &[Parameter]);
            it
        }),
        CommandBody::TagResource(body) => asked.labelled(body.resource).map(|mut tags| {
            let mut it = Prediction::default();
            it.refuse(body.tags.is_empty(), &[Parameter]);
            it.refuse(body.tags.keys().any(|key| key.to_lowercase().starts_with("aws:")), &[Parameter]);
            tags.extend(body.tags.clone());
            it.refuse(tags.len() > TAGS_MAX, &[Parameter]);
            it
        }),
        CommandBody::UntagResource(body) => asked.labelled(body.resource).map(|_| {
            let mut it = Prediction::default();
            it.refuse(body.keys.is_empty() || body.keys.len() > TAGS_MAX, &[Parameter]);
            it
        }),
        CommandBody::CreatePool(body) => asked.create_pool(body),
        CommandBody::ModifyPool(body) => asked.modify_pool(body),
        CommandBody::DeletePool(body) => asked.delete_pool(body),
        CommandBody::ProvisionPoolCidr(body) => asked.provision(body),
        CommandBody::DeprovisionPoolCidr(body) => asked.pool(body.pool).map(|pool| {
            let mut it = Prediction::default();
            it.refuse(!world.cidrs_of(pool.id).contains(&body.cidr), &[NotFound]);
            it.refuse(world.holds_of(pool.id).any(|hold| body.cidr.contains(hold.cidr)), &[Dependency, Space]);
            it
        }),
        CommandBody::AllocateCidr(body) => asked.allocate(body),
        CommandBody::ModifyAllocation(body) => asked.modify_allocation(body),
        CommandBody::ReleaseAllocation(body) => asked.release(body),
        CommandBody::ObserveResource(body) => Ok(asked.observe(body)),
        CommandBody::ObserveResourceGone(body) => {
            let mut it = Prediction::default();
            it.refuse(body.observed_at > now.plus_micros(60_000_000), &[Parameter]);
            let name = ResourceName { kind: body.kind, id: body.id.clone() };
            it.refuse(!asked.may_report_of(asked.whose(&name)), &[Reason::Unauthorized]);
            Ok(it)
        }
        CommandBody::RetractObservation(body) => {
            let name = ResourceName { kind: body.kind, id: body.id.clone() };
            // By the instant that it has, or by the one that its sender gave it.
            let then = Some(body.observed_at);
            let meant = |fact: &&Fact| fact.name == name && (Some(fact.at) == then || fact.reported_at == then);
            let there: Vec<&Fact> = world.facts.iter().filter(meant).collect();
            let mut it = Prediction::default();
            it.refuse(!asked.may_report_of(asked.whose(&name)), &[Reason::Unauthorized]);
            match body.revision {
                Some(revision) => it.refuse(!there.iter().any(|fact| fact.revision == revision), &[NotFound]),
                None => {
                    it.refuse(there.is_empty(), &[NotFound]);
                    it.refuse(there.len() > 1, &[Parameter]);
                }
            }
            Ok(it)
        }
        // The preamble, and what is generated so that it is right.
        _ => Ok(Prediction::default()),
    };
    answer.unwrap_or_else(Prediction::refused)
}

type Answer = Result<Prediction, Reason>;

impl<'a> Asked<'a> {
    /// What others own reads as not found (D19).
    fn ipam(&self, id: IpamId) -> Result<&'a Ipam, Reason> {
        self.world.ipam(id).filter(|ipam| ipam.owner == self.principal).ok_or(NotFound)
    }

    fn scope(&self, id: ScopeId) -> Result<&'a Scope, Reason> {
        let scope = self.world.scope(id).ok_or(NotFound)?;
        self.ipam(scope.ipam).map(|_| scope)
    }

    fn pool(&self, id: PoolId) -> Result<&'a Pool, Reason> {
        let pool = self.world.pool(id).ok_or(NotFound)?;
        self.scope(pool.scope).map(|_| pool)
    }

    /// The tags of what the asking account owns.
    fn labelled(&self, id: ObjectId) -> Result<Tags, Reason> {
        let owned = self.world.owner_of(id) == Some(self.principal);
        owned.then(|| self.world.tags_of(id)).ok_or(NotFound)
    }

    /// Whose resources the asking account reports of; `None` is nobody's in particular (D19).
    fn may_report_of(&self, whose: Option<AccountId>) -> bool {
        let us = self.principal;
        // A lone account has nobody else to report of; the management account is no mere member.
        let everybody = self.world.management.is_none_or(|management| management == us);
        // An IPAM that is not the administrator's sees its owner alone.
        let owner = self.world.ipams.iter().any(|ipam| ipam.owner == us);
        let no_members = whose.is_none_or(|account| !self.world.is_member(account));
        everybody || self.world.administrator == Some(us) || whose == Some(us) || (owner && no_members)
    }

    /// Whose a resource is, as far as is known.
    fn whose(&self, name: &ResourceName) -> Option<AccountId> {
        let known = self.world.facts.iter().filter(|fact| fact.name == *name);
        let named = known.filter_map(|fact| Some((fact.at, fact.revision, fact.present.as_ref()?.1.account?)));
        named.max().map(|(.., account)| account)
    }

    fn create_ipam(&self, body: &CreateIpam) -> Prediction {
        let mut it = Prediction::default();
        let same = |ipam: &&Ipam| ipam.owner == self.principal && ipam.home == body.home_region;
        it.refuse(self.world.ipams.iter().any(|ipam| same(&ipam)), &[Reason::Quota]);
        it
    }

    /// INV-I2; D19: pools keep their locale for ever.
    fn modify_ipam(&self, body: &ModifyIpam) -> Answer {
        let ipam = self.ipam(body.ipam)?;
        let (add, remove) = (&body.add_operating_regions, &body.remove_operating_regions);
        let mut it = Prediction::default();
        it.refuse(body.description.is_unchanged() && add.is_empty() && remove.is_empty(), &[Parameter]);
        it.refuse(add.iter().any(|region| remove.contains(region)), &[Parameter]);
        it.refuse(remove.contains(&ipam.home), &[Dependency]);
        let in_use = |pool: &&Pool| pool.locale.as_ref().is_some_and(|locale| remove.contains(locale));
        let mut pools = self.world.pools.iter().filter(in_use);
        it.refuse(pools.any(|pool| self.world.ipam_of_scope(pool.scope).id == ipam.id), &[Dependency]);
        Ok(it)
    }

    fn delete_ipam(&self, body: &DeleteIpam) -> Answer {
        let ipam = self.ipam(body.ipam)?;
        let scopes: Vec<&Scope> = self.world.scopes.iter().filter(|scope| scope.ipam == ipam.id).collect();
        let pools_in = |scope: &Scope| self.world.pools.iter().any(|pool| pool.scope == scope.id);
        let mut it = Prediction::default();
        if body.cascade {
            let public = scopes.iter().any(|scope| scope.visibility == Visibility::Public && pools_in(scope));
            it.refuse(public, &[Dependency, Parameter]);
        } else {
            it.refuse(scopes.iter().any(|scope| !scope.is_default || pools_in(scope)), &[Dependency]);
        }
        Ok(it)
    }

    fn create_pool(&self, body: &CreatePool) -> Answer {
        let mut it = Prediction::default();
        let source = body.source_pool.map(|id| self.pool(id)).transpose()?;
        if let Some(source) = source {
            let elsewhere = body.scope.is_some_and(|scope| scope != source.scope);
            it.refuse(elsewhere, &[Parameter, NotFound]);
        }
        let scope = body.scope.filter(|_| source.is_none()).map(|id| self.scope(id)).transpose()?;
        let (scope, family) = match (scope, source) {
            (None, None) => return Ok(Prediction::refused(Parameter)),
            (Some(scope), None) => match body.address_family {
                Some(family) => (scope, family),
                None => return Ok(Prediction::refused(Parameter)),
            },
            (_, Some(source)) => {
                it.refuse(body.address_family.is_some_and(|family| family != source.family), &[Parameter]);
                (self.scope(source.scope)?, source.family)
            }
        };
        let ipam = self.world.ipam_of_scope(scope.id);
        let foreign = body.locale.as_ref().is_some_and(|locale| !ipam.regions.contains(locale));
        it.refuse(foreign, &[Parameter, Rule]);
        let sources = source.and_then(|source| source.locale.as_ref());
        it.refuse(sources.is_some() && body.locale.is_some() && body.locale.as_ref() != sources, &[Parameter, Rule]);
        // "Must be the same": given again, or taken over.
        it.open(sources.is_some() && body.locale.is_none(), &[Parameter, Rule]);
        it.refuse(body.auto_import && body.locale.is_none() && sources.is_none(), &[Parameter, Rule]);
        let (min, max) = (body.allocation_min_netmask_length, body.allocation_max_netmask_length);
        it.refuse(!rules_fit(family.bits(), min, max, body.allocation_default_netmask_length), &[Parameter, Rule]);
        let pools = self.world.pools.iter().filter(|pool| pool.scope == scope.id).count();
        it.refuse(pools >= self.world.quota(Quota::PoolsPerScope), &[Reason::Quota]);
        let depth = 1 + source.map_or(0, |source| self.world.depth(source.id));
        it.refuse(depth > self.world.quota(Quota::PoolDepth), &[Reason::Quota]);
        Ok(it)
    }

    fn modify_pool(&self, body: &ModifyPool) -> Answer {
        let pool = self.pool(body.pool)?;
        let mut it = Prediction::default();
        let nothing = body.description.is_unchanged()
            && body.allocation_min_netmask_length.is_unchanged()
            && body.allocation_max_netmask_length.is_unchanged()
            && body.allocation_default_netmask_length.is_unchanged()
            && body.allocation_resource_tags.is_unchanged()
            && body.placement.is_none()
            && body.auto_import.is_none();
        it.refuse(nothing, &[Parameter]);
        it.refuse(body.auto_import == Some(true) && pool.locale.is_none(), &[Parameter, Rule]);
        let min = body.allocation_min_netmask_length.clone().applied_to(pool.min);
        let max = body.allocation_max_netmask_length.clone().applied_to(pool.max);
        let default = body.allocation_default_netmask_length.clone().applied_to(pool.default);
        it.refuse(!rules_fit(pool.family.bits(), min, max, default), &[Parameter, Rule]);
        Ok(it)
    }

    fn delete_pool(&self, body: &DeletePool) -> Answer {
        let pool = self.pool(body.pool)?;
        let mut it = Prediction::default();
        let inside = !self.world.cidrs_of(pool.id).is_empty()
            || self.world.holds_of(pool.id).next().is_some()
            || self.world.pools.iter().any(|child| child.source == Some(pool.id));
        let public = self.world.scope(pool.scope).is_some_and(|scope| scope.visibility == Visibility::Public);
        it.refuse(!body.cascade && inside, &[Dependency]);
        it.refuse(body.cascade && public && inside, &[Dependency, Parameter]);
        it.open(body.cascade && public && !inside, &[Dependency, Parameter]);
        Ok(it)
    }

    fn provision(&self, body: &ProvisionPoolCidr) -> Answer {
        let pool = self.pool(body.pool)?;
        let mut it = Prediction::default();
        let own = self.world.cidrs_of(pool.id);
        it.refuse(own.len() >= self.world.quota(Quota::CidrsPerPool), &[Reason::Quota]);
        it.refuse(body.cidr.is_some() == body.netmask_length.is_some(), &[Parameter]);
        let source = pool.source.and_then(|id| self.world.pool(id));
        if let Some(cidr) = body.cidr {
            it.refuse(cidr.family() != pool.family, &[Parameter, Space]);
            it.refuse(own.iter().any(|other| other.overlaps(cidr)), &[Space]);
            match source {
                Some(source) => {
                    let around = self.world.cidrs_of(source.id).iter().any(|around| around.contains(cidr));
                    it.refuse(!around, &[Space]);
                    it.refuse(self.world.holds_of(source.id).any(|hold| hold.cidr.overlaps(cidr)), &[Space]);
                }
                None => {
                    let tops = self.world.pools.iter().filter(|top| top.source.is_none() && top.scope == pool.scope);
                    let mut others = tops.flat_map(|top| self.world.cidrs_of(top.id));
                    it.refuse(others.any(|other| other.overlaps(cidr)), &[Space]);
                }
            }
        }
        if let Some(length) = body.netmask_length {
            it.refuse(length > pool.family.bits(), &[Parameter, Rule]);
            match source {
                None => it.refuse(true, &[Parameter]),
                Some(source) => self.choose(&mut it, source, length, &[], &[]),
            }
        }
        Ok(it)
    }

    fn allocate(&self, body: &AllocateCidr) -> Answer {
        let pool = self.pool(body.pool)?;
        let mut it = Prediction::default();
        it.refuse(self.world.cidrs_of(pool.id).is_empty(), &[Space]);
        it.refuse(body.cidr.is_some() && body.netmask_length.is_some(), &[Parameter]);
        let limited = !body.allowed_cidrs.is_empty() || !body.disallowed_cidrs.is_empty();
        it.refuse(limited && body.cidr.is_some(), &[Parameter]);
        let length = body.netmask_length.or(pool.default.filter(|_| body.cidr.is_none()));
        it.refuse(body.cidr.is_none() && length.is_none(), &[Parameter]);
        self.account_is_seen(&mut it, pool, body.resource.as_ref());
        if let Some(claim) = &body.resource {
            self.claim_fits(&mut it, pool, claim);
        }
        let asked = body.cidr.map(Cidr::length).or(length);
        it.refuse(
            asked.is_some_and(|length| !(pool.min.unwrap_or(0)..=pool.max.unwrap_or(128)).contains(&length)),
            &[Rule, Parameter],
        );
        it.refuse(asked.is_some_and(|length| length > pool.family.bits()), &[Parameter, Rule]);
        let mentioned = body.allowed_cidrs.iter().chain(&body.disallowed_cidrs);
        it.open(mentioned.into_iter().any(|cidr| cidr.family() != pool.family), &[Parameter]);
        if let Some(cidr) = body.cidr {
            it.refuse(cidr.family() != pool.family, &[Parameter, Space]);
            let around = self.world.cidrs_of(pool.id).iter().any(|around| around.contains(cidr));
            it.refuse(!around, &[Space]);
            it.refuse(self.world.holds_of(pool.id).any(|hold| hold.cidr.overlaps(cidr)), &[Space]);
            for (name, seen, attributes) in self.world.observed_in(pool.scope) {
                if !seen.overlaps(cidr) {
                    continue;
                }
                let claim = body.resource.as_ref();
                let itself = claim.is_some_and(|claim| (claim.kind, &claim.id) == (name.kind, &name.id));
                let part = claim.is_some_and(|claim| attributes.parent.as_ref() == Some(&claim.id));
                if part || (itself && seen != cidr) {
                    it.open(true, &[Space]);
                } else {
                    it.refuse(!itself, &[Space]);
                }
            }
        } else if let Some(length) = length.filter(|length| *length <= pool.family.bits()) {
            self.choose(&mut it, pool, length, &body.allowed_cidrs, &body.disallowed_cidrs);
        }
        Ok(it)
    }

    /// Looks at every aligned block of every CIDR of the pool (A5, A7, N9).
    fn choose(&self, it: &mut Prediction, pool: &Pool, length: u8, allowed: &[Cidr], disallowed: &[Cidr]) {
        let mut taken: Vec<Cidr> = self.world.holds_of(pool.id).map(|hold| hold.cidr).collect();
        taken.extend(self.world.observed_in(pool.scope).into_iter().map(|(_, cidr, _)| cidr));
        let is_free = |block: Cidr| !taken.iter().any(|other| other.overlaps(block));
        let mut free = Vec::new();
        for space in self.world.cidrs_of(pool.id) {
            let Some(more) = length.checked_sub(space.length()).filter(|_| length <= pool.family.bits()) else {
                continue;
            };
            for n in 0..1u128 << more {
                let first = space.first() + (n << (pool.family.bits() - length));
                let block = Cidr::containing(pool.family, first, length);
                let may = (allowed.is_empty() || allowed.iter().any(|range| range.contains(block)))
                    && !disallowed.iter().any(|range| range.overlaps(block));
                if may && is_free(block) {
                    let mut lengths = space.length()..=length;
                    let widest = lengths.find(|length| block.widened_to(*length).is_some_and(is_free));
                    free.push((block, widest.expect("the block itself is free")));
                }
            }
        }
        it.refuse(free.is_empty(), &[Space]);
        let lowest = free.iter().map(|(block, _)| *block).min();
        it.chosen = match pool.placement {
            Placement::FirstFit => lowest.map(Chosen::Exactly),
            Placement::BestFit => {
                let tightest = free.iter().map(|(_, widest)| *widest).max();
                let in_tightest = free.iter().filter(|(_, widest)| Some(*widest) == tightest);
                in_tightest.map(|(block, _)| *block).min().map(Chosen::Exactly)
            }
            Placement::Random => Some(Chosen::OneOf(free.into_iter().map(|(block, _)| block).collect())),
        };
    }

    fn account_is_seen(&self, it: &mut Prediction, pool: &Pool, claim: Option<&ResourceClaim>) {
        let account = claim.and_then(|claim| claim.account).unwrap_or(self.principal);
        let ipam = self.world.ipam_of_scope(pool.scope);
        it.refuse(!self.world.sees(ipam, account), &[NotMonitored]);
    }

    /// INV-A3, P3.
    fn claim_fits(&self, it: &mut Prediction, pool: &Pool, claim: &ResourceClaim) {
        it.refuse(!claim.kind.can_hold_allocation(), &[Parameter]);
        it.refuse(pool.locale.is_none(), &[Parameter, Rule]);
        it.refuse(claim.region.is_some() && claim.region != pool.locale, &[Parameter, Rule]);
        it.open(claim.region.is_none(), &[Parameter, Rule]);
        let carries = pool.tags.iter().all(|(key, value)| claim.tags.get(key) == Some(value));
        it.refuse(!carries, &[Rule]);
        let public = self.world.scope(pool.scope).is_some_and(|scope| scope.visibility == Visibility::Public);
        // Which kinds take space of which scope, and for which service, is left to later.
        let at_home = matches!((claim.kind, public), (ResourceKind::Vpc, false));
        it.open(!at_home, &[Parameter, Rule]);
    }

    fn modify_allocation(&self, body: &ModifyAllocation) -> Answer {
        let hold = self.world.hold(body.allocation).ok_or(NotFound)?;
        let pool = self.pool(hold.pool)?;
        let mut it = Prediction::default();
        it.refuse(body.description.is_unchanged() && body.resource.is_none(), &[Parameter]);
        let child = matches!(hold.holder, Holder::Child(_));
        it.open(child, &[Parameter, Dependency]);
        if let Some(claim) = &body.resource {
            let already = hold.holder == Holder::Resource(ResourceName { kind: claim.kind, id: claim.id.clone() });
            it.refuse(hold.holder != Holder::Custom && !already, &[Parameter, Dependency]);
            it.open(already, &[Parameter]);
            self.account_is_seen(&mut it, pool, Some(claim));
            self.claim_fits(&mut it, pool, claim);
            // The rules may have changed since the block was handed out.
            let lengths = pool.min.unwrap_or(0)..=pool.max.unwrap_or(128);
            it.open(!lengths.contains(&hold.cidr.length()), &[Rule]);
            // Nothing is handed out, but it would be said of a block where another resource was seen.
            let mut seen = self.world.observed_in(pool.scope).into_iter();
            it.open(seen.any(|(_, cidr, _)| cidr.overlaps(hold.cidr)), &[Space]);
        }
        Ok(it)
    }

    /// D20.
    fn release(&self, body: &ReleaseAllocation) -> Answer {
        let hold = self.world.hold(body.allocation).ok_or(NotFound)?;
        let pool = self.pool(hold.pool)?;
        let mut it = Prediction::default();
        it.refuse(body.pool.is_some_and(|named| named != pool.id), &[Parameter, NotFound]);
        it.refuse(body.cidr.is_some_and(|named| named != hold.cidr), &[Parameter, NotFound]);
        it.refuse(matches!(hold.holder, Holder::Child(_)), &[Parameter, Dependency]);
        let excused = body.force && self.command.reason.is_some();
        it.refuse(body.force && self.command.reason.is_none(), &[Parameter]);
        if let Holder::Resource(name) = &hold.holder {
            let there = self.world.is_observed_at(name, hold.cidr);
            let seen = self.world.observed_in(pool.scope);
            let monitored = seen.iter().any(|(other, cidr, _)| other == name && cidr.overlaps(hold.cidr));
            it.refuse(there && monitored && !excused, &[Dependency]);
            it.open(there && !monitored && !excused, &[Dependency]);
            // Of its parts, those that the scope of the pool does not know.
            let elsewhere = self.world.scopes.iter().filter(|scope| scope.id != pool.scope);
            let parts = elsewhere
                .flat_map(|scope| self.world.observed_in(scope.id))
                .any(|(_, cidr, attributes)| cidr.overlaps(hold.cidr) && attributes.parent.as_ref() == Some(&name.id));
            it.open(parts && !excused, &[Dependency]);
        }
        Ok(it)
    }

    fn observe(&self, body: &ObserveResource) -> Prediction {
        let mut it = Prediction::default();
        it.refuse(!body.kind.is_observable(), &[Parameter]);
        it.refuse(body.observed_at > self.now.plus_micros(60_000_000), &[Parameter]);
        it.refuse(!self.may_report_of(body.attributes.account), &[Reason::Unauthorized]);
        let known = self.whose(&ResourceName { kind: body.kind, id: body.id.clone() });
        it.refuse(known.is_some() && !self.may_report_of(known), &[Reason::Unauthorized]);
        let needs = matches!(body.kind, ResourceKind::NetworkInterface | ResourceKind::Instance);
        it.refuse(needs && body.cidrs.iter().any(|seen| seen.visibility.is_none()), &[Parameter]);
        it
    }
}

/// INV-P6, P7.
fn rules_fit(bits: u8, min: Option<u8>, max: Option<u8>, default: Option<u8>) -> bool {
    let within = |length: Option<u8>| length.is_none_or(|length| length <= bits);
    let ordered = |low: Option<u8>, high: Option<u8>| low.zip(high).is_none_or(|(low, high)| low <= high);
    within(min) && within(max) && within(default) && ordered(min, max) && ordered(min, default) && ordered(default, max)
}

/// Whether a modification names anything; kept here so that the generator need not.
pub fn set<T>(value: Option<T>) -> Change<T> {
    value.map_or(Change::Clear, Change::Set)
}
