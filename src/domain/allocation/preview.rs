//! What an allocation would get, without making it.

use crate::address::Cidr;
use crate::domain::ask::Context;
use crate::domain::command::{Command, CommandBody};
use crate::domain::decide::decide;
use crate::domain::event::Event;
use crate::domain::rejection::{Code, Rejection};
use crate::domain::state::State;

/// The block that this `AllocateCidr` would get now: the same code decides it, and nothing changes (INV-A6).
/// A pool with random placement gives the same block to the same command id only.
///
/// # Errors
/// The rejection that the command would meet.
pub fn preview_next_cidr(state: &State, command: &Command, context: &Context) -> Result<Cidr, Rejection> {
    if !matches!(command.body, CommandBody::AllocateCidr(_)) {
        let message = format!("Only `AllocateCidr` can be previewed, not `{}`.", command.body.type_name());
        return Err(Rejection::new(Code::UnsupportedOperation, "INV-A6", message));
    }
    let events = decide(state, command, context)?;
    let [Event::CidrAllocated(allocated)] = events.as_slice() else { unreachable!("allocating is one event") };
    Ok(allocated.cidr)
}
