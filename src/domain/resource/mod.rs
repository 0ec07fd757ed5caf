//! Resources as discovery saw them: facts, late or not, in whatever order they came (design D15, D16).
//!
//! A resource's state at an instant is its latest observation at or before it; at one instant present
//! beats gone. Nothing here says what an allocation may be for: that is `allocation`'s. Invariant: what is
//! known of a resource depends on the set of its standing observations, not on their order of arrival.

mod decide;
mod observation;
mod placing;
mod table;
#[cfg(test)]
mod tests;

pub(super) use decide::{observe, observe_gone, retract};
pub use observation::{Observation, Presence, Resource};
pub use placing::visibility;
pub(super) use placing::{block_new_space, blockers_in, reach_changed, related};
pub use table::Resources;
pub(super) use table::{gone, observed, restore, retracted};
