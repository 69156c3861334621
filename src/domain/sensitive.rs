//! The wrapper around whatever belongs to a person.
//!
//! It keeps personal data out of logs and error texts by giving the formatting
//! traits nothing to print. It does not encrypt, and it does not wipe memory.

use std::fmt;

/// A value that belongs to a person: no `Display`, and a `Debug` that prints
/// nothing of it.
///
/// Whoever needs the value says so with [`expose`](Self::expose), which makes
/// each such place easy to find and to review.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sensitive<T>(T);

impl<T> Sensitive<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. The caller must not let it reach a log, a metric, a
    /// trace or an error text.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Takes the value out of its wrapper, under the same duty.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sensitive]")
    }
}

impl<T> From<T> for Sensitive<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_nothing_of_the_value() {
        let text = format!("{:?}", Some(Sensitive::new("330199")));
        assert_eq!(text, "Some([sensitive])");
    }
}
