//! How a run of the program ends when it does not end well, and the exit code for it.

use std::fmt;
use std::process::ExitCode;

use crate::api::Problem;

/// Why there is no good answer. Scripts tell them apart by exit code.
#[derive(Debug)]
pub enum Failure {
    /// The command was decided, and refused: exit code 1.
    Rejected(Problem),
    /// The same, of what is no single command's answer: exit code 1.
    RejectedHere(String),
    /// An audit found a record that is wrong: exit code 1.
    Damaged(String),
    /// What was asked for makes no sense here: exit code 2.
    Usage(String),
    /// The server found that what was asked for makes no sense: exit code 2.
    Refused(Problem),
    /// The command may or may not be decided; repeat it with the same id: exit code 3.
    Unknown(String),
    /// There is no ledger to talk to, or it cannot answer now: exit code 4.
    Unreachable(String),
    /// A file cannot be read, or is not what it must be: exit code 4.
    Unreadable(String),
}

impl Failure {
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// What the answer to a command means.
    pub fn of_command(problem: Problem) -> Self {
        match problem.status {
            422 => Self::Rejected(problem),
            503 => Self::Unreachable(problem.detail.clone()),
            500..=599 => Self::Unknown(problem.detail.clone()),
            _ => Self::Refused(problem),
        }
    }

    /// What the answer to a query means.
    pub fn of_query(problem: Problem) -> Self {
        match problem.status {
            404 if problem.code == "OutcomeNotFound" => Self::Unknown(problem.detail.clone()),
            422 => Self::Rejected(problem),
            500..=599 => Self::Unreachable(problem.detail.clone()),
            _ => Self::Refused(problem),
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Rejected(_) | Self::RejectedHere(_) | Self::Damaged(_) => 1,
            Self::Usage(_) | Self::Refused(_) => 2,
            Self::Unknown(_) => 3,
            Self::Unreachable(_) | Self::Unreadable(_) => 4,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(problem) => {
                write!(f, "rejected: ")?;
                explain(f, problem)
            }
            Self::Refused(problem) => explain(f, problem),
            Self::RejectedHere(text) => write!(f, "rejected: {text}"),
            Self::Usage(text) | Self::Damaged(text) | Self::Unreadable(text) => f.write_str(text),
            Self::Unknown(text) => write!(f, "the outcome is unknown: {text}"),
            Self::Unreachable(text) => write!(f, "cannot ask the ledger: {text}"),
        }
    }
}

fn explain(f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
    write!(f, "{} ({})", problem.detail, problem.code)?;
    if let Some(rule) = &problem.rule {
        write!(f, "\n  rule: {rule}")?;
    }
    for (name, value) in &problem.values {
        write!(f, "\n  {}: {value}", name.replace('_', " "))?;
    }
    if let Some(blockers) = &problem.blockers {
        write!(f, "\n  in the way ({} in all):", blockers.total)?;
        for blocker in &blockers.named {
            write!(f, "\n    {blocker}")?;
        }
        if let Some(query) = &blockers.query {
            write!(f, "\n    … all of them: GET {query}")?;
        }
    }
    for (name, value) in &problem.would_work {
        write!(f, "\n  would work ({}): {value}", name.replace('_', " "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn answers_become_exit_codes() {
        let problem =
            |status: u16, code: &str| Problem::new(StatusCode::from_u16(status).expect("a status"), code, "detail");
        let code = |failure: &Failure| format!("{:?}", failure.exit_code());
        let expect = |number: u8| format!("{:?}", ExitCode::from(number));
        for (status, number) in [(422, 1), (400, 2), (404, 2), (413, 2), (500, 3), (504, 3), (503, 4)] {
            assert_eq!(code(&Failure::of_command(problem(status, "X"))), expect(number), "command {status}");
        }
        for (status, what, number) in [
            (400, "X", 2),
            (404, "PoolNotFound", 2),
            (404, "OutcomeNotFound", 3),
            (422, "PoolExhausted", 1),
            (503, "X", 4),
            (500, "X", 4),
        ] {
            assert_eq!(code(&Failure::of_query(problem(status, what))), expect(number), "query {status} {what}");
        }
    }
}
