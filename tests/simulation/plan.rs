//! A run as text: the seed, how many steps, and what is left out. The same plan is the same run, byte for byte.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::faults::Fault;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    /// The steps before the world is left to settle.
    pub steps: u64,
    pub without: BTreeSet<Fault>,
    /// Steps that are left out.
    pub skipped: Vec<Range<u64>>,
}

impl Plan {
    pub fn new(seed: u64, steps: u64) -> Self {
        Self { seed, steps, without: BTreeSet::new(), skipped: Vec::new() }
    }

    pub fn skips(&self, step: u64) -> bool {
        self.skipped.iter().any(|range| range.contains(&step))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {} --steps {}", self.seed, self.steps)?;
        let without: Vec<_> = self.without.iter().map(|fault| fault.name()).collect();
        if !without.is_empty() {
            write!(f, " --without {}", without.join(","))?;
        }
        let skipped: Vec<_> = self.skipped.iter().map(|range| format!("{}-{}", range.start, range.end)).collect();
        if !skipped.is_empty() {
            write!(f, " --skip {}", skipped.join(","))?;
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut plan = Self::new(0, 0);
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word {
                "--seed" => plan.seed = number(value)?,
                "--steps" => plan.steps = number(value)?,
                "--without" => plan.without = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--skip" => plan.skipped = value.split(',').map(range).collect::<Result<_, _>>()?,
                other => return Err(format!("there is no option `{other}`")),
            }
        }
        Ok(plan)
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once('-').ok_or_else(|| format!("`{text}` is no range such as 4-9"))?;
    Ok(number(start)?..number(end)?)
}

/// A number, perhaps in thousands (`K`) or millions (`M`).
pub fn number(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['M', 'm']) {
        Some(digits) => (digits, 1_000_000),
        None => text.strip_suffix(['K', 'k']).map_or((text, 1), |digits| (digits, 1_000)),
    };
    let number: u64 = digits.replace('_', "").parse().map_err(|_| format!("`{text}` is no number"))?;
    Ok(number * factor)
}

#[test]
fn a_plan_reads_back_as_it_was_written() {
    let mut plan = Plan::new(7, 100);
    plan.without = [Fault::Pause, Fault::Crash].into();
    plan.skipped = vec![3..9, 11..12];
    assert_eq!(plan.to_string().parse(), Ok(plan));
    assert_eq!(number("100M"), Ok(100_000_000));
}
