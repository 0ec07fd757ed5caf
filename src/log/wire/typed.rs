//! From a JSON tree to a type, with errors that say where and what instead of a sentence.
//!
//! Serde's own errors are texts; a rejection needs the field, what is allowed there and what comes nearest.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::json::Json;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Flaw {
    pub kind: FlawKind,
    /// From the inside out.
    path: Vec<String>,
    /// The text that was refused, when it was a text.
    pub text: Option<String>,
}

#[derive(Debug)]
pub(super) enum FlawKind {
    UnknownField {
        field: String,
        known: &'static [&'static str],
    },
    UnknownVariant {
        variant: String,
        known: &'static [&'static str],
    },
    MissingField {
        field: &'static str,
    },
    /// The same name twice in one object.
    Doubled {
        field: String,
    },
    WrongType {
        message: String,
    },
    /// Right in form, wrong in what it says.
    Value {
        message: String,
    },
}

/// What is quoted from a command is cut to so many characters.
pub(super) const QUOTED_CHARS_MAX: usize = 64;
const MESSAGE_CHARS_MAX: usize = 512;

impl Flaw {
    fn new(kind: FlawKind) -> Self {
        Self { kind, path: Vec::new(), text: None }
    }

    fn value(message: impl fmt::Display) -> Self {
        Self::new(FlawKind::Value { message: cut(&message.to_string(), MESSAGE_CHARS_MAX) })
    }

    fn wrong_type(found: &Json<'_>, expected: &str) -> Self {
        let message = format!("this is {}, and {expected} belongs here", found.kind());
        Self::new(FlawKind::WrongType { message })
    }

    pub(super) fn inside(mut self, segment: impl Into<String>) -> Self {
        self.path.push(segment.into());
        self
    }

    /// Where it is, dotted, outermost first: `cidrs.0.cidr`.
    pub(super) fn path(&self) -> String {
        let own = match &self.kind {
            FlawKind::UnknownField { field, .. } | FlawKind::Doubled { field } => Some(field.as_str()),
            FlawKind::MissingField { field } => Some(*field),
            FlawKind::UnknownVariant { .. } | FlawKind::WrongType { .. } | FlawKind::Value { .. } => None,
        };
        self.path.iter().rev().map(String::as_str).chain(own).collect::<Vec<_>>().join(".")
    }
}

/// At most so many characters of a text.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FlawKind::UnknownField { .. } => write!(f, "there is no field `{}`", self.path()),
            FlawKind::UnknownVariant { variant, .. } => write!(f, "`{variant}` is no value of `{}`", self.path()),
            FlawKind::MissingField { .. } => write!(f, "`{}` is missing", self.path()),
            FlawKind::Doubled { .. } => write!(f, "`{}` is there twice", self.path()),
            FlawKind::WrongType { message } | FlawKind::Value { message } => write!(f, "`{}`: {message}", self.path()),
        }
    }
}

impl std::error::Error for Flaw {}

impl de::Error for Flaw {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::value(message)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let message = cut(&format!("this is {unexpected}, and {expected} belongs here"), MESSAGE_CHARS_MAX);
        Self::new(FlawKind::WrongType { message })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(FlawKind::UnknownField { field: cut(field, QUOTED_CHARS_MAX), known })
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(FlawKind::UnknownVariant { variant: cut(variant, QUOTED_CHARS_MAX), known })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(FlawKind::MissingField { field })
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(FlawKind::Doubled { field: field.to_owned() })
    }
}

/// Reads a type from a tree.
pub(super) fn read<'de, T: Deserialize<'de>>(tree: Json<'de>) -> Result<T, Flaw> {
    T::deserialize(tree)
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = Flaw;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Unsigned(value) => visitor.visit_u64(value),
            Self::Signed(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Self::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Self::List(values) => visitor.visit_seq(List { values: values.into_iter(), next: 0 }),
            Self::Object(members) => {
                if let Some(field) = doubled(&members) {
                    return Err(Flaw::new(FlawKind::Doubled { field: cut(field, QUOTED_CHARS_MAX) }));
                }
                visitor.visit_map(Object { members: members.into_iter(), value: None })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Flaw> {
        match self {
            Self::Null => visitor.visit_none(),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Flaw> {
        visitor.visit_newtype_struct(self)
    }

    /// An object and nothing else: serde itself would also take a list of the fields' values.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        match self {
            Self::Object(_) => self.deserialize_any(visitor),
            other => Err(Flaw::wrong_type(&other, "an object")),
        }
    }

    /// Enums of commands are plain names.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Flaw> {
        match self {
            Self::Text(text) => {
                let name: StrDeserializer<'_, Flaw> = text.as_ref().into_deserializer();
                visitor.visit_enum(name)
            }
            other => Err(Flaw::wrong_type(&other, "a name")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

/// Reads what stands at `segment` of an object or list. A text that is refused is kept for the answer.
fn read_at<'de, S: DeserializeSeed<'de>>(
    seed: S,
    value: Json<'de>,
    segment: impl FnOnce() -> String,
) -> Result<S::Value, Flaw> {
    // Types that are texts in JSON are parsed after the text is handed over, so it is copied before.
    let text = match &value {
        Json::Text(text) => Some(text.clone()),
        _ => None,
    };
    seed.deserialize(value).map_err(|mut flaw| {
        flaw.text = flaw.text.or_else(|| text.map(|text| cut(&text, QUOTED_CHARS_MAX)));
        flaw.inside(segment())
    })
}

/// A name that stands twice in a sorted object.
pub(super) fn doubled<'a>(members: &'a [(Cow<'_, str>, Json<'_>)]) -> Option<&'a str> {
    members.windows(2).find_map(|pair| match pair {
        [(one, _), (two, _)] if one == two => Some(one.as_ref()),
        _ => None,
    })
}

struct List<'de> {
    values: std::vec::IntoIter<Json<'de>>,
    next: usize,
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Flaw;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Flaw> {
        let Some(value) = self.values.next() else { return Ok(None) };
        let at = self.next;
        self.next += 1;
        read_at(seed, value, || at.to_string()).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

struct Object<'de> {
    members: std::vec::IntoIter<(Cow<'de, str>, Json<'de>)>,
    /// Of the member whose name was read last.
    value: Option<(Cow<'de, str>, Json<'de>)>,
}

impl<'de> MapAccess<'de> for Object<'de> {
    type Error = Flaw;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Flaw> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        let key = seed.deserialize(Json::Text(name.clone()))?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Flaw> {
        let (name, value) = self.value.take().expect("a value is read after its name");
        read_at(seed, value, || cut(&name, QUOTED_CHARS_MAX))
    }
}
