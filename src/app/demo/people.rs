//! Synthetic people: made from a seed, none of them real.
//!
//! Their card numbers begin with 99, a region that does not exist, so that no
//! real person's number can occur. Every draw is a hash of the seed and of what
//! it is for, which makes the people the same on every run and independent of
//! the order in which they are made.

use aws_lc_rs::digest::{SHA256, digest};
use time::{Date, Month};

use crate::domain::subject::gb11643_check_character;

/// Synthetic people of one seed.
#[derive(Debug, Clone, Copy)]
pub struct People {
    seed: u64,
    count: usize,
}

impl People {
    /// As many people as asked for.
    pub const fn new(seed: u64, count: usize) -> Self {
        Self { seed, count }
    }

    /// Every person's place, from 0.
    pub fn places(self) -> std::ops::Range<usize> {
        0..self.count
    }

    /// The card number of a person: a region that does not exist, a date of
    /// birth, a serial number, the check character.
    pub fn card_number(self, person: usize) -> String {
        let (year, month, day) = self.born(person);
        // Person and date together never repeat: the region carries the rest.
        let region = 990_000 + person / 1000;
        let digits = format!("{region:06}{year:04}{month:02}{day:02}{:03}", person % 1000);
        let check = gb11643_check_character(&digits).unwrap_or('0');
        format!("{digits}{check}")
    }

    /// A person's date of birth, as the card number has it.
    pub fn birth(self, person: usize) -> Date {
        let (year, month, day) = self.born(person);
        let month = u8::try_from(month).ok().and_then(|month| Month::try_from(month).ok());
        let parts = i32::try_from(year).ok().zip(month).zip(u8::try_from(day).ok());
        let date =
            parts.and_then(|((year, month), day)| Date::from_calendar_date(year, month, day).ok());
        date.unwrap_or(Date::MIN)
    }

    fn born(self, person: usize) -> (i64, i64, i64) {
        let mut draw = self.draw(&["card", &person.to_string()]);
        (draw.between(1960, 2005), draw.between(1, 12), draw.between(1, 28))
    }

    /// Random numbers for one purpose.
    pub fn draw(self, purpose: &[&str]) -> Draw {
        let mut text = format!("{}", self.seed);
        for part in purpose {
            text.push('|');
            text.push_str(part);
        }
        let mut words = [0u64; 4];
        for (word, chunk) in
            words.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref().chunks(8))
        {
            *word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Draw { words, next: 0 }
    }
}

/// A few random numbers; the fifth is the first again.
#[derive(Debug, Clone)]
pub struct Draw {
    words: [u64; 4],
    next: usize,
}

impl Draw {
    /// Random numbers for one of very many purposes of one seed: FNV-1a over the
    /// purpose, spread by splitmix64. Much cheaper than a hash, and nobody is to be
    /// kept from guessing.
    pub fn quick(seed: u64, purpose: &str) -> Self {
        let offset = seed ^ 0xcbf2_9ce4_8422_2325;
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let mut state = purpose.bytes().fold(offset, step);
        let words = std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        });
        Self { words, next: 0 }
    }

    /// A random word.
    pub fn word(&mut self) -> u64 {
        let word = self.words.get(self.next % self.words.len()).copied().unwrap_or_default();
        self.next += 1;
        word
    }

    /// A number between two others, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low).saturating_add(1);
        low.saturating_add_unsigned(self.word() % span)
    }

    /// One of several, each as likely; the default of none.
    pub fn one_of<T: Copy + Default>(&mut self, among: &[T]) -> T {
        let at = self.word() % u64::try_from(among.len()).unwrap_or(1).max(1);
        usize::try_from(at).ok().and_then(|at| among.get(at)).copied().unwrap_or_default()
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.word() % 100 < chance
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_are_well_formed_unique_and_of_no_region() {
        let people = People::new(1, 5000);
        let numbers: HashSet<String> = people.places().map(|p| people.card_number(p)).collect();
        assert_eq!(numbers.len(), 5000);
        for person in [0, 1, 4_999] {
            let birth = people.birth(person).to_string().replace('-', "");
            assert_eq!(people.card_number(person).get(6..14), Some(birth.as_str()));
        }
        for number in numbers {
            assert!(number.starts_with("99") && number.len() == 18, "{number}");
            let (digits, check) = number.split_at(17);
            assert_eq!(gb11643_check_character(digits), check.chars().next());
        }
    }
}
