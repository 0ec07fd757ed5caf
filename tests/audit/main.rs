//! The audit against an enemy: honest logs, drawn, and what an enemy makes of them.
//!
//! What must hold, whatever was done: an honest log is clean. The audit never panics. What counts of an organisation is
//! read apart from the code ([`history`]) and held against what was written. Unless its hashes were made anew, the first
//! record that is another than was written, and has one behind it, is named, or something before it is. What is clean
//! after all is the history that was written, or another whole one of that organisation, cut off somewhere, with at most
//! its last record another: nobody vouches for that one. Hashed anew, what is clean at least breaks no rule of a naive
//! model; and a checkpoint tells even that. The verifier in Python says the same of every export.
//!
//! `AUDIT_CASES=20000 cargo test --test audit` draws more; `AUDIT_SEED=n` shows one, or so many from there on.

#![allow(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]

mod history;
#[path = "../support/model/mod.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod model;
mod random;
mod replayed;
mod tamper;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use ipam_ledger::audit::checkpoint::Statement;
use ipam_ledger::audit::export::{ExportError, Manifest, export, verify_file};
use ipam_ledger::audit::report::{Finding, Kind, Place, Report};
use ipam_ledger::audit::{Asked, verify};
use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::id::OrganizationId;
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::log::record::Partition;
use ipam_ledger::log::wire::decode_outcome;

use history::{Histories, Lanes};
use model::world::World;
use random::Random;

/// Enough to see most that an enemy can do; more by hand.
const CASES: u64 = 150;
/// So many cases have their exports read by Python, too.
const IN_PYTHON: u64 = 400;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().expect("a number"));
    match number("AUDIT_SEED") {
        Some(seed) => seed..seed + number("AUDIT_CASES").unwrap_or(1),
        None => 0..number("AUDIT_CASES").unwrap_or(CASES),
    }
}

fn audit(lanes: &Lanes, asked: &Asked<'_>) -> Report {
    verify(&lanes.laid_down(), asked, &|_| {}).expect("the log can be read")
}

#[test]
fn an_honest_log_is_clean() {
    for seed in seeds() {
        let mut random = Random::new(seed);
        let lanes = Lanes::honest(&mut random);
        let report = audit(&lanes, &Asked::default());
        assert_eq!(report.findings, [], "seed {seed}");
        let heads = |histories: Histories| -> BTreeMap<_, _> {
            let last =
                |history: Vec<(u32, u64, Vec<u8>)>| (history.len() as u64, Digest::of(&history.last().expect("one").2));
            histories.into_iter().map(|(id, history)| (id, last(history))).collect()
        };
        let found: BTreeMap<_, _> =
            report.heads.iter().map(|(id, head)| (id.clone(), (head.revision.0, head.hash))).collect();
        assert_eq!(found, heads(lanes.histories()), "seed {seed}");

        // A checkpoint of any moment before, one for each partition.
        let mut before = lanes.clone();
        before.0.iter_mut().for_each(|lane| lane.truncate(random.below(lane.len() + 1)));
        let signed = audit(&before, &Asked::default());
        if signed.findings.is_empty()
            && let Ok(checkpoint) = Statement::of(&signed, Timestamp::default())
        {
            let asked = Asked { checkpoint: Some(&checkpoint), ..Asked::default() };
            let report = audit(&lanes, &asked);
            assert_eq!(report.findings, [], "seed {seed}, from a checkpoint");
            assert_eq!(report.heads.len(), found.len(), "seed {seed}");
            assert_eq!(report.trusted, signed.accepted + signed.rejected, "seed {seed}");
        }
        for id in found.keys() {
            let asked = Asked { organization: Some(id), ..Asked::default() };
            let report = audit(&lanes, &asked);
            assert_eq!((report.findings.as_slice(), report.heads.len()), (&[][..], 1), "seed {seed}, {id} alone");
        }
    }
}

/// How often what happened: a test that never sees what it judges proves nothing.
#[derive(Debug, Default)]
struct Seen {
    named: BTreeMap<String, u64>,
    unseen: u64,
    forged_and_clean: u64,
    told_by_checkpoint: u64,
}

