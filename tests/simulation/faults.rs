//! What may go wrong, each with its own rate. A run turns each one off, on or up; a plan can leave any out.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::plan::Plan;
use super::random::Random;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $rate:literal;)*) => {
        /// A fault, or something that an actor does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name),* }

        impl Fault {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// How often, of a thousand times that it could.
            const fn per_mille(self) -> u32 {
                match self { $(Self::$name => $rate),* }
            }
        }
    };
}

faults!(
    // Nodes.
    /// A node dies while effects wait to be carried out.
    CrashBetweenEffects = "crash-between-effects", 5;
    /// A node dies at any other moment.
    Crash = "crash", 350;
    /// It comes back without its view store.
    SnapshotLost = "snapshot-lost", 150;
    /// It comes back with a view store whose position is of another record.
    SnapshotMoved = "snapshot-moved", 60;
    /// It comes back with a view store whose position is ahead of the log.
    SnapshotAhead = "snapshot-ahead", 60;
    /// It comes back with a view store with rows that cannot be read.
    SnapshotUnreadable = "snapshot-unreadable", 60;
    /// A node is paused for long, and wakes up deposed.
    Pause = "pause", 250;
    /// A node's clock jumps, by less than a minute.
    ClockJump = "clock-jump", 400;
    /// A node's clock is more than a minute off.
    ClockOff = "clock-off", 200;
    /// A node's disk is full: its views cannot be written.
    DiskFull = "disk-full", 200;
    // The group.
    /// A partition goes to another node.
    Rebalance = "rebalance", 700;
    /// The node that had it does not know.
    TwoOwners = "two-owners", 400;
    // The log.
    /// The log refuses an append.
    AppendRefused = "append-refused", 10;
    /// An append is never answered; some of it may be in the log, or get there.
    AppendUnknown = "append-unknown", 15;
    /// A record on its way is lost.
    RecordLost = "record-lost", 8;
    /// A record lands twice.
    RecordDoubled = "record-doubled", 10;
    /// A record lands before its elders.
    RecordOvertakes = "record-overtakes", 10;
    /// Nobody reaches the log for a while.
    LogUnreachable = "log-unreachable", 200;
    /// Offsets are skipped.
    OffsetsSkipped = "offsets-skipped", 250;
    /// Somebody else's record lands.
    ForeignRecord = "foreign-record", 300;
    /// A writer of another ledger opens a reign here.
    ForeignLedger = "foreign-ledger", 300;
    /// A writer that believes in another number of partitions opens a reign here.
    ForeignPartitions = "foreign-partitions", 300;
    /// An opening lands whose headers and value differ.
    BotchedOpening = "botched-opening", 300;
    /// The log loses its last records. The nodes must refuse; the run ends.
    LogTruncated = "log-truncated", 15;
    /// The log is another one. The nodes must refuse; the run ends.
    LogReplaced = "log-replaced", 15;
    // The command topic.
    /// A forward or a dead letter is not known to have arrived.
    LetterUnknown = "letter-unknown", 30;
    /// A producer puts a command into another partition than its own.
    Misrouted = "misrouted", 600;
    /// A producer marks a command as forwarded, wherever it puts it.
    MarkForged = "mark-forged", 15;
    /// The beginning of the command topic expires: what is dealt with, and now and then what is not.
    CommandsExpire = "commands-expire", 200;
    /// The command topic is deleted and made anew, with other commands or none.
    CommandsRecreated = "commands-recreated", 60;
    // Producers.
    /// A command is sent again, lately sent or long ago.
    Retry = "retry", 250;
    /// A command is put into the topic twice at once.
    SentTwice = "sent-twice", 60;
    /// A command id is used for another command.
    IdReused = "id-reused", 60;
    /// Bytes that are no command.
    Garbage = "garbage", 30;
    /// A command whose sender is known, and that is wrong inside.
    Malformed = "malformed", 30;
    /// A command id that is no UUIDv7, or an old one.
    OddId = "odd-id", 200;
    /// A command that holds only if nothing changed.
    IfRevision = "if-revision", 70;
    /// A command is handed to a node, not put into the topic.
    HandedOver = "handed-over", 300;
    /// It is handed to a node that does not decide it.
    HandedToStranger = "handed-to-stranger", 100;
    // Other actors.
    /// Agents observe resources, late and out of order.
    Agents = "agents", 1_000;
    /// Queries are asked.
    Queries = "queries", 1_000;
);

impl FromStr for Fault {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|fault| fault.name() == text);
        found.copied().ok_or_else(|| format!("there is no fault `{text}`"))
    }
}

/// How often each fault comes in one run.
#[derive(Clone, Debug)]
pub struct Rates(BTreeMap<Fault, u32>);

impl Rates {
    /// Some runs are without a fault, some have more of it, so that each is met in many companies.
    pub fn draw(plan: &Plan, random: &mut Random) -> Self {
        let rate = |fault: &Fault| {
            let usual = fault.per_mille();
            let rate = match random.below(10) {
                0..=2 if usual < 1_000 => 0,
                0..=7 => usual,
                _ => (usual * 3).min(1_000),
            };
            (*fault, if plan.without.contains(fault) { 0 } else { rate })
        };
        Self(Fault::ALL.iter().map(rate).collect())
    }

    pub fn of(&self, fault: Fault) -> u32 {
        self.0.get(&fault).copied().unwrap_or_default()
    }
}
