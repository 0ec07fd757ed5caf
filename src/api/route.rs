//! What a route is: one row of the table in [`super::routes`] that both the server and the OpenAPI
//! document are made from, so that neither can know something that the other does not.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::Api;
use super::asked::Asked;
use super::parameters::Parameter;
use super::problem::Problem;

/// The HTTP method of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Post,
}

/// What a route reads or answers.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    pub media_type: &'static str,
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Content {
    pub const fn json<T: JsonSchema>() -> Self {
        Self { media_type: "application/json", schema: |generator| generator.subschema_for::<T>() }
    }

    pub const fn text(media_type: &'static str) -> Self {
        Self { media_type, schema: |generator| generator.subschema_for::<String>() }
    }
}

/// What a handler answers with.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// Reads the views and answers.
pub type Question = dyn Fn(&Api, &Asked) -> Result<Response, Problem> + Send + Sync;

/// How a request is answered.
#[derive(Clone)]
pub enum Handler {
    /// Reads the views; runs on a thread where it may block.
    Query(Arc<Question>),
    /// Reads the body, or waits.
    Call(fn(Api, Asked, Body) -> Answering),
}

/// One route.
#[derive(Clone)]
pub struct Route {
    pub verb: Verb,
    pub path: &'static str,
    pub operation: &'static str,
    pub summary: &'static str,
    pub parameters: Vec<&'static Parameter>,
    pub body: Option<Content>,
    /// The answers that are no problems, by status.
    pub answers: Vec<(u16, &'static str, Content)>,
    /// The statuses of the problems it can answer with, beside 400, 431 and 500.
    pub problems: Vec<u16>,
    pub handler: Handler,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.verb, self.path)
    }
}

/// A route that reads views. The schema in the document is that of what the handler returns.
pub fn query<T: Serialize + JsonSchema + 'static>(
    path: &'static str,
    operation: &'static str,
    summary: &'static str,
    parameters: &[&'static Parameter],
    handler: fn(&Api, &Asked) -> Result<T, Problem>,
) -> Route {
    Route {
        verb: Verb::Get,
        path,
        operation,
        summary,
        parameters: parameters.to_vec(),
        body: None,
        answers: vec![(200, "The answer.", Content::json::<T>())],
        problems: vec![404, 503],
        handler: Handler::Query(Arc::new(move |api, asked| handler(api, asked).and_then(|answer| json(&answer)))),
    }
}

/// A JSON answer.
///
/// # Errors
/// Never for the types of this crate.
pub fn json<T: Serialize>(answer: &T) -> Result<Response, Problem> {
    let body = serde_json::to_vec(answer).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
