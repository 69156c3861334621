//! How gRPC frames messages: a flag, a length, and so many bytes. What is read here is where
//! one ends and whether it may be at all; neither its content nor its time is.

use crate::domain::reason::Reason;
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::refusal::Refusal;

/// A compression flag and a length.
const PREFIX: usize = 5;

/// Where in a message the last byte was.
#[derive(Debug, Default)]
pub(super) struct Framing {
    prefix: [u8; PREFIX],
    /// Bytes of the message that have come, its prefix included; 0 between messages.
    pub(super) come: usize,
    /// Bytes that it has, its prefix included, once that is known.
    length: usize,
    /// Messages that are whole.
    pub(super) messages: usize,
}

impl Framing {
    /// Reads on over these bytes. `Err` has how many of them are good, and what is wrong
    /// after them.
    pub(super) fn read(&mut self, bytes: &[u8], one: bool) -> Result<(), (usize, Refusal)> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let good = bytes.len() - rest.len();
            if self.come == 0 && one && self.messages > 0 {
                return Err((good, wrong("the call takes one message, and more came")));
            }
            let taken;
            if self.come < PREFIX {
                if let Some(byte) = self.prefix.get_mut(self.come) {
                    *byte = *first;
                }
                taken = 1;
                self.come += taken;
                if self.come == PREFIX {
                    // The part of the prefix in these bytes is not passed on either.
                    let good = (good + 1).saturating_sub(PREFIX);
                    self.length = self.judged().map_err(|refusal| (good, refusal))? + PREFIX;
                }
            } else {
                taken = rest.len().min(self.length - self.come);
                self.come += taken;
            }
            if self.come >= PREFIX && self.come == self.length {
                (self.come, self.length) = (0, 0);
                self.messages += 1;
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// The length that the prefix states.
    fn judged(&self) -> Result<usize, Refusal> {
        let [flag, length @ ..] = self.prefix;
        match flag {
            0 => {}
            1 => {
                let message = "a message is said to be compressed; send it uncompressed";
                return Err(Refusal::new(Reason::Unsupported, message));
            }
            _ => return Err(wrong("a message begins with another byte than 0 or 1")),
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE_BYTES {
            let message = format!("a message has {length} bytes, more than {MAX_MESSAGE_BYTES}");
            return Err(Refusal::new(Reason::MessageTooLarge, message));
        }
        Ok(length)
    }

    /// What is wrong when nothing more comes.
    pub(super) fn ended(&self, one: bool) -> Option<Refusal> {
        if self.come > 0 {
            return Some(wrong("the call ended in the middle of a message"));
        }
        (one && self.messages == 0).then(|| wrong("the call has no message"))
    }
}

fn wrong(message: &str) -> Refusal {
    Refusal::new(Reason::CallForm, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(flag: u8, length: u32, content: &[u8]) -> Vec<u8> {
        [&[flag][..], &length.to_be_bytes(), content].concat()
    }

    /// Reads bytes in pieces of a size; how many are good, and why the rest is not.
    fn read(bytes: &[u8], size: usize, one: bool) -> (usize, Option<Reason>) {
        let mut framing = Framing::default();
        for (number, piece) in bytes.chunks(size).enumerate() {
            if let Err((good, refusal)) = framing.read(piece, one) {
                return (number * size + good, Some(refusal.reason));
            }
        }
        (bytes.len(), framing.ended(one).map(|refusal| refusal.reason))
    }

    #[test]
    fn row_76_what_stands_before_a_bad_message_is_good_in_pieces_of_any_size() {
        let good = [framed(0, 3, b"one"), framed(0, 0, b""), framed(0, 3, b"two")].concat();
        let cases = [
            (Vec::new(), None),
            (framed(1, 1, b"x"), Some(Reason::Unsupported)),
            (framed(2, 1, b"x"), Some(Reason::CallForm)),
            (framed(0, u32::MAX, b"xx"), Some(Reason::MessageTooLarge)),
            (framed(0, 256 * 1024 + 1, b""), Some(Reason::MessageTooLarge)),
        ];
        for (bad, reason) in cases {
            let all = [good.clone(), bad.clone()].concat();
            for size in 1..=all.len() {
                let (until, found) = read(&all, size, false);
                assert_eq!(found, reason);
                // What of a bad prefix came in an earlier piece was passed on already.
                assert!(until >= good.len() && until < good.len() + PREFIX, "{size}: {until}");
            }
            assert_eq!(read(&all, all.len(), false).0, good.len());
        }
        assert_eq!(read(&good[..good.len() - 1], 4, false).1, Some(Reason::CallForm));
    }

    #[test]
    fn a_call_that_takes_one_message_gets_one() {
        let one = framed(0, 3, b"one");
        assert_eq!(read(&one, 2, true), (one.len(), None));
        assert_eq!(
            read(&[one.clone(), one.clone()].concat(), 99, true),
            (8, Some(Reason::CallForm))
        );
        assert_eq!(read(&[], 1, true).1, Some(Reason::CallForm));
        assert_eq!(read(&[], 1, false).1, None);
    }
}
