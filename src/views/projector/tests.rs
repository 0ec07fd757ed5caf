//! The projector against a simulated log: restarts, crashes, other logs, records that cannot be folded, rebuilds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Projector, ProjectorError};
use crate::address::Family;
use crate::domain::command::{AddAccount, AllocateCidr, CreatePool, ProvisionPoolCidr};
use crate::domain::event::Event;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::{Row, State};
use crate::log::Log;
use crate::log::record::{Epoch, Header, Kind, NewRecord, Partition, Seq};
use crate::views::Views;
use crate::views::answer::Paging;
use crate::views::objects;
use crate::views::position::PositionError;
use crate::views::store::StoreError;
use crate::views::table::Rows;
use crate::views::testing::{ADMIN, Ledger, MANAGEMENT, eventually, shared};
use crate::views::when::{AsOf, QueryError, When, parse_as_of, parse_at};

pub(super) type AllRows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Two organisations on two partitions with pools and many allocations.
pub(super) fn ledger() -> Ledger {
    let mut ledger = Ledger::new(2);
    for organization in ["o-aa", "o-ab"] {
        let ipam = ledger.organization(organization);
        let pool = CreatePool {
            scope: Some(ipam.private_default_scope),
            address_family: Some(Family::Ipv4),
            ..CreatePool::default()
        };
        let created = ledger.decide(organization, ADMIN, pool);
        let [Event::PoolCreated(created)] = created.events() else { panic!("a pool is created") };
        let cidr = Some("10.0.0.0/16".parse().expect("a block"));
        ledger.decide(organization, ADMIN, ProvisionPoolCidr { pool: created.pool, cidr, netmask_length: None });
    }
    allocate(&mut ledger, 100);
    ledger
}

pub(super) fn allocate(ledger: &mut Ledger, count: usize) {
    for index in 0..count {
        let organization = ["o-aa", "o-ab"][index % 2];
        let pool = ledger.state(organization).pools().iter().next().expect("a pool").id;
        let body = AllocateCidr {
            pool,
            cidr: None,
            netmask_length: Some(28),
            allowed_cidrs: vec![],
            disallowed_cidrs: vec![],
            description: None,
            tags: BTreeMap::new(),
            resource: None,
        };
        ledger.decide(organization, ADMIN, body);
    }
}

fn id(text: &str) -> OrganizationId {
    text.parse().expect("well formed")
}

pub(super) fn open(path: &Path, log: &dyn LogLike) -> (Views, Projector) {
    Views::open(path, log.shared()).expect("the views open")
}

pub(super) trait LogLike {
    fn shared(&self) -> Arc<dyn Log>;
}

impl LogLike for Ledger {
    fn shared(&self) -> Arc<dyn Log> {
        shared(&self.log)
    }
}

fn catch_up(views: &Views, ledger: &Ledger) {
    eventually("the views hold every outcome", || {
        ["o-aa", "o-ab"].iter().all(|organization| {
            let head = views.head(&id(organization)).expect("the store is there");
            head.is_some_and(|head| head.moment == ledger.state(organization).moment())
        })
    });
}

/// Every row of every view, positions included.
pub(super) fn rows(views: &Views) -> Vec<(&'static str, AllRows)> {
    let snapshot = views.snapshot();
    let all = |name| {
        let mut all = AllRows::new();
        let visit = &mut |key: &[u8], value: &[u8]| {
            all.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        };
        snapshot.rows(name).expect("a view").scan(&[0], &[0xff], visit).expect("the store is there");
        all
    };
    Views::names().into_iter().map(|name| (name, all(name))).collect()
}

