//! The HTTP room by itself: what it refuses before anything is decided, and how it passes on what was.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::limits::Limits;
use super::metrics::Metrics;
use super::parameters::Place;
use super::*;
use crate::address::Family;
use crate::domain::command::{CreatePool, CreateScope, DeleteScope, ProvisionPoolCidr, Tags};
use crate::domain::event::Event;
use crate::domain::id::OrganizationId;
use crate::domain::pool::Placement;
use crate::log::Log;
use crate::log::embedded::EmbeddedLog;
use crate::processor::submit::{Answer, Answering, SubmitError};
use crate::views::projector::Projector;
use crate::views::testing::{ADMIN, Ledger, shared};

/// Answers with what it was told to, and keeps what it was handed.
#[derive(Default)]
struct Told {
    answers: Mutex<Vec<Result<Answer, SubmitError>>>,
    handed: Mutex<Vec<Vec<u8>>>,
}

impl Submit for Told {
    fn submit(&self, _: &OrganizationId, command: Vec<u8>) -> Answering {
        self.handed.lock().expect("one thread").push(command);
        let answer = self.answers.lock().expect("one thread").pop();
        Box::pin(async { answer.unwrap_or_else(|| Err(SubmitError::Unavailable("not told".to_owned()))) })
    }

    fn submit_async(
        &self,
        _: &OrganizationId,
        command: Vec<u8>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), SubmitError>> + Send>> {
        self.handed.lock().expect("one thread").push(command);
        Box::pin(async { Ok(()) })
    }
}

/// A router over an empty ledger; what keeps it open goes when the test ends.
struct Served {
    router: Router,
    _projector: Projector,
    _directory: tempfile::TempDir,
}

impl std::ops::Deref for Served {
    type Target = Router;
    fn deref(&self) -> &Router {
        &self.router
    }
}

fn served(told: &Arc<Told>) -> Served {
    served_within(told, Limits::default())
}

fn served_within(told: &Arc<Told>, limits: Limits) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&directory.path().join("log"), 1).expect("a new log"));
    served_on(log, directory, told, limits)
}

/// A router over what is on this log, once the views hold it.
async fn served_ledger(ledger: &Ledger) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let served = served_on(shared(&ledger.log), directory, &Arc::default(), Limits::default());
    let revision = ledger.state("o-example").moment().revision;
    let (status, _, body) = ask(&served, get(&format!("?at_least={revision}&wait_seconds=30"))).await;
    assert_eq!(status, 200, "{body}");
    served
}

fn served_on(log: Arc<dyn Log>, directory: tempfile::TempDir, told: &Arc<Told>, limits: Limits) -> Served {
    let (views, projector) = Views::open(&directory.path().join("views"), log).expect("new views");
    let router = router(Parts {
        submit: Some(Arc::clone(told) as Arc<dyn Submit>),
        views,
        metrics: Metrics::new(prometheus_client::registry::Registry::default()),
        ready: Arc::new(|| Err("the view `pools` is 7 records behind".to_owned())),
        limits,
    });
    Served { router, _projector: projector, _directory: directory }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits { body_time_max: std::time::Duration::from_millis(20), ..Limits::default() };
    let router = served_within(&Arc::default(), limits);
    let silent = futures_util::stream::pending::<Result<axum::body::Bytes, std::convert::Infallible>>();
    let (status, _, problem) = ask(&router, post(COMMANDS, Body::from_stream(silent))).await;
    assert_eq!((status.as_u16(), &problem["code"]), (408, &json!("BodyTimeout")), "{problem}");
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Value) {
    let response = router.clone().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).expect("a request")
}

/// Asks about the organisation.
fn get(rest: &str) -> Request<Body> {
    Request::get(format!("{ORGANIZATION}{rest}")).body(Body::empty()).expect("a request")
}

const ORGANIZATION: &str = "/v1/organizations/o-example";
const COMMANDS: &str = "/v1/organizations/o-example/commands";
const ID: &str = "00000000-0000-0000-0000-000000000007";

fn command() -> String {
    json!({"command_id": ID, "principal": {"account": "111111111111"}, "type": "AddAccount",
        "payload": {"account": "222222222222"}})
    .to_string()
}

