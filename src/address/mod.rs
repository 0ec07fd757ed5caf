//! CIDR arithmetic and free space. Knows nothing of IP address management: no pool, no
//! organisation, no time. Everything here is exact for IPv4 and IPv6 alike.

mod cidr;
mod count;

pub use cidr::{Cidr, CidrError, Family};
pub use count::AddressCount;
