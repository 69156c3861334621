//! What a source says about itself before anybody is asked about: the kinds of its
//! columns, how it would find people, whether its account could write. For
//! `agency check`, never for a request.

use crate::domain::value::ValueType;

/// What the values of a column are, as far as its source knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Boolean,
    /// Whole numbers.
    Integer,
    /// Numbers, whole or not.
    Number,
    /// Texts, which may hold anything.
    Text,
    /// Days, also of moments without a zone.
    Date,
    /// Moments, which are days in a zone.
    Moment,
    /// A kind from which no item is read.
    Other,
    /// Not known before a value is seen.
    Unknown,
}

impl Kind {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "whole number",
            Self::Number => "number",
            Self::Text => "text",
            Self::Date => "date",
            Self::Moment => "moment",
            Self::Other => "a kind that no item is read from",
            Self::Unknown => "unknown",
        }
    }

    /// Whether an item of this type could ever be read from such a column.
    pub fn may_hold(self, value_type: &ValueType) -> bool {
        match self {
            Self::Text | Self::Unknown => true,
            Self::Other => false,
            Self::Boolean => matches!(value_type, ValueType::Boolean),
            Self::Integer => true,
            Self::Number => {
                !matches!(value_type, ValueType::Boolean | ValueType::Date | ValueType::Code(_))
            }
            Self::Date | Self::Moment => matches!(value_type, ValueType::Date),
        }
    }
}

/// How a source would answer a query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Its own estimate of the cost of one statement, in its own unit.
    pub cost: Option<f64>,
    /// Its own estimate of the rows that it looks at.
    pub rows: Option<f64>,
    /// The tables that it reads whole because no index helps.
    pub whole: Vec<String>,
}

/// What is known of a query's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Review {
    /// Every column of the answer with its kind; none when they are not known.
    pub columns: Vec<(String, Kind)>,
    /// How it would be found, where the source can say.
    pub plan: Option<Plan>,
}
