//! What an accepted command brought about, for people: the block, the id, the change.

use super::print::{Listing, instant, or_dash, pairs};
use crate::domain::event::{Event, NotMonitored};
use crate::domain::outcome::Outcome;

/// The result of an accepted command. `-q` prints what one would work on with: the block of an
/// allocation, the id of something new, else the revision.
pub fn listing(outcome: &Outcome) -> Listing {
    let mut listing = match outcome.events() {
        [Event::CidrAllocated(event), ..] => Listing::of_one(
            event.cidr,
            [
                ("cidr", Some(event.cidr.to_string())),
                ("allocation", Some(event.allocation.to_string())),
                ("pool", Some(event.pool.to_string())),
                ("for", event.resource.as_ref().map(|resource| format!("{} {}", resource.kind, resource.id))),
                ("tags", pairs(&event.tags)),
            ],
        ),
        [Event::PoolCidrProvisioned(event), ..] => Listing::of_one(
            event.cidr,
            [
                ("cidr", Some(event.cidr.to_string())),
                ("pool", Some(event.pool.to_string())),
                ("source allocation", event.source_allocation.map(|id| id.to_string())),
            ],
        ),
        [Event::PoolCreated(event), ..] => Listing::of_one(
            event.pool,
            [
                ("pool", Some(event.pool.to_string())),
                ("scope", Some(event.scope.to_string())),
                ("source pool", event.source_pool.map(|id| id.to_string())),
                ("tags", pairs(&event.tags)),
            ],
        ),
        [Event::ScopeCreated(event), ..] => {
            Listing::of_one(event.scope, [("scope", Some(event.scope.to_string())), ("tags", pairs(&event.tags))])
        }
        [Event::IpamCreated(event), ..] => Listing::of_one(
            event.ipam,
            [
                ("ipam", Some(event.ipam.to_string())),
                ("private scope", Some(event.private_default_scope.to_string())),
                ("public scope", Some(event.public_default_scope.to_string())),
                (
                    "regions",
                    Some(event.operating_regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
                ),
                ("tags", pairs(&event.tags)),
            ],
        ),
        [Event::AllocationReleased(event), ..] => {
            let mut listing = Listing::of_one(event.cidr, [("released", Some(event.cidr.to_string()))]);
            for resource in &event.still_observed {
                listing.note(format!(
                    "the space is not handed out again yet: {} {} is still observed in it",
                    resource.kind, resource.id
                ));
            }
            listing
        }
        [Event::ResourceObserved(event), ..] => {
            let mut listing = Listing::of_one(or_dash(outcome.revision), []);
            if let Some(reason) = event.not_monitored {
                listing.note(format!("its space may be handed out: {}", not_monitored(reason)));
            }
            listing
        }
        _ => Listing::of_one(or_dash(outcome.revision), []),
    };
    let what = match outcome.events() {
        [] => "nothing to do: it is so already",
        _ => "accepted",
    };
    listing.note(format!("{what}, revision {}, {}", or_dash(outcome.revision), instant(outcome.decided_at)));
    listing
}

/// Why no IPAM monitors a resource, and what to say or do.
fn not_monitored(reason: NotMonitored) -> &'static str {
    match reason {
        NotMonitored::NoIpam => "no IPAM monitors it, there is none yet (ipam instance create)",
        NotMonitored::NoAccount => "no IPAM monitors it, its account is not known (--account)",
        NotMonitored::AccountOutside => "no IPAM monitors it, its account is no member (ipam org add-account)",
        NotMonitored::NoServiceLinkedRole => {
            "no IPAM monitors it, its account has no role for IPAM (ipam org delegate-admin; ipam org show says why)"
        }
        NotMonitored::NoRegion => "no IPAM monitors it, its region is not known (--region)",
        NotMonitored::RegionNotOperated => {
            "no IPAM monitors it, none operates in its region (ipam instance modify --add-region)"
        }
        NotMonitored::Published => "published ranges belong to nobody here",
    }
}
