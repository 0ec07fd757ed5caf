//! Tags on anything that has an id.

use super::command;
use super::decide::{Ask, Decided};
use super::event;
use super::outcome::Moment;
use super::state::State;

pub(super) fn tag(_ask: &Ask<'_>, _body: &command::TagResource) -> Decided {
    todo!()
}

pub(super) fn untag(_ask: &Ask<'_>, _body: &command::UntagResource) -> Decided {
    todo!()
}

pub(super) fn tagged(_state: &mut State, _moment: Moment, _event: &event::ResourceTagged) {
    todo!()
}

pub(super) fn untagged(_state: &mut State, _moment: Moment, _event: &event::ResourceUntagged) {
    todo!()
}
