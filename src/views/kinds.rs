//! The kinds of rows in the ledger view's family: the first byte of a key, never used again for another kind.
//! 0x01 is the position, in every family.

/// Organisation → [`super::outcomes::Head`].
pub(super) const HEAD: u8 = 0x10;
/// Organisation, row key → row of the domain's state as it stands.
pub(super) const STATE: u8 = 0x11;
/// Organisation, descending instant of decision → revision.
pub(super) const CLOCK: u8 = 0x12;
/// Organisation, kind of object, id, descending revision → [`super::objects::ObjectRow`].
pub(super) const OBJECT: u8 = 0x13;
/// Organisation, kind and id of the parent, kind and id of the child → nothing. Only grows.
pub(super) const CHILDREN: u8 = 0x14;
/// Organisation, pool, descending revision → counters.
pub(super) const USAGE: u8 = 0x15;
/// Organisation, pool, block, allocation → the revisions between which it was held. Only grows.
pub(super) const HOLDING: u8 = 0x16;
/// Organisation, command id → digest and where the outcome is.
pub(super) const COMMAND: u8 = 0x17;
/// Organisation, revision → partition, offset, instant, value.
pub(super) const OUTCOME: u8 = 0x18;
/// Partition → the greatest UUIDv7 among the command ids.
pub(super) const NEWEST_COMMAND: u8 = 0x19;
