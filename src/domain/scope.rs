//! Scopes: one network's address space each.

use serde::{Deserialize, Serialize};

use super::command;
use super::decide::{Ask, Decided};
use super::event;
use super::id::ScopeId;
use super::outcome::Moment;
use super::state::State;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scope {}

#[derive(Debug, Default)]
pub struct Scopes {}

impl Scopes {
    pub fn get(&self, _id: ScopeId) -> Option<&Scope> {
        todo!()
    }
    pub(super) fn restore(&mut self, _scope: Scope) {
        todo!()
    }
}

pub(super) fn create(_ask: &Ask<'_>, _body: &command::CreateScope) -> Decided {
    todo!()
}

pub(super) fn modify(_ask: &Ask<'_>, _body: &command::ModifyScope) -> Decided {
    todo!()
}

pub(super) fn delete(_ask: &Ask<'_>, _body: &command::DeleteScope) -> Decided {
    todo!()
}

pub(super) fn created(_state: &mut State, _moment: Moment, _event: &event::ScopeCreated) {
    todo!()
}

pub(super) fn modified(_state: &mut State, _moment: Moment, _event: &event::ScopeModified) {
    todo!()
}

pub(super) fn deleted(_state: &mut State, _event: &event::ScopeDeleted) {
    todo!()
}
