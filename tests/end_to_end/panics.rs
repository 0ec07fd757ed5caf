//! A defect in the rules, planted: it refuses the one command that meets it, on record, and nothing else. The real
//! node on a real socket; only the rules are the test's.

use std::sync::Arc;

use ipam_ledger::api::limits::Limits;
use ipam_ledger::api::server;
use ipam_ledger::cli::node::{Node, open_embedded_by};
use ipam_ledger::domain::command::{Command, CommandBody};
use ipam_ledger::domain::event::Event;
use ipam_ledger::domain::outcome::Moment;
use ipam_ledger::domain::{Context, Decided, State};
use ipam_ledger::processor::core::{Domain, Rules};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::process::ipam;
use crate::server::{Server, command};

const ACCOUNT: &str = "000000000042";
/// The command that the planted defect meets when it is decided, and the one that it meets when it is applied.
const DECIDING: &str = "panics when decided";
const APPLYING: &str = "panics when applied";

/// The domain's rules with two defects.
struct Defective;

impl Rules for Defective {
    fn decide(&self, state: &State, command: &Command, context: &Context) -> Decided {
        assert!(!is_for(command, DECIDING), "planted in decide");
        Domain.decide(state, command, context)
    }

    fn apply(&self, state: &mut State, moment: Moment, events: &[Event]) {
        let meets = |event: &Event| matches!(event, Event::PoolCreated(event) if event.description.as_deref() == Some(APPLYING));
        // Half of it is done before.
        Domain.apply(state, moment, events);
        assert!(!events.iter().any(meets), "planted in apply");
    }
}

fn is_for(command: &Command, description: &str) -> bool {
    matches!(&command.body, CommandBody::CreatePool(create) if create.description.as_deref() == Some(description))
}

#[test]
fn a_command_that_makes_the_rules_panic_is_refused_on_record_and_harms_nothing_else() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("one");
    let node = open_embedded_by(&data, &(Arc::new(Defective) as Arc<dyn Rules>)).expect("a new ledger");
    let served = Served::begin(&runtime, &node);
    let scope = served.accept("CreateIpam", &json!({"home_region": "eu-central-1"}))["private_default_scope"].clone();
    let pool = |description: &str| {
        let payload = json!({"scope": scope, "address_family": "ipv4", "description": description});
        command(ACCOUNT, "CreatePool", &payload)
    };
    let (mut refused, mut revision) = (Vec::new(), Value::Null);
    for (defect, says) in [(DECIDING, "planted in decide"), (APPLYING, "planted in apply")] {
        let meets = pool(defect);
        let (status, problem) = served.post(&meets);
        assert_eq!((status, problem["code"].as_str()), (422, Some("InternalError")), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(says)), "{problem}");
        // It is on record: asked for, and sent again, it answers the same.
        let id = meets["command_id"].as_str().expect("an id").to_owned();
        assert_eq!(served.get(&format!("/outcomes/{id}?wait_seconds=30")), problem["outcome"], "{defect}");
        let (status, again) = served.post(&meets);
        assert_eq!((status, &again["outcome"]), (422, &problem["outcome"]), "{defect}");
        let (status, outcome) = served.post(&pool(&format!("after one that {defect}")));
        assert_eq!(status, 200, "{outcome}");
        revision = outcome["revision"].clone();
        refused.push((id, problem["outcome"].clone()));
    }
    served.end();
    node.stop();

    // Rules without the defect start from what these left, and find nothing that was not decided.
    let server = Server::start(&data, &[]);
    for (id, outcome) in &refused {
        assert_eq!(&server.get(&format!("/v1/organizations/{ACCOUNT}/outcomes/{id}")), outcome);
    }
    let pools = server.get(&format!("/v1/organizations/{ACCOUNT}/pools"));
    assert_eq!(pools["revision"], revision);
    let mut found: Vec<_> = pools["pools"].as_array().expect("pools").iter().map(|pool| &pool["description"]).collect();
    found.sort_by_key(ToString::to_string);
    assert_eq!(found, ["after one that panics when applied", "after one that panics when decided"]);
    let (status, outcome) = server.try_send(ACCOUNT, &pool(DECIDING)).expect("the server answers");
    assert_eq!(status, 200, "{outcome}");
    server.stop();
    let audit = ipam(home.path(), &["audit", "verify", "--data", data.to_str().expect("a plain path")]);
    assert_eq!(audit.code, 0, "{audit:#?}");
}

/// A node served from this process.
struct Served {
    url: String,
    agent: ureq::Agent,
    stop: oneshot::Sender<()>,
    ended: std::thread::JoinHandle<()>,
}

impl Served {
    fn begin(runtime: &tokio::runtime::Runtime, node: &Node) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/v1/organizations/{ACCOUNT}", listener.local_addr().expect("an address"));
        let (router, handle, (stop, stopped)) =
            (node.router(Limits::default()), runtime.handle().clone(), oneshot::channel());
        let ended = std::thread::spawn(move || {
            let stop = async { drop(stopped.await) };
            handle.block_on(server::serve(listener, router, &Limits::default(), stop)).expect("served to the end");
        });
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { url, agent, stop, ended }
    }

    fn post(&self, command: &Value) -> (u16, Value) {
        let request = self.agent.post(format!("{}/commands", self.url)).header("content-type", "application/json");
        let mut answer = request.send(command.to_string()).expect("the server answers");
        let text = answer.body_mut().read_to_string().expect("a body");
        (answer.status().as_u16(), serde_json::from_str(&text).expect("JSON"))
    }

    /// Sends a command that must be accepted; gives what its first event says.
    fn accept(&self, kind: &str, payload: &Value) -> Value {
        let (status, outcome) = self.post(&command(ACCOUNT, kind, payload));
        assert_eq!(status, 200, "{kind}: {outcome}");
        outcome["decision"]["accepted"][0]["data"].clone()
    }

    fn get(&self, path: &str) -> Value {
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().expect("the server answers");
        let text = answer.body_mut().read_to_string().expect("a body");
        assert_eq!(answer.status().as_u16(), 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    fn end(self) {
        self.stop.send(()).expect("it is served");
        self.ended.join().expect("it ended well");
    }
}
