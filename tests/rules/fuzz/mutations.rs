//! Mutations as a fuzzer makes them, but the same ones in every run.

/// Values at which readers go wrong.
const BYTES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'~', b'.'];

/// Long enough to exceed any short bound.
const LONG: usize = 300;

/// Makes mutations.
pub struct Mutator(u64);

impl Mutator {
    /// Each name has a sequence of its own.
    pub fn new(name: &str) -> Self {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }

    /// One to four edits of `seed`, some with parts of the others.
    pub fn mutate(&mut self, seed: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.roll(4) {
            self.edit(&mut bytes, others);
        }
        bytes
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.roll(length + 1);
        let most = (length - start).min(40);
        start..start + self.roll(most + 1)
    }

    fn edit(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.roll(bytes.len());
        match self.roll(9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.roll(8),
            1 if !bytes.is_empty() => bytes[at] = BYTES[self.roll(BYTES.len())],
            2 if !bytes.is_empty() => bytes[at] = bytes[at].wrapping_add(self.roll(16) as u8),
            3 => bytes.truncate(at),
            4 => {
                let cut = self.range(bytes.len());
                bytes.drain(cut);
            }
            5 => {
                let part = self.range(bytes.len());
                let part = bytes[part].to_vec();
                bytes.splice(at..at, part);
            }
            6 => {
                let byte = BYTES[self.roll(BYTES.len())];
                let times = self.roll(LONG);
                bytes.splice(at..at, std::iter::repeat_n(byte, times));
            }
            7 => {
                let other = &others[self.roll(others.len())];
                let part = self.range(other.len());
                bytes.splice(at..at, other[part].iter().copied());
            }
            _ => {
                let digit = b'0' + self.roll(10) as u8;
                if let Some(byte) = bytes.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()) {
                    *byte = digit;
                }
            }
        }
    }
}