fn outcome(decision: &Value) -> Answer {
    let outcome = json!({"schema": 1, "organization": "o-example", "revision": 3, "command_id": ID, "type": "AddAccount",
        "digest": "0".repeat(64), "principal": {"account": "111111111111", "proof": "none"},
        "decided_at": "2026-01-01T00:00:00.000000Z", "decision": decision});
    let value = serde_json::to_vec(&outcome).expect("JSON").into();
    Answer { partition: crate::log::record::Partition(0), value, repeated: false }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn bad_requests_are_answered_with_problems_that_teach() {
    let router = served(&Arc::default());
    let unread =
        |method: &str, path: &str| Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
    let plain = |body: &str| Request::post(COMMANDS).body(Body::from(body.to_owned())).expect("a request");
    for (what, request, status, code, says) in [
        ("no such path", unread("GET", "/v2/pools"), 404, "NoSuchPath", "there is nothing at /v2/pools"),
        ("wrong method", unread("DELETE", "/healthz"), 405, "MethodNotAllowed", "DELETE is not for this path"),
        ("unknown parameter", unread("GET", "/healthz?as_of=x"), 400, "UnknownParameter", "no parameter `as_of`"),
        (
            "bad organisation",
            post("/v1/organizations/O!/commands", command()),
            400,
            "InvalidParameterValue",
            "organisation id",
        ),
        ("bad escape", unread("POST", "/v1/organizations/%ff/commands"), 400, "MalformedRequest", "UTF-8"),
        ("form", plain("a=b"), 415, "UnsupportedMediaType", "no Content-Type"),
        ("not JSON", post(COMMANDS, "hello"), 400, "MalformedRequest", "not a JSON object"),
        ("invalid UTF-8", post(COMMANDS, vec![b'{', b'"', 0xff]), 400, "MalformedRequest", "not UTF-8"),
        ("10 MiB", post(COMMANDS, vec![b' '; 10 << 20]), 413, "BodyTooLarge", "1000000 bytes"),
        (
            "not an array",
            post("/v1/organizations/o-example/commands:batch", "{}"),
            400,
            "MalformedRequest",
            "JSON array",
        ),
        (
            "too many",
            post("/v1/organizations/o-example/commands:batch", format!("[{}0]", "0,".repeat(1_000))),
            413,
            "BatchTooLarge",
            "at most 1000 commands",
        ),
        (
            "unknown parameter",
            unread("GET", &format!("{ORGANIZATION}/pools?asof=now")),
            400,
            "UnknownParameter",
            "`asof`",
        ),
        (
            "twice",
            unread("GET", &format!("{ORGANIZATION}/pools?at=now&at=now")),
            400,
            "MalformedRequest",
            "given twice",
        ),
        (
            "no such time",
            unread("GET", &format!("{ORGANIZATION}/pools?at=yesterday")),
            400,
            "InvalidParameterValue",
            "2019-03-01",
        ),
        (
            "the future",
            unread("GET", &format!("{ORGANIZATION}/pools?as_of=2999-01-01")),
            400,
            "InvalidParameterValue",
            "future",
        ),
        (
            "no such organisation",
            unread("GET", &format!("{ORGANIZATION}/pools")),
            404,
            "OrganizationNotFound",
            "o-example",
        ),
        (
            "bad id",
            unread("GET", &format!("{ORGANIZATION}/pools/ipam-pool-1")),
            400,
            "InvalidParameterValue",
            "ipam-pool-…",
        ),
        (
            "waiting for nothing, and wrong",
            unread("GET", &format!("{ORGANIZATION}/pools?wait_seconds=soon")),
            400,
            "InvalidParameterValue",
            "wait_seconds",
        ),
        ("no cursor", unread("GET", "/v1/organizations?after=O!"), 400, "InvalidParameterValue", "not a cursor"),
        ("missing parameter", unread("GET", &format!("{ORGANIZATION}/history")), 400, "MissingParameter", "`cidr`"),
        (
            "host bits",
            unread("GET", &format!("{ORGANIZATION}/history?cidr=10.0.0.5/24")),
            400,
            "InvalidParameterValue",
            "the block is 10.0.0.0/24",
        ),
        (
            "octal",
            unread("GET", &format!("{ORGANIZATION}/history?cidr=010.0.0.0/8")),
            400,
            "InvalidParameterValue",
            "leading zero",
        ),
        (
            "mapped",
            unread("GET", &format!("{ORGANIZATION}/history?cidr=::ffff:10.0.0.0/104")),
            400,
            "InvalidParameterValue",
            "write 10.0.0.0/8",
        ),
        (
            "/33",
            unread("GET", &format!("{ORGANIZATION}/history?cidr=10.0.0.0/33")),
            400,
            "InvalidParameterValue",
            "0 to 32",
        ),
        (
            "page too large",
            unread("GET", &format!("{ORGANIZATION}/holders?address=10.0.0.1&limit=1001")),
            400,
            "InvalidParameterValue",
            "1 to 1000",
        ),
        (
            "waits too long",
            unread("GET", &format!("{ORGANIZATION}/pools?at_least=1&wait_seconds=31")),
            400,
            "InvalidParameterValue",
            "at most 30",
        ),
        ("no such outcome", unread("GET", &format!("{ORGANIZATION}/outcomes/{ID}")), 404, "OutcomeNotFound", ID),
        (
            "bad Last-Event-ID",
            unread("GET", "/v1/events?organization=o-example&from_revision=x"),
            400,
            "InvalidParameterValue",
            "digit",
        ),
        (
            "a time that ends before it begins",
            get("/changes?kind=vpc&from=2025-01-01&until=2024-01-01"),
            400,
            "InvalidParameterValue",
            "`from` (2025-01-01T00:00:00.000000Z) is after `until` (2024-01-01T00:00:00.000000Z)",
        ),
        ("not ready", unread("GET", "/readyz"), 503, "NotReady", "7 records behind"),
    ] {
        let (got, headers, body) = ask(&router, request).await;
        assert_eq!((got.as_u16(), body["code"].as_str()), (status, Some(code)), "{what}: {body}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{what}: {body}");
        assert_eq!(headers[header::CONTENT_TYPE], PROBLEM_JSON, "{what}");
        assert_eq!(body["status"], status, "{what}");
        assert_eq!(body["type"], format!("urn:ipam-ledger:problem:{code}"), "{what}");
        if status == 405 {
            assert_eq!(headers[header::ALLOW], "GET,HEAD");
        }
    }
}

#[tokio::test]
async fn what_a_refused_query_names_can_be_read_by_programs() {
    let router = served(&Arc::default());
    for (rest, values, would_work) in [
        (
            "/changes?kind=vpc&from=2025-01-01&until=2024-01-01",
            json!({"parameter": "from", "from": "2025-01-01T00:00:00.000000Z", "until": "2024-01-01T00:00:00.000000Z"}),
            json!({"from_at_most": "2024-01-01T00:00:00.000000Z"}),
        ),
        ("/pools?at=yesterday", json!({"parameter": "at", "value": "yesterday"}), Value::Null),
        ("/pools?at=rev:7", json!({"parameter": "at", "value": "rev:7"}), json!({"as_of": "rev:7"})),
        (
            "/holders?address=10.0.0.1&limit=1001",
            json!({"parameter": "limit", "value": "1001"}),
            json!({"max": "1000"}),
        ),
    ] {
        let (_, _, body) = ask(&router, get(rest)).await;
        assert_eq!((&body["values"], &body["would_work"]), (&values, &would_work), "{rest}: {body}");
    }
    let (_, _, body) = ask(&router, get("/pools?as_of=2999-01-01")).await;
    let value = "2999-01-01T23:59:59.999999Z";
    assert_eq!(body["values"], json!({"parameter": "as_of", "value": value}), "{body}");
    assert!(body["would_work"]["latest"].is_string(), "{body}");
}

#[tokio::test]
async fn a_scope_that_is_not_there_is_no_success() {
    let mut ledger = Ledger::new(1);
    let ipam = ledger.organization("o-example");
    let scope = CreateScope { ipam: ipam.ipam, description: None, name: None, tags: Tags::new() };
    let Event::ScopeCreated(created) = ledger.decide("o-example", ADMIN, scope).events()[0].clone() else {
        panic!("a scope is created")
    };
    let before = ledger.state("o-example").moment();
    ledger.decide("o-example", ADMIN, DeleteScope { scope: created.scope });
    let router = served_ledger(&ledger).await;
    let unknown = "ipam-scope-00000000000000000";
    for (what, scope, moment, status, forever) in [
        ("one that never was", unknown, String::new(), 404, 404),
        ("one that was deleted", created.scope.to_string().as_str(), String::new(), 404, 200),
        ("while it was there", &created.scope.to_string(), format!("&at={}", before.decided_at), 200, 200),
        ("as was known then", &created.scope.to_string(), format!("&as_of=rev:{}", before.revision), 200, 200),
        ("before it was known", &created.scope.to_string(), "&as_of=rev:5".to_owned(), 404, 404),
        ("one that is there", &ipam.private_default_scope.to_string(), String::new(), 200, 200),
        ("before it was there", &ipam.private_default_scope.to_string(), "&at=2019-01-01".to_owned(), 200, 200),
    ] {
        for (rest, expected) in
            [("/overlaps?", status), ("/holders?address=10.0.0.1&", status), ("/history?cidr=10.0.0.0/8&", forever)]
        {
            let (got, _, body) = ask(&router, get(&format!("{rest}scope={scope}{moment}"))).await;
            assert_eq!(got.as_u16(), expected, "{what}, {rest}: {body}");
            let refused = if expected == 404 { json!("ScopeNotFound") } else { Value::Null };
            assert_eq!((&body["code"], body["values"]["id"] == *scope), (&refused, expected == 404), "{what}: {body}");
        }
    }
}

#[tokio::test]
async fn a_preview_says_whether_it_is_a_promise() {
    let mut ledger = Ledger::new(1);
    let scope = Some(ledger.organization("o-example").private_default_scope);
    for (placement, certain) in [(Placement::FirstFit, true), (Placement::BestFit, true), (Placement::Random, false)] {
        let pool = CreatePool { scope, address_family: Some(Family::Ipv4), placement, ..CreatePool::default() };
        let Event::PoolCreated(created) = ledger.decide("o-example", ADMIN, pool).events()[0].clone() else {
            panic!("a pool is created")
        };
        let third = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"][placement as usize];
        let cidr = Some(third.parse().expect("a block"));
        ledger.decide("o-example", ADMIN, ProvisionPoolCidr { pool: created.pool, cidr, netmask_length: None });
        let router = served_ledger(&ledger).await;
        let next = format!("/pools/{}/next-cidr?netmask_length=24", created.pool);
        let (_, _, body) = ask(&router, get(&next)).await;
        assert_eq!(body["certain"], certain, "{body}");
        let [inside, outside] = ["5.0/24", "6.0/24"].map(|rest| third.replace("0.0/16", rest));
        let both = format!("{inside},{outside}");
        let (_, _, body) = ask(&router, get(&format!("{next}&allowed_cidrs={both}&disallowed_cidrs={outside}"))).await;
        assert_eq!(body["cidr"], inside, "{body}");
        let (status, _, body) = ask(&router, get(&format!("{next}&allowed_cidrs={inside},x"))).await;
        assert_eq!((status.as_u16(), &body["values"]["parameter"]), (400, &json!("allowed_cidrs")), "{body}");
    }
}

#[tokio::test]
async fn a_body_that_lies_about_its_length_is_still_bounded() {
    let router = served(&Arc::default());
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 << 10]));
    let (status, _, body) = ask(&router, post(COMMANDS, Body::from_stream(endless))).await;
    assert_eq!((status.as_u16(), &body["code"]), (413, &json!("BodyTooLarge")));

    let torn = futures_util::stream::iter([Ok(vec![b'{']), Err(std::io::Error::other("connection reset"))]);
    let (status, _, body) = ask(&router, post(COMMANDS, Body::from_stream(torn))).await;
    assert_eq!((status.as_u16(), &body["code"]), (400, &json!("MalformedRequest")));
}

