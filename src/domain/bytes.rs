//! Compact runs of bytes: numbers in as few bytes as they need, texts behind their length.
//!
//! What the bytes mean is their user's: allocations in memory, rows of the views. Reading gives `None` where the bytes
//! end early or are none that writing makes; it never panics and never takes more memory than there are bytes.

/// Seven bits a byte, the lowest first; the high bit says that more follow.
pub(crate) fn write_number(bytes: &mut Vec<u8>, number: impl Into<u128>) {
    let mut number = number.into();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("below 0x80"));
}

pub(crate) fn write_length(bytes: &mut Vec<u8>, length: usize) {
    write_number(bytes, u64::try_from(length).expect("a length has at most 64 bits"));
}

pub(crate) fn write_text(bytes: &mut Vec<u8>, text: &str) {
    write_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn number(&mut self) -> Option<u128> {
        let (mut number, mut shift) = (0_u128, 0);
        loop {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            // The nineteenth byte has room for two bits.
            number |= bits.checked_shl(shift).filter(|shifted| *shifted >> shift == bits)?;
            if byte < 0x80 {
                // A number is written in as few bytes as it needs: the last one is no mere zero.
                return (byte > 0 || shift == 0).then_some(number);
            }
            shift += 7;
        }
    }

    /// A number of things of which each takes a byte or more: no more than there are bytes left.
    pub(crate) fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.0.len()).then_some(length)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_read_as_they_were_written() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u128::from(u64::MAX), u128::MAX - 1, u128::MAX] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            let mut reader = Reader::new(&bytes);
            assert!(!reader.is_empty());
            assert_eq!(reader.number(), Some(number));
            assert!(reader.is_empty());
        }
        let mut bytes = Vec::new();
        write_text(&mut bytes, "ключ");
        assert_eq!(Reader::new(&bytes).text(), Some("ключ"));
        assert_eq!(bytes.len(), 9);
    }

    #[test]
    fn what_nobody_wrote_is_refused() {
        assert_eq!(Reader::new(&[]).byte(), None);
        assert_eq!(Reader::new(&[0x80]).number(), None, "it ends within a number");
        assert_eq!(Reader::new(&[0xff; 20]).number(), None, "more than 128 bits");
        assert_eq!(Reader::new(&[0x80, 0]).number(), None, "a zero in two bytes");
        let mut one_bit_more = [0xff; 19];
        one_bit_more[18] = 0x04;
        assert_eq!(Reader::new(&one_bit_more).number(), None);
        assert_eq!(Reader::new(&[5, b'a']).text(), None, "it ends within a text");
        assert_eq!(Reader::new(&[1, 0xff]).text(), None, "no UTF-8");
        assert_eq!(Reader::new(&[1, 2, 3]).array::<4>(), None);
    }
}
