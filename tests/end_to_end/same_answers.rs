//! The walkthrough and the real import, on the embedded log and on Kafka: the same questions get the same answers,
//! byte for byte, times of decision aside; and the answers are the right ones.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::kafka;
use crate::server::Server;
use crate::walkthrough::{ADMIN, MEMBER, Script};

/// Partitions of the ledger on Kafka; the embedded one has its own number.
const PARTITIONS: u32 = 3;
/// Names for what is asked with an id or a block in it.
const SHOP: &str = "the shop's allocation";
const OFFICE: &str = "the office's allocation";
const OVERLAPS: &str = "overlaps";
const HISTORY_OF_THE_OFFICE: &str = "history of the office's block";
const INTERVALS: &str = "prefixes and intervals";
const EU_2020: &str = "/changes?kind=prefix&region=eu-central-1&from=2020-01-01&until=2021-01-01&limit=1000";
const ADDRESS_AND_DAY: &str = "/holders?address=52.94.76.5&at=2019-03-01";
/// Rows of the real history.
const ROWS: usize = 33_274;
/// Rows that are sent again: on Kafka the time of a batch is mostly the broker's, and some batches show it all.
const ROWS_AGAIN_ON_KAFKA: usize = 3_000;

#[test]
fn the_embedded_log_and_kafka_give_the_same_answers() {
    let data = tempfile::tempdir().expect("a directory");
    let (embedded, on_kafka) = std::thread::scope(|scope| {
        let embedded = scope.spawn(|| answers(&Server::start(&data.path().join("embedded"), &[]), ROWS));
        let config = kafka::config_with_topics(PARTITIONS);
        let flags = ["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix];
        let on_kafka = answers(&Server::start(&data.path().join("kafka"), &flags), ROWS_AGAIN_ON_KAFKA);
        (embedded.join().expect("the embedded ledger answers"), on_kafka)
    });
    are_right(&embedded);
    assert!(on_kafka.len() > 20);
    for (question, answer) in &on_kafka {
        assert_eq!(Some(answer), embedded.get(question), "{question}");
    }
}

/// Plays, imports, imports again, asks.
fn answers(server: &Server, rows_again: usize) -> BTreeMap<String, String> {
    let mut script = Script::new(server);
    let objects = script.play();
    let id = |name: &str| objects[name].as_str().map_or_else(|| objects[name]["allocation"].to_string(), str::to_owned);
    let cidr = |name: &str| objects[name]["cidr"].as_str().expect("a block").to_owned();
    script.await_views();
    let before = script.ask("");
    assert_eq!(script.import(ROWS), 0, "nothing was known before");
    script.await_views();
    let once = script.ask("");
    assert_eq!(script.import(rows_again), rows_again, "every row is known");
    assert_eq!(script.ask(""), once, "importing again changes nothing");
    assert!(once["revision"].as_u64() > before["revision"].as_u64());
    let (private, prod, top) = (id("private"), id("prod"), id("top"));
    let (shop, office) = (objects["shop"]["allocation"].as_str().expect("an id"), cidr("office"));
    let questions = [
        String::new(),
        "?as_of=rev:3".to_owned(),
        "/ipams".to_owned(),
        "/scopes".to_owned(),
        "/pools".to_owned(),
        format!("/pools?scope={private}&as_of=rev:12"),
        "/pools:fullest".to_owned(),
        format!("/pools/{prod}"),
        format!("/pools/{top}/cidrs"),
        format!("/pools/{prod}/allocations"),
        format!("/pools/{prod}/usage"),
        format!("/pools/{prod}/next-cidr?netmask_length=27"),
        format!("/allocations/{shop}"),
        ADDRESS_AND_DAY.to_owned(),
        "/holders?address=52.94.76.5&at=2016-01-01".to_owned(),
        "/history?cidr=52.94.76.0/22".to_owned(),
        "/history?cidr=52.94.0.0/16&limit=1000".to_owned(),
        "/resource-history?kind=prefix&id=AMAZON/us-west-2/52.94.76.0/22".to_owned(),
        EU_2020.to_owned(),
        "/changes?kind=prefix&limit=500".to_owned(),
        "/outcomes/00000000-0000-0000-0000-000000000001".to_owned(),
        "/outcomes/00000000-0000-0000-0000-000000000004".to_owned(),
    ];
    let mut answers: BTreeMap<String, String> =
        questions.iter().map(|question| (question.clone(), script.ask(question).to_string())).collect();
    answers.insert(SHOP.to_owned(), objects["shop"].to_string());
    answers.insert(OFFICE.to_owned(), objects["office"].to_string());
    answers.insert(OVERLAPS.to_owned(), script.ask(&format!("/overlaps?scope={private}&at=2100-01-01")).to_string());
    answers.insert(HISTORY_OF_THE_OFFICE.to_owned(), script.ask(&format!("/history?cidr={office}")).to_string());
    if rows_again == ROWS {
        answers.insert(INTERVALS.to_owned(), intervals(&script).to_string());
    }
    answers
}

/// Counts prefixes and their intervals, page by page.
fn intervals(script: &Script<'_>) -> Value {
    let (mut resources, mut intervals) = (BTreeSet::new(), 0);
    let first = "/changes?kind=prefix&limit=1000".to_owned();
    let mut page = first.clone();
    loop {
        let answer = script.ask(&page);
        let changes = answer["changes"].as_array().expect("changes");
        for change in changes.iter().filter(|change| change["change"] == "appeared") {
            resources.insert(change["id"].as_str().expect("an id").to_owned());
            intervals += 1;
        }
        match answer["next"].as_str() {
            Some(next) => page = format!("{first}&after={next}"),
            None => return json!({"resources": resources.len(), "intervals": intervals}),
        }
    }
}

/// What is known of the real history, and of the walkthrough, without this program.
fn are_right(answers: &BTreeMap<String, String>) {
    let answer = |question: &str| -> Value { serde_json::from_str(&answers[question]).expect("JSON") };

    let held = answer(ADDRESS_AND_DAY)["held"].clone();
    assert_eq!(held.as_array().map(Vec::len), Some(1), "nobody else is known: {held}");
    assert_eq!(held[0]["cidr"], "52.94.76.0/22");
    assert_eq!(held[0]["attributes"]["labels"]["service"], "AMAZON");
    assert_eq!(held[0]["attributes"]["region"], "us-west-2");
    assert_eq!(held[0]["from"], "2017-10-03T17:12:11.000000Z");
    assert_eq!(held[0]["until"], Value::Null, "still there at the end");
    let before = answer("/holders?address=52.94.76.5&at=2016-01-01");
    assert_eq!(before["observed"]["state"], "unknown-until", "nobody is not the same as unknown");

    let changes = answer(EU_2020);
    let counts = ["appeared_count", "vanished_count", "both_count"].map(|name| changes[name].as_u64());
    assert_eq!(counts, [178, 28, 25].map(Some));
    assert_eq!(changes["changes"].as_array().map(Vec::len), Some(178 + 28));
    assert_eq!(answer(INTERVALS), json!({"resources": 12_746, "intervals": 12_961}));

    // The rogue network on the office's block is one overlap; the acquired company's block in its own scope is none.
    let overlaps = answer(OVERLAPS);
    assert_eq!(overlaps["groups"].as_array().map(Vec::len), Some(1), "{overlaps}");
    let pairs = &overlaps["groups"][0]["pairs"];
    assert_eq!(pairs.as_array().map(Vec::len), Some(1), "{overlaps}");
    let (office, rogue) = (&pairs[0]["wide"], &pairs[0]["narrow"]);
    assert_eq!(office["allocation"], answer(OFFICE)["allocation"]);
    assert_eq!((&office["account"], &office["cidr"]), (&json!(ADMIN), &answer(OFFICE)["cidr"]));
    assert_eq!(
        (&rogue["id"], &rogue["account"], &rogue["cidr"]),
        (&json!("vpc-rogue"), &json!(MEMBER), &office["cidr"])
    );

    // Everybody around the block, pools of the other scope included, and those who hold it.
    let history = answer(HISTORY_OF_THE_OFFICE);
    let holders: Vec<_> = history["held"].as_array().expect("holders").iter().map(name_of).collect();
    assert_eq!(holders, ["acquired", "the office", "prod", "eu", "global", "vpc-rogue"], "{history}");
    assert_ne!(answer(SHOP)["cidr"], answer(OFFICE)["cidr"]);
}

fn name_of(held: &Value) -> &str {
    ["name", "description", "id"].into_iter().find_map(|name| held[name].as_str()).unwrap_or("nameless")
}