#[tokio::test]
async fn outcomes_are_passed_on_as_recorded() {
    let told = Arc::new(Told::default());
    let router = served(&told);
    let accepted = outcome(&json!({"accepted": []}));
    told.answers.lock().expect("one thread").push(Ok(Answer { repeated: true, ..accepted.clone() }));
    let (status, headers, body) = ask(&router, post(COMMANDS, command())).await;
    assert_eq!(status, 200);
    assert_eq!(headers[REPEATED_HEADER], "true");
    assert_eq!(serde_json::from_slice::<Value>(&accepted.value).expect("JSON"), body);
    let handed: Value = serde_json::from_slice(&told.handed.lock().expect("one thread")[0]).expect("JSON");
    assert_eq!(handed["organization"], "o-example");

    let rejection = json!({"code": "AccountExists", "rule": "INV-O1", "message": "it is a member"});
    let rejected = outcome(&json!({"rejected": rejection}));
    told.answers.lock().expect("one thread").push(Ok(rejected.clone()));
    let (status, headers, body) = ask(&router, post(COMMANDS, command())).await;
    assert_eq!((status.as_u16(), headers[header::CONTENT_TYPE].as_bytes()), (422, PROBLEM_JSON.as_bytes()));
    assert_eq!((&body["code"], &body["rule"]), (&json!("AccountExists"), &json!("INV-O1")));
    assert_eq!(body["outcome"], serde_json::from_slice::<Value>(&rejected.value).expect("JSON"));
}

