//! Taking a strict JSON object apart, member by member, until none is left.
//!
//! Whatever nobody asked for is refused at the end: unknown means no.

use std::ops::RangeInclusive;

use super::json::Json;

/// What is wrong with one member. Never holds a member's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// What should be an object is something else.
    #[error("`{0}` is not a JSON object")]
    NotAnObject(&'static str),
    /// A member is missing.
    #[error("`{place}` lacks `{name}`")]
    Missing {
        /// The object.
        place: &'static str,
        /// The member.
        name: &'static str,
    },
    /// A member that this version does not know.
    #[error("`{place}` has an unknown member `{name}`; this version refuses what it does not know")]
    Unknown {
        /// The object.
        place: &'static str,
        /// The start of the member's name, escaped.
        name: String,
    },
    /// A member of another type, form or size.
    #[error("`{name}` in `{place}` must be {expected}")]
    Form {
        /// The object.
        place: &'static str,
        /// The member.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// Whether a character changes how others are shown: controls, and marks that
/// turn the direction of writing or take no room. People read these texts on
/// terminals and in logs.
fn deceives(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// An object that is being taken apart.
#[derive(Debug)]
pub struct Fields {
    place: &'static str,
    members: Vec<(String, Json)>,
}

impl Fields {
    /// Starts on an object; `place` names it in errors.
    ///
    /// # Errors
    /// [`FieldError::NotAnObject`].
    pub fn new(place: &'static str, value: Json) -> Result<Self, FieldError> {
        match value {
            Json::Object(members) => Ok(Self { place, members }),
            _ => Err(FieldError::NotAnObject(place)),
        }
    }

    /// An error about one member, for checks beyond those here.
    pub const fn form(&self, name: &'static str, expected: &'static str) -> FieldError {
        FieldError::Form { place: self.place, name, expected }
    }

    /// Takes a member if it is there.
    pub fn take(&mut self, name: &str) -> Option<Json> {
        let at = self.members.iter().position(|(known, _)| known == name)?;
        Some(self.members.swap_remove(at).1)
    }

    /// Takes a member of any type.
    ///
    /// # Errors
    /// [`FieldError::Missing`].
    pub fn need(&mut self, name: &'static str) -> Result<Json, FieldError> {
        self.take(name).ok_or(FieldError::Missing { place: self.place, name })
    }

    /// Takes a text of 1 to `most` bytes without control characters.
    ///
    /// # Errors
    /// Missing, or of another form.
    pub fn text(&mut self, name: &'static str, most: usize) -> Result<String, FieldError> {
        match self.need(name)? {
            Json::Text(text)
                if !text.is_empty() && text.len() <= most && !text.chars().any(deceives) =>
            {
                Ok(text)
            }
            _ => Err(self.form(name, "a text of bounded length without control characters")),
        }
    }

    /// Takes a text that parses into a type of ours.
    ///
    /// # Errors
    /// Missing, or of another form.
    pub fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FieldError> {
        let text = self.text(name, 256)?;
        parse(&text).ok_or_else(|| self.form(name, expected))
    }

    /// As [`Fields::parsed`], for a text whose length the caller has bounded.
    ///
    /// # Errors
    /// Missing, or of another form.
    pub fn parsed_long<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FieldError> {
        match self.need(name)? {
            Json::Text(text) => parse(&text).ok_or_else(|| self.form(name, expected)),
            _ => Err(self.form(name, expected)),
        }
    }

    /// Takes a whole number within a range.
    ///
    /// # Errors
    /// Missing, of another type, or outside the range.
    pub fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<i64, FieldError> {
        match self.need(name)? {
            Json::Integer(value) if range.contains(&value) => Ok(value),
            _ => Err(self.form(name, "a whole number within its range")),
        }
    }

    /// Takes a list.
    ///
    /// # Errors
    /// Missing, or of another type.
    pub fn list(&mut self, name: &'static str) -> Result<Vec<Json>, FieldError> {
        match self.need(name)? {
            Json::List(entries) => Ok(entries),
            _ => Err(self.form(name, "a list")),
        }
    }

    /// Takes an object, to be taken apart in its turn.
    ///
    /// # Errors
    /// Missing, or no object.
    pub fn object(&mut self, name: &'static str) -> Result<Self, FieldError> {
        let value = self.need(name)?;
        Self::new(name, value)
    }

    /// Ends: nothing may be left.
    ///
    /// # Errors
    /// [`FieldError::Unknown`].
    pub fn finish(self) -> Result<(), FieldError> {
        match self.members.first() {
            None => Ok(()),
            Some((name, _)) => Err(FieldError::Unknown {
                place: self.place,
                name: name.chars().take(32).collect::<String>().escape_default().to_string(),
            }),
        }
    }
}
