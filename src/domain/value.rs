//! Values of items and the types they must have.
//!
//! A [`Value`] carries no unit and no code text: those stand in the catalogue,
//! against which [`ValueType::check`] holds it. No free text exists.

use rust_decimal::Decimal;
use time::Date;

/// A code's place in its item's closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeIndex(pub u8);

/// The value of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Yes or no.
    Boolean(bool),
    /// A whole number in the item's unit.
    Integer(i64),
    /// A decimal number in the item's unit.
    Decimal(Decimal),
    /// An amount in the item's currency.
    Money(Decimal),
    /// A calendar date.
    Date(Date),
    /// One of the item's codes.
    Code(CodeIndex),
    /// A number of whole months.
    Months(u32),
}

/// Inclusive bounds within which a value is plausible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The smallest plausible value.
    pub minimum: Decimal,
    /// The largest plausible value.
    pub maximum: Decimal,
}

impl Range {
    fn holds(&self, value: Decimal) -> bool {
        self.minimum <= value && value <= self.maximum
    }
}

/// A currency, ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Three upper-case letters, or nothing.
    pub fn new(code: &str) -> Option<Self> {
        let letters: [u8; 3] = code.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The type of an item, with what a value must satisfy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueType {
    /// Yes or no.
    Boolean,
    /// A whole number within a range.
    Integer(Range),
    /// A decimal number within a range.
    Decimal(Range),
    /// An amount in one currency, in major units within a range.
    Money(Currency, Range),
    /// A complete calendar date.
    Date,
    /// One of a closed list of codes; its length.
    Code(u8),
    /// A number of whole months within a range.
    Months(Range),
}

/// Why a value does not fit its item. Says nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The value is of another type.
    #[error("the value is not of the item's type")]
    Type,
    /// The value is outside the catalogue's plausible range.
    #[error("the value is outside the catalogue's range")]
    Range,
    /// The code is not in the item's list.
    #[error("the code is not in the catalogue's list")]
    Code,
    /// The amount is in another currency.
    #[error("the amount is not in the catalogue's currency")]
    Currency,
    /// More digits than the wire can carry.
    #[error("the number has more decimal places than the wire carries")]
    Precision,
}

/// Decimal places that money can have on the wire (google.type.Money: nanos).
const MONEY_PLACES: u32 = 9;

impl ValueType {
    /// The type's word in a catalogue file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer(_) => "integer",
            Self::Decimal(_) => "decimal",
            Self::Money(..) => "money",
            Self::Date => "date",
            Self::Code(_) => "code",
            Self::Months(_) => "months",
        }
    }

    /// Holds a value against the type.
    ///
    /// # Errors
    /// What does not fit, without the value.
    pub fn check(&self, value: &Value) -> Result<(), Misfit> {
        let within = |range: &Range, value: Decimal| {
            if range.holds(value) { Ok(()) } else { Err(Misfit::Range) }
        };
        match (self, value) {
            (Self::Boolean, Value::Boolean(_)) | (Self::Date, Value::Date(_)) => Ok(()),
            (Self::Integer(range), Value::Integer(value)) => within(range, (*value).into()),
            (Self::Decimal(range), Value::Decimal(value)) => within(range, *value),
            (Self::Money(_, range), Value::Money(value)) => {
                if value.normalize().scale() > MONEY_PLACES {
                    return Err(Misfit::Precision);
                }
                within(range, *value)
            }
            (Self::Months(range), Value::Months(value)) => within(range, (*value).into()),
            (Self::Code(count), Value::Code(code)) => {
                if code.0 < *count {
                    Ok(())
                } else {
                    Err(Misfit::Code)
                }
            }
            _ => Err(Misfit::Type),
        }
    }

    /// Whether values of this type can be added up.
    pub const fn is_additive(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Decimal(_) | Self::Money(..) | Self::Months(_))
    }

    /// Whether values of this type have an order that means something.
    pub const fn is_ordered(&self) -> bool {
        self.is_additive() || matches!(self, Self::Date)
    }
}

impl Value {
    /// Adds two values of one additive type; `None` on overflow or on types that
    /// cannot be added.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.checked_add(*b).map(Self::Integer),
            (Self::Decimal(a), Self::Decimal(b)) => a.checked_add(*b).map(Self::Decimal),
            (Self::Money(a), Self::Money(b)) => a.checked_add(*b).map(Self::Money),
            (Self::Months(a), Self::Months(b)) => a.checked_add(*b).map(Self::Months),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(minimum: i64, maximum: i64) -> Range {
        Range { minimum: minimum.into(), maximum: maximum.into() }
    }

    #[test]
    fn a_value_must_have_its_items_type_and_range() {
        let ratio = ValueType::Decimal(range(0, 1));
        assert_eq!(ratio.check(&Value::Decimal(Decimal::new(5, 1))), Ok(()));
        assert_eq!(ratio.check(&Value::Decimal(Decimal::new(15, 1))), Err(Misfit::Range));
        assert_eq!(ratio.check(&Value::Integer(1)), Err(Misfit::Type));
        assert_eq!(ValueType::Code(2).check(&Value::Code(CodeIndex(2))), Err(Misfit::Code));
    }

    #[test]
    fn money_finer_than_a_billionth_is_refused() {
        let yuan = ValueType::Money(Currency::new("CNY").unwrap(), range(0, 100));
        assert_eq!(yuan.check(&Value::Money(Decimal::new(1, 9))), Ok(()));
        assert_eq!(yuan.check(&Value::Money(Decimal::new(1, 10))), Err(Misfit::Precision));
        assert_eq!(yuan.check(&Value::Money(Decimal::new(1_000_000_000_000, 12))), Ok(()));
    }

    #[test]
    fn sums_do_not_wrap() {
        assert_eq!(Value::Integer(i64::MAX).checked_add(&Value::Integer(1)), None);
        assert_eq!(Value::Months(u32::MAX).checked_add(&Value::Months(1)), None);
        assert_eq!(Value::Months(2).checked_add(&Value::Months(3)), Some(Value::Months(5)));
    }
}