#[tokio::test]
async fn no_outcome_is_never_called_a_failure() {
    let told = Arc::new(Told::default());
    let router = served(&told);
    for (error, status, code) in [
        (SubmitError::Unknown("the log was lost".to_owned()), 504, "OutcomeUnknown"),
        (SubmitError::Unavailable("no leader".to_owned()), 503, "Unavailable"),
        (SubmitError::Undecodable("no type".to_owned()), 400, "MalformedRequest"),
    ] {
        told.answers.lock().expect("one thread").push(Err(error));
        let (got, headers, body) = ask(&router, post(COMMANDS, command())).await;
        assert_eq!((got.as_u16(), &body["code"], &body["values"]["command_id"]), (status, &json!(code), &json!(ID)));
        assert_eq!(headers.contains_key(header::RETRY_AFTER), status == 503);
        assert!(!body["detail"].as_str().expect("a text").contains("failed"));
    }
}

#[tokio::test]
async fn respond_async_hands_over_and_says_where_to_ask() {
    let told = Arc::new(Told::default());
    let mut request = post(COMMANDS, command());
    request.headers_mut().insert("prefer", "wait=1, Respond-Async".parse().expect("a header"));
    let (status, headers, body) = ask(&served(&told), request).await;
    let location = format!("/v1/organizations/o-example/outcomes/{ID}");
    assert_eq!((status.as_u16(), headers[header::LOCATION].as_bytes()), (202, location.as_bytes()));
    assert_eq!(body["outcome"], location);
    assert_eq!(told.handed.lock().expect("one thread").len(), 1);
}

