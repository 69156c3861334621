//! The note by which a log names the one that goes on from it, before it does: signed with
//! the old log's key, and given to the peers, who pin it. That the new log does go on from
//! the old one is shown by its first entry, and is no matter of the note.

use signed_note::Note;

use super::note::{NoteError, Origin, SigningKey, VerifyingKey};

/// The first line of the text.
const HEADER: &str = "tributary/log-successor/v1";

/// Longest note that is looked at.
const MAX_BYTES: usize = 16 * 1024;

/// Why a note names no successor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessorError {
    /// Not as [`Successor::sign`] writes it.
    #[error("this is no successor note: {0}")]
    Form(&'static str),
    /// The note is of another log.
    #[error("the successor note is of the log `{found}`, not of `{expected}`")]
    OtherOrigin {
        /// The log that was meant.
        expected: Origin,
        /// The log that the note says has the successor.
        found: Origin,
    },
    /// The signature is missing or wrong.
    #[error(
        "the successor note is not signed with the key of the log `{0}` as pinned here: it was forged or changed"
    )]
    Signature(Origin),
    /// A log that goes on from itself.
    #[error(
        "the log `{0}` cannot be its own successor: the next log has another origin and another key"
    )]
    Itself(Origin),
    /// The names or the key are refused.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// What a successor note says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The log that is to end.
    pub before: Origin,
    /// The key of the log that is to go on from it.
    pub key: VerifyingKey,
}

impl Successor {
    /// The text that is signed.
    fn text(&self) -> String {
        format!("{HEADER}\nold {}\nnew {}\n", self.before, self.key)
    }

    /// Names a log's successor, with the log's own key.
    ///
    /// # Errors
    /// [`SuccessorError::Itself`] when the two have an origin or a key in common.
    pub fn sign(
        old: &SigningKey,
        old_origin: &Origin,
        new: &VerifyingKey,
    ) -> Result<String, SuccessorError> {
        let named = Self { before: old_origin.clone(), key: new.clone() };
        named.differs_from(&old.verifying_key(old_origin)?)?;
        Ok(old.sign_text(old_origin, &named.text())?)
    }

    /// The successor's key, if the log with this key signed the note.
    ///
    /// # Errors
    /// [`SuccessorError`].
    pub fn verify(note: &str, old: &VerifyingKey) -> Result<VerifyingKey, SuccessorError> {
        let named = Self::parse_unverified(note)?;
        if named.before != *old.origin() {
            let (expected, found) = (old.origin().clone(), named.before);
            return Err(SuccessorError::OtherOrigin { expected, found });
        }
        let signed = old.verify_text(note);
        signed.map_err(|_| SuccessorError::Signature(named.before.clone()))?;
        named.differs_from(old)?;
        Ok(named.key)
    }

    /// Reads a note without looking at its signatures: to learn with whose key it is to be
    /// verified.
    ///
    /// # Errors
    /// [`SuccessorError::Form`], and [`SuccessorError::Note`] for its names and its key.
    pub fn parse_unverified(note: &str) -> Result<Self, SuccessorError> {
        if note.len() > MAX_BYTES {
            return Err(SuccessorError::Form("it is longer than 16 KiB"));
        }
        let read = Note::from_bytes(note.as_bytes())
            .map_err(|_| SuccessorError::Form("it is no signed note"))?;
        if read.to_bytes() != note.as_bytes() {
            return Err(SuccessorError::Form("the note is not in its canonical form"));
        }
        let text = std::str::from_utf8(read.text())
            .map_err(|_| SuccessorError::Form("its text is not UTF-8"))?;
        let lines = text.split('\n').collect::<Vec<_>>();
        let &[HEADER, before, key, ""] = lines.as_slice() else {
            return Err(SuccessorError::Form("its text is not the three lines of one"));
        };
        let (Some(before), Some(key)) = (before.strip_prefix("old "), key.strip_prefix("new "))
        else {
            return Err(SuccessorError::Form("its text is not the three lines of one"));
        };
        let named = Self { before: before.parse()?, key: key.parse()? };
        // There is one form: a key may be written with blanks around it, and not here.
        if named.text() != text {
            return Err(SuccessorError::Form("its text is not in its canonical form"));
        }
        Ok(named)
    }

