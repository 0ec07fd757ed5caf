//! Rows of a change history (design D17) and the commands they become. No I/O beyond the reader given.
//!
//! A row says that a service published a prefix in a region from some instant on, or did so no longer:
//! `observed_at,change,cidr,region,service,network_border_group`. Each becomes an observation of a resource of
//! kind `prefix`. Command ids are derived from the row, so that sending a file twice has the effect of once; and nothing else
//! makes the command another one, so that it is so whatever the file is called.

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

/// Who says what imported rows say. Not the file's name: the same row in another file would be another command of the same id.
/// The ids are the ones that never change, because a new id for an old row would be a second observation, which contradicts the
/// first by its source alone; an old id at worst is refused, and changes nothing.
pub const SOURCE: &str = "ipam import";

const COLUMNS: [&str; 5] = ["observed_at", "change", "cidr", "region", "service"];
const COLUMN_OPTIONAL: &str = "network_border_group";
const COLUMN_CHARS_SHOWN: usize = 64;

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
#[error("{}{problem}", if *line > 0 { format!("line {line}: ") } else { String::new() })]
pub struct RowError {
    /// 0 when no line is to blame, but the file.
    pub line: u64,
    pub problem: String,
}

impl From<csv::Error> for RowError {
    fn from(error: csv::Error) -> Self {
        Self { line: error.position().map_or(0, csv::Position::line), problem: error.to_string() }
    }
}

/// The rows of a file, in its order; the first line names the columns.
pub fn read(input: impl Read) -> impl Iterator<Item = Result<Row, RowError>> {
    let mut reader = csv::Reader::from_reader(input);
    // Asked for here: what is wrong with the first line, deserialising takes for the end of the file.
    let wrong = match reader.headers() {
        Ok(columns) => wrong_columns(columns),
        Err(error) => Some(error.into()),
    };
    let rows = if wrong.is_none() { Some(reader.into_deserialize()) } else { None };
    wrong.map(Err).into_iter().chain(rows.into_iter().flatten().map(|row| row.map_err(RowError::from)))
}

fn wrong_columns(found: &csv::StringRecord) -> Option<RowError> {
    let missing = COLUMNS.iter().find(|column| !found.iter().any(|name| name == **column));
    let unknown = found.iter().find(|name| *name != COLUMN_OPTIONAL && !COLUMNS.contains(name));
    let problem = match (missing, unknown) {
        (None, None) => return None,
        _ if found.is_empty() => "the file is empty".to_owned(),
        (Some(missing), _) => format!("the first line names no column {missing}"),
        (None, Some(unknown)) => {
            let shown: String = unknown.chars().take(COLUMN_CHARS_SHOWN).collect();
            format!("the first line names an unknown column {shown}")
        }
    };
    let expected = COLUMNS.join(", ");
    Some(RowError { line: 0, problem: format!("{problem}; expected are {expected}, and perhaps {COLUMN_OPTIONAL}") })
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

    /// What the row reports, as `source` says.
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
    fn a_first_line_that_does_not_name_the_columns_is_an_error_and_no_rows_are_none() {
        let header = FILE.lines().next().expect("a line");
        assert_eq!(read(header.as_bytes()).count(), 0);
        let reordered =
            "service,region,cidr,change,observed_at\nEC2,eu-west-1,10.0.0.0/8,appeared,2020-01-01T00:00:00Z\n";
        assert!(read(reordered.as_bytes()).all(|row| row.is_ok()));
        for (file, says) in [
            ("", "the file is empty"),
            ("\u{1f}\u{8}rubbish", "names no column observed_at"),
            ("2020-01-01T00:00:00Z,appeared,10.0.0.0/8,eu-west-1,EC2,\n", "names no column observed_at"),
            (&FILE.replace(",region,", ",place,"), "names no column region"),
            (&FILE.replace("network_border_group", "zone"), "an unknown column zone"),
        ] {
            let rows: Vec<_> = read(file.as_bytes()).collect();
            let [Err(error)] = rows.as_slice() else { panic!("{file}: {rows:?}") };
            let text = error.to_string();
            assert!(text.contains(says) && text.contains("expected are observed_at, change, cidr"), "{file}: {text}");
        }
        let no_text = read(b"observed_at,\xff\n".as_slice()).next().expect("an error");
        assert!(no_text.is_err(), "{no_text:?}");
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let file = FILE.replace("103.4.12.0/22,ap-northeast-1,EC2,\n", "103.4.12.1/22,ap-northeast-1,EC2,\n");
        let error = read(file.as_bytes()).find_map(Result::err).expect("a bad row");
        assert_eq!(error.line, 2);
        assert!(error.problem.contains("the block is 103.4.12.0/22"), "{error}");
    }
}