#[tokio::test]
async fn a_batch_answers_each_in_order_and_one_bad_command_spoils_no_other() {
    let told = Arc::new(Told::default());
    let rejected = json!({"rejected": {"code": "AccountExists", "rule": "INV-O1", "message": "it is a member"}});
    *told.answers.lock().expect("one thread") = vec![Ok(outcome(&rejected)), Ok(outcome(&json!({"accepted": []})))];
    let body = format!("[{},{{}},{}]", command(), command());
    let (status, _, answers) = ask(&served(&told), post("/v1/organizations/o-example/commands:batch", body)).await;
    assert_eq!(status, 200);
    let statuses: Vec<_> = answers.as_array().expect("an array").iter().map(|one| one["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(200), Some(400), Some(422)], "{answers}");
    assert_eq!(answers[2]["problem"]["outcome"]["revision"], 3);
}

#[test]
fn the_table_describes_each_path_parameter_and_names_each_operation_once() {
    let mut operations = std::collections::BTreeSet::new();
    for route in routes::routes() {
        let named: Vec<_> = route.path.split(['{', '}']).skip(1).step_by(2).collect();
        let described: Vec<_> =
            route.parameters.iter().filter(|one| one.place == Place::Path).map(|one| one.name).collect();
        assert_eq!(named, described, "{route:?}");
        assert!(operations.insert(route.operation), "{route:?}");
        assert!(!route.answers.is_empty(), "{route:?}");
    }
}

/// Each operation of the document is served: asked for with nonsense, it answers with something other
/// than "no such path" or "not for this path".
#[tokio::test]
async fn every_operation_of_the_document_is_served() {
    let router = served(&Arc::default());
    let document: Value = serde_json::from_str(&openapi()).expect("JSON");
    for (path, operations) in document["paths"].as_object().expect("an object") {
        for verb in operations.as_object().expect("an object").keys() {
            let method = verb.to_uppercase();
            let uri = path.replace(['{', '}'], "");
            let request = Request::builder().method(method.as_str()).uri(uri).body(Body::empty()).expect("a request");
            let (_, _, body) = ask(&router, request).await;
            assert!(body["code"] != "NoSuchPath" && body["code"] != "MethodNotAllowed", "{verb} {path}: {body}");
        }
    }
}
