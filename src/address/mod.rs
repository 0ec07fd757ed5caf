//! CIDR arithmetic and free space. Knows nothing of IP address management: no pool, no
//! organisation, no time. Everything here is exact for IPv4 and IPv6 alike.

mod blocks;
mod cidr;
mod count;
pub mod space;
pub(crate) mod text;

pub use blocks::BlockMap;
pub use cidr::{Cidr, CidrError, Family};
pub use count::AddressCount;
pub use space::{Fit, Slot, Space, search_ranges};
