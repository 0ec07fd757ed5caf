//! Reading commands: strict, and with answers that teach.

use std::borrow::Cow;

use super::json::Json;
use super::typed::{self, Flaw, FlawKind, QUOTED_CHARS_MAX, cut};
use super::{COMMAND_BYTES_MAX, COMMAND_NESTING_MAX, Decoded, Envelope, Undecodable};
use crate::address::{Cidr, CidrError};
use crate::domain::check::{self, NAME_CHARS_MAX, REASON_CHARS_MAX};
use crate::domain::command::{Command, CommandBody, Principal, Proof};
use crate::domain::digest::Digest;
use crate::domain::id::{AccountId, CommandId, OrganizationId, Revision};
use crate::domain::outcome::SCHEMA_VERSION;
use crate::domain::rejection::{Code, Rejection};
use crate::planted::{Bug, planted};

/// The members of a command.
const MEMBERS: &[&str] =
    &["schema", "command_id", "organization", "principal", "if_revision", "reason", "type", "payload"];

type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// Reads a command.
///
/// # Errors
/// When the bytes cannot be attributed to a command of an organisation by an account.
pub fn decode_command(bytes: &[u8]) -> Result<Decoded, Undecodable> {
    let mut members = members_of(bytes)?;
    let digest = digest(&members);
    let doubled = typed::doubled(&members).map(|name| cut(name, QUOTED_CHARS_MAX));
    if let Some(name) = doubled.as_deref().filter(|name| ["command_id", "organization", "principal"].contains(name)) {
        return Err(Undecodable(format!("`{name}` is there twice")));
    }
    let id: CommandId = identifying(&mut members, "command_id")?;
    let organization: OrganizationId = identifying(&mut members, "organization")?;
    let (principal, principal_flaw) = principal(&mut members)?;
    let mut rest = Rest::new(principal_flaw);
    if let Some(field) = doubled {
        rest.refuse(
            Rejection::new(Code::MalformedCommand, DOUBLED_RULE, format!("`{field}` is there twice."))
                .value("field", field),
        );
    }
    if let Some((name, _)) = members.iter().find(|(name, _)| !MEMBERS.contains(&name.as_ref())) {
        rest.refuse(unknown_field(&cut(name, QUOTED_CHARS_MAX), name, MEMBERS));
    }
    if let Some(found) =
        rest.optional::<u64>(&mut members, "schema").filter(|found| *found != u64::from(SCHEMA_VERSION))
    {
        let message = format!("The command is of schema {found}; this program reads schema {SCHEMA_VERSION}.");
        rest.refuse(
            Rejection::new(Code::MalformedCommand, "commands are of a schema that is read here", message)
                .value("schema", found)
                .try_instead("schema", SCHEMA_VERSION),
        );
    }
    let if_revision = rest.optional::<Revision>(&mut members, "if_revision");
    let reason = rest.optional::<String>(&mut members, "reason").map(|reason| {
        rest.check(check::text("reason", &reason, REASON_CHARS_MAX));
        bounded(reason, REASON_CHARS_MAX)
    });
    let type_name = rest.required::<String>(&mut members, "type").unwrap_or_default();
    let body = rest.payload(&mut members, &type_name);
    Ok(match (rest.refused, body) {
        (None, Some(body)) => {
            Decoded::Command(Box::new(Command { id, organization, principal, if_revision, reason, digest, body }))
        }
        (refused, _) => {
            let rejection = refused.expect("a body is missing only where it was refused");
            let type_name = bounded(type_name, QUOTED_CHARS_MAX);
            let envelope = Envelope { id, organization, principal, reason, type_name, digest };
            Decoded::Malformed(Box::new(envelope), Box::new(rejection))
        }
    })
}

const DOUBLED_RULE: &str = "a name stands once in an object";

/// The members of the object that the bytes are, sorted.
fn members_of(bytes: &[u8]) -> Result<Members<'_>, Undecodable> {
    if bytes.len() > COMMAND_BYTES_MAX {
        let message = format!("it has {} bytes; a command has at most {COMMAND_BYTES_MAX}", bytes.len());
        return Err(Undecodable(message));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Undecodable(format!("it is not UTF-8 from byte {} on", error.valid_up_to())))?;
    match serde_json::from_str(text) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(other) => Err(Undecodable(format!("it is {}; a command is an object", other.kind()))),
        Err(error) if error.to_string().starts_with("recursion limit") => {
            let message = format!("objects and lists lie more than {COMMAND_NESTING_MAX} deep in one another");
            Err(Undecodable(message))
        }
        Err(error) => Err(Undecodable(format!("it is not JSON as RFC 8259 has it: {error}"))),
    }
}

