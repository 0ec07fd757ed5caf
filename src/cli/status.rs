//! `ipam status`: the ledger that would be asked, and how it is.

use super::failure::Failure;
use super::print::{Listing, or_dash};
use super::session::Session;
use crate::api::PartitionStatus;

/// # Errors
/// When there is no ledger, or it cannot answer: says why.
pub fn run(session: &Session) -> Result<(), Failure> {
    let place = session.reading()?.place();
    session.ask::<serde_json::Value>("/readyz")?;
    session.show("/v1/partitions", |partitions: &Vec<PartitionStatus>| {
        let mut listing = Listing::new(&["partition", ">next offset", ">epoch", ">void"]);
        for PartitionStatus { partition, admission } in partitions {
            let epoch = admission.reign.as_ref().map(|reign| reign.epoch);
            listing.row(
                partition,
                [partition.to_string(), admission.next.to_string(), or_dash(epoch), admission.void_count.to_string()],
            );
        }
        listing.note(format!("ready: {place}"));
        listing
    })
}
