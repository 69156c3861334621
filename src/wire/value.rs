//! Values on the wire: each item's type says which member must be set.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use time::{Date, Month};

use super::proto::google::r#type as google;
use super::proto::pb;
use super::proto::pb::value::Kind;
use crate::domain::catalogue::Item;
use crate::domain::value::{Misfit, Value, ValueType};

/// Longest accepted text of a decimal number: 29 digits, sign and point.
const MAX_DECIMAL_TEXT: usize = 31;
const NANOS: i64 = 1_000_000_000;

/// A value as a message. The value must have passed its item's type check; one
/// that has not is sent unset, which every receiver refuses.
pub fn encode(item: &Item, value: &Value) -> pb::Value {
    let kind = match value {
        Value::Boolean(value) => Some(Kind::Boolean(*value)),
        Value::Integer(value) => Some(Kind::Integer(*value)),
        Value::Decimal(value) => {
            Some(Kind::Decimal(google::Decimal { value: value.normalize().to_string() }))
        }
        Value::Money(amount) => encode_money(item, *amount).map(Kind::Money),
        Value::Date(date) => Some(Kind::Date(encode_date(*date))),
        Value::Code(index) => item.code(*index).map(|code| Kind::Code(code.code.to_string())),
        Value::Months(months) => Some(Kind::Months(*months)),
    };
    pb::Value { kind }
}

/// A message as a value of its item.
///
/// # Errors
/// What does not fit, without the value.
pub fn decode(item: &Item, value: &pb::Value) -> Result<Value, Misfit> {
    let value = match value.kind.as_ref().ok_or(Misfit::Type)? {
        Kind::Boolean(value) => Value::Boolean(*value),
        Kind::Integer(value) => Value::Integer(*value),
        Kind::Decimal(value) => Value::Decimal(decode_decimal(&value.value)?),
        Kind::Money(money) => Value::Money(decode_money(item, money)?),
        Kind::Date(date) => Value::Date(decode_date(date).ok_or(Misfit::Type)?),
        Kind::Code(code) if matches!(item.value_type, ValueType::Code(_)) => {
            Value::Code(item.code_index(code).ok_or(Misfit::Code)?)
        }
        Kind::Code(_) => return Err(Misfit::Type),
        Kind::Months(months) => Value::Months(*months),
    };
    item.value_type.check(&value)?;
    Ok(value)
}

/// A date as a message.
pub fn encode_date(date: Date) -> google::Date {
    google::Date {
        year: date.year(),
        month: i32::from(u8::from(date.month())),
        day: i32::from(date.day()),
    }
}

/// A message as a complete calendar date of the years 1 to 9999.
pub fn decode_date(date: &google::Date) -> Option<Date> {
    if !(1..=9999).contains(&date.year) {
        return None;
    }
    let month = Month::try_from(u8::try_from(date.month).ok()?).ok()?;
    Date::from_calendar_date(date.year, month, u8::try_from(date.day).ok()?).ok()
}

fn decode_decimal(text: &str) -> Result<Decimal, Misfit> {
    if text.len() > MAX_DECIMAL_TEXT {
        return Err(Misfit::Precision);
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    if !plain {
        return Err(Misfit::Type);
    }
    Decimal::from_str_exact(text).map_err(|_| Misfit::Type)
}

fn encode_money(item: &Item, amount: Decimal) -> Option<google::Money> {
    let currency = item.currency()?;
    let whole = amount.trunc();
    let nanos = ((amount - whole) * Decimal::from(NANOS)).to_i32()?;
    Some(google::Money {
        currency_code: currency.as_str().to_owned(),
        units: whole.to_i64()?,
        nanos,
    })
}

fn decode_money(item: &Item, money: &google::Money) -> Result<Decimal, Misfit> {
    let currency = item.currency().ok_or(Misfit::Type)?;
    if money.currency_code != currency.as_str() {
        return Err(Misfit::Currency);
    }
    let nanos = i64::from(money.nanos);
    let agree = nanos == 0 || money.units == 0 || (nanos < 0) == (money.units < 0);
    if nanos.abs() >= NANOS || !agree {
        return Err(Misfit::Type);
    }
    Ok((Decimal::from(money.units) + Decimal::new(nanos, 9)).normalize())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::catalogue::{Catalogue, Source};

    fn catalogue() -> Catalogue {
        let text = r#"
            domain = "test"
            title = { en = "Test", zh = "测试" }
            [[category]]
            id = "test.all"
            title = { en = "All", zh = "全部" }
            [[item]]
            id = "test.all.amount"
            number = 1
            title = { en = "Amount", zh = "金额" }
            type = "money"
            unit = "CNY"
            range = [-1000000, 1000000]
            owners = ["tester"]
            sensitivity = "ordinary"
            meaning = "An amount."
            [[item]]
            id = "test.all.ratio"
            number = 2
            title = { en = "Ratio", zh = "比率" }
            type = "decimal"
            unit = "ratio"
            range = [-10, 10]
            owners = ["tester"]
            sensitivity = "ordinary"
            meaning = "A ratio."
        "#;
        Catalogue::parse(&[Source { name: "test.toml", text }]).unwrap()
    }

    proptest! {
        #[test]
        fn money_survives_the_wire(fen in -100_000_000i64..=100_000_000) {
            let catalogue = catalogue();
            let item = catalogue.find("test.all.amount").unwrap();
            let value = Value::Money(Decimal::new(fen, 2));
            let decoded = decode(item, &encode(item, &value));
            prop_assert_eq!(decoded, Ok(value));
        }

        #[test]
        fn decimals_survive_the_wire(mantissa in -100_000i64..=100_000, scale in 4u32..12) {
            let catalogue = catalogue();
            let item = catalogue.find("test.all.ratio").unwrap();
            let value = Value::Decimal(Decimal::new(mantissa, scale));
            prop_assert_eq!(decode(item, &encode(item, &value)), Ok(value));
        }

        #[test]
        fn any_date_message_is_a_date_or_refused(year: i32, month: i32, day: i32) {
            let message = google::Date { year, month, day };
            if let Some(date) = decode_date(&message) {
                prop_assert_eq!(encode_date(date), message);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in ["", "NaN", "inf", "1e3", "+1", "1_000", "--1", "１", &"1".repeat(32)] {
            assert!(decode_decimal(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn money_of_mixed_sign_or_another_currency_is_refused() {
        let catalogue = catalogue();
        let item = catalogue.find("test.all.amount").unwrap();
        let money = |currency: &str, units, nanos| pb::Value {
            kind: Some(Kind::Money(google::Money { currency_code: currency.into(), units, nanos })),
        };
        assert_eq!(decode(item, &money("CNY", 1, -1)), Err(Misfit::Type));
        assert_eq!(decode(item, &money("CNY", 1, 1_000_000_000)), Err(Misfit::Type));
        assert_eq!(decode(item, &money("USD", 1, 0)), Err(Misfit::Currency));
        assert_eq!(decode(item, &money("CNY", i64::MAX, 0)), Err(Misfit::Range));
        assert_eq!(decode(item, &pb::Value { kind: None }), Err(Misfit::Type));
    }
}
