//! Bounds on what a command may carry: texts, tags, lists. One place for each limit.
//!
//! Whether a value makes sense is each subject's own question; here is only whether it has a size and a
//! form that the ledger is willing to keep for ever. Lengths of texts are in characters (Unicode scalar
//! values).

use super::ask::Ask;
use super::change::Change;
use super::command::Tags;
use super::rejection::{Code, Rejection};

pub const DESCRIPTION_CHARS_MAX: usize = 255;
pub const REASON_CHARS_MAX: usize = 1024;
/// Of principals, accounts and resources.
pub const NAME_CHARS_MAX: usize = 256;
/// Of ids that others gave: a resource's, its parent's, an observation's source.
pub const FOREIGN_ID_CHARS_MAX: usize = 256;
/// Tags per object (spec §0.2).
pub const TAGS_MAX: usize = 50;
pub const TAG_KEY_CHARS_MAX: usize = 128;
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Entries of an ordinary list: regions, allowed CIDRs (INV-I2).
pub const LIST_ENTRIES_MAX: usize = 50;
/// CIDRs of one observation.
pub const OBSERVED_CIDRS_MAX: usize = 1000;

/// Tag keys that begin so, in whatever case, belong to AWS.
const RESERVED_TAG_PREFIX: &str = "aws:";
/// The tag that a `name` becomes (W6).
const NAME_TAG: &str = "Name";

/// Checks what every command carries: the reason's and the principal's length.
pub(super) fn header(ask: &Ask<'_>) -> Result<(), Rejection> {
    optional_text("reason", ask.command.reason.as_deref(), REASON_CHARS_MAX)?;
    optional_text("principal.name", ask.command.principal.name.as_deref(), NAME_CHARS_MAX)
}

/// A text of at most `chars_max` characters without control characters.
///
/// # Errors
/// Which of the two it is not; `field` is named in it.
pub fn text(field: &'static str, value: &str, chars_max: usize) -> Result<(), Rejection> {
    let chars = value.chars().count();
    if chars > chars_max {
        let rule = "texts have a greatest length";
        let message = format!("`{field}` has {chars} characters; at most {chars_max} are kept.");
        return Err(Rejection::new(Code::InvalidParameterValue, rule, message)
            .value("field", field)
            .value("characters", chars)
            .try_instead("characters_max", chars_max));
    }
    if let Some((at, control)) = value.chars().enumerate().find(|(_, letter)| letter.is_control()) {
        let rule = "texts hold no control characters";
        let message = format!("`{field}` holds the control character U+{:04X} at position {at}.", u32::from(control));
        return Err(Rejection::new(Code::InvalidParameterValue, rule, message)
            .value("field", field)
            .value("position", at)
            .value("character", format_args!("U+{:04X}", u32::from(control))));
    }
    Ok(())
}

pub(super) fn optional_text(field: &'static str, value: Option<&str>, chars_max: usize) -> Result<(), Rejection> {
    value.map_or(Ok(()), |value| text(field, value, chars_max))
}

/// As [`text`], and not empty.
pub(super) fn foreign_id(field: &'static str, value: &str) -> Result<(), Rejection> {
    if value.is_empty() {
        let message = format!("`{field}` is empty; it needs 1 to {FOREIGN_ID_CHARS_MAX} characters.");
        return Err(Rejection::new(Code::InvalidParameterValue, "an id names something", message)
            .value("field", field)
            .try_instead("characters_min", 1));
    }
    text(field, value, FOREIGN_ID_CHARS_MAX)
}

pub(super) fn description(value: Option<&str>) -> Result<(), Rejection> {
    optional_text("description", value, DESCRIPTION_CHARS_MAX)
}

pub(super) fn description_change(change: &Change<String>) -> Result<(), Rejection> {
    match change {
        Change::Set(value) => description(Some(value)),
        Change::Unchanged | Change::Clear => Ok(()),
    }
}

pub(super) fn list(field: &'static str, entries: usize, entries_max: usize) -> Result<(), Rejection> {
    if entries <= entries_max {
        return Ok(());
    }
    let message = format!("`{field}` has {entries} entries; one command takes at most {entries_max}.");
    Err(Rejection::new(Code::InvalidParameterValue, "lists have a greatest length", message)
        .value("field", field)
        .value("entries", entries)
        .try_instead("entries_max", entries_max))
}

/// At most [`TAGS_MAX`] tags whose keys and values are well formed; also for labels and rules made of tags.
pub(super) fn tags(field: &'static str, tags: &Tags) -> Result<(), Rejection> {
    tag_count(field, tags.len())?;
    for (key, value) in tags {
        tag_key(field, key)?;
        text(field, value, TAG_VALUE_CHARS_MAX).map_err(|rejection| rejection.value("key", key))?;
    }
    Ok(())
}

/// Tags and labels that others gave to what they own: as [`tags`], but AWS's own keys may be among them.
pub(super) fn foreign_tags(field: &'static str, tags: &Tags) -> Result<(), Rejection> {
    tag_count(field, tags.len())?;
    for (key, value) in tags {
        text(field, key, TAG_KEY_CHARS_MAX)?;
        text(field, value, TAG_VALUE_CHARS_MAX).map_err(|rejection| rejection.value("key", key))?;
    }
    Ok(())
}

