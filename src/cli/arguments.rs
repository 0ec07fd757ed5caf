//! Arguments that several commands take, and how their words are read.

use std::str::FromStr;

use clap::Args;
use serde::de::DeserializeOwned;

use crate::address::Cidr;
use crate::domain::change::Change;
use crate::domain::command::Tags;
use crate::domain::id::Revision;
use crate::domain::kind::ResourceKind;

/// The moment that a query asks about.
#[derive(Args, Clone, Debug, Default)]
pub struct Moment {
    /// What was true then: a date (the whole day, or its end where one state is shown), an instant, or how long ago (-3d, -12h)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// What the ledger knew then: the same, or a revision (rev:1234)
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub as_of: Option<String>,
    /// Wait until the answer includes this revision
    #[arg(long, value_name = "REVISION", value_parser = super::settings::revision)]
    pub at_least: Option<Revision>,
}

impl Moment {
    /// As it stands in a query.
    pub fn query(&self) -> String {
        query([
            ("at", self.at.clone()),
            ("as_of", self.as_of.clone()),
            ("at_least", self.at_least.map(|revision| revision.to_string())),
        ])
    }
}

/// A part of a long list.
#[derive(Args, Clone, Debug, Default)]
pub struct Part {
    /// Rows at a time: 1 to 1,000 [default: 100]
    #[arg(long, value_name = "ROWS")]
    pub limit: Option<u16>,
    /// Go on where the part before ended
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
}

impl Part {
    /// As it stands in a query.
    pub fn query(&self) -> String {
        query([("limit", self.limit.map(|limit| limit.to_string())), ("after", self.after.clone())])
    }
}

/// A query of the parameters that have a value.
pub fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let given = parameters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped(&value?))));
    given.collect::<Vec<_>>().join("&")
}

/// A value as part of a query: everything but letters, digits and `-._~` escaped.
pub fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a String takes all that is written to it");
        }
    }
    escaped
}

/// `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub String, pub String);

impl FromStr for Tag {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("a tag is written KEY=VALUE")?;
        if key.is_empty() {
            return Err("the key of a tag has at least one character".to_owned());
        }
        Ok(Self(key.to_owned(), value.to_owned()))
    }
}

/// Tags from flags; the last of one key counts.
pub fn tags(given: Vec<Tag>) -> Tags {
    given.into_iter().map(|Tag(key, value)| (key, value)).collect()
}

/// A block, or the length of one: `10.0.0.0/24`, `/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    Cidr(Cidr),
    Length(u8),
}

impl FromStr for Block {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(length) = text.strip_prefix('/') {
            let length = length.parse().ok().filter(|length| *length <= 128);
            return length.map(Self::Length).ok_or_else(|| "a netmask length is /0 to /128".to_owned());
        }
        text.parse()
            .map(Self::Cidr)
            .map_err(|error: crate::address::CidrError| format!("{error}, or /24 for any block of that length"))
    }
}

impl Block {
    pub fn cidr(self) -> Option<Cidr> {
        match self {
            Self::Cidr(cidr) => Some(cidr),
            Self::Length(_) => None,
        }
    }

    pub fn length(self) -> Option<u8> {
        match self {
            Self::Cidr(_) => None,
            Self::Length(length) => Some(length),
        }
    }
}

/// A netmask length: `24` or `/24`.
pub fn length(text: &str) -> Result<u8, String> {
    let length = text.strip_prefix('/').unwrap_or(text).parse().ok().filter(|length| *length <= 128);
    length.ok_or_else(|| "a netmask length is /0 to /128".to_owned())
}

/// A resource: `vpc-0a1…`, or `KIND:ID` where the id does not show the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub kind: ResourceKind,
    pub id: String,
}

impl FromStr for Resource {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const SHOWN_BY_ID: [(&str, ResourceKind); 6] = [
            ("vpc-", ResourceKind::Vpc),
            ("subnet-", ResourceKind::Subnet),
            ("eipalloc-", ResourceKind::Eip),
            ("ipv4pool-ec2-", ResourceKind::PublicIpv4Pool),
            ("eni-", ResourceKind::NetworkInterface),
            ("i-", ResourceKind::Instance),
        ];
        if let Some((kind, id)) = text.split_once(':')
            && let Ok(kind) = kind.parse()
        {
            return Ok(Self { kind, id: id.to_owned() });
        }
        let shown = SHOWN_BY_ID.iter().find(|(prefix, _)| text.starts_with(prefix));
        let (_, kind) = shown.ok_or_else(|| {
            let kinds: Vec<_> = ResourceKind::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("the kind of `{text}` does not show; write KIND:ID with one of {}", kinds.join(", "))
        })?;
        Ok(Self { kind: *kind, id: text.to_owned() })
    }
}

/// What a pair of flags, `--x VALUE` and `--no-x`, changes.
pub fn change<T>(value: Option<T>, clear: bool) -> Change<T> {
    match (value, clear) {
        (Some(value), _) => Change::Set(value),
        (None, true) => Change::Clear,
        (None, false) => Change::Unchanged,
    }
}

/// A word of a closed set, as it stands in commands.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lengths_resources_and_tags_are_read_as_people_write_them() {
        assert_eq!("/24".parse(), Ok(Block::Length(24)));
        assert_eq!("10.0.0.0/24".parse(), Ok(Block::Cidr("10.0.0.0/24".parse().expect("a CIDR"))));
        for (text, says) in [
            ("24", "is not a CIDR"),
            ("/129", "/0 to /128"),
            ("/x", "/0 to /128"),
            ("10.0.0.5/24", "the block is 10.0.0.0/24"),
            ("010.0.0.0/8", "leading zero"),
        ] {
            let error = text.parse::<Block>().expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
        for (text, kind, id) in [
            ("vpc-0a1", ResourceKind::Vpc, "vpc-0a1"),
            ("eipalloc-1", ResourceKind::Eip, "eipalloc-1"),
            ("prefix:EC2/eu-west-1/10.0.0.0/8", ResourceKind::Prefix, "EC2/eu-west-1/10.0.0.0/8"),
            ("eni:db", ResourceKind::NetworkInterface, "db"),
        ] {
            assert_eq!(text.parse(), Ok(Resource { kind, id: id.to_owned() }), "{text}");
        }
        assert!("db".parse::<Resource>().expect_err("no kind").contains("KIND:ID"));
        assert_eq!("a=b=c".parse(), Ok(Tag("a".to_owned(), "b=c".to_owned())));
        assert!("a".parse::<Tag>().is_err() && "=a".parse::<Tag>().is_err());
    }

    #[test]
    fn queries_are_escaped() {
        let moment =
            Moment { at: Some("2019-03-01T12:00:00+02:00".to_owned()), as_of: None, at_least: Some(Revision(7)) };
        assert_eq!(moment.query(), "at=2019-03-01T12%3A00%3A00%2B02%3A00&at_least=7");
    }
}
