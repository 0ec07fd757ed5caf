//! `ipam command`: a command as JSON, as it would stand on the command topic.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::failure::Failure;
use super::session::Session;
use crate::api::complete;
use crate::domain::id::OrganizationId;

/// Bytes read: more than the server takes, so that it is the server that says what is too large.
const COMMAND_BYTES_MAX: u64 = 16 << 20;

#[derive(Args, Clone, Debug)]
pub struct Raw {
    /// A file; stdin when absent or `-`
    file: Option<PathBuf>,
}

/// The one member that is read before sending.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    organization: Option<OrganizationId>,
}

pub fn run(ask: &Raw, mut session: Session) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let read = match ask.file.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => std::fs::File::open(path).and_then(|file| file.take(COMMAND_BYTES_MAX).read_to_end(&mut bytes)),
        None => std::io::stdin().take(COMMAND_BYTES_MAX).read_to_end(&mut bytes),
    };
    read.map_err(|error| Failure::usage(format!("the command cannot be read: {error}")))?;
    // What else is wrong with it, completing or the server says.
    if let Ok(Named { organization: Some(organization) }) = serde_json::from_slice(&bytes) {
        session.settings.org.get_or_insert(organization);
    }
    let organization = session.organization()?;
    let completed = complete(&organization, session.settings.command_id, &bytes).map_err(Failure::Refused)?;
    session.send_json(completed.id, completed.json)
}
