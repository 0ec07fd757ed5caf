//! Addresses as bit strings: the arithmetic that the trie needs, for both families.
//!
//! Bits are counted like netmask lengths: bit 1 is the most significant one. So one number of a
//! family's width can be an address or a *set of netmask lengths* (1 to 32, or 1 to 128), and
//! "on which side of its buddy does this address lie, for each length" is the address itself.

use std::fmt::Debug;
use std::ops::{BitAnd, BitOr, BitXor, Not};

/// An address of one family, or a set of netmask lengths of that family.
pub(super) trait Bits:
    Copy + Ord + Debug + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
    const WIDTH: u8;
    const ZERO: Self;

    /// Panics when the number is out of the family's range.
    fn of(number: u128) -> Self;
    fn number(self) -> u128;
    fn leading_zeros(self) -> u8;
    fn trailing_zeros(self) -> u8;
    /// Bits 1 to `length`: a netmask, or all lengths up to this one.
    fn upto(length: u8) -> Self;
    /// Bit `length` alone (1 to the width).
    fn only(length: u8) -> Self;

    fn is_empty(self) -> bool {
        self == Self::ZERO
    }
    /// Bits above `from`, up to and with `upto`: none when they are equal.
    fn between(from: u8, upto: u8) -> Self {
        Self::upto(upto) & !Self::upto(from)
    }
    /// The smallest length in a set that is not empty: the largest block.
    fn shortest(self) -> u8 {
        self.leading_zeros() + 1
    }
    /// The greatest length in a set that is not empty: the smallest block.
    fn longest(self) -> u8 {
        Self::WIDTH - self.trailing_zeros()
    }
}

macro_rules! bits {
    ($type:ty, $width:literal) => {
        impl Bits for $type {
            const WIDTH: u8 = $width;
            const ZERO: Self = 0;

            fn of(number: u128) -> Self {
                Self::try_from(number).expect("an address has the bits of its family")
            }
            fn number(self) -> u128 {
                self.into()
            }
            #[expect(clippy::cast_possible_truncation, reason = "at most 128")]
            fn leading_zeros(self) -> u8 {
                <$type>::leading_zeros(self) as u8
            }
            #[expect(clippy::cast_possible_truncation, reason = "at most 128")]
            fn trailing_zeros(self) -> u8 {
                <$type>::trailing_zeros(self) as u8
            }
            fn upto(length: u8) -> Self {
                // A shift by the whole width is no shift: length 0 stands apart.
                if length == 0 { 0 } else { Self::MAX << ($width - length) }
            }
            fn only(length: u8) -> Self {
                1 << ($width - length)
            }
        }
    };
}
bits!(u32, 32);
bits!(u128, 128);

/// The lower or the upper half of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Lower,
    Upper,
}

impl Side {
    pub fn other(self) -> Self {
        match self {
            Self::Lower => Self::Upper,
            Self::Upper => Self::Lower,
        }
    }
}

/// One thing for each half of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Halves<T> {
    pub lower: T,
    pub upper: T,
}

impl<T: Copy> Halves<T> {
    pub fn get(&self, side: Side) -> T {
        match side {
            Side::Lower => self.lower,
            Side::Upper => self.upper,
        }
    }

    pub fn set(&mut self, side: Side, value: T) {
        match side {
            Side::Lower => self.lower = value,
            Side::Upper => self.upper = value,
        }
    }
}

/// An aligned block of one family: no bit is set behind its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<A> {
    pub at: A,
    pub length: u8,
}

impl<A: Bits> Block<A> {
    /// The block of `length` around an address.
    pub fn around(address: A, length: u8) -> Self {
        Self { at: address & A::upto(length), length }
    }

    /// The half of a block of `length` in which an address lies.
    pub fn side(length: u8, address: A) -> Side {
        if (address & A::only(length + 1)).is_empty() { Side::Lower } else { Side::Upper }
    }

    pub fn half(self, side: Side) -> Self {
        let length = self.length + 1;
        let at = match side {
            Side::Lower => self.at,
            Side::Upper => self.at | A::only(length),
        };
        Self { at, length }
    }

    pub fn last(self) -> A {
        self.at | !A::upto(self.length)
    }

    /// The length of the smallest block around both.
    pub fn common(self, other: Self) -> u8 {
        (self.at ^ other.at).leading_zeros().min(self.length).min(other.length)
    }
}