pub(super) fn tag_count(field: &'static str, count: usize) -> Result<(), Rejection> {
    if count <= TAGS_MAX {
        return Ok(());
    }
    let message = format!("`{field}` would be {count} tags; an object carries at most {TAGS_MAX}.");
    Err(Rejection::new(Code::InvalidParameterValue, "an object carries at most 50 tags", message)
        .value("field", field)
        .value("tags", count)
        .try_instead("tags_max", TAGS_MAX))
}

pub(super) fn tag_key(field: &'static str, key: &str) -> Result<(), Rejection> {
    if key.is_empty() {
        let message = format!("`{field}` holds an empty key; keys have 1 to {TAG_KEY_CHARS_MAX} characters.");
        return Err(Rejection::new(Code::InvalidParameterValue, "a tag has a key", message).value("field", field));
    }
    text(field, key, TAG_KEY_CHARS_MAX)?;
    if key.get(..RESERVED_TAG_PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(RESERVED_TAG_PREFIX)) {
        let message = format!("The key `{key}` begins with `{RESERVED_TAG_PREFIX}`, which is AWS's own.");
        return Err(Rejection::new(
            Code::InvalidParameterValue,
            "tag keys that begin with `aws:` are reserved",
            message,
        )
        .value("field", field)
        .value("key", key));
    }
    Ok(())
}

/// The tags of a new object: those given, and its name as the tag `Name` (W6). All of it is checked.
pub(super) fn named_tags(name: Option<&str>, given: &Tags) -> Result<Tags, Rejection> {
    let mut all = given.clone();
    if let Some(name) = name {
        text("name", name, TAG_VALUE_CHARS_MAX)?;
        if let Some(other) = all.insert(NAME_TAG.to_owned(), name.to_owned()).filter(|other| other != name) {
            let rule = "a name becomes the tag `Name`";
            let message = format!("`name` is `{name}` and the tag `{NAME_TAG}` is `{other}`: an object has one name.");
            return Err(Rejection::new(Code::InvalidParameterCombination, rule, message)
                .value("name", name)
                .value("tags.Name", other));
        }
    }
    tags("tags", &all)?;
    Ok(all)
}

/// Refuses a modification that names no field (design D21).
pub(super) fn names_something(named: bool, fields: &'static str) -> Result<(), Rejection> {
    if named {
        return Ok(());
    }
    let message = format!("The command names nothing to modify; it can change {fields}.");
    Err(Rejection::new(Code::NothingToModify, "a modification names what it modifies", message)
        .try_instead("fields", fields))
}

/// `change` when it makes a difference to `now`, else nothing: values already so make no events (design D21).
pub(super) fn effective<T: Clone + PartialEq>(change: &Change<T>, now: Option<&T>) -> Change<T> {
    match change {
        Change::Set(value) if now != Some(value) => change.clone(),
        Change::Clear if now.is_some() => Change::Clear,
        Change::Unchanged | Change::Clear | Change::Set(_) => Change::Unchanged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::DelegateAdmin;
    use crate::domain::testing::{ADMIN, World, account, assert_refused};

    #[test]
    fn what_every_command_carries_has_bounds() {
        let mut world = World::organization();
        let body = DelegateAdmin { account: account(ADMIN) };
        world.reason = Some("r".repeat(REASON_CHARS_MAX + 1));
        let (values, works) = ([("field", "reason"), ("characters", "1025")], [("characters_max", "1024")]);
        assert_refused(&world.reject(body.clone()), Code::InvalidParameterValue, &values, &[], &works);
        world.reason = Some("line\nline".to_owned());
        let values = [("field", "reason"), ("position", "4"), ("character", "U+000A")];
        assert_refused(&world.reject(body.clone()), Code::InvalidParameterValue, &values, &[], &[]);
        world.reason = Some("r".repeat(REASON_CHARS_MAX));
        world.principal.name = Some("n".repeat(NAME_CHARS_MAX + 1));
        let (values, works) = ([("field", "principal.name"), ("characters", "257")], [("characters_max", "256")]);
        assert_refused(&world.reject(body.clone()), Code::InvalidParameterValue, &values, &[], &works);
        world.principal.name = Some("n".repeat(NAME_CHARS_MAX));
        world.accept(body);
    }

    #[test]
    fn ids_from_outside_have_1_to_256_characters() {
        assert_eq!(foreign_id("id", "vpc-1"), Ok(()));
        assert_eq!(foreign_id("id", &"é".repeat(FOREIGN_ID_CHARS_MAX)), Ok(()));
        for (id, values) in [
            (String::new(), vec![("field", "id")]),
            ("x".repeat(257), vec![("field", "id"), ("characters", "257")]),
            ("a\0".to_owned(), vec![("field", "id"), ("position", "1"), ("character", "U+0000")]),
        ] {
            let rejection = foreign_id("id", &id).expect_err("out of bounds");
            assert_eq!(rejection.code, Code::InvalidParameterValue);
            assert_eq!(rejection.values.len(), values.len(), "{rejection:?}");
        }
    }

    #[test]
    fn only_changes_that_make_a_difference_count() {
        let now = Some(&1);
        assert_eq!(effective(&Change::Set(1), now), Change::Unchanged);
        assert_eq!(effective(&Change::Set(2), now), Change::Set(2));
        assert_eq!(effective(&Change::Clear, now), Change::Clear);
        assert_eq!(effective(&Change::Clear, None::<&u8>), Change::Unchanged);
        assert_eq!(effective(&Change::Unchanged, now), Change::Unchanged);
    }
}
