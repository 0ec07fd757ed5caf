//! The route table: everything that is served, and so everything that the OpenAPI document describes.

use super::asked::Asked;
use super::commands::{self, Accepted, BatchAnswer};
use super::envelope::CommandRequest;
use super::node::{self, PartitionStatus, Status};
use super::parameters::{
    ADDRESS, AFTER, ALLOCATION, ALLOWED_CIDRS, AS_OF, AT, AT_ANY_TIME, AT_LEAST, AT_TIME, CIDR, COMMAND,
    DISALLOWED_CIDRS, FROM, FROM_REVISION, IPAM, KIND, LAST_EVENT_ID, LIMIT, NETMASK_LENGTH, OF_IPAM, ORGANIZATION,
    OUTCOME_WAIT_SECONDS, POOL, PREFER, Parameter, REGION, RESOURCE, SCOPE, SHOWN_SCOPE, STREAM_ORGANIZATION,
    THE_SCOPE, UNTIL, WAIT_SECONDS,
};
use super::route::{Answering, Content, Handler, Route, Verb, query};
use super::{Api, lineage, metrics, outcomes, queries};
use crate::domain::outcome::Outcome;

/// All routes.
pub fn routes() -> Vec<Route> {
    [commands(), objects(), addresses(), outcomes(), nodes()].concat()
}

fn commands() -> Vec<Route> {
    vec![
        Route {
            body: Some(Content::json::<CommandRequest>()),
            answers: vec![
                (200, "Accepted: the outcome as it stands in the log.", Content::json::<Outcome>()),
                (202, "Handed over; `Location` is where the outcome can be asked for.", Content::json::<Accepted>()),
            ],
            problems: vec![408, 413, 415, 422, 503, 504],
            ..call(
                Verb::Post,
                "/v1/organizations/{organization}/commands",
                "submitCommand",
                "Hand a command over and wait for its outcome.",
                &[&ORGANIZATION, &PREFER],
                commands::submit,
            )
        },
        Route {
            body: Some(Content::json::<Vec<CommandRequest>>()),
            answers: vec![(200, "The answers, in the order of the commands.", Content::json::<Vec<BatchAnswer>>())],
            problems: vec![408, 413, 415, 503],
            ..call(
                Verb::Post,
                "/v1/organizations/{organization}/commands:batch",
                "submitCommands",
                "Hand over up to 1,000 commands in order; each is decided on its own.",
                &[&ORGANIZATION],
                commands::submit_batch,
            )
        },
    ]
}

/// The times and the waiting that every query about a state has.
const WHEN: [&Parameter; 4] = [&AT, &AS_OF, &AT_LEAST, &WAIT_SECONDS];

