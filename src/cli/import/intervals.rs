//! How many intervals a file tells of, by its rows alone: what an import can be compared with.

use std::collections::BTreeMap;

use super::rows::{Change, Row};
use crate::domain::time::Timestamp;

/// Counts resources and the times each was there without a gap. The order of the rows plays no part: at one
/// instant "appeared" beats "vanished".
#[derive(Debug, Default)]
pub struct Intervals(BTreeMap<String, BTreeMap<Timestamp, bool>>);

impl Intervals {
    pub fn add(&mut self, row: &Row) {
        let there = row.change == Change::Appeared;
        let known = self.0.entry(row.resource_id()).or_default().entry(row.observed_at).or_insert(there);
        *known |= there;
    }

    pub fn resources(&self) -> usize {
        self.0.len()
    }

    pub fn count(&self) -> usize {
        let begins = |history: &BTreeMap<Timestamp, bool>| {
            let mut before = false;
            history.values().filter(|there| !std::mem::replace(&mut before, **there) && **there).count()
        };
        self.0.values().map(begins).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::*;
    use crate::cli::import::rows;

    #[test]
    fn the_real_history_has_12_746_resources_with_12_961_intervals() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/aws-ranges-2017-2022.csv.gz");
        let file = flate2::read::GzDecoder::new(File::open(path).expect("the file is part of the project"));
        let mut intervals = Intervals::default();
        let mut count = 0;
        for row in rows::read(file) {
            intervals.add(&row.expect("a good row"));
            count += 1;
        }
        assert_eq!((count, intervals.resources(), intervals.count()), (33_274, 12_746, 12_961));
    }
}
