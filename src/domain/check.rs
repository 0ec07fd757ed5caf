//! Bounds on what a command may carry: texts, tags, lists. One place for each limit.

use super::decide::Ask;
use super::rejection::Rejection;

/// Checks what every command carries: the reason's and the principal's length.
pub(super) fn header(_ask: &Ask<'_>) -> Result<(), Rejection> {
    todo!()
}
