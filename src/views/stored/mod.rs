//! How values of rows are stored: compact bytes, field by field in a fixed order, without names.
//!
//! A field added, dropped or moved makes other bytes: then the view's name gets its next version, and it is folded
//! anew beside the old one (design D11). A test of each kind of row pins its bytes. Nothing of this leaves the store:
//! what is exchanged is JSON, by the schemas.

mod domain;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::table::TableError;
use crate::domain::bytes::{write_length, write_number, write_text};

pub(super) use crate::domain::bytes::Reader;

/// What can be a part of a row's value.
pub(super) trait Stored: Sized {
    fn write(&self, bytes: &mut Vec<u8>);

    /// `None` where the bytes are none that [`Stored::write`] makes.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

pub(super) fn to_bytes<T: Stored>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    value.write(&mut bytes);
    bytes
}

/// # Errors
/// When the bytes are not exactly one value.
pub(super) fn from_bytes<T: Stored>(bytes: &[u8]) -> Result<T, TableError> {
    let mut reader = Reader::new(bytes);
    T::read(&mut reader)
        .filter(|_| reader.is_empty())
        .ok_or_else(|| TableError("a row cannot be read; rebuild the views (`ipam views rebuild`)".to_owned()))
}

/// A struct is its fields in this order.
macro_rules! stored_struct {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::views::stored::Stored for $type {
            fn write(&self, bytes: &mut Vec<u8>) {
                let Self { $($field),+ } = self;
                $($crate::views::stored::Stored::write($field, bytes);)+
            }

            fn read(reader: &mut $crate::views::stored::Reader<'_>) -> Option<Self> {
                Some(Self { $($field: $crate::views::stored::Stored::read(reader)?),+ })
            }
        }
    };
}
pub(super) use stored_struct;

/// An enum is a number and its variant's fields in this order. A number is never used again for another variant.
macro_rules! stored_enum {
    ($type:ty { $($number:literal => $variant:ident $({ $($field:tt: $name:ident),+ })?),+ $(,)? }) => {
        impl $crate::views::stored::Stored for $type {
            fn write(&self, bytes: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field: $name),+ })? => {
                        bytes.push($number);
                        $($($crate::views::stored::Stored::write($name, bytes);)+)?
                    })+
                }
            }

            fn read(reader: &mut $crate::views::stored::Reader<'_>) -> Option<Self> {
                Some(match reader.byte()? {
                    $($number => Self::$variant $({ $($field: $crate::views::stored::Stored::read(reader)?),+ })?,)+
                    _ => return None,
                })
            }
        }
    };
}
pub(super) use stored_enum;

impl Stored for u64 {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_number(bytes, *self);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.number()?.try_into().ok()
    }
}

impl Stored for u32 {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_number(bytes, u64::from(*self));
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.number()?.try_into().ok()
    }
}

impl Stored for u8 {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.byte()
    }
}

impl Stored for bool {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Stored for String {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_text(bytes, self);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.text().map(str::to_owned)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            None => bytes.push(0),
            Some(value) => {
                bytes.push(1);
                value.write(bytes);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.byte()? {
            0 => Some(None),
            1 => T::read(reader).map(Some),
            _ => None,
        }
    }
}

impl<T: Stored> Stored for Arc<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.as_ref().write(bytes);
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        T::read(reader).map(Self::new)
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_length(bytes, self.len());
        for value in self {
            value.write(bytes);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (0..reader.length()?).map(|_| T::read(reader)).collect()
    }
}

impl<T: Stored + Ord> Stored for BTreeSet<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_length(bytes, self.len());
        for value in self {
            value.write(bytes);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut set = Self::new();
        for _ in 0..reader.length()? {
            let value = T::read(reader)?;
            if set.last().is_some_and(|last| *last >= value) {
                return None;
            }
            set.insert(value);
        }
        Some(set)
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn write(&self, bytes: &mut Vec<u8>) {
        write_length(bytes, self.len());
        for (key, value) in self {
            key.write(bytes);
            value.write(bytes);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut map = Self::new();
        for _ in 0..reader.length()? {
            let (key, value) = (K::read(reader)?, V::read(reader)?);
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return None;
            }
            map.insert(key, value);
        }
        Some(map)
    }
}
