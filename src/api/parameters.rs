//! The parameters that routes take, each described once.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::limits::Limits;
use crate::address::Cidr;
use crate::domain::id::{AllocationId, CommandId, IpamId, OrganizationId, PoolId, Region, Revision, ScopeId};
use crate::domain::kind::ResourceKind;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    /// Described, not checked: requests carry many headers.
    Header,
}

/// A parameter of a route.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub required: bool,
    pub about: &'static str,
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! parameters {
    ($($(#[$required:ident])? $place:ident $const:ident $name:literal: $type:ty, $about:literal;)*) => {
        $(pub static $const: Parameter = Parameter {
            name: $name,
            place: Place::$place,
            required: required!($place $($required)?),
            about: $about,
            schema: schema::<$type>,
        };)*
    };
}
macro_rules! required {
    (Path) => {
        true
    };
    ($place:ident required) => {
        true
    };
    ($place:ident) => {
        false
    };
}

/// Values that are documented where they stand, each by its schema.
macro_rules! values {
    ($($(#[$doc:meta])* $name:ident: $schema:expr;)*) => {$(
        $(#[$doc])*
        struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

values! {
    /// How long to wait, in seconds.
    WaitSeconds: {
        let max = Limits::default().revision_wait_max.as_secs();
        json_schema!({ "type": "integer", "minimum": 0, "maximum": max })
    };
    /// How many rows a page has.
    PageRows: {
        let Limits { page_rows_max, page_rows_default, .. } = Limits::default();
        json_schema!({ "type": "integer", "minimum": 1, "maximum": page_rows_max, "default": page_rows_default })
    };
    /// Where a page begins, as the page before said it.
    Cursor: json_schema!({ "type": "string", "maxLength": Limits::default().cursor_bytes_max });
    /// Blocks, separated by commas; as text.
    Blocks: json_schema!({ "type": "string", "examples": ["10.0.0.0/16", "10.0.0.0/16,10.2.0.0/16"] });
    /// An instant, a day, or a revision; as text.
    When: json_schema!({ "type": "string", "examples": ["2019-03-01", "2019-03-01T12:00:00Z", "-3d", "rev:1234"] });
}

parameters! {
    Path ORGANIZATION "organization": OrganizationId, "The organisation, or a lone account.";
    Path IPAM "ipam": IpamId, "The IPAM.";
    Path SHOWN_SCOPE "scope": ScopeId, "The scope.";
    Path POOL "pool": PoolId, "The pool.";
    Path ALLOCATION "allocation": AllocationId, "The allocation.";
    Path COMMAND "command_id": CommandId, "The command.";

    Header PREFER "Prefer": String, "`respond-async`: answer 202 as soon as the command cannot be lost, without waiting for its outcome.";

    Query AT "at": When, "What was true in the world at this moment; now when absent. One state is shown: of a bare date, the one at its end, in UTC.";
    Query AT_TIME "at": When, "What was true in the world at this moment; now when absent. A bare date is the whole day, in UTC: what was so for a part of it is listed.";
    Query AT_ANY_TIME "at": When, "What was true in the world at this moment; at any time when absent. A bare date is the whole day, in UTC: what was so for a part of it is listed.";
    Query AS_OF "as_of": When, "What the ledger knew at this moment; all it knows when absent. A bare date is its end, in UTC.";
    Query AT_LEAST "at_least": Revision, "Answer from this revision or a later one; waits for it if need be.";
    Query WAIT_SECONDS "wait_seconds": WaitSeconds, "How long to wait for `at_least`, in seconds: at most 30, 5 when absent.";
    Query OUTCOME_WAIT_SECONDS "wait_seconds": WaitSeconds, "How long to wait for the outcome, in seconds: at most 30, 0 when absent.";
    Query LIMIT "limit": PageRows, "Rows of a page: 1 to 1,000, 100 when absent.";
    Query AFTER "after": Cursor, "The next page: what the page before gave as `next`.";
    #[required] Query ADDRESS "address": std::net::IpAddr, "The address.";
    #[required] Query CIDR "cidr": Cidr, "The block; one address is a /32 or a /128.";
    Query SCOPE "scope": ScopeId, "In this scope only.";
    #[required] Query THE_SCOPE "scope": ScopeId, "The scope.";
    Query OF_IPAM "ipam": IpamId, "Of this IPAM only.";
    #[required] Query KIND "kind": ResourceKind, "The kind of the resources.";
    #[required] Query RESOURCE "id": String, "The resource's id.";
    Query REGION "region": Region, "Of this region only.";
    Query FROM "from": When, "From this moment on; of a bare date, from its beginning.";
    Query UNTIL "until": When, "Up to this moment, exclusive; of a bare date, up to its beginning.";
    Query NETMASK_LENGTH "netmask_length": u8, "The length of the block that is looked for; the pool's default when absent.";
    Query ALLOWED_CIDRS "allowed_cidrs": Blocks, "Only inside one of these blocks, separated by commas; anywhere in the pool when absent.";
    Query DISALLOWED_CIDRS "disallowed_cidrs": Blocks, "Away from these blocks, separated by commas.";
    #[required] Query STREAM_ORGANIZATION "organization": OrganizationId, "Whose events.";
    Header LAST_EVENT_ID "Last-Event-ID": Revision, "The last event that the client has seen; the stream goes on behind it.";
    Query FROM_REVISION "from_revision": Revision, "The first revision to send; 1 when absent. `Last-Event-ID` goes before it.";
}
