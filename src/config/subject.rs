//! The format of card numbers, as configuration states it.

use serde::Deserialize;

use crate::domain::subject::{CheckDigit, SubjectFormat};

/// `[subject]` of a gateway's or an agency's file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Shape")]
pub struct SubjectConfig {
    /// The format.
    pub format: SubjectFormat,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    pattern: String,
    check_digit: Option<CheckDigit>,
}

impl TryFrom<Shape> for SubjectConfig {
    type Error = String;

    fn try_from(shape: Shape) -> Result<Self, String> {
        let format = SubjectFormat::new(&shape.pattern, shape.check_digit)
            .map_err(|error| format!("pattern `{}`: {error}", shape.pattern))?;
        Ok(Self { format })
    }
}
