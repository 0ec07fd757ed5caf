//! `ipam audit …` and `ipam views …`: what an operator does with the log and the views as such.

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::node::{self, KafkaFlags};
use super::print;
use super::settings::{Format, Settings};
use crate::audit;
use crate::log::Log;
use crate::log::embedded::EmbeddedLog;
use crate::log::kafka::KafkaLog;
use crate::views::Views as LedgerViews;

/// `ipam audit …`
#[derive(Subcommand, Clone, Debug)]
pub enum Audit {
    /// Replay the log from its beginning; check admission, chains and invariants at every record
    #[command(
        after_help = "Examples:\n  ipam audit verify --data /var/lib/ipam\n  ipam audit verify --kafka kafka-1:9092"
    )]
    Verify(Verify),
}

#[derive(Args, Clone, Debug)]
pub struct Verify {
    #[command(flatten)]
    kafka: KafkaFlags,
}

/// `ipam views …`
#[derive(Subcommand, Clone, Debug)]
pub enum Views {
    /// Throw views away and fold them again from the log, which no server may be using
    #[command(after_help = "Examples:\n  ipam views rebuild\n  ipam views rebuild lineage --data /var/lib/ipam")]
    Rebuild {
        /// Only this one: ledger, lineage …; all when absent
        view: Option<String>,
        #[command(flatten)]
        kafka: KafkaFlags,
    },
}

/// # Errors
/// When the log cannot be read; exit code 1 when a record is wrong.
pub fn audit(command: &Audit, settings: &Settings) -> Result<(), Failure> {
    let Audit::Verify(verify) = command;
    let log = open_log(&verify.kafka, settings)?;
    let bar = indicatif::ProgressBar::no_length().with_message("records");
    let report = audit::verify(log.as_ref(), &mut |records| bar.set_position(records)).map_err(unreachable)?;
    bar.finish_and_clear();
    if settings.output == Format::Json {
        let report = serde_json::to_string_pretty(&report).expect("a report holds nothing that JSON cannot");
        print::result(&report);
    } else {
        print::result(&format!(
            "{} records in {} partitions: {} accepted, {} rejected, {} rejected without an organisation, {} void; {} organisations",
            report.records,
            report.partitions,
            report.accepted,
            report.rejected,
            report.unattached,
            report.void,
            report.heads.len()
        ));
        for (organization, head) in &report.heads {
            print::result(&format!("{organization} revision {} {}", head.revision, head.hash));
        }
    }
    match report.finding {
        None => Ok(()),
        Some(found) => {
            let of = found.organization.map(|organization| format!(" of {organization}")).unwrap_or_default();
            let at = found.revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
            let place = format!("partition {}, offset {}", found.partition, found.offset);
            Err(Failure::Damaged(format!("the record at {place}{of}{at} is wrong: {}", found.problem)))
        }
    }
}

/// # Errors
/// When the views are in use, or the log cannot be read.
pub fn views(command: &Views, settings: &Settings) -> Result<(), Failure> {
    let Views::Rebuild { view, kafka } = command;
    let data = settings.data_directory()?;
    let cleared = LedgerViews::clear(&data.join("views"), view.as_deref()).map_err(unreachable)?;
    if cleared.is_empty() {
        let names = LedgerViews::names().join(", ");
        return Err(Failure::usage(format!(
            "there is no view called {}; there are {names}",
            view.as_deref().unwrap_or("")
        )));
    }
    print::explain(&format!("emptied {}; folding the log again", cleared.join(", ")));
    let node = match kafka.config() {
        None => node::open_embedded_for_reading(&data).map_err(unreachable)?,
        Some(_) => {
            print::explain("the next start of `ipam serve` folds them again from Kafka");
            return Ok(());
        }
    };
    node.catch_up().map_err(unreachable)?;
    node.stop();
    print::explain("done");
    Ok(())
}

fn open_log(kafka: &KafkaFlags, settings: &Settings) -> Result<Arc<dyn Log>, Failure> {
    Ok(match kafka.config() {
        Some(config) => Arc::new(KafkaLog::new(config).map_err(unreachable)?),
        None => Arc::new(EmbeddedLog::open_read_only(&settings.data_directory()?.join("log")).map_err(unreachable)?),
    })
}

fn unreachable(error: impl std::fmt::Display) -> Failure {
    Failure::Unreachable(error.to_string())
}
