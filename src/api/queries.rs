//! Queries over HTTP: parameters in, the answers of the views out. What is true is not decided here.

use std::str::FromStr;

use chrono::Utc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Api;
use super::asked::Asked;
use super::problem::{Problem, shortened};
use crate::address::Cidr;
use crate::domain::Context;
use crate::domain::command::{AllocateCidr, Command, Principal, Proof};
use crate::domain::digest::Digest;
use crate::domain::id::{IpamId, OrganizationId, PoolId};
use crate::domain::pool::Placement;
use crate::domain::time::Timestamp;
use crate::views::answer::{
    AllocationAnswer, Answer, IpamAnswer, OrganizationAnswer, Page, Paging, PoolAnswer, PoolCidrAnswer, PoolTree,
    ScopeAnswer, UsagePoint,
};
use crate::views::objects::{self, Picture};
use crate::views::when::{AnswerHead, QueryError, When, WhenError, check_limit, parse_as_of, parse_at};

/// A block that a pool would hand out; nothing is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextCidr {
    pub pool: PoolId,
    pub cidr: Cidr,
    /// Whether the pool's next custom allocation that asks for the same gets this very block. Not where the pool's
    /// placement is `random`: there it is one of the free blocks, and every allocation gets one of its own.
    pub certain: bool,
}

/// An organisation or a lone account that has a history here, and where that ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrganizationHead {
    pub organization: OrganizationId,
    #[serde(flatten)]
    pub head: AnswerHead,
}

/// An answer, or why there is none.
pub type Answered<T> = Result<Answer<T>, Problem>;

/// All organisations, by id. They are told apart by partition and stream alone, so no one revision answers for all.
pub fn organizations(api: &Api, asked: &Asked) -> Result<Page<OrganizationHead>, Problem> {
    let Paging { limit, after } = paging(api, asked)?;
    let after: Option<OrganizationId> = after.map(|after| after.parse()).transpose().map_err(|_| QueryError::Cursor)?;
    let all = api.views().organizations().map_err(QueryError::Store)?;
    let mut rest = all.into_iter().filter(|(id, _)| after.as_ref().is_none_or(|after| id.as_str() > after.as_str()));
    let items: Vec<_> = rest
        .by_ref()
        .take(limit)
        .map(|(organization, head)| OrganizationHead { organization, head: AnswerHead::from(head.moment) })
        .collect();
    let next = rest.next().and(items.last()).map(|last| last.organization.to_string());
    Ok(Page { items, next })
}

pub fn organization(api: &Api, asked: &Asked) -> Answered<OrganizationAnswer> {
    ask(api, asked, objects::organization)
}

pub fn ipams(api: &Api, asked: &Asked) -> Answered<Page<IpamAnswer>> {
    ask(api, asked, objects::ipams)
}

pub fn ipam(api: &Api, asked: &Asked) -> Answered<IpamAnswer> {
    let ipam: IpamId = asked.path("ipam")?;
    let Answer { organization, head, body } = ipams(api, asked)?;
    let missing = || QueryError::NotFound { what: "IPAM", id: ipam.to_string(), revision: head.revision };
    let body = body.items.into_iter().find(|one| one.ipam == ipam).ok_or_else(missing)?;
    Ok(Answer { organization, head, body })
}

pub fn scopes(api: &Api, asked: &Asked) -> Answered<Page<ScopeAnswer>> {
    let ipam = asked.query("ipam")?;
    ask(api, asked, |picture| objects::scopes(picture, ipam))
}

pub fn scope(api: &Api, asked: &Asked) -> Answered<ScopeAnswer> {
    let scope = asked.path("scope")?;
    ask(api, asked, |picture| objects::scope(picture, scope))
}

pub fn pools(api: &Api, asked: &Asked) -> Answered<PoolTree> {
    let scope = asked.query("scope")?;
    ask(api, asked, |picture| objects::pool_tree(picture, scope))
}

pub fn fullest_pools(api: &Api, asked: &Asked) -> Answered<Page<PoolAnswer>> {
    let limit = limit(api, asked)?;
    ask(api, asked, |picture| objects::fullest(picture, limit))
}

pub fn pool(api: &Api, asked: &Asked) -> Answered<PoolAnswer> {
    let pool = asked.path("pool")?;
    ask(api, asked, |picture| objects::pool(picture, pool))
}

pub fn pool_cidrs(api: &Api, asked: &Asked) -> Answered<Page<PoolCidrAnswer>> {
    let pool = asked.path("pool")?;
    ask(api, asked, |picture| objects::pool_cidrs(picture, pool))
}

pub fn pool_allocations(api: &Api, asked: &Asked) -> Answered<Page<AllocationAnswer>> {
    let (pool, paging) = (asked.path("pool")?, paging(api, asked)?);
    ask(api, asked, |picture| objects::allocations(picture, pool, &paging))
}

