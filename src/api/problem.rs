//! Problem documents (RFC 9457): the one shape of everything that is not a plain answer.
//!
//! A rejected command and a request that makes no sense look alike to a program: a stable `code`, the
//! rule, the values, who is in the way, and what would work.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Deref, DerefMut};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::outcome::Outcome;
use crate::domain::rejection::{Blockers, Rejection};
use crate::views::when::{QueryError, WhenError};

/// The media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem. The document is boxed: it is the rare case of every answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Problem(Box<ProblemDocument>);

/// What went wrong, for programs and for people.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDocument {
    /// Names the code: `urn:ipam-ledger:problem:` and the code.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One or two sentences for people, with the values.
    pub detail: String,
    /// Stable; one for each thing that a caller would handle differently.
    pub code: String,
    /// The rule that refused a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The values involved, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blockers: Option<Blockers>,
    /// What would work, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub would_work: BTreeMap<String, String>,
    /// The recorded outcome of a rejected command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Outcome>")]
    pub outcome: Option<Box<RawValue>>,
    /// Headers that go with it, such as `Retry-After`.
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of the request itself.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemDocument {
            type_uri: format!("urn:ipam-ledger:problem:{code}"),
            title: in_words(code),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            rule: None,
            values: BTreeMap::new(),
            blockers: None,
            would_work: BTreeMap::new(),
            outcome: None,
            headers: Vec::new(),
        }))
    }

    /// The request cannot be understood.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MalformedRequest", detail)
    }

    /// A parameter of the query or the path has an impossible value.
    pub fn invalid_parameter(name: &str, value: &str, expected: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValue", format!("parameter `{name}`: {expected}"))
            .value("parameter", name)
            .value("value", shortened(value))
    }

    /// There is no such thing, now or at the asked moment.
    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// Something in this program or its store went wrong; the log holds the details.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", detail)
    }

    /// Not now; trying again after `seconds` may work.
    pub fn try_later(code: &str, detail: impl Into<String>, seconds: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A rejected command, with its recorded outcome as it stands in the log.
    pub fn rejected(rejection: &Rejection, outcome: Option<Box<RawValue>>) -> Self {
        let texts = |map: &BTreeMap<std::borrow::Cow<'static, str>, String>| {
            map.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
        };
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, &rejection.code.to_string(), rejection.message.clone());
        problem.rule = Some(rejection.rule.to_string());
        problem.values = texts(&rejection.values);
        problem.blockers.clone_from(&rejection.blockers);
        problem.would_work = texts(&rejection.would_work);
        problem.outcome = outcome;
        problem
    }

    #[must_use]
    pub fn value(mut self, name: &str, value: impl Display) -> Self {
        self.values.insert(name.to_owned(), value.to_string());
        self
    }

    #[must_use]
    pub fn try_instead(mut self, name: &str, value: impl Display) -> Self {
        self.would_work.insert(name.to_owned(), value.to_string());
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Deref for Problem {
    type Target = ProblemDocument;
    fn deref(&self) -> &ProblemDocument {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut ProblemDocument {
        &mut self.0
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("a problem holds nothing that JSON cannot");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in self.0.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        let refused = |text| Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValue", text);
        match error {
            QueryError::OrganizationNotFound(organization) => {
                Self::not_found("OrganizationNotFound", text).value("organization", organization)
            }
            QueryError::BeforeHistory { organization, first } => {
                Self::not_found("BeforeHistory", text).value("organization", organization).try_instead("first", first)
            }
            QueryError::NotFound { what, id, revision } => {
                Self::not_found(not_found_code(what), text).value("id", id).value("revision", revision)
            }
            QueryError::OutcomeNotFound(id) => Self::not_found("OutcomeNotFound", text).value("command_id", id),
            QueryError::RevisionAhead { asked, head } => {
                Self::not_found("RevisionNotFound", text).value("asked", asked).try_instead("latest", head)
            }
            QueryError::When(WhenError::Malformed { text: value, .. }) => refused(text).value("value", value),
            QueryError::When(WhenError::FutureAsOf { asked, now }) => {
                refused(text).value("value", asked).try_instead("latest", now)
            }
            QueryError::When(WhenError::RevisionInAt { text: value }) => {
                refused(text).value("value", &value).try_instead("as_of", value)
            }
            QueryError::Cursor => refused(text).value("parameter", "after"),
            QueryError::Limit { asked, max } => {
                refused(text).value("parameter", "limit").value("value", asked).try_instead("max", max)
            }
            QueryError::TooLarge { what, max } => {
                Self::new(StatusCode::BAD_REQUEST, "AnswerTooLarge", text).value("what", what).try_instead("max", max)
            }
            QueryError::CatchingUp => Self::try_later("CatchingUp", text, 1),
            QueryError::Stopped { partition, .. } => {
                Self::try_later("PartitionStopped", text, 60).value("partition", partition)
            }
            QueryError::Store(_) => {
                tracing::error!(error = %text, "a query failed");
                Self::internal(text)
            }
        }
    }
}

/// The code that a command would be refused with for the same reason.
fn not_found_code(what: &str) -> &'static str {
    match what.to_ascii_lowercase().as_str() {
        "ipam" => "IpamNotFound",
        "scope" => "ScopeNotFound",
        "pool" => "PoolNotFound",
        "allocation" => "AllocationNotFound",
        _ => "ObjectNotFound",
    }
}

/// What came from outside, short enough to be said back.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The known name nearest to `name`, when one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.7;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `PoolExhausted` → `Pool exhausted`.
fn in_words(code: &str) -> String {
    let mut words = String::with_capacity(code.len() + 8);
    for (index, letter) in code.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            words.push(' ');
            words.push(letter.to_ascii_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rejection::Code;

    #[test]
    fn a_rejection_keeps_everything_it_teaches() {
        let rejection = Rejection::new(Code::PoolExhausted, "INV-A1", "no /24 is free")
            .value("netmask_length", 24)
            .try_instead("largest_free_block", "/26")
            .blocked_by(["ipam-pool-alloc-1"], 7, "/v1/…".to_owned());
        let problem = Problem::rejected(&rejection, None);
        assert_eq!(
            serde_json::to_value(&problem).expect("serialises"),
            serde_json::json!({
                "type": "urn:ipam-ledger:problem:PoolExhausted", "title": "Pool exhausted", "status": 422,
                "detail": "no /24 is free", "code": "PoolExhausted", "rule": "INV-A1",
                "values": {"netmask_length": "24"}, "would_work": {"largest_free_block": "/26"},
                "blockers": {"named": ["ipam-pool-alloc-1"], "total": 7, "query": "/v1/…"},
            })
        );
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let known = ["limit", "after", "as_of", "at"];
        for (typed, expect) in [("limt", Some("limit")), ("asof", Some("as_of")), ("zzz", None)] {
            assert_eq!(nearest(typed, known), expect, "{typed}");
        }
    }
}