/// SHA-256 of the canonical JSON of what was asked: organisation, principal, type and payload, as sent.
fn digest(members: &Members<'_>) -> Digest {
    let mut canonical = Vec::with_capacity(256);
    // In the order that canonical JSON has them.
    for (before, name) in [
        ("{\"organization\":", "organization"),
        (",\"payload\":", "payload"),
        (",\"principal\":", "principal"),
        (",\"type\":", "type"),
    ] {
        canonical.extend(before.bytes());
        let forgets = planted(Bug::DigestWithoutPrincipal) && name == "principal";
        let value =
            members.iter().find(|(member, _)| member == name && !forgets).map_or(&Json::Null, |(_, value)| value);
        value.write_canonical(&mut canonical);
    }
    canonical.push(b'}');
    Digest::of(&canonical)
}

fn take<'a>(members: &mut Members<'a>, name: &str) -> Option<Json<'a>> {
    members.iter_mut().find(|(member, _)| member == name).map(|(_, value)| std::mem::replace(value, Json::Null))
}

/// What an answer cannot do without.
fn identifying<'a, T: serde::Deserialize<'a>>(members: &mut Members<'a>, name: &'static str) -> Result<T, Undecodable> {
    let value = take(members, name).ok_or_else(|| Undecodable(format!("`{name}` is missing")))?;
    typed::read(value).map_err(|flaw| Undecodable(flaw.inside(name).to_string()))
}

/// Who asks. With a readable account the sender can be answered, whatever else is wrong with it.
fn principal(members: &mut Members<'_>) -> Result<(Principal, Option<Rejection>), Undecodable> {
    let value = take(members, "principal").ok_or_else(|| Undecodable("`principal` is missing".to_owned()))?;
    let account = match &value {
        Json::Object(members) => members.iter().find(|(name, _)| name == "account").map(|(_, value)| value.clone()),
        _ => None,
    };
    match typed::read::<Principal>(value) {
        Ok(Principal { account, name, proof }) => {
            let checked = name.as_deref().map_or(Ok(()), |name| check::text("principal.name", name, NAME_CHARS_MAX));
            let name = name.map(|name| bounded(name, NAME_CHARS_MAX));
            Ok((Principal { account, name, proof }, checked.err()))
        }
        Err(flaw) => {
            let flaw = flaw.inside("principal");
            match account.map(typed::read::<AccountId>) {
                Some(Ok(account)) => {
                    Ok((Principal { account, name: None, proof: Proof::None }, Some(rejection(&flaw))))
                }
                _ => Err(Undecodable(flaw.to_string())),
            }
        }
    }
}

