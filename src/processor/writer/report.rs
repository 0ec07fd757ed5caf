//! Lines for operators, with the numbers one needs at 3 a.m.

use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::log::Letter;
use crate::log::record::Partition;
use crate::processor::core::Report;

/// An acknowledgement that took longer is worth a line.
const SLOW_APPEND: Duration = Duration::from_secs(1);

pub(super) fn tell(partition: Partition, told: &Report, now: Timestamp, since_start: Duration) {
    let partition = partition.0;
    match told {
        Report::TookOver { epoch, tail_records, resume, claims_lost } => tracing::info!(
            partition,
            epoch = epoch.0,
            tail_records,
            resume_behind = resume.map(|source| source.0),
            claims_lost,
            took_ms = since_start.as_millis(),
            "took the partition over"
        ),
        Report::ClaimLost { epoch, claims_lost } => {
            tracing::warn!(partition, epoch = epoch.0, claims_lost, "another writer was faster");
        }
        Report::TwoGroups { claims_lost } => tracing::error!(
            partition,
            claims_lost,
            within_s = 60,
            "claims lost again and again: two groups write one ledger; stop one of them"
        ),
        Report::VoidRecords { count, first, reason } => {
            tracing::warn!(partition, count, first_offset = first.0, %reason, "void records, without effect");
        }
        Report::Acknowledged { records, decided_at } => {
            let waited = Duration::from_micros(now.micros().abs_diff(decided_at.micros()));
            if waited > SLOW_APPEND {
                tracing::warn!(partition, records, waited_ms = waited.as_millis(), "slow append");
            }
        }
        Report::Panicked { organization, command, message } => {
            tracing::error!(partition, %organization, %command, message, "a defect refused a command; please report it");
        }
    }
}

pub(super) fn letters(partition: Partition, letters: &[Letter]) {
    for letter in letters {
        if let Letter::Dead { offset, reason, value, .. } = letter {
            tracing::warn!(
                partition = partition.0,
                source_offset = offset.0,
                bytes = value.len(),
                reason,
                "dead letter"
            );
        }
    }
    let forwards = letters.iter().filter(|letter| matches!(letter, Letter::Forward { .. })).count();
    if forwards > 0 {
        tracing::debug!(partition = partition.0, forwards, "forwarded commands to the partitions that decide them");
    }
}
