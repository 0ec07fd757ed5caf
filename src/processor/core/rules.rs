//! The rules that the core decides by: the domain's, or a test's.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::domain::command::Command;
use crate::domain::event::Event;
use crate::domain::outcome::Moment;
use crate::domain::{Context, Decided, State, advance, decide};

/// `decide` and `apply`. A trait so that a test can plant a defect.
pub trait Rules: Send + Sync {
    /// Events, or why not. Changes nothing.
    ///
    /// # Errors
    /// A rejection when a rule forbids it.
    fn decide(&self, state: &State, command: &Command, context: &Context) -> Decided;

    /// Folds the events of the outcome at `moment`.
    fn apply(&self, state: &mut State, moment: Moment, events: &[Event]);
}

/// The rules of IP address management.
#[derive(Clone, Copy, Debug, Default)]
pub struct Domain;

impl Rules for Domain {
    fn decide(&self, state: &State, command: &Command, context: &Context) -> Decided {
        decide(state, command, context)
    }

    fn apply(&self, state: &mut State, moment: Moment, events: &[Event]) {
        advance(state, moment, events);
    }
}

/// A panic's message is cut to this, in characters.
const PANIC_MESSAGE_MAX: usize = 200;

/// Runs `what`; a panic becomes its message. Whoever calls this drops what `what` may have left half done.
pub(super) fn guarded<T>(what: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(what)).map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "a panic without a message",
    };
    text.chars().take(PANIC_MESSAGE_MAX).collect()
}
