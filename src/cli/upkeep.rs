//! `ipam views …`: what an operator does with the views as such.

use clap::Subcommand;

use super::failure::Failure;
use super::node::{self, KafkaFlags};
use super::print;
use super::settings::Settings;
use crate::views::Views as LedgerViews;

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
/// When the views are in use, or the log cannot be read.
pub fn views(command: &Views, settings: &Settings) -> Result<(), Failure> {
    let Views::Rebuild { view, kafka } = command;
    let data = settings.data_directory()?;
    // Clearing would make what is not there.
    let there = if kafka.config().is_some() { data.join("views").exists() } else { node::holds_embedded(&data) };
    if !there {
        return Err(Failure::Unreachable(format!(
            "there is nothing in {} to rebuild views from; check the directory's name",
            data.display()
        )));
    }
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

fn unreachable(error: impl std::fmt::Display) -> Failure {
    Failure::Unreachable(error.to_string())
}