pub fn pool_usage(api: &Api, asked: &Asked) -> Answered<Page<UsagePoint>> {
    let (pool, paging) = (asked.path("pool")?, paging(api, asked)?);
    ask(api, asked, |picture| objects::usage_series(picture, pool, &paging))
}

pub fn allocation(api: &Api, asked: &Asked) -> Answered<AllocationAnswer> {
    let allocation = asked.path("allocation")?;
    ask(api, asked, |picture| objects::allocation(picture, allocation))
}

/// Asks about the organisation of the path, at the time that the parameters name.
fn ask<T>(api: &Api, asked: &Asked, question: impl FnOnce(&Picture<'_>) -> Result<T, QueryError>) -> Answered<T> {
    Ok(api.views().ask(&organization_of(asked)?, &when(asked)?, question)?)
}

/// Blocks, separated by commas.
struct Blocks(Vec<Cidr>);

impl FromStr for Blocks {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let block = |text: &str| text.parse().map_err(|error| format!("`{}`: {error}", shortened(text)));
        text.split(',').map(block).collect::<Result<_, _>>().map(Self)
    }
}

/// What the pool's owner would be given for a custom allocation, decided by the same code as the command itself.
pub fn next_cidr(api: &Api, asked: &Asked) -> Answered<NextCidr> {
    let (organization, pool) = (organization_of(asked)?, asked.path::<PoolId>("pool")?);
    let blocks = |name| asked.query::<Blocks>(name).map(|blocks| blocks.map_or_else(Vec::new, |Blocks(blocks)| blocks));
    let pool_now = |picture: &Picture<'_>| Ok((objects::pool(picture, pool)?, objects::ipams(picture)?.items));
    let (PoolAnswer { ipam, placement, .. }, ipams) = api.views().ask(&organization, &When::NOW, pool_now)?.body;
    let owner = ipams.iter().find(|one| one.ipam == ipam).map(|one| one.owner);
    let account = owner.ok_or_else(|| Problem::internal(format!("{ipam} has no owner")))?;
    let body = AllocateCidr {
        pool,
        cidr: None,
        netmask_length: asked.query("netmask_length")?,
        allowed_cidrs: blocks("allowed_cidrs")?,
        disallowed_cidrs: blocks("disallowed_cidrs")?,
        description: None,
        tags: std::collections::BTreeMap::new(),
        resource: None,
    };
    let command = Command {
        id: Uuid::now_v7(),
        organization: organization.clone(),
        principal: Principal { account, name: None, proof: Proof::None },
        if_revision: None,
        reason: None,
        digest: Digest::of(b""),
        body: body.into(),
    };
    let (head, cidr) = api.views().preview_next_cidr(&command, &Context { decided_at: now() })?;
    let cidr = cidr.map_err(|rejection| Problem::rejected(&rejection, None))?;
    Ok(Answer { organization, head, body: NextCidr { pool, cidr, certain: placement != Placement::Random } })
}

// --- Parameters that several queries have.

pub(super) fn organization_of(asked: &Asked) -> Result<OrganizationId, Problem> {
    asked.path("organization")
}

pub(super) fn when(asked: &Asked) -> Result<When, Problem> {
    Ok(When { at: moment(asked, "at", parse_at)?, as_of: moment(asked, "as_of", parse_as_of)? })
}

/// A time that a parameter names, when it was given.
pub(super) fn moment<T>(
    asked: &Asked,
    name: &str,
    parse: fn(&str, Timestamp) -> Result<T, WhenError>,
) -> Result<Option<T>, Problem> {
    let read = asked.text(name).map(|text| parse(text, now())).transpose();
    read.map_err(|error| Problem::from(QueryError::When(error)).value("parameter", name))
}

pub(super) fn now() -> Timestamp {
    Timestamp::from(Utc::now())
}

pub(super) fn limit(api: &Api, asked: &Asked) -> Result<usize, Problem> {
    let max = api.limits().page_rows_max;
    match asked.query::<usize>("limit")? {
        None => Ok(api.limits().page_rows_default),
        Some(limit) => Ok(check_limit(limit, max)?),
    }
}

fn paging(api: &Api, asked: &Asked) -> Result<Paging, Problem> {
    Ok(Paging { limit: limit(api, asked)?, after: after(api, asked)?.map(str::to_owned) })
}

/// Where the page begins. What it means is the query's own question.
pub(super) fn after<'a>(api: &Api, asked: &'a Asked) -> Result<Option<&'a str>, Problem> {
    let max = api.limits().cursor_bytes_max;
    match asked.text("after") {
        Some(after) if after.len() > max => {
            let error = format!("it has {} bytes; what a page gives as `next` has at most {max}", after.len());
            Err(Problem::invalid_parameter("after", after, error).try_instead("bytes_max", max))
        }
        after => Ok(after),
    }
}