#[test]
fn a_tampered_log_is_clean_only_where_nobody_can_know() {
    let mut seen = Seen::default();
    for seed in seeds() {
        tampered(seed, &mut seen);
    }
    println!("{seen:?}");
    if seeds().count() > 1 {
        for kind in [Kind::Changed, Kind::Dropped, Kind::Swapped, Kind::Doubled, Kind::Inserted, Kind::Wrong] {
            assert!(seen.named.contains_key(&kind.to_string()), "{kind} never happened: {seen:?}");
        }
        assert!(seen.unseen > 0 && seen.forged_and_clean > 0 && seen.told_by_checkpoint > 0, "{seen:?}");
    }
}

fn tampered(seed: u64, seen: &mut Seen) {
    let mut random = Random::new(seed ^ 0xbad);
    let honest = Lanes::honest(&mut random);
    let other = Lanes::honest(&mut random);
    let mut lanes = honest.clone();
    let mut what = vec![format!("seed {seed}")];
    for _ in 0..=random.below(2) {
        what.push(tamper::log(&mut random, &mut lanes, &other));
    }
    let rehashed = random.one_in(3);
    if rehashed {
        lanes.rehash();
        what.push("hashed anew".to_owned());
    }
    if random.one_in(2) {
        lanes.renumber();
        what.push("numbered anew".to_owned());
    }
    let what = what.join(", ");
    let report = audit(&lanes, &Asked::default());
    for finding in &report.findings {
        *seen.named.entry(finding.kind.to_string()).or_default() += 1;
    }
    let (written, elsewhere, now) = (honest.histories(), other.histories(), lanes.histories());
    let mut differs = written.len() != now.len();
    for (id, history) in &now {
        let original = written.get(id).map(Vec::as_slice).unwrap_or_default();
        let same = |original: &[(u32, u64, Vec<u8>)]| {
            history.iter().zip(original).take_while(|(now, then)| now.2 == then.2).count()
        };
        let good = same(original).max(elsewhere.get(id).map(|other| same(other)).unwrap_or_default());
        differs |= good < history.len() || history.len() < original.len();
        if rehashed {
            continue;
        }
        // What stands there was written for later, or the one that was written behind it still names what belongs there.
        let behind = original.get(good + 1..).unwrap_or_default();
        let stands = |record: &(u32, u64, Vec<u8>)| behind.iter().any(|then| then.2 == record.2);
        let follower = |record: &(u32, u64, Vec<u8>)| behind.first().is_some_and(|then| then.2 == record.2);
        let vouched = history.get(good).is_some_and(stands) || history.iter().skip(good + 1).any(follower);
        if let Some((partition, offset, _)) = history.get(good).filter(|_| vouched) {
            let place =
                Place::Log { partition: Partition(*partition), offset: ipam_ledger::log::record::Offset(*offset) };
            let told = report
                .findings
                .iter()
                .any(|finding| finding.organization.as_ref().is_none_or(|of| of == id) && finding.place <= place);
            assert!(
                told,
                "{what}: record {good} of {id} at {place} is another, and nothing names it: {:#?}",
                report.findings
            );
        }
    }
    assert!(!lanes.is_cut_off() || !report.findings.is_empty(), "{what}: a reign that cannot go on is clean");
    if report.findings.is_empty() {
        seen.unseen += u64::from(differs && !rehashed);
        if rehashed && differs {
            seen.forged_and_clean += 1;
            for (id, history) in &now {
                naive(&what, id, history);
            }
        }
    }
    by_checkpoint(&what, &honest, &lanes, &mut random, seen);
    alone(&what, &lanes, &report);
}

