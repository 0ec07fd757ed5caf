//! A naive model of the domain, shared by the tests that judge by it: what the events say as plain lists ([`world`]),
//! what must come of a command ([`predict`], [`effects`]), and commands worth asking ([`generate`]).
//!
//! Written from the behaviour reference and the design, not from the code.

pub mod effects;
pub mod generate;
mod invariants;
pub mod predict;
pub mod world;

use ipam_ledger::domain::Decided;
use ipam_ledger::domain::command::{
    AddAccount, CommandBody, CreateIpam, CreateOrganization, DelegateAdmin, SetQuota, Tags,
};
use ipam_ledger::domain::event::Event;
use ipam_ledger::domain::id::{AccountId, Region};
use ipam_ledger::domain::quota::Quota;

use predict::{Chosen, Prediction, Reason};

pub const MANAGEMENT: &str = "000000000001";
pub const ADMIN: &str = "000000000002";
pub const MEMBER: &str = "000000000003";
/// Joins later, if at all.
pub const LATE: &str = "000000000004";
pub const STRANGER: &str = "999999999999";

pub fn account(text: &str) -> AccountId {
    text.parse().expect("well formed")
}

pub fn region(text: &str) -> Region {
    text.parse().expect("well formed")
}

/// Whether the ledger did what the model foresaw.
pub fn agrees(prediction: &Prediction, decided: &Decided) -> Result<(), String> {
    match decided {
        Err(refused) => {
            let reason = Reason::from(refused.code);
            if prediction.reasons.contains(&reason) {
                return Ok(());
            }
            Err(format!("refused for {reason:?}; the model has {:?}", prediction.reasons))
        }
        Ok(events) => {
            if !prediction.reasons.is_empty() && !prediction.open {
                return Err(format!("accepted; the model refuses for {:?}", prediction.reasons));
            }
            let given = events.iter().find_map(|event| match event {
                Event::CidrAllocated(it) => Some(it.cidr),
                Event::PoolCidrProvisioned(it) => Some(it.cidr),
                _ => None,
            });
            match (&prediction.chosen, given) {
                (Some(Chosen::Exactly(expect)), Some(given)) if *expect != given => {
                    Err(format!("{given} handed out; the model has {expect}"))
                }
                (Some(Chosen::OneOf(free)), Some(given)) if !free.contains(&given) => {
                    Err(format!("{given} handed out, which is not free"))
                }
                (Some(_), None) => Err("no block handed out".to_owned()),
                _ => Ok(()),
            }
        }
    }
}

/// An organisation with a delegated administrator, its IPAM, and quotas that are soon met.
pub fn preamble() -> Vec<(AccountId, CommandBody)> {
    let management = account(MANAGEMENT);
    let quota = |quota, value| SetQuota { quota, value };
    vec![
        (management, CreateOrganization { management_account: management }.into()),
        (management, AddAccount { account: account(ADMIN), name: None }.into()),
        (management, AddAccount { account: account(MEMBER), name: None }.into()),
        (management, quota(Quota::PoolsPerScope, 6).into()),
        (management, quota(Quota::PoolDepth, 3).into()),
        (management, quota(Quota::CidrsPerPool, 4).into()),
        (management, DelegateAdmin { account: account(ADMIN) }.into()),
        (
            account(ADMIN),
            CreateIpam {
                home_region: region("eu-central-1"),
                operating_regions: vec![region("eu-west-1")],
                description: None,
                name: None,
                tags: Tags::new(),
            }
            .into(),
        ),
    ]
}