    fn differs_from(&self, old: &VerifyingKey) -> Result<(), SuccessorError> {
        if self.key.origin() == &self.before || self.key.public() == old.public() {
            return Err(SuccessorError::Itself(self.before.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(origin: &str, seed: u8) -> (SigningKey, VerifyingKey) {
        let key = SigningKey::from_seed(&[seed; 32]).unwrap();
        let public = key.verifying_key(&origin.parse().unwrap()).unwrap();
        (key, public)
    }

    fn note() -> (String, VerifyingKey, VerifyingKey) {
        let (key, old) = log("gateway.city.example/2026", 1);
        let (_, new) = log("gateway.city.example/2027", 2);
        (Successor::sign(&key, old.origin(), &new).unwrap(), old, new)
    }

    #[test]
    fn a_successor_is_named_by_the_log_before_it_and_by_nobody_else() {
        let (note, old, new) = note();
        let text = format!("{HEADER}\nold {}\nnew {new}\n\n— {} ", old.origin(), old.origin());
        assert!(note.starts_with(&text), "{note}");
        assert_eq!(Successor::verify(&note, &old), Ok(new.clone()));

        let (_, other) = log("gateway.city.example/2026", 3);
        let forged = SuccessorError::Signature(old.origin().clone());
        assert_eq!(Successor::verify(&note, &other), Err(forged));
        assert!(matches!(Successor::verify(&note, &new), Err(SuccessorError::OtherOrigin { .. })));
    }

    #[test]
    fn a_log_is_not_its_own_successor() {
        let (key, old) = log("a", 1);
        let (_, same_origin) = log("a", 2);
        let (_, same_key) = log("b", 1);
        let itself = SuccessorError::Itself(old.origin().clone());
        for new in [same_origin, same_key] {
            let signed = Successor::sign(&key, old.origin(), &new);
            assert_eq!(signed, Err(itself.clone()));
            // Nor where somebody signs what this would not.
            let named = Successor { before: old.origin().clone(), key: new };
            let note = key.sign_text(old.origin(), &named.text()).unwrap();
            assert_eq!(Successor::verify(&note, &old), Err(itself.clone()));
        }
    }

    #[test]
    fn another_text_or_form_is_refused() {
        let (key, old) = log("a", 1);
        let (_, new) = log("b", 2);
        for text in [
            format!("tributary/log-successor/v2\nold a\nnew {new}\n"),
            format!("{HEADER}\nold a\nnew {new}\nmore\n"),
            format!("{HEADER}\nold a\nnew {new} \n"),
            format!("{HEADER}\nold  a\nnew {new}\n"),
            format!("{HEADER}\nnew {new}\nold a\n"),
            format!("{HEADER}\nold a\n"),
            format!("{HEADER}\nold a\nnew b+00000000+AAAA\n"),
        ] {
            let note = key.sign_text(old.origin(), &text).unwrap();
            assert!(Successor::verify(&note, &old).is_err(), "{text}");
        }
        let note = Successor::sign(&key, old.origin(), &new).unwrap();
        let long = format!("{note}{}", "— x AAAAAAAA\n".repeat(MAX_BYTES / 14));
        assert!(long.len() > MAX_BYTES);
        let refused = Err(SuccessorError::Form("it is longer than 16 KiB"));
        assert_eq!(Successor::verify(&long, &old), refused);
        for changed in ["", "b+1+2", &note[..note.len() - 1], &format!("{note}\n")] {
            assert!(Successor::verify(changed, &old).is_err(), "{changed:?}");
        }
    }

    proptest! {
        #[test]
        fn no_byte_of_a_note_can_be_another(at in 0usize..10_000, by in 1u8..=255) {
            let (note, old, _) = note();
            let mut bytes = note.into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= by;
            if let Ok(changed) = String::from_utf8(bytes) {
                prop_assert!(Successor::verify(&changed, &old).is_err(), "{changed}");
            }
        }

        #[test]
        fn every_successor_is_read_as_it_was_signed(
            names in proptest::array::uniform2("[A-Za-z0-9._:/-]{1,128}"), seeds in [1u8..9, 10u8..20],
        ) {
            prop_assume!(names[0] != names[1]);
            let (key, old) = log(&names[0], seeds[0]);
            let (_, new) = log(&names[1], seeds[1]);
            let note = Successor::sign(&key, old.origin(), &new).unwrap();
            prop_assert_eq!(Successor::verify(&note, &old), Ok(new.clone()));
            let read = Successor::parse_unverified(&note);
            prop_assert_eq!(read, Ok(Successor { before: old.origin().clone(), key: new }));
        }
    }
}