/// What the audit calls clean, a naive model of the domain must be able to believe, but for what the audit says that it
/// does not judge (D20: whom a release names as still there).
fn naive(what: &str, id: &OrganizationId, history: &[(u32, u64, Vec<u8>)]) {
    let folded = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::default();
        for (_, _, value) in history {
            let outcome = decode_outcome(value).expect("a clean outcome can be read");
            for event in outcome.events() {
                world.fold(outcome.revision.expect("of a history"), event);
            }
            world.check();
        }
    }));
    let broken = folded.err().map(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or_default().to_owned()
    });
    let judged = broken.filter(|broken| !broken.contains("D20"));
    assert_eq!(judged, None, "{what}: {id} is clean, and breaks a rule of the model");
}

/// History before a checkpoint is the one that was signed, hashed anew or not.
fn by_checkpoint(what: &str, honest: &Lanes, lanes: &Lanes, random: &mut Random, seen: &mut Seen) {
    let mut before = honest.clone();
    before.0.iter_mut().for_each(|lane| lane.truncate(random.below(lane.len() + 1)));
    let signed = audit(&before, &Asked::default());
    let Ok(checkpoint) = Statement::of(&signed, Timestamp::default()) else { return };
    if !signed.findings.is_empty() {
        return;
    }
    let report = audit(lanes, &Asked { checkpoint: Some(&checkpoint), ..Asked::default() });
    let (then, now) = (before.histories(), lanes.histories());
    let kept = then.iter().all(|(id, then)| {
        now.get(id).is_some_and(|now| now.iter().zip(then).filter(|(now, then)| now.2 == then.2).count() == then.len())
    });
    if !kept {
        seen.told_by_checkpoint += 1;
        assert_ne!(report.findings, [], "{what}: a checkpoint was signed over another history");
    }
}

/// What is asked about one organisation is what is said of it among all.
fn alone(what: &str, lanes: &Lanes, whole: &Report) {
    // A reign that cannot go on is named once, by whatever shows it first.
    let of_reigns = |finding: &Finding| finding.organization.is_none() || finding.problem.contains("an effect");
    if whole.findings.iter().any(of_reigns) {
        return;
    }
    for id in history::organizations() {
        let report = audit(lanes, &Asked { organization: Some(&id), ..Asked::default() });
        let of_it = |report: &Report| {
            let of_it = |finding: &&Finding| finding.organization.as_ref() == Some(&id);
            report.findings.iter().filter(of_it).cloned().collect::<Vec<_>>()
        };
        let found: Vec<_> = of_it(whole);
        let home = ipam_ledger::audit::home(&lanes.laid_down(), &id).expect("the log can be read");
        let found_at_home: Vec<_> = found
            .into_iter()
            .filter(|finding| matches!(finding.place, Place::Log { partition, .. } if partition == home))
            .collect();
        // What cannot be read at all may be anybody's: of one alone it may be taken for what is missing.
        if report.findings.iter().any(|finding| finding.problem.contains("cannot be read")) {
            assert!(found_at_home.is_empty() || !of_it(&report).is_empty(), "{what}: {id} alone");
            continue;
        }
        assert_eq!(of_it(&report), found_at_home, "{what}: {id} alone");
        if report.findings.is_empty() {
            assert_eq!(report.heads.get(&id), whole.heads.get(&id), "{what}: {id} alone");
        }
    }
}

fn checked(lines: &[Vec<u8>]) -> Result<(Manifest, Report), ExportError> {
    let file = lines.join(&b'\n');
    verify_file(|| Ok(file.as_slice()), &Asked::default())
}

/// What Python does not look at: its rules are fewer, and it does not know every member of every event.
fn beyond_python(report: &Report) -> bool {
    let known = ["INV-C1", "INV-C4", "INV-C7", "INV-A1 ", "INV-P14", "not after", "again", "begins with"];
    report.findings.iter().all(|finding| match finding.kind {
        Kind::Wrong => !known.iter().any(|rule| finding.problem.contains(rule)),
        Kind::Unreadable => true,
        Kind::Changed => finding.problem.contains("cannot be read"),
        _ => false,
    })
}

