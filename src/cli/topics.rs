//! `ipam topics …`: the three topics of a ledger on Kafka.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::node::KafkaFlags;
use super::print;
use crate::log::kafka::{KafkaConfig, check_topics, create_topics};

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Make the topics that are not there, with the right settings; repeating it is safe
    #[command(after_help = "Example:\n  ipam topics create --kafka kafka-1:9092 --partitions 12")]
    Create(Create),
    /// Say what is wrong with the topics, and how to mend it
    Check {
        #[command(flatten)]
        kafka: KafkaFlags,
    },
}

#[derive(Args, Clone, Debug)]
pub struct Create {
    #[command(flatten)]
    kafka: KafkaFlags,
    /// Into how many parts organisations are spread; can never be changed
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    partitions: u32,
    /// Copies of every record; three where there are three brokers, when absent
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9))]
    replication: Option<u32>,
}

/// # Errors
/// When no broker answers, it refuses, or something is wrong with the topics.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Create(create) => {
            let config = required(&create.kafka)?;
            let made = create_topics(&config, create.partitions, create.replication)
                .map_err(|error| Failure::Unreachable(error.to_string()))?;
            for topic in &made {
                print::result(topic);
            }
            if made.is_empty() {
                print::explain("all topics were there already");
            }
            check(&config)
        }
        Command::Check { kafka } => check(&required(kafka)?),
    }
}

fn check(config: &KafkaConfig) -> Result<(), Failure> {
    let problems = check_topics(config).map_err(|error| Failure::Unreachable(error.to_string()))?;
    if problems.is_empty() {
        print::explain("the topics are as a ledger needs them");
        return Ok(());
    }
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Err(Failure::usage(problems.join("\n  ")))
}

fn required(kafka: &KafkaFlags) -> Result<KafkaConfig, Failure> {
    kafka.config().ok_or_else(|| Failure::usage("where is Kafka? Say --kafka HOST:PORT or set IPAM_KAFKA"))
}
