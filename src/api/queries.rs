//! Queries over HTTP: parameters in, the answers of the views out. What is true is not decided here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Cidr;
use crate::domain::id::PoolId;

/// The block that a pool would hand out next; nothing is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextCidr {
    pub pool: PoolId,
    pub cidr: Cidr,
}
