//! A small model of admission, taking over, acknowledging, forwards and `Passed` (design D5), checked exhaustively.
//!
//! Two commands on a topic, three attempts to write the partition, a network that loses, reorders and doubles records. Readers
//! run the real fold, `log::admission::Admission`. Every condition of the design, left out, must be found missing.
//!
//! What keeps the model small without hiding anything:
//! - The network keeps every record and may land any of them at any time, any number of times, in any order. One that never
//!   lands is lost; a writer that does nothing any more has crashed, or is paused and may go on as a ghost; a letter that is
//!   never acknowledged is lost. So none of these needs an action of its own.
//! - A void record changes nothing in any fold (asserted), so landing one is the same as not landing it: the log keeps valid ones.
//! - Reading has no effect on others: a writer that reads late is one that did not read yet. So reads take all there is.
//! - Attempts differ in nothing but their number: they claim in the order of their numbers.
//!
//! Size: 11,408 states up to depth 25, under a second; each condition left out is found within some 20,000.

#![expect(clippy::indexing_slicing, reason = "a model: an index out of bounds is a defect of the test, and says where")]

use std::hash::{Hash, Hasher};

use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::log::admission::{Admission, Reign, Verdict};
use ipam_ledger::log::record::{
    Epoch, EpochOpened, Header, Kind, LedgerId, Offset, Record, Seq, SourceOffset, WriterId,
};
use stateright::{Checker, HasDiscoveries, Model, Property};

const ATTEMPTS: usize = 3;

/// What is on the command topic of this partition: two commands, in every way that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sent {
    /// Decided here.
    Ours(u8),
    /// Decided elsewhere: to be forwarded.
    Theirs,
}
const TOPICS: [[Sent; 2]; 5] = [
    [Sent::Ours(0), Sent::Ours(1)],
    [Sent::Ours(0), Sent::Ours(0)],
    [Sent::Theirs, Sent::Ours(0)],
    [Sent::Ours(0), Sent::Theirs],
    [Sent::Theirs, Sent::Theirs],
];

/// One condition of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    /// An opening is valid only with the epoch after the last valid one.
    OpeningEpoch,
    /// An outcome is valid only in the open epoch.
    OutcomeEpoch,
    /// An outcome is valid only with the next number of its epoch.
    Seq,
    /// `writer` is new for every attempt.
    UniqueWriter,
    /// An outcome is acknowledged when the writer has read it back as valid, not when the broker has it.
    ReadBack,
    /// Letters are acknowledged before any record with a later source offset is appended.
    Barrier,
    /// Commands already decided, by whomever, are not decided again.
    Dedup,
}

struct Ledger {
    left_out: Option<Condition>,
}

/// A record of the events log, or under way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rec {
    by: u8,
    epoch: u8,
    seq: u8,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum What {
    Opened,
    Outcome { source: u8, command: u8 },
    Passed { source: u8 },
}

/// The real fold, hashed by what later verdicts depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fold(Admission);

