//! The primitives of the canonical form: fixed integers, minimal varints,
//! length-prefixed bytes.
//!
//! Every value has exactly one encoding, and the reader refuses any other, so
//! that a record cannot be written in two ways.

/// Why bytes are not an entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end within a field.
    #[error("the entry ends within its {0}")]
    Short(&'static str),
    /// Bytes after the last field.
    #[error("the entry has {0} bytes after its last field")]
    Trailing(usize),
    /// Longer than any entry.
    #[error("the entry has {0} bytes, more than an entry may have")]
    Length(usize),
    /// A version that this program does not know.
    #[error("the entry is of version {0}; this program reads version 1")]
    Version(u8),
    /// A field holds a value that the form does not have.
    #[error("the entry's {0} is not in canonical form")]
    Form(&'static str),
}

/// Writes fields.
#[derive(Debug, Default)]
pub(super) struct Put(pub(super) Vec<u8>);

impl Put {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// LEB128, as few bytes as the value needs.
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(super) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// One byte of length, then the bytes; no caller has more than 255.
    pub(super) fn short(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= 255, "the domain types bound this");
        self.0.push(bytes.len() as u8);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads fields.
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn bytes(
        &mut self,
        count: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Short(what))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        self.bytes(N, what)?.try_into().map_err(|_| DecodeError::Short(what))
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_be_bytes)
    }

    pub(super) fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for place in 0..10u32 {
            let byte = self.u8(what)?;
            let low = u64::from(byte & 0x7f);
            let shifted = low << (7 * place);
            if shifted >> (7 * place) != low {
                return Err(DecodeError::Form(what));
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                // A last byte of zero could have been left out.
                return if byte == 0 && place > 0 {
                    Err(DecodeError::Form(what))
                } else {
                    Ok(value)
                };
            }
        }
        Err(DecodeError::Form(what))
    }

    pub(super) fn short(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.u8(what)?;
        self.bytes(usize::from(length), what)
    }

    pub(super) fn text<T: std::str::FromStr>(
        &mut self,
        what: &'static str,
    ) -> Result<T, DecodeError> {
        let bytes = self.short(what)?;
        std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(DecodeError::Form(what))
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_varint_comes_back(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            let mut put = Put::default();
            put.varint(value);
            let mut take = Take(&put.0);
            prop_assert_eq!(take.varint("value"), Ok(value));
            prop_assert_eq!(take.end(), Ok(()));
        }
    }

    #[test]
    fn a_varint_in_more_bytes_than_needed_is_refused() {
        for bytes in [&[0x80, 0x00][..], &[0xff, 0x00], &[0xff; 10]] {
            assert_eq!(Take(bytes).varint("value"), Err(DecodeError::Form("value")));
        }
    }
}
