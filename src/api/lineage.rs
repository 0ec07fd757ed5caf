//! Questions about addresses over HTTP: who held them, what overlaps, what changed.

use std::net::IpAddr;

use axum::http::StatusCode;

use super::Api;
use super::asked::Asked;
use super::problem::Problem;
use super::queries::{after, limit, moment, now, organization_of, when};
use crate::address::Cidr;
use crate::domain::event::ResourceName;
use crate::domain::id::{OrganizationId, ScopeId};
use crate::domain::kind::ResourceKind;
use crate::views::lineage::answers::{ChangesAnswer, LineageAnswer, ResourceHistory};
use crate::views::lineage::{self, ChangesFilter, LineageQuery};
use crate::views::overlaps::answers::OverlapsAnswer;
use crate::views::overlaps::{OverlapsQuery, overlaps};
use crate::views::table::Rows;
use crate::views::when::{AnswerHead, At, When, Window, parse_at};

pub fn holders(api: &Api, asked: &Asked) -> Result<LineageAnswer, Problem> {
    let cidr = Cidr::of_address(asked.required::<IpAddr>("address")?);
    let when = when(asked)?;
    let at = when.at.unwrap_or(At::Instant(now()));
    ask(api, asked, &when, LineageQuery { window: at.window(), inside: false, ..LineageQuery::history(cidr) })
}

pub fn history(api: &Api, asked: &Asked) -> Result<LineageAnswer, Problem> {
    let cidr: Cidr = asked.required("cidr")?;
    let when = when(asked)?;
    let window = when.at.map_or(Window::ALL, At::window);
    ask(api, asked, &when, LineageQuery { window, ..LineageQuery::history(cidr) })
}

fn ask(api: &Api, asked: &Asked, when: &When, mut query: LineageQuery) -> Result<LineageAnswer, Problem> {
    query.scope = asked.query("scope")?;
    query.limit = limit(api, asked)?;
    query.after = after(api, asked)?.map(str::to_owned);
    let scope = query.scope.map(|scope| (scope, query.window));
    view(api, asked, when, scope, |rows, organization, head| lineage::lineage(rows, organization, head, &query))
}

pub fn resource_history(api: &Api, asked: &Asked) -> Result<ResourceHistory, Problem> {
    let resource = ResourceName { kind: asked.required("kind")?, id: asked.required("id")? };
    let (when, limit, after) = (when(asked)?, limit(api, asked)?, after(api, asked)?);
    let window = when.at.map_or(Window::ALL, At::window);
    view(api, asked, &when, None, |rows, organization, head| {
        lineage::resource_history(rows, organization, head, &resource, window, limit, after)
    })
}

pub fn changes(api: &Api, asked: &Asked) -> Result<ChangesAnswer, Problem> {
    let filter = ChangesFilter { kind: asked.required::<ResourceKind>("kind")?, region: asked.query("region")? };
    let (when, limit, after) = (when(asked)?, limit(api, asked)?, after(api, asked)?);
    let bound = |name: &str| moment(asked, name, parse_at);
    // A bare date is its beginning, on both sides: 2020-01-01 to 2021-01-01 is the year 2020.
    let window = Window {
        from: bound("from")?.map_or(Window::ALL.from, |at| at.window().from),
        until: bound("until")?.map_or(Window::ALL.until, |at| at.window().from),
    };
    if window.from > window.until {
        return Err(ends_before_it_begins(window));
    }
    view(api, asked, &when, None, |rows, organization, head| {
        lineage::changes(rows, organization, head, &filter, window, limit, after)
    })
}

fn ends_before_it_begins(Window { from, until }: Window) -> Problem {
    let detail = format!("`from` ({from}) is after `until` ({until}): the time in between is asked about");
    Problem::new(StatusCode::BAD_REQUEST, "InvalidParameterValue", detail)
        .value("parameter", "from")
        .value("from", from)
        .value("until", until)
        .try_instead("from_at_most", until)
}

pub fn overlapping(api: &Api, asked: &Asked) -> Result<OverlapsAnswer, Problem> {
    let when = when(asked)?;
    let query = OverlapsQuery {
        scope: asked.required("scope")?,
        window: when.at.unwrap_or(At::Instant(now())).window(),
        limit: limit(api, asked)?,
        after: after(api, asked)?.map(str::to_owned),
    };
    let scope = Some((query.scope, query.window));
    view(api, asked, &when, scope, |rows, organization, head| overlaps(rows, organization, head, &query))
}

fn view<T>(
    api: &Api,
    asked: &Asked,
    when: &When,
    scope: Option<(ScopeId, Window)>,
    question: impl FnOnce(&dyn Rows, &OrganizationId, AnswerHead) -> Result<T, lineage::QueryError>,
) -> Result<T, Problem> {
    let organization = organization_of(asked)?;
    Ok(api.views().ask_lineage(&organization, when, scope, |rows, head| question(rows, &organization, head))?)
}
