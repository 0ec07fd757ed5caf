//! The two times of a question (design D14): `at`, what was true in the world, and `as_of`, what the
//! ledger knew. Pure: the clock is an argument.
//!
//! Decisions are true from their `decided_at`, so for organisation, pools and allocations `at` T is the
//! revision at T; `as_of` bounds what is known, and with both the earlier one answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::table::TableError;
use crate::domain::id::{OrganizationId, Revision};
use crate::domain::outcome::Moment;
use crate::domain::time::Timestamp;
use crate::log::record::Partition;

const SECOND_MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;

/// When a question is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// What was true then; now when absent.
    pub at: Option<At>,
    /// What was known then; all that is known when absent.
    pub as_of: Option<AsOf>,
}

/// A time in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Instant(Timestamp),
    /// A whole UTC day: `from` is in it, `until` is not.
    Day {
        from: Timestamp,
        until: Timestamp,
    },
}

impl At {
    /// The last instant of it: where one state must answer for a whole day, it is the day's last.
    #[must_use]
    pub fn last_instant(self) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            Self::Day { until, .. } => until.plus_micros(-1),
        }
    }

    /// As a half-open part of time.
    #[must_use]
    pub fn window(self) -> Window {
        match self {
            Self::Instant(instant) => Window::instant(instant),
            Self::Day { from, until } => Window { from, until },
        }
    }
}

/// A state of the ledger's knowledge: all outcomes up to and including this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    Revision(Revision),
    Instant(Timestamp),
}

/// The text is no time that can be asked about; says what is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhenError {
    #[error("`{text}` is not {expected}")]
    Malformed { text: String, expected: &'static str },
    /// Nobody knows yet what will be known.
    #[error("`as_of` {asked} is in the future (now is {now}); leave it out to ask about all that is known")]
    FutureAsOf { asked: Timestamp, now: Timestamp },
    #[error("`at` takes a time in the world; a revision is a state of knowledge: `as_of` {text}")]
    RevisionInAt { text: String },
}

const AT_FORMS: &str = "a time: a date (2019-03-01), an instant (2019-03-01T12:00:00Z), `now`, or how long ago (-3d, -12h, -30m, -45s, -2w)";
const AS_OF_FORMS: &str = "a state of knowledge: a revision (rev:1234), a date (2019-03-01), an instant (2019-03-01T12:00:00Z), \
     `now`, or how long ago (-3d, -12h, -30m, -45s, -2w)";

impl When {
    /// Now, with all that is known.
    pub const NOW: Self = Self { at: None, as_of: None };
}

/// Reads `at`. A bare date is the whole UTC day.
///
/// # Errors
/// When the text is none of the forms.
pub fn parse_at(text: &str, now: Timestamp) -> Result<At, WhenError> {
    if text.starts_with("rev:") {
        return Err(WhenError::RevisionInAt { text: shown(text) });
    }
    if let Some((from, until)) = day(text) {
        return Ok(At::Day { from, until });
    }
    instant(text, now).map(At::Instant).ok_or_else(|| WhenError::Malformed { text: shown(text), expected: AT_FORMS })
}

/// Reads `as_of`. A bare date is the end of that UTC day.
///
/// # Errors
/// When the text is none of the forms, or in the future.
pub fn parse_as_of(text: &str, now: Timestamp) -> Result<AsOf, WhenError> {
    let malformed = || WhenError::Malformed { text: shown(text), expected: AS_OF_FORMS };
    if let Some(number) = text.strip_prefix("rev:") {
        return number.parse().map(|number| AsOf::Revision(Revision(number))).map_err(|_| malformed());
    }
    let asked = match day(text) {
        Some((_, until)) => until.plus_micros(-1),
        None => instant(text, now).ok_or_else(malformed)?,
    };
    if asked > now {
        return Err(WhenError::FutureAsOf { asked, now });
    }
    Ok(AsOf::Instant(asked))
}

fn day(text: &str) -> Option<(Timestamp, Timestamp)> {
    if text.len() != 10 {
        return None;
    }
    let from: Timestamp = format!("{text}T00:00:00Z").parse().ok()?;
    Some((from, from.plus_micros(DAY_MICROS)))
}

fn instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        let unit = ago.chars().last()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        let number = ago.strip_suffix(unit).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        let micros = number.parse::<i64>().ok()?.checked_mul(seconds * SECOND_MICROS)?;
        return Some(now.plus_micros(-micros));
    }
    text.parse().ok()
}

/// Errors repeat the text: bound it, it came from outside.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// What an answer knows: everything up to this revision, decided at this instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct AnswerHead {
    pub revision: Revision,
    pub decided_at: Timestamp,
}

impl From<Moment> for AnswerHead {
    fn from(Moment { revision, decided_at }: Moment) -> Self {
        Self { revision, decided_at }
    }
}

