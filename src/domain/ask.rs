//! What a rule is asked, and what it says.

use super::command::Command;
use super::event::Event;
use super::id::IdSeed;
use super::rejection::Rejection;
use super::state::State;
use super::time::Timestamp;

/// Events, in order, or why not. No events: everything is already so.
pub type Decided = Result<Vec<Event>, Rejection>;

/// What a decision depends on beside state and command.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The instant that the outcome will carry; later than every earlier outcome's.
    pub decided_at: Timestamp,
}

/// One question to the rules: may this be, and what happens then?
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub state: &'a State,
    pub command: &'a Command,
    pub now: Timestamp,
}

impl Ask<'_> {
    /// What ids of new objects are made from.
    pub fn seed(&self) -> IdSeed {
        IdSeed::new(&self.state.id, self.command.id)
    }
}
