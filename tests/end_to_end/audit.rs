//! An audit from end to end: the log, an export of it in two programs, checkpoints, and the ledger as it was. Everything
//! that is good is found good, and everything that was tampered with is not.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::kafka;
use crate::process::{Ended, ipam, ipam_with, run};
use crate::server::Server;
use crate::walkthrough::{ADMIN, MANAGEMENT, ORGANIZATION, Script};

const CLEAN: i32 = 0;
const WRONG: i32 = 1;
const USAGE: i32 = 2;
const UNREADABLE: i32 = 4;
/// Rows of the real history: each is an outcome.
const ROWS: usize = 300;
/// A revision in the middle of the walkthrough.
const MIDDLE: &str = "rev:20";

/// The program with the flags that name a ledger.
struct Auditor {
    home: tempfile::TempDir,
    log: Vec<String>,
}

impl Auditor {
    fn new(log: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        Self { home, log: log.iter().map(|flag| (*flag).to_owned()).collect() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `ipam audit`, with `@name` for a file of its own.
    fn audit(&self, line: &str) -> Ended {
        let (line, question) = line.split_once(" -- ").unwrap_or((line, ""));
        let file = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.path(name).to_string_lossy().into_owned(),
            None => word.to_owned(),
        };
        let mut words: Vec<_> = ["audit"].into_iter().chain(line.split_whitespace()).map(file).collect();
        // A key is of no log.
        if !line.starts_with("key") {
            words.extend(self.log.iter().cloned());
        }
        if !question.is_empty() {
            words.push("--".to_owned());
            words.extend(question.split_whitespace().map(str::to_owned));
        }
        ipam(self.home.path(), &words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let ended = self.audit(line);
        assert_eq!(ended.code, CLEAN, "{line}: {ended:#?}");
        ended.out
    }
}

fn play(data: &Path, flags: &[&str]) {
    let server = Server::start(data, flags);
    let mut script = Script::new(&server);
    script.play();
    script.import(ROWS);
    script.await_views();
    server.stop();
}

#[test]
fn a_stranger_can_check_the_embedded_log() {
    let data = tempfile::tempdir().expect("a directory");
    play(data.path(), &[]);
    let path = data.path().to_str().expect("a plain path");
    let auditor = Auditor::new(&["--data", path]);
    let verified = auditor.ok("verify");
    assert!(verified.contains("in 1 partitions") && verified.contains(ORGANIZATION), "{verified}");
    let report: Value = serde_json::from_str(&auditor.ok("verify --output json")).expect("JSON");
    assert_eq!(report["findings"], Value::Array(Vec::new()));

    exports(&auditor);
    checkpoints(&auditor);
    replays(&auditor, path);
}

/// Two programs that share no code agree on what is good, and on what is not.
fn exports(auditor: &Auditor) {
    auditor.ok(&format!("export --org {ORGANIZATION} --out @export"));
    let good = std::fs::read_to_string(auditor.path("export")).expect("the export");
    assert_eq!(good, auditor.ok(&format!("export --org {ORGANIZATION}")), "a file and standard output are the same");
    auditor.audit(&format!("export --org {ORGANIZATION} --out @export")).says(USAGE, &["is there already"]);
    auditor.audit("export --org o-nobody --out @nobody").says(USAGE, &["o-nobody has no history"]);
    assert!(!auditor.path("nobody").exists(), "nothing is left behind");
    auditor.audit("verify --org o-nobody").says(USAGE, &["o-nobody has no history", "--org names it"]);
    auditor.ok(&format!("verify --org {ORGANIZATION}"));
    let verified = auditor.ok("verify --file @export");
    let head = verified.lines().find(|line| line.starts_with(ORGANIZATION)).expect("a head");
    let in_python = python(&auditor.path("export"));
    assert_eq!(in_python.code, CLEAN, "{in_python:#?}");
    let hash = head.rsplit(' ').next().expect("a hash");
    assert!(in_python.out.trim_end().ends_with(hash), "{in_python:#?} {head}");

    let lines: Vec<_> = good.lines().map(str::to_owned).collect();
    let block = lines.iter().position(|line| line.contains("\"CidrAllocated\"")).expect("an allocation");
    let tampered = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        assert_ne!(lines.join("\n"), good.trim_end());
        lines.join("\n") + "\n"
    };
    for (kind, file) in [
        ("changed", tampered(&|lines| lines[block] = lines[block].replacen("10.", "11.", 1))),
        ("changed", tampered(&|lines| lines[9] = lines[9].replacen("the walkthrough", "the wolkthrough", 1))),
        ("dropped", tampered(&|lines| drop(lines.remove(9)))),
        ("dropped", tampered(&|lines| drop(lines.pop()))),
        ("swapped", tampered(&|lines| lines.swap(9, 10))),
        ("doubled", tampered(&|lines| lines.insert(9, lines[8].clone()))),
        ("inserted", tampered(&|lines| lines.insert(9, lines[8].replacen("the walkthrough", "nobody", 1)))),
    ] {
        std::fs::write(auditor.path("tampered"), file).expect("written");
        let told = auditor.audit("verify --file @tampered");
        told.says(WRONG, &[kind, "line ", ORGANIZATION, "revision "]);
        assert!(told.out.lines().any(|line| line.starts_with(kind)), "what is found is a result: {told:#?}");
        let in_python = python(&auditor.path("tampered"));
        in_python.says(WRONG, &["wrong: "]);
    }
    // Whole chains of forgers: what they say is judged, too.
    for (rule, file) in [("INV-A1", rechained(&lines, block, "10.", "11.")), ("INV-C1", twice_provisioned(&lines))] {
        std::fs::write(auditor.path("tampered"), file).expect("written");
        auditor.audit("verify --file @tampered").says(WRONG, &["wrong: line", rule]);
        python(&auditor.path("tampered")).says(WRONG, &["wrong: line", rule]);
    }
    // Whoever kept a command can tell that a record answers it.
    let command = serde_json::json!({
        "command_id": "00000000-0000-0000-0000-000000000001", "organization": ORGANIZATION, "type": "CreateOrganization",
        "principal": {"account": MANAGEMENT, "name": "walkthrough"}, "payload": {"management_account": MANAGEMENT},
    });
    std::fs::write(auditor.path("commands"), command.to_string()).expect("written");
    auditor.audit("verify --file @export --commands @commands").says(CLEAN, &["1 of 1 commands that were kept"]);
    let other = command.to_string().replace(MANAGEMENT, ADMIN);
    std::fs::write(auditor.path("commands"), other).expect("written");
    auditor.audit("verify --commands @commands").says(WRONG, &["revision 1", "the one that was kept has"]);
    auditor.audit("verify --file @nothing").says(UNREADABLE, &["nothing", "No such file"]);
    std::fs::write(auditor.path("tampered"), "{}\n").expect("written");
    auditor.audit("verify --file @tampered").says(UNREADABLE, &["it is no export"]);
    assert_eq!(python(&auditor.path("tampered")).code, USAGE);
}

/// The export with a change in one line, hashed anew from there on.
fn rechained(lines: &[String], at: usize, from: &str, to: &str) -> String {
    let mut lines = lines.to_vec();
    lines[at] = lines[at].replacen(from, to, 1);
    chain(&mut lines);
    lines.join("\n") + "\n"
}

/// The export with a top-level CIDR in another pool of the same scope.
fn twice_provisioned(lines: &[String]) -> String {
    let mut lines = lines.to_vec();
    let of = |text: &str| serde_json::from_str::<Value>(text).expect("an outcome");
    let created = |pool: &Value| {
        lines
            .iter()
            .skip(1)
            .map(|line| of(line)["decision"]["accepted"][0].clone())
            .find(|event| event["type"] == "PoolCreated" && event["data"]["pool"] == *pool)
    };
    let at = lines.iter().skip(1).rposition(|line| {
        let event = &of(line)["decision"]["accepted"][0];
        event["type"] == "PoolCidrProvisioned" && event["data"]["source_allocation"].is_null()
    });
    let at = at.expect("a top-level CIDR") + 1;
    let second = of(&lines[at])["decision"]["accepted"][0]["data"]["pool"].clone();
    let scope = created(&second).expect("its pool")["data"]["scope"].clone();
    let first = lines.iter().skip(1).map(|line| of(line)["decision"]["accepted"][0].clone()).find(|event| {
        event["type"] == "PoolCreated" && event["data"]["source_pool"].is_null() && event["data"]["pool"] != second
    });
    let other = first.expect("another top-level pool")["data"]["scope"].clone();
    // The second pool is said to have been created in the first one's scope.
    let line =
        lines.iter().position(|line| line.contains("PoolCreated") && line.contains(second.as_str().expect("an id")));
    let line = line.expect("it was created");
    lines[line] = lines[line].replace(scope.as_str().expect("an id"), other.as_str().expect("an id"));
    chain(&mut lines);
    lines.join("\n") + "\n"
}

/// Mends hashes and manifest, as a forger would.
fn chain(lines: &mut [String]) {
    let digest = |line: &str| ipam_ledger::domain::digest::Digest::of(line.as_bytes()).to_string();
    let value = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    for at in 2..lines.len() {
        let named = value(&lines[at])["previous"].as_str().expect("a hash").to_owned();
        lines[at] = lines[at].replacen(&named, &digest(&lines[at - 1]), 1);
    }
    let last = lines.last().map(|line| digest(line)).expect("lines");
    let named = value(&lines[0])["last"]["hash"].as_str().expect("a hash").to_owned();
    lines[0] = lines[0].replace(&named, &last);
}

fn python(file: &Path) -> Ended {
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit/verify_export.py");
    run(Command::new("python3").arg("-I").arg(verifier).arg(file))
}

/// Signed, checked by this program and by OpenSSL, and refused when anything is another.
fn checkpoints(auditor: &Auditor) {
    auditor.ok("key --out @audit.pem");
    auditor.audit("key --out @audit.pem").says(USAGE, &["is there already"]);
    auditor.ok("key --out @other.pem");
    auditor.ok("checkpoint --key @audit.pem --out @checkpoint");
    let since = "--checkpoint @checkpoint --public-key @audit.pem.pub";
    let verified = auditor.audit(&format!("verify {since}"));
    verified.says(CLEAN, &["signed by the key you named", "were not judged again"]);
    auditor.ok(&format!("verify {since} --org {ORGANIZATION}"));
    auditor.ok(&format!("verify {since} --file @export"));
    auditor.ok(&format!("checkpoint --key @audit.pem {since} --out @second"));
    auditor.audit("verify --checkpoint @checkpoint --public-key @other.pem.pub").says(WRONG, &["with another key"]);
    auditor.audit("verify --checkpoint @audit.pem").says(USAGE, &["it is no checkpoint"]);
    auditor.audit("checkpoint --key @audit.pem.pub --out @third").says(USAGE, &["ipam audit key"]);
    assert!(!auditor.path("third").exists());

    let text = std::fs::read_to_string(auditor.path("checkpoint")).expect("the checkpoint");
    let (statement, seal) = text.split_once('\n').expect("two lines");
    let seal: Value = serde_json::from_str(seal).expect("JSON");
    let digits = seal["signature"].as_str().expect("a signature").as_bytes().chunks(2);
    let signature: Vec<_> = digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits"))
        .collect();
    std::fs::write(auditor.path("signature"), signature).expect("written");
    let openssl = |statement: &str| {
        std::fs::write(auditor.path("statement"), statement).expect("written");
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(auditor.path("audit.pem.pub"));
        command.arg("-in").arg(auditor.path("statement")).arg("-sigfile").arg(auditor.path("signature"));
        run(&mut command).code
    };
    assert_eq!(openssl(statement), 0);
    let rewritten = statement.replacen("\"revision\":", "\"revision\":1", 1);
    assert_ne!(openssl(&rewritten), 0);
    std::fs::write(auditor.path("changed"), text.replacen(statement, &rewritten, 1)).expect("written");
    auditor.audit("verify --checkpoint @changed").says(WRONG, &["changed after it was signed"]);
    let mut private = Command::new("openssl");
    private.args(["pkey", "-noout", "-text", "-in"]).arg(auditor.path("audit.pem"));
    assert_eq!(run(&mut private).code, 0, "OpenSSL reads the private key");
}

/// A replay answers as the live ledger does with `--as-of`.
fn replays(auditor: &Auditor, data: &str) {
    let asks = ["--org", ORGANIZATION, "--as", ADMIN, "--output", "json"];
    let live = |question: &str| -> Value {
        let words: Vec<_> = question.split_whitespace().chain(asks).chain(["--data", data]).collect();
        let ended = ipam(auditor.home.path(), &words);
        assert_eq!(ended.code, CLEAN, "{question}: {ended:#?}");
        serde_json::from_str(&ended.out).expect("JSON")
    };
    let replayed = |until: &str, question: &str| -> Value {
        let out = auditor.ok(&format!("replay --until {until} {} -- {question}", asks.join(" ")));
        serde_json::from_str(&out).expect("JSON")
    };
    for question in [
        "pool tree",
        "pool list",
        "allocation list eu/prod",
        "history 10.0.0.0/8",
        "who 10.0.0.1 --at 2100-01-01",
        "overlaps --scope private --at 2100-01-01",
        "org show",
    ] {
        assert_eq!(replayed(MIDDLE, question), live(&format!("{question} --as-of {MIDDLE}")), "{question}");
    }
    let decided_at =
        live(&format!("pool tree --as-of {MIDDLE}"))["decided_at"].as_str().expect("an instant").to_owned();
    let then = replayed(&decided_at, "pool tree");
    assert_eq!(then, live(&format!("pool tree --as-of {MIDDLE}")));
    assert_eq!(then["revision"], 20);
    // The opening of the reign is at offset 0, and all outcomes are this organisation's.
    assert_eq!(replayed("0:20", "pool tree"), then);
    let now = live("pool tree");
    assert_eq!(replayed("now", "pool tree"), now);
    assert_ne!(now, then, "the ledger has moved on");

    let of = format!("--org {ORGANIZATION} --as {ADMIN}");
    for (until, question, words) in [
        ("rev:20", "allocate /28 --from eu/prod", &["the past takes no commands"][..]),
        ("rev:20", "serve", &["asks the ledger nothing"]),
        ("rev:20", "pool tree --data /elsewhere", &["name the log before"]),
        ("rev:20", "pool tre", &["unrecognized subcommand"]),
        ("rev:99999", "pool tree", &["the history ends at revision"]),
        ("0:99999", "pool tree", &["is not in the log"]),
        ("5:1", "pool tree", &["is in partition 0"]),
        ("2999-01-01", "pool tree", &["--until", "in the future", "--until now"]),
        ("yesterday", "pool tree", &["PARTITION:OFFSET"]),
    ] {
        auditor.audit(&format!("replay --until {until} {of} -- {question}")).says(USAGE, words);
    }
    // What is typed goes before the environment, for the question, too.
    let words =
        ["audit", "replay", "--until", MIDDLE, "--org", ORGANIZATION, "--data", data, "--", "pool", "tree", "-q"];
    let ended = ipam_with(auditor.home.path(), &[("IPAM_ORG", "o-nobody"), ("IPAM_DATA", "/nowhere")], &words);
    ended.says(CLEAN, &[]);
}

#[test]
fn a_stranger_can_check_the_log_on_kafka() {
    let data = tempfile::tempdir().expect("a directory");
    let config = kafka::config_with_topics(3);
    let flags = ["--kafka", &config.bootstrap, "--topic-prefix", &config.prefix];
    play(data.path(), &flags);
    let auditor = Auditor::new(&flags);
    let verified = auditor.ok("verify");
    assert!(verified.contains("in 3 partitions"), "{verified}");
    let one = auditor.ok(&format!("verify --org {ORGANIZATION}"));
    assert!(one.contains("in 1 partitions") && one.contains(ORGANIZATION), "{one}");
    auditor.ok(&format!("export --org {ORGANIZATION} --out @export"));
    assert_eq!(python(&auditor.path("export")).code, CLEAN);
    auditor.ok("key --out @audit.pem");
    auditor.ok("checkpoint --key @audit.pem --out @checkpoint");
    auditor.ok("verify --checkpoint @checkpoint --public-key @audit.pem.pub");
    let tree = auditor.ok(&format!("replay --until {MIDDLE} --org {ORGANIZATION} --output json -- pool tree"));
    let tree: Value = serde_json::from_str(&tree).expect("JSON");
    assert_eq!(tree["revision"], 20);
}
