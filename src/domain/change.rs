//! What a modification does to one field: absent leaves it, `null` clears it, a value sets it.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The field was not named.
    #[default]
    Unchanged,
    /// The field was `null`.
    Clear,
    Set(T),
}

impl<T> Change<T> {
    /// For `#[serde(skip_serializing_if)]`: an unchanged field is not written.
    pub const fn is_unchanged(&self) -> bool {
        matches!(self, Self::Unchanged)
    }

    /// The value after the change, given the one before.
    pub fn applied_to(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Unchanged => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unchanged | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => serializer.serialize_some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T: JsonSchema> JsonSchema for Change<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Change_of_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <Option<T>>::json_schema(generator)
    }
}

/// For a field that can be set and not cleared: `null` is refused, not ignored.
pub(super) fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Modify {
        #[serde(default, skip_serializing_if = "Change::is_unchanged")]
        description: Change<String>,
    }

    #[test]
    fn absent_null_and_value_are_three_things() {
        for (json, change) in [
            ("{}", Change::Unchanged),
            (r#"{"description":null}"#, Change::Clear),
            (r#"{"description":"x"}"#, Change::Set("x".to_owned())),
        ] {
            let read: Modify = serde_json::from_str(json).expect(json);
            assert_eq!(read.description, change);
            assert_eq!(serde_json::to_string(&read).expect("serialises"), json);
        }
    }
}
