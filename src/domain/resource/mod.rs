//! Resources as discovery saw them: facts, late or not, in whatever order they came.

use serde::{Deserialize, Serialize};

use super::command;
use super::decide::{Ask, Decided};
use super::event;
use super::event::ResourceName;
use super::outcome::Moment;
use super::state::State;

/// One resource with all its observations that stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {}

#[derive(Debug, Default)]
pub struct Resources {}

impl Resources {
    pub fn get(&self, _name: &ResourceName) -> Option<&Resource> {
        todo!()
    }
}

pub(super) fn restore(_state: &mut State, _rows: Vec<Resource>) {
    todo!()
}

pub(super) fn observe(_ask: &Ask<'_>, _body: &command::ObserveResource) -> Decided {
    todo!()
}

pub(super) fn observe_gone(_ask: &Ask<'_>, _body: &command::ObserveResourceGone) -> Decided {
    todo!()
}

pub(super) fn retract(_ask: &Ask<'_>, _body: &command::RetractObservation) -> Decided {
    todo!()
}

pub(super) fn observed(_state: &mut State, _moment: Moment, _event: &event::ResourceObserved) {
    todo!()
}

pub(super) fn gone(_state: &mut State, _moment: Moment, _event: &event::ResourceGone) {
    todo!()
}

pub(super) fn retracted(_state: &mut State, _event: &event::ObservationRetracted) {
    todo!()
}
