//! Agents: they see resources come and go, and tell of it late, out of order, twice, and sometimes wrongly.

use ipam_ledger::address::{Cidr, Family};
use ipam_ledger::domain::command::{
    CommandBody, ObserveResource, ObserveResourceGone, ObservedCidr, ResourceAttributes, RetractObservation, Visibility,
};
use ipam_ledger::domain::kind::ResourceKind;

use super::faults::Fault;
use super::world::World;
use crate::model::{ADMIN, MEMBER, account, region};

const SECOND: i64 = 1_000_000;

impl World {
    /// An agent tells of one instant of one resource.
    pub fn observe(&mut self) {
        if !self.fault(Fault::Agents) {
            return;
        }
        let organization = self.random.of(&self.organizations).cloned().expect("there is one");
        let known = self.oracle.world(&organization);
        let kinds = [
            ResourceKind::Vpc,
            ResourceKind::Vpc,
            ResourceKind::Subnet,
            ResourceKind::Eip,
            ResourceKind::PublicIpv4Pool,
            ResourceKind::NetworkInterface,
        ];
        let kind = self.random.of(&kinds).copied().expect("there are some");
        // Few, and theirs alone.
        let id = format!("{kind}-seen-{}", self.random.below(2));
        // Few instants, so that observations meet at one.
        let minutes = self.random.between(0, 2);
        let observed_at =
            ipam_ledger::domain::time::Timestamp::from_micros(1_767_225_000 * SECOND + minutes * 60 * SECOND);
        let body: CommandBody = match self.random.below(10) {
            0..=5 => {
                let family = if self.random.one_in(4) { Family::Ipv6 } else { Family::Ipv4 };
                let base = if family == Family::Ipv4 { 0x0a00_0000 } else { 0xfd01_u128 << 112 };
                let visibility = (kind == ResourceKind::NetworkInterface).then_some(Visibility::Private);
                let mut cidrs: Vec<_> = (0..=self.random.below(2))
                    .map(|_| {
                        // Where somebody has space, too: that is where overlaps are.
                        let held = self.random.of(&known.holds).filter(|_| self.random.one_in(3)).map(|hold| hold.cidr);
                        let address = base + self.random.below(1_024) as u128;
                        let length = family.bits() - self.random.below(9) as u8;
                        ObservedCidr { cidr: held.unwrap_or(Cidr::containing(family, address, length)), visibility }
                    })
                    .collect();
                cidrs.sort_unstable();
                cidrs.dedup();
                let accounts = [ADMIN, MEMBER];
                let attributes = ResourceAttributes {
                    account: self.random.of(&accounts).map(|text| account(text)),
                    region: Some(region(if self.random.one_in(5) { "us-east-1" } else { "eu-central-1" })),
                    parent: (kind == ResourceKind::Subnet).then(|| "vpc-seen-0".to_owned()),
                    ..ResourceAttributes::default()
                };
                ObserveResource { kind, id, observed_at, cidrs, attributes }.into()
            }
            6..=7 => ObserveResourceGone { kind, id, observed_at, source: None }.into(),
            _ => match self.random.of(&known.facts) {
                Some(fact) => {
                    let revision = self.random.one_in(2).then_some(fact.revision);
                    let (kind, id) = (fact.name.kind, fact.name.id.clone());
                    RetractObservation { kind, id, observed_at: fact.at, revision }.into()
                }
                None => RetractObservation { kind, id, observed_at, revision: None }.into(),
            },
        };
        let command = self.command(&organization, account(ADMIN), body);
        self.send(command);
    }
}
