//! The route table: everything that is served, and so everything that the OpenAPI document describes.

use super::asked::Asked;
use super::commands::{self, Accepted, BatchAnswer};
use super::envelope::CommandRequest;
use super::node::{self, Status};
use super::parameters::*;
use super::route::{Answering, Content, Handler, Parameter, Route, Verb};
use super::{Api, metrics};
use crate::domain::outcome::Outcome;

/// All routes.
pub fn routes() -> Vec<Route> {
    [commands(), nodes()].concat()
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
