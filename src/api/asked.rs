//! What was asked: the request's parameters, checked against those its route knows.
//!
//! An unknown or repeated parameter is refused by name, never ignored: a misspelt `as_of` would
//! otherwise answer another question than the one asked.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::http::{HeaderMap, StatusCode};
use tokio::sync::watch;

use super::parameters::{Parameter, Place};
use super::problem::{Problem, nearest, shortened};

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    path: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub connection: Connection,
}

/// The connection that a request came on; nothing is known of it where the router is called in process.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    pub stopping: Stopping,
    /// Whether it was ended because the client did not read what it had asked for.
    pub cut_off: Arc<AtomicBool>,
}

/// Resolves when the server stops: answers that would go on for ever end then. Never, where nobody serves.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Option<watch::Receiver<bool>>);

impl Stopping {
    pub fn new(stop: watch::Receiver<bool>) -> Self {
        Self(Some(stop))
    }

    pub async fn stopped(&mut self) {
        match &mut self.0 {
            // An error means that the server is gone.
            Some(stop) => drop(stop.wait_for(|stop| *stop).await),
            None => std::future::pending().await,
        }
    }
}

impl Asked {
    /// Checks what was sent against the route's parameters.
    ///
    /// # Errors
    /// On an unknown, repeated or missing parameter.
    pub fn new(
        known: &[&Parameter],
        path: BTreeMap<String, String>,
        query: Vec<(String, String)>,
        headers: HeaderMap,
        connection: Connection,
    ) -> Result<Self, Problem> {
        let names = || known.iter().filter(|one| one.place == Place::Query).map(|one| one.name);
        let mut checked = BTreeMap::new();
        for (name, value) in query {
            if !names().any(|known| known == name) {
                return Err(unknown(&name, names()));
            }
            if checked.insert(name.clone(), value).is_some() {
                return Err(Problem::malformed(format!("parameter `{name}` is given twice")).value("parameter", name));
            }
        }
        for parameter in known.iter().filter(|one| one.required && one.place == Place::Query) {
            if !checked.contains_key(parameter.name) {
                let detail = format!("parameter `{}` is missing: {}", parameter.name, parameter.about);
                return Err(Problem::new(StatusCode::BAD_REQUEST, "MissingParameter", detail)
                    .value("parameter", parameter.name));
            }
        }
        Ok(Self { path, query: checked, headers, connection })
    }

    /// A parameter of the path.
    ///
    /// # Errors
    /// When it is not well formed.
    pub fn path<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Problem> {
        let text = self.path.get(name).map_or("", String::as_str);
        text.parse().map_err(|error| Problem::invalid_parameter(name, text, error))
    }

    /// A parameter of the query, when it was given.
    ///
    /// # Errors
    /// When it is not well formed.
    pub fn query<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| text.parse().map_err(|error| Problem::invalid_parameter(name, text, error)))
            .transpose()
    }

    /// A parameter of the query that its route requires.
    ///
    /// # Errors
    /// When it is not well formed.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Problem> {
        self.query(name)?
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "MissingParameter", format!("`{name}` is missing")))
    }

    /// A parameter of the query as it was sent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Problem {
    let name = shortened(name);
    let problem =
        Problem::new(StatusCode::BAD_REQUEST, "UnknownParameter", format!("there is no parameter `{name}` here"))
            .value("parameter", &name);
    let problem = match nearest(&name, known.clone()) {
        Some(near) => problem.try_instead("nearest", near),
        None => problem,
    };
    let all: Vec<_> = known.collect();
    if all.is_empty() { problem } else { problem.try_instead("known", all.join(", ")) }
}
