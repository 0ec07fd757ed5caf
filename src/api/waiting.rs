//! Waiting for one's own writes: a query that names a revision is answered from it or a later one (N5).

use std::time::Duration;

use super::Api;
use super::asked::Asked;
use super::problem::Problem;
use super::queries::organization_of;
use crate::domain::id::Revision;
use crate::views::when::QueryError;

/// Waits until the views hold the revision that the query asks for, if it does.
///
/// # Errors
/// When they do not in time.
pub async fn for_revision(api: &Api, asked: &Asked) -> Result<(), Problem> {
    // Checked even where it has nothing to wait for: what is wrong is said, never passed over.
    let wait = wait(api, asked)?.unwrap_or(api.limits().revision_wait_default);
    let Some(revision) = asked.query::<u64>("at_least")?.map(Revision) else { return Ok(()) };
    match api.views().wait_for(&organization_of(asked)?, revision, wait).await {
        Ok(_) => Ok(()),
        Err(error @ QueryError::RevisionAhead { .. }) => {
            Err(Problem::try_later("RevisionNotReached", format!("{error}; ask again"), 1).value("at_least", revision))
        }
        Err(error) => Err(error.into()),
    }
}

/// How long the query is ready to wait.
///
/// # Errors
/// When that is no number of seconds, or too many.
pub fn wait(api: &Api, asked: &Asked) -> Result<Option<Duration>, Problem> {
    let max = api.limits().revision_wait_max;
    match asked.query::<u64>("wait_seconds")?.map(Duration::from_secs) {
        Some(wait) if wait > max => {
            let text = asked.text("wait_seconds").unwrap_or("");
            Err(Problem::invalid_parameter("wait_seconds", text, format!("at most {}", max.as_secs()))
                .try_instead("max", max.as_secs()))
        }
        wait => Ok(wait),
    }
}
