//! Rows of a change history (design D17) and the commands they become. No I/O beyond the reader given.
//!
//! A row says that a service published a prefix in a region from some instant on, or did so no longer:
//! `observed_at,change,cidr,region,service,network_border_group`. Each becomes an observation of a resource of
//! kind `prefix`. Command ids are derived from the row, so that sending a file twice has the effect of once.

use std::io::Read;

use serde::Deserialize;
use uuid::Uuid;

use crate::address::Cidr;
use crate::domain::command::{
    CommandBody, ObserveResource, ObserveResourceGone, ObservedCidr, ResourceAttributes, Tags,
};
use crate::domain::id::{CommandId, Region};
use crate::domain::kind::ResourceKind;
use crate::domain::time::Timestamp;

/// What the ids of imported commands are derived within. Never to change: repeats would have effects.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_7c52_9b0e_4d6a_8f43_2a1c_5be0_9d77);

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub observed_at: Timestamp,
    pub change: Change,
    pub cidr: Cidr,
    pub region: Region,
    pub service: String,
    #[serde(default)]
    pub network_border_group: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Appeared,
    Vanished,
}

/// A row that is none, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RowError {
    pub line: u64,
    pub problem: String,
}

/// The rows of a file, in its order; the first line names the columns.
pub fn read(input: impl Read) -> impl Iterator<Item = Result<Row, RowError>> {
    csv::Reader::from_reader(input).into_deserialize().map(|row| {
        row.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            RowError { line, problem: error.to_string() }
        })
    })
}

impl Row {
    /// The resource's id: what tells one published prefix from another.
    pub fn resource_id(&self) -> String {
        format!("{}/{}/{}", self.service, self.region, self.cidr)
    }

    /// The same for the same row, for ever.
    pub fn command_id(&self) -> CommandId {
        let change = match self.change {
            Change::Appeared => "appeared",
            Change::Vanished => "vanished",
        };
        let Self { observed_at, cidr, region, service, network_border_group, .. } = self;
        let name = format!("{observed_at},{change},{cidr},{region},{service},{network_border_group}");
        Uuid::new_v5(&NAMESPACE, name.as_bytes())
    }

    /// What the row reports. `source` names the file.
    pub fn command(&self, source: &str) -> CommandBody {
        match self.change {
            Change::Vanished => ObserveResourceGone {
                kind: ResourceKind::Prefix,
                id: self.resource_id(),
                observed_at: self.observed_at,
                source: Some(source.to_owned()),
            }
            .into(),
            Change::Appeared => {
                let mut labels = Tags::new();
                labels.insert("service".to_owned(), self.service.clone());
                if !self.network_border_group.is_empty() {
                    labels.insert("network_border_group".to_owned(), self.network_border_group.clone());
                }
                ObserveResource {
                    kind: ResourceKind::Prefix,
                    id: self.resource_id(),
                    observed_at: self.observed_at,
                    cidrs: vec![ObservedCidr { cidr: self.cidr, visibility: None }],
                    attributes: ResourceAttributes {
                        region: Some(self.region.clone()),
                        source: Some(source.to_owned()),
                        labels,
                        ..ResourceAttributes::default()
                    },
                }
                .into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "observed_at,change,cidr,region,service,network_border_group\n\
        2017-07-20T22:42:12Z,appeared,103.4.12.0/22,ap-northeast-1,EC2,\n\
        2018-01-01T00:00:00Z,vanished,103.4.12.0/22,ap-northeast-1,EC2,ap-northeast-1\n";

    #[test]
    fn rows_become_observations_with_ids_of_their_own() {
        let rows: Vec<_> = read(FILE.as_bytes()).collect::<Result<_, _>>().expect("a good file");
        assert_eq!(rows[0].resource_id(), "EC2/ap-northeast-1/103.4.12.0/22");
        assert_eq!(rows[0].command("f").type_name(), "ObserveResource");
        assert_eq!(rows[1].command("f").type_name(), "ObserveResourceGone");
        assert_ne!(rows[0].command_id(), rows[1].command_id());
        // Pinned: another id for the same row would make a repeated import have effects.
        assert_eq!(rows[0].command_id().to_string(), "e4565626-05a5-5c7c-9938-48a0e669c75b");
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let file = FILE.replace("103.4.12.0/22,ap-northeast-1,EC2,\n", "103.4.12.1/22,ap-northeast-1,EC2,\n");
        let error = read(file.as_bytes()).find_map(Result::err).expect("a bad row");
        assert_eq!(error.line, 2);
        assert!(error.problem.contains("the block is 103.4.12.0/22"), "{error}");
    }
}
