//! What clients were told, and what must follow from it whatever happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use crate::audience::{Audience, Key};

#[derive(Default)]
pub struct Witness {
    told: Mutex<Told>,
    findings: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Told {
    outcomes: BTreeMap<Key, Value>,
    /// Told since [`Witness::check_news`].
    news: Vec<Key>,
    /// Commands handed to Kafka itself, whose senders are told nothing.
    sent: BTreeSet<Key>,
    /// The latest acknowledged revision by organisation.
    latest: BTreeMap<String, u64>,
    asked_again: u64,
}

impl Witness {
    pub fn finding(&self, text: String) {
        println!("FINDING: {text}");
        self.findings.lock().expect("nobody has failed").push(text);
    }

    pub fn latest(&self, organization: &str) -> u64 {
        self.told().latest.get(organization).copied().unwrap_or(0)
    }

    /// A client is told an outcome. `floor`: the latest revision that anybody was told before the command was first
    /// sent; it was decided later, and so its revision is higher.
    pub fn told_outcome(&self, organization: &str, command: &Value, outcome: &Value, floor: u64) {
        if outcome["command_id"] != command["command_id"] || outcome["organization"] != organization {
            self.finding(format!("another command's outcome: asked {command}, told {outcome}"));
            return;
        }
        let revision = outcome["revision"].as_u64().unwrap_or_default();
        if floor > 0 && revision <= floor {
            self.finding(format!("reordered: revision {floor} was told before this was sent: {outcome}"));
        }
        let mut told = self.told();
        let latest = told.latest.entry(organization.to_owned()).or_default();
        *latest = revision.max(*latest);
        let key = key(organization, command);
        told.news.push(key.clone());
        let before = told.outcomes.insert(key, outcome.clone());
        drop(told);
        if before.as_ref().is_some_and(|before| before != outcome) {
            self.finding(format!("two answers to one command: {before:?} and {outcome}"));
        }
    }

    pub fn sent(&self, organization: &str, command: &Value) {
        self.told().sent.insert(key(organization, command));
    }

    pub fn asked_again(&self) {
        self.told().asked_again += 1;
    }

    /// All commands that must have an outcome in the end.
    pub fn expected(&self) -> BTreeSet<Key> {
        let told = self.told();
        told.outcomes.keys().chain(&told.sent).cloned().collect()
    }

    /// Holds all that was ever told against the log.
    pub fn check(&self, audience: &Audience) {
        let told = self.told();
        told.outcomes.iter().for_each(|(key, outcome)| self.hold_against(audience, key, outcome));
    }

    /// Holds what was told since the last time against the log.
    pub fn check_news(&self, audience: &Audience) {
        let mut told = self.told();
        for key in std::mem::take(&mut told.news) {
            self.hold_against(audience, &key, &told.outcomes[&key]);
        }
    }

    fn hold_against(&self, audience: &Audience, key: &Key, outcome: &Value) {
        match audience.outcomes.get(key) {
            None => self.finding(format!("lost: {outcome}")),
            Some(recorded) if recorded.json() != *outcome => {
                self.finding(format!("told {outcome}, the log has {}", recorded.json()));
            }
            Some(_) => {}
        }
    }

    pub fn summary(&self) -> String {
        let told = self.told();
        let (outcomes, sent, again) = (told.outcomes.len(), told.sent.len(), told.asked_again);
        format!("{outcomes} outcomes told over HTTP ({again} times asked again), {sent} commands sent to Kafka")
    }

    #[track_caller]
    pub fn assert_nothing_found(&self) {
        let findings = self.findings.lock().expect("nobody has failed");
        assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("nobody has failed")
    }
}

pub fn key(organization: &str, command: &Value) -> Key {
    let id = command["command_id"].as_str().expect("an id").parse().expect("a UUID");
    (organization.parse().expect("an organisation"), id)
}
