//! How long partitions were without a writer: from the fault of the node that wrote one to the next reign over it.
//! Which node wrote what, the nodes' own logs say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipam_ledger::domain::time::Timestamp;
use serde_json::Value;

use crate::audience::Audience;
use crate::plan::Fault;

/// So long after its end a fault may still show.
const SETTLED_MICROS: i64 = 5_000_000;

/// All faults, in the order of their beginnings.
#[derive(Default)]
pub struct Takeovers(Vec<Span>);

#[derive(Clone, Copy)]
struct Span {
    fault: Fault,
    from: Timestamp,
    until: Option<Timestamp>,
}

impl Takeovers {
    pub fn note(&mut self, fault: Fault, begins: bool, now: Timestamp) {
        if begins {
            self.0.push(Span { fault, from: now, until: None });
        } else if let Some(span) = self.0.iter_mut().rev().find(|span| span.fault == fault) {
            span.until = Some(now);
        }
    }

    /// `logs`: of the nodes, as JSON lines.
    pub fn report(&self, audience: &Audience, logs: &[PathBuf]) -> String {
        let owners = owners(logs);
        let mut text = "time from a node's fault to the next reign over each of its partitions".to_owned();
        for (what, node) in [("kill -9", killed as NodeOf), ("SIGSTOP", stopped)] {
            let (mut alone, mut all) = (Vec::new(), Vec::new());
            for span in &self.0 {
                let Some(node) = node(span) else { continue };
                for next in after(audience, &owners, *span, node) {
                    let seconds = Duration::from_micros(next.micros().abs_diff(span.from.micros())).as_secs_f64();
                    all.push(seconds);
                    if self.is_alone(*span, next) {
                        alone.push(seconds);
                    }
                }
            }
            write!(text, "\n  {what}: {}; with no other fault meanwhile: {}", spread(all), spread(alone))
                .expect("text");
        }
        text
    }

    /// No other fault was on between this one and the next reign, nor just before.
    fn is_alone(&self, span: Span, next: Timestamp) -> bool {
        let from = span.from.micros() - SETTLED_MICROS;
        let others = self.0.iter().filter(|other| other.from != span.from);
        others.filter(|other| other.from < next).all(|other| other.until.is_some_and(|until| until.micros() < from))
    }
}

/// The node that a fault of one kind befell.
type NodeOf = fn(&Span) -> Option<usize>;

fn killed(span: &Span) -> Option<usize> {
    if let Fault::KillNode(node) = span.fault { Some(node) } else { None }
}

fn stopped(span: &Span) -> Option<usize> {
    if let Fault::StopNode(node) = span.fault { Some(node) } else { None }
}

fn spread(mut seconds: Vec<f64>) -> String {
    seconds.sort_by(f64::total_cmp);
    let Some(most) = seconds.last() else { return "none".to_owned() };
    let share = |percent: usize| seconds[(seconds.len() * percent / 100).min(seconds.len() - 1)];
    format!("{} takeovers, p50 {:.1} s, p99 {:.1} s, most {most:.1} s", seconds.len(), share(50), share(99))
}

/// When each partition that the node wrote at the fault had its next reign.
fn after(audience: &Audience, owners: &BTreeMap<(u32, u64), usize>, span: Span, node: usize) -> Vec<Timestamp> {
    let mut found = Vec::new();
    let partitions = audience.reigns.iter().map(|reign| reign.partition).max().map_or(0, |last| last.0 + 1);
    for partition in 0..partitions {
        let reigns = || audience.reigns.iter().filter(move |reign| reign.partition.0 == partition);
        let Some(open) = reigns().rfind(|reign| reign.opened_at < span.from) else { continue };
        // A stopped node that goes on still writes: a later reign has other reasons.
        let until = span.until.filter(|_| stopped(&span).is_some());
        if owners.get(&(partition, open.epoch)) == Some(&node)
            && let Some(next) = reigns().find(|reign| reign.opened_at >= span.from)
            && until.is_none_or(|until| next.opened_at < until)
        {
            found.push(next.opened_at);
        }
    }
    found
}

/// The node that opened each reign, by partition and epoch.
fn owners(logs: &[PathBuf]) -> BTreeMap<(u32, u64), usize> {
    let logs = logs.iter().enumerate();
    logs.flat_map(|(node, log)| opened(log).into_iter().map(move |reign| (reign, node))).collect()
}

/// The reigns that a node opened, as partition and epoch, by its log.
pub fn opened(log: &Path) -> BTreeSet<(u32, u64)> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let takeovers = lines.filter(|line| line["message"] == "took the partition over");
    let reign = |line: Value| Some((u32::try_from(line["partition"].as_u64()?).ok()?, line["epoch"].as_u64()?));
    takeovers.filter_map(reign).collect()
}