/// Cuts a text that was refused for its length: what is on record is bounded.
fn bounded(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

/// The members that a sender can be told about. The first thing wrong is the answer.
struct Rest {
    refused: Option<Rejection>,
}

impl Rest {
    fn new(refused: Option<Rejection>) -> Self {
        Self { refused }
    }

    fn refuse(&mut self, rejection: Rejection) {
        self.refused.get_or_insert(rejection);
    }

    fn check(&mut self, checked: Result<(), Rejection>) {
        if let Err(rejection) = checked {
            self.refuse(rejection);
        }
    }

    /// Absent and `null` are the same.
    fn optional<'a, T: serde::Deserialize<'a>>(&mut self, members: &mut Members<'a>, name: &'static str) -> Option<T> {
        match typed::read::<Option<T>>(take(members, name)?) {
            Ok(value) => value,
            Err(flaw) => {
                self.refuse(rejection(&flaw.inside(name)));
                None
            }
        }
    }

    fn required<'a, T: serde::Deserialize<'a>>(&mut self, members: &mut Members<'a>, name: &'static str) -> Option<T> {
        let Some(value) = take(members, name) else {
            self.refuse(missing(name));
            return None;
        };
        typed::read(value).map_err(|flaw| self.refuse(rejection(&flaw.inside(name)))).ok()
    }

    fn payload(&mut self, members: &mut Members<'_>, type_name: &str) -> Option<CommandBody> {
        let payload = take(members, "payload");
        if self.refused.is_some() {
            return None;
        }
        if !CommandBody::TYPES.contains(&type_name) {
            self.refuse(unknown_type(type_name));
            return None;
        }
        let Some(payload) = payload else {
            self.refuse(missing("payload"));
            return None;
        };
        let read = CommandBody::read_payload(type_name, payload).expect("the type is known");
        read.map_err(|flaw| self.refuse(rejection(&flaw.inside("payload")).value("type", type_name))).ok()
    }
}

fn unknown_type(type_name: &str) -> Rejection {
    let shown = cut(type_name, QUOTED_CHARS_MAX);
    let rule = "`type` names a type of command";
    let rejection =
        Rejection::new(Code::UnknownCommandType, rule, format!("There is no command `{shown}`.")).value("type", shown);
    with_nearest(rejection, type_name, CommandBody::TYPES, "types")
}

fn missing(path: &str) -> Rejection {
    let rule = "what a command needs is there";
    Rejection::new(Code::MissingParameter, rule, format!("`{path}` is missing.")).value("field", path)
}

fn unknown_field(path: &str, field: &str, known: &[&str]) -> Rejection {
    let message = format!("There is no field `{path}`; nothing unknown is passed over.");
    let rejection =
        Rejection::new(Code::MalformedCommand, "unknown fields are refused by name", message).value("field", path);
    with_nearest(rejection, field, known, "fields")
}

/// What the sender is told about a flaw.
fn rejection(flaw: &Flaw) -> Rejection {
    let path = flaw.path();
    let sentence = format!("{flaw}.");
    match &flaw.kind {
        FlawKind::UnknownField { field, known } => unknown_field(&path, field, known),
        FlawKind::MissingField { .. } => missing(&path),
        FlawKind::Doubled { .. } => Rejection::new(Code::MalformedCommand, DOUBLED_RULE, sentence).value("field", path),
        FlawKind::WrongType { .. } => {
            Rejection::new(Code::MalformedCommand, "each field has its type (schemas/)", sentence).value("field", path)
        }
        FlawKind::UnknownVariant { variant, known } => {
            let rejection = Rejection::new(Code::InvalidParameterValue, "the field takes certain names only", sentence)
                .value("field", path)
                .value("value", variant);
            with_nearest(rejection, variant, known, "allowed")
        }
        FlawKind::Value { .. } => {
            let rejection =
                Rejection::new(Code::InvalidParameterValue, "values are well formed", sentence).value("field", path);
            match &flaw.text {
                Some(text) => with_canonical(rejection.value("value", text), text),
                None => rejection,
            }
        }
    }
}

/// For a text that is nearly a CIDR: the one it seems to mean.
fn with_canonical(rejection: Rejection, text: &str) -> Rejection {
    match text.parse::<Cidr>() {
        Err(CidrError::HostBits { canonical, .. } | CidrError::Mapped { canonical, .. }) => {
            rejection.try_instead("canonical", canonical)
        }
        Err(CidrError::NoLength { address, .. }) => rejection.try_instead("canonical", Cidr::of_address(address)),
        Err(CidrError::TooLong { family, .. }) => {
            rejection.try_instead("netmask_length", format_args!("0 to {}", family.bits()))
        }
        _ => rejection,
    }
}

/// Names the known name that comes nearest, or else all of them.
fn with_nearest(rejection: Rejection, given: &str, known: &[&str], all: &'static str) -> Rejection {
    match nearest(given, known) {
        Some(nearest) => rejection.try_instead("nearest", nearest),
        None => rejection.try_instead(all, known.join(", ")),
    }
}

/// The known name that differs least, when at most a third of its letters differ. Case and separators do not count.
fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| -> String {
        name.chars()
            .filter(|letter| letter.is_alphanumeric())
            .take(QUOTED_CHARS_MAX)
            .flat_map(char::to_lowercase)
            .collect()
    };
    let given = plain(given);
    let distance = |name: &str| strsim::osa_distance(&given, &plain(name));
    known
        .iter()
        .map(|name| (distance(name), *name))
        .filter(|(distance, name)| distance * 3 <= name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
