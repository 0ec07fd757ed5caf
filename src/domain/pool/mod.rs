//! Pools: contiguous address space that is split into child pools and handed out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command;
use super::decide::{Ask, Decided};
use super::event;
use super::id::PoolId;
use super::outcome::Moment;
use super::state::State;

/// Which free block of the asked length is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// The lowest aligned free block, across all CIDRs of the pool.
    #[default]
    FirstFit,
    /// The lowest aligned block in the smallest free space that holds one.
    BestFit,
    /// The first free block at or after a point that is hashed from the command's id.
    Random,
}

/// The AWS service that a public pool's space is for (spec §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AwsService {
    Ec2,
    GlobalServices,
}

/// Where a public pool's space comes from (spec §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PublicIpSource {
    Amazon,
    Byoip,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {}

#[derive(Debug, Default)]
pub struct Pools {}

impl Pools {
    pub fn get(&self, _id: PoolId) -> Option<&Pool> {
        todo!()
    }
    pub(super) fn restore(&mut self, _pool: Pool) {
        todo!()
    }
}

pub(super) fn create(_ask: &Ask<'_>, _body: &command::CreatePool) -> Decided {
    todo!()
}

pub(super) fn modify(_ask: &Ask<'_>, _body: &command::ModifyPool) -> Decided {
    todo!()
}

pub(super) fn delete(_ask: &Ask<'_>, _body: &command::DeletePool) -> Decided {
    todo!()
}

pub(super) fn provision(_ask: &Ask<'_>, _body: &command::ProvisionPoolCidr) -> Decided {
    todo!()
}

pub(super) fn deprovision(_ask: &Ask<'_>, _body: &command::DeprovisionPoolCidr) -> Decided {
    todo!()
}

pub(super) fn created(_state: &mut State, _moment: Moment, _event: &event::PoolCreated) {
    todo!()
}

pub(super) fn modified(_state: &mut State, _moment: Moment, _event: &event::PoolModified) {
    todo!()
}

pub(super) fn deleted(_state: &mut State, _moment: Moment, _event: &event::PoolDeleted) {
    todo!()
}

pub(super) fn cidr_provisioned(_state: &mut State, _moment: Moment, _event: &event::PoolCidrProvisioned) {
    todo!()
}

pub(super) fn cidr_deprovisioned(_state: &mut State, _moment: Moment, _event: &event::PoolCidrDeprovisioned) {
    todo!()
}