impl Hash for Fold {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.next.hash(state);
        self.0.source.hash(state);
        if let Some(reign) = self.0.reign {
            (reign.epoch, reign.writer, reign.next_seq).hash(state);
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    Idle,
    Claiming,
    Reigning(u8),
    /// Deposed, or its claim was void: this attempt is over.
    Over,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Writer {
    phase: Phase,
    fold: Fold,
    /// Commands with an outcome, folded or just decided; one bit each.
    decided: u8,
    next_seq: u8,
    /// The next command of the topic.
    next: u8,
    in_flight: Vec<Rec>,
    /// Offsets of letters sent and not acknowledged, and the records that wait for that.
    letters: Vec<u8>,
    held_back: Vec<Rec>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    topic: u8,
    log: Vec<Rec>,
    /// Appended by somebody, in no order; any of it may land, again and again.
    net: Vec<Rec>,
    writers: [Writer; ATTEMPTS],
    /// Offsets whose letters the broker has acknowledged, one bit each.
    forwarded: u8,
    /// Commands whose senders were told the outcome, one bit each.
    acknowledged: u8,
    /// What a reader at the end of the log knows, and how many valid outcomes each command has.
    truth: Fold,
    effects: [u8; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// Reads so many records from the beginning and claims: stale unless it is all.
    Claim {
        writer: usize,
        read: usize,
    },
    /// Reads on up to its own opening.
    Open {
        writer: usize,
    },
    /// Decides so many commands as one batch.
    Decide {
        writer: usize,
        commands: usize,
    },
    LettersArrive {
        writer: usize,
    },
    /// Reads all there is.
    Read {
        writer: usize,
    },
    Land {
        index: usize,
    },
}

impl Ledger {
    fn lacks(&self, condition: Condition) -> bool {
        self.left_out == Some(condition)
    }

    fn writer_id(&self, attempt: u8) -> WriterId {
        WriterId::from_u128(if self.lacks(Condition::UniqueWriter) { 1 } else { u128::from(attempt) + 1 })
    }

    /// Folds the record at `offset`. A check that is left out is one whose answer is made to be yes.
    fn admit(&self, fold: &mut Fold, offset: usize, rec: Rec) -> Verdict {
        let reign = fold.0.reign;
        let (mut epoch, mut seq) = (Epoch(rec.epoch.into()), Seq(rec.seq.into()));
        match (rec.what, reign) {
            (What::Opened, Some(_)) if self.lacks(Condition::OpeningEpoch) => {
                // Whatever epoch it names, it shall seem to come next.
                fold.0.reign = reign.map(|reign| Reign { epoch: Epoch(epoch.0 - 1), ..reign });
            }
            (What::Outcome { .. } | What::Passed { .. }, Some(reign)) => {
                if self.lacks(Condition::OutcomeEpoch) {
                    epoch = reign.epoch;
                }
                if self.lacks(Condition::Seq) {
                    seq = reign.next_seq;
                }
            }
            _ => {}
        }
        let (kind, source, value) = match rec.what {
            What::Outcome { source, .. } => (Kind::Outcome, Some(SourceOffset(source.into())), Vec::new()),
            What::Passed { source } => (Kind::Passed, Some(SourceOffset(source.into())), Vec::new()),
            What::Opened => {
                let writer = self.writer_id(rec.by);
                let opened = EpochOpened { schema: 1, epoch, writer, ledger: LedgerId::nil(), partitions: 1 };
                (Kind::EpochOpened, None, serde_json::to_vec(&opened).expect("JSON"))
            }
        };
        fold.0.admit(&Record {
            offset: Offset(offset as u64),
            appended_at: Timestamp::default(),
            header: Some(Header { kind, epoch, seq, source }),
            value: value.into(),
        })
    }

    fn claim(&self, world: &mut World, attempt: usize, read: usize) {
        let mut writer = Writer { phase: Phase::Claiming, ..Writer::default() };
        for offset in 0..read {
            self.fold(&mut writer, offset, world.log[offset]);
        }
        let epoch = u8::try_from(writer.fold.0.next_epoch().0).expect("few attempts");
        world.net.push(Rec { by: number(attempt), epoch, seq: 0, what: What::Opened });
        if !self.lacks(Condition::UniqueWriter) {
            // Its opening is behind what it read, wherever that ended.
            (writer.fold, writer.decided) = Default::default();
        }
        world.writers[attempt] = writer;
    }

    fn fold(&self, writer: &mut Writer, offset: usize, rec: Rec) -> Verdict {
        let verdict = self.admit(&mut writer.fold, offset, rec);
        if let (Verdict::Outcome(_), What::Outcome { command, .. }) = (verdict, rec.what)
            && !self.lacks(Condition::Dedup)
        {
            writer.decided |= 1 << command;
        }
        verdict
    }

    fn open(&self, world: &mut World, attempt: usize) {
        let id = self.writer_id(number(attempt));
        let World { writers, log, .. } = world;
        let writer = &mut writers[attempt];
        let from = usize::try_from(writer.fold.0.next.0).expect("small");
        for (offset, rec) in log.iter().enumerate().skip(from) {
            let verdict = self.fold(writer, offset, *rec);
            if rec.what != What::Opened || self.writer_id(rec.by) != id {
                continue;
            }
            if let Verdict::Opened(opened) = verdict {
                writer.phase = Phase::Reigning(u8::try_from(opened.epoch.0).expect("few attempts"));
                writer.next_seq = 1;
                writer.next = writer.fold.0.source.map_or(0, |source| u8::try_from(source.0).expect("small") + 1);
            } else {
                *writer = Writer { phase: Phase::Over, ..Writer::default() };
            }
            return;
        }
    }

    fn decide(&self, world: &mut World, attempt: usize, commands: usize) {
        let topic = TOPICS[usize::from(world.topic)];
        let writer = &mut world.writers[attempt];
        let Phase::Reigning(epoch) = writer.phase else { return };
        let mut batch = Vec::new();
        let mut passed = None;
        let mut record = |next_seq: &mut u8, what| {
            batch.push(Rec { by: number(attempt), epoch, seq: *next_seq, what });
            *next_seq += 1;
        };
        for _ in 0..commands {
            let source = writer.next;
            writer.next += 1;
            passed = Some(source);
            match topic[usize::from(source)] {
                Sent::Ours(command) if writer.decided & (1 << command) == 0 => {
                    writer.decided |= 1 << command;
                    record(&mut writer.next_seq, What::Outcome { source, command });
                    passed = None;
                }
                Sent::Ours(_) => {}
                Sent::Theirs => writer.letters.push(source),
            }
        }
        if let Some(source) = passed {
            record(&mut writer.next_seq, What::Passed { source });
        }
        writer.in_flight.extend(&batch);
        if writer.letters.is_empty() || self.lacks(Condition::Barrier) {
            world.net.extend(batch);
        } else {
            writer.held_back = batch;
        }
    }

    fn letters_arrive(world: &mut World, attempt: usize) {
        let writer = &mut world.writers[attempt];
        for offset in writer.letters.drain(..) {
            world.forwarded |= 1 << offset;
        }
        world.net.append(&mut writer.held_back);
    }

    fn read(&self, world: &mut World, attempt: usize) {
        let World { writers, log, acknowledged, .. } = world;
        let writer = &mut writers[attempt];
        let Phase::Reigning(_) = writer.phase else { return };
        let from = usize::try_from(writer.fold.0.next.0).expect("small");
        for (offset, rec) in log.iter().enumerate().skip(from) {
            match self.fold(writer, offset, *rec) {
                Verdict::Opened(_) => writer.phase = Phase::Over,
                // Its own record is recognised by its number; the outcome it answers with is the one it decided.
                Verdict::Outcome(_) | Verdict::Passed(_) if !writer.in_flight.is_empty() => {
                    if let What::Outcome { command, .. } = writer.in_flight.remove(0).what {
                        *acknowledged |= 1 << command;
                    }
                }
                _ => {}
            }
            if writer.phase == Phase::Over {
                // Nothing that this attempt still holds is sent by it any more; what is under way stays so.
                *writer = Writer { phase: Phase::Over, ..Writer::default() };
                return;
            }
        }
    }

    fn land(&self, world: &mut World, rec: Rec) {
        let before = world.truth.clone();
        let verdict = self.admit(&mut world.truth, world.log.len(), rec);
        if let What::Outcome { command, .. } = rec.what {
            if let Verdict::Outcome(_) = verdict {
                world.effects[usize::from(command)] += 1;
            }
            if self.lacks(Condition::ReadBack) {
                world.acknowledged |= 1 << command;
            }
        }
        if let Verdict::Void(_) = verdict {
            let after = std::mem::replace(&mut world.truth, before);
            let altered = (after.0.reign, after.0.source) != (world.truth.0.reign, world.truth.0.source);
            assert!(!altered, "a void record has no effect");
        } else {
            world.log.push(rec);
        }
    }
}

impl Model for Ledger {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let world = |topic| World {
            topic,
            log: Vec::new(),
            net: Vec::new(),
            writers: Default::default(),
            forwarded: 0,
            acknowledged: 0,
            truth: Fold::default(),
            effects: [0; 2],
        };
        (0..number(TOPICS.len())).map(world).collect()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if let Some(writer) = world.writers.iter().position(|writer| writer.phase == Phase::Idle) {
            let before_an_opening = |read: &usize| world.log.get(*read).is_none_or(|rec| rec.what == What::Opened);
            actions.extend((0..=world.log.len()).filter(before_an_opening).map(|read| Action::Claim { writer, read }));
        }
        for (attempt, writer) in world.writers.iter().enumerate() {
            let unread = usize::try_from(writer.fold.0.next.0).expect("small") < world.log.len();
            match writer.phase {
                Phase::Claiming if unread => {
                    let id = self.writer_id(number(attempt));
                    let unread = world.log.iter().skip(usize::try_from(writer.fold.0.next.0).expect("small"));
                    let ours = |rec: &Rec| rec.what == What::Opened && self.writer_id(rec.by) == id;
                    if unread.into_iter().any(ours) {
                        actions.push(Action::Open { writer: attempt });
                    }
                }
                Phase::Reigning(_) => {
                    if unread {
                        actions.push(Action::Read { writer: attempt });
                    }
                    if !writer.letters.is_empty() {
                        actions.push(Action::LettersArrive { writer: attempt });
                    }
                    if writer.letters.is_empty() || self.lacks(Condition::Barrier) {
                        let left = 2 - usize::from(writer.next);
                        actions.extend((1..=left).map(|commands| Action::Decide { writer: attempt, commands }));
                    }
                }
                _ => {}
            }
        }
        actions.extend((0..world.net.len()).map(|index| Action::Land { index }));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Claim { writer, read } => self.claim(&mut next, writer, read),
            Action::Open { writer } => self.open(&mut next, writer),
            Action::Decide { writer, commands } => self.decide(&mut next, writer, commands),
            Action::LettersArrive { writer } => Self::letters_arrive(&mut next, writer),
            Action::Read { writer } => self.read(&mut next, writer),
            Action::Land { index } => {
                let rec = next.net[index];
                self.land(&mut next, rec);
            }
        }
        if let (None, Some(reign)) = (self.left_out, next.truth.0.reign) {
            // What can never be valid any more need not be kept: epochs and numbers only grow.
            next.net.retain(|rec| {
                let (epoch, seq) = (Epoch(rec.epoch.into()), Seq(rec.seq.into()));
                epoch > reign.epoch || epoch == reign.epoch && seq >= reign.next_seq
            });
        }
        // Under way there is no order: equal sets are equal states.
        next.net.sort_unstable();
        next.net.dedup();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_EFFECT, |_, world: &World| world.effects.iter().all(|effects| *effects <= 1)),
            Property::always(KEPT, |_, world: &World| {
                (0..2).all(|command| world.acknowledged & (1 << command) == 0 || world.effects[command] > 0)
            }),
            Property::always(NOTHING_SLIPS_THROUGH, |_, world: &World| {
                let topic = TOPICS[usize::from(world.topic)];
                let behind = world.truth.0.source.map_or(0, |source| source.0 + 1);
                topic.iter().enumerate().take(usize::try_from(behind).expect("small")).all(
                    |(offset, sent)| match sent {
                        Sent::Ours(command) => world.effects[usize::from(*command)] > 0,
                        Sent::Theirs => world.forwarded & (1 << offset) != 0,
                    },
                )
            }),
            // Not vacuous: all can end well, also for the third writer.
            Property::sometimes("both commands are acknowledged", |_, world: &World| world.acknowledged == 0b11),
            Property::sometimes("the third attempt passes the end of the topic", |_, world: &World| {
                let third = world.truth.0.reign.is_some_and(|reign| reign.epoch == Epoch(3));
                third && world.truth.0.source == Some(SourceOffset(1))
            }),
        ]
    }
}