#[test]
fn an_orderly_stop_keeps_everything_and_a_start_goes_on_behind_it() {
    let (mut ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let before = rows(&views);
    projector.stop().expect("the disk takes it");
    drop(views);
    // Nothing is read again: what was there is found without a projector.
    let read_only = Views::open_read_only(folder.path()).expect("there is something to read");
    assert_eq!(rows(&read_only), before);
    let answer = read_only.ask(&id("o-aa"), &When::NOW, objects::organization).expect("an answer");
    assert_eq!(answer.head.revision, ledger.state("o-aa").moment().revision);
    drop(read_only);
    allocate(&mut ledger, 10);
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let fresh = tempfile::tempdir().expect("a folder");
    let (other, other_projector) = open(fresh.path(), &ledger);
    catch_up(&other, &ledger);
    assert_eq!(rows(&views), rows(&other));
    projector.stop().expect("the disk takes it");
    other_projector.stop().expect("the disk takes it");
}

/// RocksDB goes on by itself when there is room for a whole write buffer; it looks every five seconds.
/// Needs the right to mount a small file system; says so where it is missing.
#[test]
fn a_full_disk_holds_the_views_up_until_there_is_room() {
    let (mut ledger, mount) = (ledger(), tempfile::tempdir().expect("a folder"));
    let disk = mount.path().to_str().expect("a plain path");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=160m", "tmpfs", disk]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: it takes root to mount a small disk");
        return;
    }
    let filler = mount.path().join("filler");
    let (views, projector) = open(&mount.path().join("views"), &ledger);
    catch_up(&views, &ledger);
    std::fs::write(&filler, vec![0; 160 << 20]).expect_err("it fills the disk to the brim");
    projector.store.flush().expect_err("there is no room");
    let known = ledger.state("o-aa").moment().revision;
    allocate(&mut ledger, 10);
    eventually("the views say what is to be done", || {
        views.progress().ready().is_err_and(|why| why.contains("No space left") && why.contains("free"))
    });
    let answer = views.ask(&id("o-aa"), &When::NOW, objects::organization).expect("questions are answered");
    assert_eq!(answer.head.revision, known);
    std::fs::remove_file(&filler).expect("removed");
    catch_up(&views, &ledger);
    eventually("the views are ready again", || views.progress().ready().is_ok());
    let fresh = tempfile::tempdir().expect("a folder");
    let (other, other_projector) = open(fresh.path(), &ledger);
    catch_up(&other, &ledger);
    assert_eq!(rows(&views), rows(&other), "nothing was folded twice or not at all");
    projector.stop().expect("there is room");
    other_projector.stop().expect("the disk takes it");
    drop(views);
    let unmounted = Command::new("umount").args(["--lazy", disk]).status();
    assert!(unmounted.is_ok_and(|status| status.success()), "the small disk stays mounted at {disk}");
}

#[test]
fn after_a_crash_the_views_fall_back_to_their_last_flush_and_replay_to_the_same_rows() {
    let (mut ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    projector.stop().expect("the disk takes it");
    drop(views);
    let flushed = copy(folder.path());
    allocate(&mut ledger, 30);
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let expect = rows(&views);
    // The process dies here: what was in memory alone is not on the disk. A copy made while files come and go is no
    // picture of any moment: it is made again.
    let whole = |folder: &tempfile::TempDir| Views::open_read_only(folder.path()).is_ok();
    let crashed = (0..100).map(|_| copy(folder.path())).find(whole).expect("files stand still at times");
    drop(projector);
    for folder in [crashed, flushed] {
        let (views, projector) = open(folder.path(), &ledger);
        catch_up(&views, &ledger);
        assert_eq!(rows(&views), expect);
        projector.stop().expect("the disk takes it");
    }
}

pub(super) fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if path.is_file() && name != "LOCK" {
            // It may be gone by now.
            let _ = std::fs::copy(&path, to.path().join(name));
        }
    }
    to
}

