//! IPAMs: home and operating regions, two default scopes each.

use serde::{Deserialize, Serialize};

use super::command;
use super::decide::{Ask, Decided};
use super::event;
use super::id::IpamId;
use super::outcome::Moment;
use super::state::State;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ipam {}

#[derive(Debug, Default)]
pub struct Ipams {}

impl Ipams {
    pub fn get(&self, _id: IpamId) -> Option<&Ipam> {
        todo!()
    }
    pub(super) fn restore(&mut self, _ipam: Ipam) {
        todo!()
    }
}

pub(super) fn create(_ask: &Ask<'_>, _body: &command::CreateIpam) -> Decided {
    todo!()
}

pub(super) fn modify(_ask: &Ask<'_>, _body: &command::ModifyIpam) -> Decided {
    todo!()
}

pub(super) fn delete(_ask: &Ask<'_>, _body: &command::DeleteIpam) -> Decided {
    todo!()
}

pub(super) fn created(_state: &mut State, _moment: Moment, _event: &event::IpamCreated) {
    todo!()
}

pub(super) fn modified(_state: &mut State, _moment: Moment, _event: &event::IpamModified) {
    todo!()
}

pub(super) fn deleted(_state: &mut State, _event: &event::IpamDeleted) {
    todo!()
}