fn objects() -> Vec<Route> {
    let with = |own: &[&'static Parameter]| [&[&ORGANIZATION], own, &WHEN].concat();
    let paged = |own: &[&'static Parameter]| [&[&ORGANIZATION], own, &WHEN, &[&LIMIT, &AFTER]].concat();
    vec![
        query(
            "/v1/organizations",
            "listOrganizations",
            "Organisations and lone accounts, by id, with where the history of each ends.",
            &[&LIMIT, &AFTER],
            queries::organizations,
        ),
        query(
            "/v1/organizations/{organization}",
            "showOrganization",
            "Accounts, roles, the administrator; what is monitored and why not.",
            &with(&[]),
            queries::organization,
        ),
        query("/v1/organizations/{organization}/ipams", "listIpams", "All IPAMs.", &with(&[]), queries::ipams),
        query("/v1/organizations/{organization}/ipams/{ipam}", "showIpam", "One IPAM.", &with(&[&IPAM]), queries::ipam),
        query(
            "/v1/organizations/{organization}/scopes",
            "listScopes",
            "Scopes, with how much is in them.",
            &with(&[&OF_IPAM]),
            queries::scopes,
        ),
        query(
            "/v1/organizations/{organization}/scopes/{scope}",
            "showScope",
            "One scope, with how much is in it.",
            &with(&[&SHOWN_SCOPE]),
            queries::scope,
        ),
        query(
            "/v1/organizations/{organization}/pools",
            "listPools",
            "Pools as trees, with how full they are.",
            &with(&[&SCOPE]),
            queries::pools,
        ),
        query(
            "/v1/organizations/{organization}/pools:fullest",
            "listFullestPools",
            "Pools without child pools, by the share that is handed out.",
            &[&with(&[])[..], &[&LIMIT]].concat(),
            queries::fullest_pools,
        ),
        query(
            "/v1/organizations/{organization}/pools/{pool}",
            "showPool",
            "One pool, with how full it is.",
            &with(&[&POOL]),
            queries::pool,
        ),
        query(
            "/v1/organizations/{organization}/pools/{pool}/cidrs",
            "listPoolCidrs",
            "The CIDRs provisioned to a pool.",
            &with(&[&POOL]),
            queries::pool_cidrs,
        ),
        query(
            "/v1/organizations/{organization}/pools/{pool}/allocations",
            "listPoolAllocations",
            "The allocations of a pool, by address.",
            &paged(&[&POOL]),
            queries::pool_allocations,
        ),
        query(
            "/v1/organizations/{organization}/pools/{pool}/usage",
            "showPoolUsage",
            "How full a pool was, newest first.",
            &paged(&[&POOL]),
            queries::pool_usage,
        ),
        Route {
            problems: vec![404, 422, 503],
            ..query(
                "/v1/organizations/{organization}/pools/{pool}/next-cidr",
                "previewNextCidr",
                "The block that the next custom allocation of a pool would get, as the pool stands now; nothing is held. Where \
                 the pool's placement is `random` it is one of the free blocks and no promise, and `certain` is false. The \
                 rejection, when there is none.",
                &[&ORGANIZATION, &POOL, &NETMASK_LENGTH, &ALLOWED_CIDRS, &DISALLOWED_CIDRS, &AT_LEAST, &WAIT_SECONDS],
                queries::next_cidr,
            )
        },
        query(
            "/v1/organizations/{organization}/allocations/{allocation}",
            "showAllocation",
            "One allocation, released or not.",
            &with(&[&ALLOCATION]),
            queries::allocation,
        ),
    ]
}

fn addresses() -> Vec<Route> {
    let paged = |own: &[&'static Parameter]| {
        [&[&ORGANIZATION], own, &[&AS_OF, &AT_LEAST, &WAIT_SECONDS, &LIMIT, &AFTER]].concat()
    };
    vec![
        query(
            "/v1/organizations/{organization}/holders",
            "listHolders",
            "Who holds, or held, an address: pools, allocations, resources.",
            &paged(&[&ADDRESS, &SCOPE, &AT_TIME]),
            lineage::holders,
        ),
        query(
            "/v1/organizations/{organization}/history",
            "showHistory",
            "Everybody who ever held a block, a part of it, or what is around it.",
            &paged(&[&CIDR, &SCOPE, &AT_ANY_TIME]),
            lineage::history,
        ),
        query(
            "/v1/organizations/{organization}/resource-history",
            "showResourceHistory",
            "Every block that a resource ever held.",
            &paged(&[&KIND, &RESOURCE, &AT_ANY_TIME]),
            lineage::resource_history,
        ),
        query(
            "/v1/organizations/{organization}/changes",
            "listChanges",
            "What appeared and what vanished in a time, with counts.",
            &[&ORGANIZATION, &KIND, &REGION, &FROM, &UNTIL, &AS_OF, &AT_LEAST, &WAIT_SECONDS, &LIMIT, &AFTER],
            lineage::changes,
        ),
        query(
            "/v1/organizations/{organization}/overlaps",
            "listOverlaps",
            "Who shares addresses with whom in a scope.",
            &paged(&[&THE_SCOPE, &AT_TIME]),
            lineage::overlapping,
        ),
    ]
}

fn outcomes() -> Vec<Route> {
    vec![
        Route {
            answers: vec![(200, "The outcome as it stands in the log.", Content::json::<Outcome>())],
            problems: vec![404],
            ..call(
                Verb::Get,
                "/v1/organizations/{organization}/outcomes/{command_id}",
                "showOutcome",
                "The outcome of a command. 404 says that it is not known here (yet), never that it failed.",
                &[&ORGANIZATION, &COMMAND, &OUTCOME_WAIT_SECONDS],
                outcomes::by_command,
            )
        },
        Route {
            answers: vec![(
                200,
                "Server-sent events: `id` is the revision, `data` the outcome as it stands in the log.",
                Content::text(outcomes::EVENT_STREAM),
            )],
            problems: vec![503],
            ..call(
                Verb::Get,
                "/v1/events",
                "streamEvents",
                "Every outcome of an organisation from a revision on, as they come.",
                &[&STREAM_ORGANIZATION, &FROM_REVISION, &LAST_EVENT_ID],
                outcomes::stream,
            )
        },
    ]
}

fn nodes() -> Vec<Route> {
    let answer = |about, content| vec![(200, about, content)];
    vec![
        Route {
            answers: answer("It is.", Content::json::<Status>()),
            ..call(Verb::Get, "/healthz", "health", "Whether the process answers.", &[], node::health)
        },
        Route {
            answers: answer("It can.", Content::json::<Status>()),
            problems: vec![503],
            ..call(Verb::Get, "/readyz", "ready", "Whether the node can answer queries.", &[], node::ready)
        },
        Route {
            answers: answer("By partition.", Content::json::<Vec<PartitionStatus>>()),
            ..call(
                Verb::Get,
                "/v1/partitions",
                "listPartitions",
                "How far the views are in each partition, and the admission state there: where a consumer of the events \
                 may begin instead of at the start.",
                &[],
                node::partitions,
            )
        },
        Route {
            answers: answer("Prometheus' text format.", Content::text(metrics::OPEN_METRICS)),
            ..call(Verb::Get, "/metrics", "metrics", "What the node has counted.", &[], node::metrics)
        },
        Route {
            answers: answer("This document.", Content { media_type: "application/json", schema: |_| true.into() }),
            ..call(Verb::Get, "/openapi.json", "openapi", "What is served here.", &[], node::openapi)
        },
    ]
}

fn call(
    verb: Verb,
    path: &'static str,
    operation: &'static str,
    summary: &'static str,
    parameters: &[&'static Parameter],
    handler: fn(Api, Asked, axum::body::Body) -> Answering,
) -> Route {
    Route {
        verb,
        path,
        operation,
        summary,
        parameters: parameters.to_vec(),
        body: None,
        answers: Vec::new(),
        problems: Vec::new(),
        handler: Handler::Call(handler),
    }
}