#[test]
fn a_view_ahead_of_the_log_or_of_another_ledger_refuses_to_run() {
    let (ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    projector.stop().expect("the disk takes it");
    drop(views);
    let refused = |ledger: &Ledger| match Views::open(folder.path(), shared(&ledger.log)) {
        Err(ProjectorError::Position(error)) => error,
        other => panic!("it must refuse: {other:?}"),
    };
    let error = refused(&Ledger::of(2, Uuid::from_u128(0x07e)));
    assert!(matches!(error, PositionError::OtherLedger { .. }), "{error}");
    assert!(error.to_string().contains("rebuild"), "{error}");
    let error = refused(&Ledger::new(2));
    assert!(matches!(error, PositionError::AheadOfLog { .. }), "{error}");
    // The same ledger and length, but another history.
    let mut other = Ledger::new(2);
    for organization in ["o-ab", "o-aa"] {
        other.organization(organization);
        for number in 0..60 {
            let member = format!("{:012}", 500 + number).parse().expect("an account");
            other.decide(organization, MANAGEMENT, AddAccount { account: member, name: None });
        }
    }
    let error = refused(&other);
    assert!(matches!(error, PositionError::OtherRecord { .. }), "{error}");
}

#[test]
fn a_rebuilt_view_has_the_same_rows() {
    let (ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let before = rows(&views);
    assert!(matches!(
        Views::open(folder.path(), shared(&ledger.log)),
        Err(ProjectorError::Store(StoreError::InUse { .. }))
    ));
    projector.stop().expect("the disk takes it");
    drop(views);
    // One view begins anew while the other stands at the end, and skips what it holds.
    for view in ["ledger", "lineage"] {
        let cleared = Views::clear(folder.path(), Some(view)).expect("it can be cleared");
        assert_eq!(cleared, [format!("{view}-2")]);
        let (views, projector) = open(folder.path(), &ledger);
        catch_up(&views, &ledger);
        eventually("the views are level", || rows(&views) == before);
        projector.stop().expect("the disk takes it");
    }
}

#[test]
fn void_records_are_counted_and_have_no_effect() {
    let (ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let ghost = Header { kind: Kind::Outcome, epoch: Epoch(7), seq: Seq(1), source: None };
    let record = NewRecord { header: ghost, key: None, value: b"not even JSON".to_vec().into() };
    ledger.log.appender(Partition(0)).expect("an appender").append(vec![record]).expect("it takes records");
    eventually("the void record is counted", || views.progress().partitions()[&Partition(0)].void_count == 1);
    assert_eq!(views.progress().ready(), Ok(()));
    projector.stop().expect("the disk takes it");
}

#[test]
fn an_admitted_record_that_cannot_be_read_or_folded_stops_its_partition_alone() {
    // The second contradicts the state: the fold itself panics.
    let twice = |ledger: &Ledger| {
        let (_, first) = &ledger.outcomes[0];
        crate::log::wire::encode_outcome(first)
    };
    let unreadable = |_: &Ledger| br#"{"schema":99}"#.to_vec();
    for bad in [&unreadable as &dyn Fn(&Ledger) -> Vec<u8>, &twice] {
        let (mut ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
        let first = ledger.partition_of(&id("o-aa"));
        let other = ledger.partition_of(&id("o-ab"));
        assert_ne!(first, other);
        let end = ledger.log.end(first).expect("the log is there");
        let value = bad(&ledger);
        ledger.append_value(first, value);
        let stood = ledger.state("o-aa").moment();
        allocate(&mut ledger, 10);
        let (views, projector) = open(folder.path(), &ledger);
        eventually("the other partition is folded", || {
            let head = views.head(&id("o-ab")).expect("the store is there");
            head.is_some_and(|head| head.moment == ledger.state("o-ab").moment())
        });
        eventually("the partition has stopped", || views.progress().partitions()[&first].stopped.is_some());
        let reason = views.progress().ready().expect_err("not ready");
        assert!(reason.contains(&format!("offset {end} of partition {first}")), "{reason}");
        assert_eq!(views.head(&id("o-aa")).expect("the store is there").expect("a head").moment, stood);
        assert_eq!(views.progress().partitions()[&other].stopped, None);
        // What this partition holds is not answered any more; those on the other go on.
        assert!(matches!(views.ask(&id("o-aa"), &When::NOW, objects::organization), Err(QueryError::Stopped { .. })));
        assert!(views.ask(&id("o-ab"), &When::NOW, objects::organization).is_ok());
        // One that is not known may begin behind the stop: it was said that there is none.
        assert!(matches!(views.ask(&id("o-zz"), &When::NOW, objects::organization), Err(QueryError::Stopped { .. })));
        projector.stop().expect("the disk takes it");
    }
}

#[test]
fn a_writer_starts_from_the_stored_state() {
    let (ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let partition = ledger.partition_of(&id("o-aa"));
    let restored = views.restore(partition).expect("the store is there").expect("a snapshot");
    let end = ledger.log.end(partition).expect("the log is there");
    assert_eq!(restored.admission.next, end);
    assert_eq!(views.covered(partition).expect("the store is there"), end);
    let [organization] = restored.organizations.try_into().expect("one organisation is on the partition");
    assert_eq!(organization.id, id("o-aa"));
    let (_, last) = ledger.outcomes.iter().rfind(|(_, outcome)| outcome.organization == id("o-aa")).expect("one");
    assert_eq!(organization.chain, crate::domain::digest::Digest::of(&crate::log::wire::encode_outcome(last)));
    assert_eq!(restored.newest_command, Some(last.command_id));
    let state = State::restore(organization.id, organization.rows);
    let pool = |state: &State| {
        let pool = state.pools().iter().next().expect("a pool").id;
        (state.moment(), pool, state.pools().usage(pool))
    };
    assert_eq!(pool(&state), pool(ledger.state("o-aa")));
    assert!(state.row(&crate::domain::RowKey::Organization).is_some_and(|row| matches!(row, Row::Organization { .. })));
    projector.stop().expect("the disk takes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_revision_or_an_outcome_ends_when_it_is_folded() {
    let (mut ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let organization = id("o-aa");
    let head = ledger.state("o-aa").moment().revision;
    let waiting = {
        let (views, organization) = (views.clone(), organization.clone());
        tokio::spawn(async move { views.wait_for(&organization, Revision(head.0 + 1), Duration::from_secs(30)).await })
    };
    allocate(&mut ledger, 1);
    let answered = waiting.await.expect("no panic").expect("it comes");
    assert!(answered.revision > head);
    let ahead = views.wait_for(&organization, Revision(head.0 + 9), Duration::from_millis(20)).await;
    assert!(matches!(ahead, Err(QueryError::RevisionAhead { asked: Revision(_), head: Revision(_) })));
    let unknown = views.wait_for(&id("o-nobody"), Revision(1), Duration::from_millis(20)).await;
    assert!(matches!(unknown, Err(QueryError::OrganizationNotFound(_))));
    let (_, last) = ledger.outcomes.last().expect("one");
    let found = views.wait_for_outcome(&organization, last.command_id, Duration::from_secs(30)).await;
    let found = found.expect("the store is there").expect("it is known");
    assert_eq!(found.value.as_ref(), crate::log::wire::encode_outcome(last).as_slice());
    assert_eq!((found.revision, found.digest), (last.revision, last.digest));
    let never = views.wait_for_outcome(&organization, Uuid::nil(), Duration::from_millis(20)).await;
    assert_eq!(never.expect("the store is there"), None);
    tokio::task::spawn_blocking(|| projector.stop()).await.expect("no panic").expect("the disk takes it");
}

#[test]
fn outcomes_are_paged_in_order_and_the_first_answer_of_an_id_stands() {
    let (mut ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (_, first) = ledger.outcomes[0].clone();
    // The id again, with another command: it is recorded, and is not the answer.
    let body = CreatePool::default();
    let again = ledger.decide_as(first.command_id, "o-aa", ADMIN, body.into());
    // Of an organisation that does not exist: an answer, but no history.
    let nowhere = ledger.decide("o-zz", ADMIN, CreatePool::default());
    assert_eq!(nowhere.revision, None);
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let organization = id("o-aa");
    let found = views.outcome(&organization, first.command_id).expect("the store is there").expect("known");
    assert_eq!((found.revision, found.digest), (Some(Revision(1)), first.digest));
    assert_ne!(found.digest, again.digest);
    eventually("the rejection is known", || {
        views.outcome(&id("o-zz"), nowhere.command_id).expect("the store is there").is_some()
    });
    assert_eq!(views.head(&id("o-zz")).expect("the store is there"), None);
    let mut revisions = Vec::new();
    let mut from = Revision(1);
    loop {
        let page = views.outcomes(&organization, from, 7).expect("a page");
        let Some(last) = page.last().and_then(|last| last.revision) else { break };
        revisions.extend(page.iter().filter_map(|outcome| outcome.revision));
        from = last.next();
    }
    let all: Vec<_> = (1..=ledger.state("o-aa").moment().revision.0).map(Revision).collect();
    assert_eq!(revisions, all);
    assert!(matches!(views.outcomes(&organization, from, 0), Err(QueryError::Limit { .. })));
    assert_eq!(views.organizations().expect("the store is there").len(), 2);
    projector.stop().expect("the disk takes it");
}

#[test]
fn questions_name_the_moment_that_answers_and_refuse_those_that_cannot() {
    let (ledger, folder) = (ledger(), tempfile::tempdir().expect("a folder"));
    let (views, projector) = open(folder.path(), &ledger);
    catch_up(&views, &ledger);
    let organization = id("o-aa");
    let head = ledger.state("o-aa").moment();
    let now = head.decided_at.plus_micros(1);
    let ask = |at: Option<&str>, as_of: Option<&str>| {
        let when = When {
            at: at.map(|text| parse_at(text, now)).transpose()?,
            as_of: as_of.map(|text| parse_as_of(text, now)).transpose()?,
        };
        views.ask(&organization, &when, objects::ipams).map(|answer| answer.head.revision)
    };
    assert_eq!(ask(None, None).expect("now"), head.revision);
    assert_eq!(ask(None, Some("rev:6")).expect("known"), Revision(6));
    // The organisation's sixth outcome was decided at second 5: commands of both share the clock.
    assert_eq!(ask(Some("2024-01-01T00:00:05.5Z"), None).expect("then"), Revision(6));
    assert_eq!(ask(Some("2024-01-01T00:00:05.5Z"), Some("rev:3")).expect("the earlier"), Revision(3));
    assert_eq!(ask(Some("2024-01-01"), None).expect("the day's end"), head.revision);
    assert!(matches!(ask(None, Some("rev:999")), Err(QueryError::RevisionAhead { .. })));
    assert!(matches!(ask(Some("2023-12-31"), None), Err(QueryError::BeforeHistory { .. })));
    let future = When { at: None, as_of: Some(AsOf::Revision(Revision(0))) };
    assert!(matches!(views.ask(&organization, &future, objects::ipams), Err(QueryError::BeforeHistory { .. })));
    let pool = ledger.state("o-aa").pools().iter().next().expect("a pool").id;
    let bad = Paging { limit: 10, after: Some("nonsense".to_owned()) };
    assert!(matches!(
        views.ask(&organization, &When::NOW, |picture| objects::allocations(picture, pool, &bad)),
        Err(QueryError::Cursor)
    ));
    projector.stop().expect("the disk takes it");
}

#[test]
fn a_directory_of_another_version_is_refused_and_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("FORMAT"), "ipam-views 99\n").expect("it is written");
    let ledger = Ledger::new(1);
    let error = Views::open(folder.path(), shared(&ledger.log)).expect_err("another version");
    assert!(error.to_string().contains("ipam-views 99") && error.to_string().contains("ipam views rebuild"), "{error}");
    let empty = tempfile::tempdir().expect("a folder");
    assert!(matches!(Views::open_read_only(empty.path()), Err(StoreError::Missing { .. })));
}
