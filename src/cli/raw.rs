//! `ipam command`: a command as JSON, as it would stand on the command topic.
//!
//! What flags and environment say is added where the JSON says nothing; a flag that the JSON contradicts is refused, and none is
//! ignored. All else goes out as it was written, byte for byte.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

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

pub fn run(ask: &Raw, mut session: Session) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let read = match ask.file.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => std::fs::File::open(path).and_then(|file| file.take(COMMAND_BYTES_MAX).read_to_end(&mut bytes)),
        None => std::io::stdin().take(COMMAND_BYTES_MAX).read_to_end(&mut bytes),
    };
    read.map_err(|error| Failure::usage(format!("the command cannot be read: {error}")))?;
    // What else is wrong with it, completing or the server says.
    if let Some(command) = std::str::from_utf8(&bytes).ok().and_then(Object::read) {
        if let Some(organization) = command.member::<OrganizationId>("organization") {
            session.settings.org.get_or_insert(organization);
        }
        bytes = with_settings(&command, &session)?.into_bytes();
    }
    let organization = session.organization()?;
    let completed = complete(&organization, session.settings.command_id, &bytes).map_err(Failure::Refused)?;
    session.send_json(completed.id, completed.json)
}

/// The command with what the settings say and it does not.
fn with_settings(command: &Object<'_>, session: &Session) -> Result<String, Failure> {
    let settings = &session.settings;
    let typed = settings.typed;
    // Added by completing, which makes one where nobody names one.
    command.agreed("command_id", "--command-id", settings.command_id.as_ref(), true)?;
    let mut added = Vec::new();
    added.extend(command.agreed("if_revision", "--if-revision", settings.if_revision.as_ref(), true)?);
    added.extend(command.agreed("reason", "--reason", settings.reason.as_ref(), true)?);
    let Some(principal) = command.members.get("principal") else {
        let name = settings.by.as_ref().map(|name| member("name", name)).into_iter();
        let principal: Vec<_> = std::iter::once(member("account", &session.account()?)).chain(name).collect();
        added.push(format!("\"principal\":{{{}}}", principal.join(",")));
        return Ok(command.with(&added));
    };
    let Some(inner) = Object::read(principal.get()) else { return Ok(command.with(&added)) };
    let mut inner_added = Vec::new();
    inner_added.extend(inner.agreed("account", "--as", settings.account.as_ref(), typed.account)?);
    inner_added.extend(inner.agreed("name", "--by", settings.by.as_ref(), typed.by)?);
    // The member's text is a part of the command's.
    let from = principal.get().as_ptr().addr() - command.text.as_ptr().addr();
    let (before, rest) = command.text.split_at(from);
    let (_, after) = rest.split_at(principal.get().len());
    let text = format!("{before}{}{after}", inner.with(&inner_added));
    Ok(Object { text: &text, members: command.members.clone() }.with(&added))
}

/// An object as it was written.
struct Object<'a> {
    text: &'a str,
    members: BTreeMap<String, &'a RawValue>,
}

impl<'a> Object<'a> {
    fn read(text: &'a str) -> Option<Self> {
        Some(Self { text, members: serde_json::from_str(text).ok()? })
    }

    fn member<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.members.get(name)?.get()).ok()
    }

    /// The member to add, where the setting has a value and the object does not.
    fn agreed<T>(&self, name: &str, flag: &str, setting: Option<&T>, typed: bool) -> Result<Option<String>, Failure>
    where
        T: Serialize + DeserializeOwned + PartialEq + Display,
    {
        let Some(asked) = setting else { return Ok(None) };
        match self.member::<Option<T>>(name) {
            Some(Some(said)) if typed && said != *asked => Err(Failure::usage(format!(
                "{flag} says {asked}, but `{name}` in the command says {said}: leave one of them out"
            ))),
            None if !self.members.contains_key(name) => Ok(Some(member(name, asked))),
            Some(None) if typed => Err(Failure::usage(format!(
                "{flag} says {asked}, but `{name}` in the command says null: leave one of them out"
            ))),
            _ => Ok(None),
        }
    }

    /// With further members in front; the rest as it was written.
    fn with(&self, added: &[String]) -> String {
        let Some(rest) = self.text.trim_start().strip_prefix('{').filter(|_| !added.is_empty()) else {
            return self.text.to_owned();
        };
        let comma = if self.members.is_empty() { "" } else { "," };
        format!("{{{}{comma}{rest}", added.join(","))
    }
}

fn member(name: &str, value: &impl Serialize) -> String {
    let value = serde_json::to_string(value).expect("ids, numbers and texts can be written");
    format!("\"{name}\":{value}")
}