const ONE_EFFECT: &str = "a command has at most one effect";
const KEPT: &str = "an acknowledged command is never lost";
const NOTHING_SLIPS_THROUGH: &str = "every command behind the resume offset has an outcome or was forwarded";

fn number(attempt: usize) -> u8 {
    u8::try_from(attempt).expect("few attempts")
}

#[test]
fn the_rules_of_the_design_hold() {
    let checker = Ledger { left_out: None }.checker().threads(2).spawn_bfs().join();
    println!("{} states, depth {}", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

/// Checks without one condition until an `always` property fails; gives its name.
fn found(left_out: Condition) -> &'static str {
    let checker = Ledger { left_out: Some(left_out) }
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let failed = [ONE_EFFECT, KEPT, NOTHING_SLIPS_THROUGH].into_iter().find(|name| checker.discovery(name).is_some());
    let failed = failed.unwrap_or_else(|| panic!("nobody missed {left_out:?}"));
    let path = checker.discovery(failed).expect("just found");
    println!("without {left_out:?}: {failed}; {} states\n{:?}", checker.unique_state_count(), path.into_actions());
    failed
}

#[test]
fn without_the_epoch_check_of_openings_it_fails() {
    found(Condition::OpeningEpoch);
}

#[test]
fn without_the_epoch_check_of_outcomes_it_fails() {
    found(Condition::OutcomeEpoch);
}

#[test]
fn without_the_sequence_check_it_fails() {
    found(Condition::Seq);
}

#[test]
fn without_a_unique_writer_it_fails() {
    assert_eq!(found(Condition::UniqueWriter), KEPT);
}

#[test]
fn without_reading_back_it_fails() {
    assert_eq!(found(Condition::ReadBack), KEPT);
}

#[test]
fn without_the_barrier_it_fails() {
    assert_eq!(found(Condition::Barrier), NOTHING_SLIPS_THROUGH);
}

#[test]
fn without_remembering_command_ids_it_fails() {
    assert_eq!(found(Condition::Dedup), ONE_EFFECT);
}
