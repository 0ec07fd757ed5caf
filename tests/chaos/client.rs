//! A client that asks whoever answers, as a program that survives failures must: with the same command id until it
//! is told an outcome.

use std::time::Duration;

use serde_json::Value;

/// Shorter than a server waits for an outcome: clients that give up and ask again are part of the load.
const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Clone)]
pub struct Client(ureq::Agent);

impl Client {
    pub fn new() -> Self {
        Self::with_patience(PATIENCE)
    }

    pub fn with_patience(patience: Duration) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(patience));
        Self(config.build().into())
    }

    /// What the server at `url` answers; `None` when it does not.
    pub fn get(&self, url: &str, path: &str) -> Option<(u16, Value)> {
        read(self.0.get(format!("{url}{path}")).call().ok()?)
    }

    pub fn send(&self, url: &str, organization: &str, command: &Value) -> Option<(u16, Value)> {
        let url = format!("{url}/v1/organizations/{organization}/commands");
        read(self.0.post(url).header("content-type", "application/json").send(command.to_string()).ok()?)
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Option<(u16, Value)> {
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().ok()?;
    Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// What was decided, when the answer is that.
pub fn outcome((status, mut body): (u16, Value)) -> Option<Value> {
    match status {
        200 => Some(body),
        422 if body["outcome"].is_object() => Some(body["outcome"].take()),
        _ => None,
    }
}
