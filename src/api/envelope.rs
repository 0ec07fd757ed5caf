//! A command as it came over HTTP: checked against the path and completed, the rest left as it was sent.
//!
//! Only the outermost object is read here; the payload's bytes go to the processor untouched, so what
//! is wrong in it becomes a recorded rejection like on every other way in.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::problem::{Problem, nearest, shortened};
use crate::domain::command::{CommandBody, Principal};
use crate::domain::id::{CommandId, OrganizationId, Revision};

/// A command as HTTP takes it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CommandRequest {
    /// The version of the format; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u16>,
    /// Any UUID; made here (version 7) when absent. The same command sent again with the same id has one
    /// effect and the same answer, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// When given, must be the one in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    pub principal: Principal,
    /// Accept only if the object that the command names has not changed after this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_revision: Option<Revision>,
    /// Why. At most 1,024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub body: CommandBody,
}

const MEMBERS: [&str; 8] =
    ["schema", "command_id", "organization", "principal", "if_revision", "reason", "type", "payload"];
const MEMBERS_REQUIRED: [&str; 3] = ["principal", "type", "payload"];

/// A command with id and organisation, ready to be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    pub id: CommandId,
    pub json: Vec<u8>,
}

/// Completes a command for the organisation of the path. A command without an id gets `new_id`, or a new one.
///
/// # Errors
/// When it is no JSON object with the members of a command, or names another organisation.
pub fn complete(organization: &OrganizationId, new_id: Option<CommandId>, bytes: &[u8]) -> Result<Completed, Problem> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| Problem::malformed(format!("the body is not UTF-8: {error}")))?;
    let Members(mut members) = serde_json::from_str(text)
        .map_err(|error| Problem::malformed(format!("the body is not a JSON object with a command: {error}")))?;
    check_names(&members)?;
    match member::<OrganizationId>(&members, "organization")? {
        Some(named) if named != *organization => {
            let detail = format!("the body names organisation {named}, the path {organization}");
            return Err(Problem::malformed(detail).value("body", named).value("path", organization));
        }
        Some(_) => {}
        None => members.push(("organization".to_owned(), raw(organization)?)),
    }
    let id = match member::<CommandId>(&members, "command_id")? {
        Some(id) => id,
        None => {
            let id = new_id.unwrap_or_else(Uuid::now_v7);
            members.push(("command_id".to_owned(), raw(&id)?));
            id
        }
    };
    let mut json = Vec::with_capacity(bytes.len() + 128);
    for (name, value) in &members {
        json.push(if json.is_empty() { b'{' } else { b',' });
        json.push(b'"');
        // The names are known ones: they hold nothing that JSON escapes.
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\":");
        json.extend_from_slice(value.get().as_bytes());
    }
    json.push(b'}');
    Ok(Completed { id, json })
}

fn check_names(members: &[(String, Box<RawValue>)]) -> Result<(), Problem> {
    for (index, (name, _)) in members.iter().enumerate() {
        if !MEMBERS.contains(&name.as_str()) {
            let name = shortened(name);
            let problem = Problem::malformed(format!("a command has no member `{name}`")).value("member", &name);
            return Err(match nearest(&name, MEMBERS) {
                Some(near) => problem.try_instead("nearest", near),
                None => problem.try_instead("known", MEMBERS.join(", ")),
            });
        }
        if members.iter().take(index).any(|(earlier, _)| earlier == name) {
            return Err(Problem::malformed(format!("member `{name}` is given twice")).value("member", name));
        }
    }
    for required in MEMBERS_REQUIRED {
        if !members.iter().any(|(name, _)| name == required) {
            return Err(Problem::malformed(format!("the command has no member `{required}`")).value("member", required));
        }
    }
    Ok(())
}

/// `None` when absent or null.
fn member<'a, T: Deserialize<'a>>(members: &'a [(String, Box<RawValue>)], name: &str) -> Result<Option<T>, Problem> {
    members.iter().find(|(known, _)| known == name).map_or(Ok(None), |(_, value)| {
        serde_json::from_str(value.get()).map(Some).map_err(|error| {
            let shown = shortened(value.get());
            Problem::malformed(format!("member `{name}`: {error}")).value("member", name).value("value", shown)
        })
    })
}

fn raw<T: Serialize>(value: &T) -> Result<Box<RawValue>, Problem> {
    serde_json::value::to_raw_value(value).map_err(|error| Problem::internal(error.to_string()))
}

/// An object's members in order, repeated ones included.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::with_capacity(MEMBERS.len());
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization() -> OrganizationId {
        "o-example".parse().expect("well formed")
    }

    const REST: &str = r#""principal":{"account":"111111111111"},"type":"AddAccount","payload":{ "account" : "2" }"#;

    #[test]
    fn what_is_absent_is_added_and_the_rest_is_left_as_it_was() {
        let completed = complete(&organization(), None, format!("{{{REST}}}").as_bytes()).expect("complete");
        let text = String::from_utf8(completed.json).expect("UTF-8");
        assert_eq!(text, format!(r#"{{{REST},"organization":"o-example","command_id":"{}"}}"#, completed.id));
        assert_eq!(completed.id.get_version_num(), 7);

        let id = Uuid::from_u128(7);
        let given = format!(r#"{{"command_id":"{id}","organization":"o-example",{REST}}}"#);
        let completed = complete(&organization(), None, given.as_bytes()).expect("complete");
        assert_eq!((completed.id, completed.json), (id, given.into_bytes()));
    }

    #[test]
    fn what_is_wrong_with_the_envelope_is_said() {
        for (body, expect) in [
            ("", "not a JSON object"),
            ("[]", "expected an object"),
            ("{", "not a JSON object"),
            ("\"x\"", "expected an object"),
            (r#"{"type":"AddAccount","payload":{}}"#, "no member `principal`"),
            (r#"{"principal":{},"type":"AddAccount"}"#, "no member `payload`"),
            (r#"{"principal":{},"typ":"AddAccount"}"#, "no member `typ`"),
            (&format!(r#"{{"reason":"a","reason":"b",{REST}}}"#), "`reason` is given twice"),
            (&format!(r#"{{"organization":"o-other",{REST}}}"#), "names organisation o-other, the path o-example"),
            (&format!(r#"{{"organization":"O!",{REST}}}"#), "is not an organisation id"),
            (&format!(r#"{{"command_id":"7",{REST}}}"#), "member `command_id`"),
        ] {
            let problem = complete(&organization(), None, body.as_bytes()).expect_err(body);
            assert_eq!((problem.status, problem.code.as_str()), (400, "MalformedRequest"), "{body}");
            assert!(problem.detail.contains(expect), "{body}: {}", problem.detail);
        }
        let problem = complete(&organization(), None, b"{\"reason\":\"\xff\"}").expect_err("no UTF-8");
        assert!(problem.detail.contains("not UTF-8"), "{}", problem.detail);
        let problem = complete(&organization(), None, br#"{"comand_id":1}"#).expect_err("misspelt");
        assert_eq!(problem.would_work.get("nearest").map(String::as_str), Some("command_id"));
    }
}
