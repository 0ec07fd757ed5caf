//! From the route table to an axum router: every route is served through one function, which checks
//! parameters, bounds the open requests, counts, and turns every failure into a problem document.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::RequestPartsExt as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use tokio::sync::Semaphore;

use super::asked::{Asked, Connection};
use super::problem::{Problem, nearest, shortened};
use super::route::{Handler, Route, Verb};
use super::{Api, waiting};

/// The router of these routes.
pub fn router(api: &Api, routes: Vec<Route>) -> Router {
    let open = Arc::new(Semaphore::new(api.limits().requests_open_max));
    let paths: Arc<[&'static str]> = routes.iter().map(|route| route.path).collect();
    let mut served = Router::new();
    for route in routes {
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
        };
        let (path, api, open) = (route.path, api.clone(), Arc::clone(&open));
        let route = Arc::new(route);
        let service = move |request: Request| serve(api.clone(), Arc::clone(&route), Arc::clone(&open), request);
        served = served.route(path, on(filter, service));
    }
    served.method_not_allowed_fallback(method_not_allowed).fallback(move |uri: Uri| {
        let paths = Arc::clone(&paths);
        async move { no_such_path(&uri, &paths) }
    })
}

async fn serve(api: Api, route: Arc<Route>, open: Arc<Semaphore>, request: Request) -> Response {
    let begun = Instant::now();
    let answer = match open.try_acquire() {
        Ok(_permit) => answer(&api, &route, request).await.unwrap_or_else(Problem::into_response),
        Err(_) => Problem::try_later("Overloaded", "too many requests are open; try again", 1).into_response(),
    };
    api.metrics().request(route.operation, answer.status().as_u16(), begun.elapsed().as_secs_f64());
    answer
}

async fn answer(api: &Api, route: &Route, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    check_head(&parts, api.limits().header_bytes_max)?;
    let path = parts
        .extract::<RawPathParams>()
        .await
        .map_err(|error| Problem::malformed(format!("the path: {error}")))?
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect::<BTreeMap<_, _>>();
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
        .map_err(|error| Problem::malformed(format!("the query: {error}")))?;
    let connection = parts.extensions.get::<Connection>().cloned().unwrap_or_default();
    let asked = Asked::new(&route.parameters, path, query, parts.headers, connection)?;
    match &route.handler {
        Handler::Call(call) => call(api.clone(), asked, body).await,
        Handler::Query(query) => {
            waiting::for_revision(api, &asked).await?;
            let (query, api) = (Arc::clone(query), api.clone());
            tokio::task::spawn_blocking(move || query(&api, &asked)).await.unwrap_or_else(|error| {
                tracing::error!(%error, "a query ended without an answer");
                Err(Problem::internal("the query ended without an answer; the server's log says why"))
            })
        }
    }
}

/// Bounds request line and headers, counted as HTTP/1.1 writes them.
fn check_head(parts: &Parts, bytes_max: usize) -> Result<(), Problem> {
    const LINE: usize = " ".len() + " HTTP/1.1\r\n".len();
    const FIELD: usize = ": ".len() + "\r\n".len();
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fields: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum();
    let bytes = parts.method.as_str().len() + target + LINE + fields + "\r\n".len();
    if bytes <= bytes_max {
        return Ok(());
    }
    let detail = format!("request line and headers have {bytes} bytes; at most {bytes_max} are read");
    Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "HeadersTooLarge", detail)
        .value("bytes", bytes)
        .try_instead("bytes_max", bytes_max))
}

fn no_such_path(uri: &Uri, paths: &[&'static str]) -> Response {
    let path = uri.path();
    let problem = Problem::not_found("NoSuchPath", format!("there is nothing at {}", shortened(path)));
    match nearest(path, paths.iter().copied()) {
        Some(near) => problem.try_instead("nearest", near),
        None => problem.try_instead("document", "/openapi.json"),
    }
    .into_response()
}

async fn method_not_allowed(method: Method, _: Body) -> Response {
    let detail = format!("{} is not for this path", shortened(method.as_str()));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", detail).into_response()
}
