//! Who may do what, and whose resources an IPAM sees (design D18, D19).

use super::decide::Ask;
use super::rejection::Rejection;

/// Refuses commands for an organisation that does not exist, those that open one excepted.
pub(super) fn organization_exists(_ask: &Ask<'_>) -> Result<(), Rejection> {
    todo!()
}

/// Holds `if_revision` against the object that the command names.
pub(super) fn if_revision(_ask: &Ask<'_>) -> Result<(), Rejection> {
    todo!()
}