#[test]
fn two_verifiers_agree_on_exports() {
    let folder = tempfile::tempdir().expect("a directory");
    let mut said = Vec::new();
    for seed in seeds().take(usize::try_from(IN_PYTHON).expect("few")) {
        let mut random = Random::new(seed ^ 0xf11e);
        let lanes = Lanes::honest(&mut random);
        let Some(id) = random.of(&lanes.histories().into_keys().collect::<Vec<_>>()).cloned() else { continue };
        let mut file = Vec::new();
        export(&lanes.laid_down(), &id, &mut file).expect("there is a history");
        let mut lines: Vec<Vec<u8>> = file.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.pop();
        let mut what = vec![format!("seed {seed}")];
        let mut rehashed = false;
        if !random.one_in(8) {
            what.push(tamper::lines(&mut random, &mut lines));
            rehashed = random.one_in(2);
        }
        if rehashed {
            rehash(&mut lines);
            what.push("hashed anew".to_owned());
        }
        let report = checked(&lines);
        let path = folder.path().join(seed.to_string());
        std::fs::write(&path, lines.join(&b'\n')).expect("written");
        let clean = what.len() == 1;
        said.push((what.join(", "), clean, rehashed, report, path));
    }
    let paths: Vec<_> = said.iter().map(|(.., path)| path.clone()).collect();
    let in_python = in_python(&paths);
    assert_eq!(in_python.len(), said.len());
    let (mut good, mut bad) = (0, 0);
    for ((what, honest, rehashed, report, _), python) in said.into_iter().zip(in_python) {
        let (in_rust, findings, excused) = match report {
            Ok((_, report)) if report.findings.is_empty() => ("clean", Vec::new(), false),
            Ok((_, report)) => ("wrong", report.findings.clone(), rehashed && beyond_python(&report)),
            Err(_) => ("unreadable", Vec::new(), true),
        };
        assert!(!honest || in_rust == "clean", "{what}: {findings:?}");
        let word = python.split(' ').next().unwrap_or_default();
        assert!(
            in_rust == word || (excused && in_rust != "clean"),
            "{what}: {in_rust}, in Python {python}: {findings:#?}"
        );
        *(if in_rust == "clean" { &mut good } else { &mut bad }) += 1;
    }
    println!("{good} clean, {bad} not");
}

/// Mends hashes and manifest, as a forger would.
fn rehash(lines: &mut [Vec<u8>]) {
    let mut previous = None;
    let mut ends: Option<(serde_json::Value, serde_json::Value)> = None;
    for (line, revision) in lines.iter_mut().skip(1).zip(1_u64..) {
        let Ok(mut outcome) = decode_outcome(line) else { return };
        outcome.revision = Some(ipam_ledger::domain::id::Revision(revision));
        outcome.previous = previous;
        *line = ipam_ledger::log::wire::encode_outcome(&outcome);
        let hash = Digest::of(line);
        previous = Some(hash);
        let end = serde_json::json!({"revision": revision, "hash": hash, "decided_at": outcome.decided_at});
        ends = Some((ends.map_or_else(|| end.clone(), |(first, _)| first), end));
    }
    let (Some((first, last)), Ok(mut manifest)) = (ends, serde_json::from_slice::<serde_json::Value>(&lines[0])) else {
        return;
    };
    (manifest["records"], manifest["first"], manifest["last"]) = ((lines.len() - 1).into(), first, last);
    lines[0] = serde_json::to_vec(&manifest).expect("it was JSON");
}

/// One process reads them all.
fn in_python(paths: &[std::path::PathBuf]) -> Vec<String> {
    const DRIVER: &str = r#"
import importlib.util, sys
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("verifier", sys.argv[1])
verifier = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verifier)
for path in sys.argv[2:]:
    try:
        with open(path, "rb") as file:
            verifier.verify(file)
        print("clean")
    except verifier.Wrong as wrong:
        print("wrong", repr(str(wrong)))
    except (ValueError, LookupError, TypeError) as error:
        print("unreadable", repr(error))
"#;
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit/verify_export.py");
    let ended = Command::new("python3").args(["-I", "-c", DRIVER]).arg(verifier).args(paths).output().expect("python3");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("text").lines().map(str::to_owned).collect()
}