/// The part of the world's time that is asked about: from an instant up to, not including, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Window {
    /// All of time.
    pub const ALL: Self = Self { from: Timestamp::MIN, until: Timestamp::MAX };

    /// One instant: the microsecond that begins there.
    #[must_use]
    pub fn instant(at: Timestamp) -> Self {
        Self { from: at, until: at.plus_micros(1) }
    }

    /// Whether there is but one microsecond in it.
    #[must_use]
    pub fn is_instant(self) -> bool {
        self == Self::instant(self.from)
    }

    /// Whether something that was so from `from` up to `until` (for good, when `None`) was so at any time in the window.
    #[must_use]
    pub fn meets(self, from: Timestamp, until: Option<Timestamp>) -> bool {
        from < self.until && until.is_none_or(|until| until > self.from)
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("organisation {0} has no history here")]
    OrganizationNotFound(OrganizationId),
    /// The organisation exists, but not yet at the time asked about.
    #[error("organisation {organization} has no history before {first}")]
    BeforeHistory { organization: OrganizationId, first: Timestamp },
    #[error("no {what} {id} at revision {revision}")]
    NotFound { what: &'static str, id: String, revision: Revision },
    #[error("no outcome of command {0} is known here")]
    OutcomeNotFound(uuid::Uuid),
    /// A revision that is not there (yet). Reading one's own writes waits for it.
    #[error("revision {asked} is ahead of what is known here, which ends at revision {head}")]
    RevisionAhead { asked: Revision, head: Revision },
    #[error(transparent)]
    When(#[from] WhenError),
    #[error("`limit` is {asked}; it is 1 to {max}")]
    Limit { asked: usize, max: usize },
    #[error("`after` is not a cursor that an answer of this query gave")]
    Cursor,
    #[error("the answer has more than {max} {what}; ask for a part of it")]
    TooLarge { what: &'static str, max: usize },
    /// The views have not folded the log up to where it ended when they were opened.
    #[error("the views are still catching up with the log; ask again soon")]
    CatchingUp,
    /// What is behind a record that cannot be read or folded is not known here.
    #[error("the views of partition {partition} have stopped: {reason}")]
    Stopped { partition: Partition, reason: String },
    #[error(transparent)]
    Store(#[from] TableError),
}

/// A page's length: one row to `max`.
///
/// # Errors
/// When it is none.
pub fn check_limit(limit: usize, max: usize) -> Result<usize, QueryError> {
    if (1..=max).contains(&limit) { Ok(limit) } else { Err(QueryError::Limit { asked: limit, max }) }
}

impl From<super::lineage::QueryError> for QueryError {
    fn from(error: super::lineage::QueryError) -> Self {
        match error {
            super::lineage::QueryError::Store(error) => Self::Store(error),
            super::lineage::QueryError::Continuation(_) => Self::Cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn every_form_is_read() {
        let now = at("2024-05-05T12:00:00Z");
        for (text, expect) in [
            ("2024-05-01", At::Day { from: at("2024-05-01T00:00:00Z"), until: at("2024-05-02T00:00:00Z") }),
            ("2024-05-01T10:00:00+02:00", At::Instant(at("2024-05-01T08:00:00Z"))),
            ("-3d", At::Instant(at("2024-05-02T12:00:00Z"))),
            ("-90m", At::Instant(at("2024-05-05T10:30:00Z"))),
            ("-2w", At::Instant(at("2024-04-21T12:00:00Z"))),
            ("now", At::Instant(now)),
            ("2030-01-01", At::Day { from: at("2030-01-01T00:00:00Z"), until: at("2030-01-02T00:00:00Z") }),
        ] {
            assert_eq!(parse_at(text, now), Ok(expect), "{text}");
        }
        for (text, expect) in [
            ("rev:1234", AsOf::Revision(Revision(1234))),
            ("2024-05-01", AsOf::Instant(at("2024-05-01T23:59:59.999999Z"))),
            ("-45s", AsOf::Instant(at("2024-05-05T11:59:15Z"))),
            ("now", AsOf::Instant(now)),
        ] {
            assert_eq!(parse_as_of(text, now), Ok(expect), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_asked_says_what_can() {
        let now = at("2024-05-05T12:00:00Z");
        assert!(matches!(parse_as_of("2024-05-05", now), Err(WhenError::FutureAsOf { .. })));
        assert!(matches!(parse_as_of("2024-05-05T12:00:00.000001Z", now), Err(WhenError::FutureAsOf { .. })));
        assert!(matches!(parse_at("rev:7", now), Err(WhenError::RevisionInAt { .. })));
        for text in ["", "-", "-d", "-3", "-3y", "--3d", "-é", "yesterday", "2024-13-01", "-99999999999999999999d"] {
            assert!(matches!(parse_at(text, now), Err(WhenError::Malformed { .. })), "{text}");
        }
        for text in ["rev:", "rev:-1", "rev:x", "1234"] {
            assert!(matches!(parse_as_of(text, now), Err(WhenError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn a_day_is_half_open() {
        let day = At::Day { from: at("2024-05-01T00:00:00Z"), until: at("2024-05-02T00:00:00Z") };
        assert_eq!(day.last_instant(), at("2024-05-01T23:59:59.999999Z"));
        assert!(day.window().meets(at("2024-05-01T23:59:59.999999Z"), None));
        assert!(!day.window().meets(at("2024-05-02T00:00:00Z"), None));
        assert!(!day.window().meets(Timestamp::MIN, Some(at("2024-05-01T00:00:00Z"))));
    }
}
