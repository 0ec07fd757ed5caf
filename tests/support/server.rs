//! Starts the real binary and speaks HTTP with it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

/// How long a server may take until it answers; a takeover after a kill waits for the group's session to end.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running `ipam serve`, killed when dropped.
pub struct Server {
    child: Child,
    pub url: String,
    agent: ureq::Agent,
}

impl Server {
    /// Starts `ipam serve` on a data directory and a free port, with further flags, and waits until it is ready.
    pub fn start(data: &Path, flags: &[&str]) -> Self {
        let server = Self::spawn(data, flags);
        server.wait_until_ready();
        server
    }

    /// As [`Server::start`], without waiting until it is ready.
    pub fn spawn(data: &Path, flags: &[&str]) -> Self {
        Self::try_spawn(data, flags, Stdio::inherit()).expect("the server says where it listens")
    }

    /// As [`Server::spawn`], with its log somewhere; `None` when it ended before it listened.
    pub fn try_spawn(data: &Path, flags: &[&str], log: Stdio) -> Option<Self> {
        Self::try_spawn_in(data, flags, log, &[])
    }

    /// As [`Server::try_spawn`], with further variables in its environment.
    pub fn try_spawn_in(data: &Path, flags: &[&str], log: Stdio, variables: &[(&str, &Path)]) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ipam"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(flags)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let url =
            output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        let Some(url) = url else {
            child.wait().expect("it ends");
            return None;
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Some(Self { child, url, agent })
    }

    pub fn wait_until_ready(&self) {
        let until = Instant::now() + READY_WITHIN;
        while self.try_get("/readyz").is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < until, "the server at {} is not ready within {READY_WITHIN:?}", self.url);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn try_get(&self, path: &str) -> Option<(u16, Value)> {
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.try_get(path).expect("the server answers");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Sends one command; `None` when the server did not answer (its outcome is then unknown).
    pub fn try_send(&self, organization: &str, command: &Value) -> Option<(u16, Value)> {
        let url = format!("{}/v1/organizations/{organization}/commands", self.url);
        let mut answer =
            self.agent.post(url).header("content-type", "application/json").send(command.to_string()).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Sends many commands in order; gives their answers.
    pub fn send_batch(&self, organization: &str, commands: &Value) -> Value {
        let url = format!("{}/v1/organizations/{organization}/commands:batch", self.url);
        let mut answer = self
            .agent
            .post(url)
            .header("content-type", "application/json")
            .send(commands.to_string())
            .expect("the server answers");
        let text = answer.body_mut().with_config().limit(256 << 20).read_to_string().expect("a body");
        assert_eq!(answer.status().as_u16(), 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Sends one command that must be accepted; gives its outcome.
    pub fn accept(&self, organization: &str, account: &str, kind: &str, payload: &Value) -> Value {
        let (status, body) = self.try_send(organization, &command(account, kind, payload)).expect("the server answers");
        assert_eq!(status, 200, "{kind}: {body}");
        body
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("it can be waited for")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill runs");
        assert!(done.success());
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, and waits for an orderly end.
    pub fn stop(mut self) {
        self.signal("-TERM");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "an orderly stop ends with {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command as it is sent over HTTP, with an id of its own.
pub fn command(account: &str, kind: &str, payload: &Value) -> Value {
    json!({"command_id": Uuid::now_v7(), "principal": {"account": account}, "type": kind, "payload": payload})
}
