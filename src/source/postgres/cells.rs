//! PostgreSQL's binary values as cells. Numbers and days are read from their
//! bytes here: the driver's own readings lose digits, or panic at infinity.

use std::ops::ControlFlow;

use rust_decimal::Decimal;
use sqlx::postgres::{PgRow, PgTypeKind, PgValueFormat, PgValueRef, Postgres as Driver};
use sqlx::{Decode, Row as _, TypeInfo, ValueRef};
use time::{Date, Duration, macros::date};

use crate::domain::zone::Moment;
use crate::source::RowSink;
use crate::source::cell::{Cell, Unfit};
use crate::source::introspection::Kind;

/// Days and moments are counted from here.
const EPOCH: Date = date!(2000 - 01 - 01);

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

pub(super) fn give(row: &PgRow, sink: &mut dyn RowSink) -> ControlFlow<()> {
    let cells: Vec<Cell<'_>> =
        (0..row.len()).map(|at| row.try_get_raw(at).map_or(Cell::Other, cell)).collect();
    sink.row(&cells)
}

/// What a column of this type gives.
pub(super) fn kind(type_name: &str) -> Kind {
    match type_name {
        "BOOL" => Kind::Boolean,
        "INT2" | "INT4" | "INT8" => Kind::Integer,
        "FLOAT4" | "FLOAT8" | "NUMERIC" => Kind::Number,
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "\"CHAR\"" | "UNKNOWN" => Kind::Text,
        "DATE" | "TIMESTAMP" => Kind::Date,
        "TIMESTAMPTZ" => Kind::Moment,
        // One of the database's own, such as an enumeration.
        other if other.chars().any(char::is_lowercase) => Kind::Unknown,
        _ => Kind::Other,
    }
}

fn cell(value: PgValueRef<'_>) -> Cell<'_> {
    if value.is_null() {
        return Cell::Null;
    }
    if value.format() != PgValueFormat::Binary {
        return Cell::Other;
    }
    let info = value.type_info();
    let Ok(bytes) = value.as_bytes() else {
        return Cell::Other;
    };
    let read = match info.name() {
        "BOOL" => <bool as Decode<Driver>>::decode(value).ok().map(Cell::Bool),
        "INT2" => bytes.try_into().ok().map(|b| Cell::Integer(i16::from_be_bytes(b).into())),
        "INT4" => bytes.try_into().ok().map(|b| Cell::Integer(i32::from_be_bytes(b).into())),
        "INT8" => bytes.try_into().ok().map(|b| Cell::Integer(i64::from_be_bytes(b))),
        "FLOAT4" => bytes.try_into().ok().map(|b| single(f32::from_be_bytes(b))),
        "FLOAT8" => bytes.try_into().ok().map(|b| Cell::Real(f64::from_be_bytes(b))),
        "NUMERIC" => Some(numeric(bytes).map_or_else(Cell::Broken, Cell::Decimal)),
        "DATE" => bytes.try_into().ok().map(|b| day(i32::from_be_bytes(b).into())),
        // Without a zone it was written for a day of its own.
        "TIMESTAMP" => {
            bytes.try_into().ok().map(|b| day(i64::from_be_bytes(b).div_euclid(MICROSECONDS_A_DAY)))
        }
        "TIMESTAMPTZ" => bytes.try_into().ok().map(|b| moment(i64::from_be_bytes(b))),
        "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN" => value.as_str().ok().map(Cell::Text),
        // The blanks that fill it to its width are not of the value.
        "CHAR" => value.as_str().ok().map(|text| Cell::Text(text.trim_end_matches(' '))),
        // An extension's text that compares without case.
        name if name.eq_ignore_ascii_case("citext") => value.as_str().ok().map(Cell::Text),
        _ if matches!(info.kind(), PgTypeKind::Enum(_)) => value.as_str().ok().map(Cell::Text),
        _ => None,
    };
    read.unwrap_or(Cell::Other)
}

/// A single in its own shortest digits, not in those of the double next to it.
fn single(number: f32) -> Cell<'static> {
    number.to_string().parse().map_or(Cell::Other, Cell::Real)
}

/// Microseconds since 2000; its largest and smallest numbers are infinity.
fn moment(micros: i64) -> Cell<'static> {
    const EPOCH_MICROS: i64 = 946_684_800_000_000;
    if matches!(micros, i64::MIN | i64::MAX) {
        return Cell::Broken(Unfit::Date);
    }
    let since_1970 = micros.checked_add(EPOCH_MICROS).map(Moment::from_micros);
    since_1970.map_or(Cell::Broken(Unfit::Date), Cell::Moment)
}

/// Infinity is a day as well, and none of the calendar.
fn day(days: i64) -> Cell<'static> {
    EPOCH.checked_add(Duration::days(days)).map_or(Cell::Broken(Unfit::Date), Cell::Date)
}

/// The wire form of `numeric`: counts of digits to base 10,000, weight of the
/// first, sign, scale, digits; each two bytes.
fn numeric(bytes: &[u8]) -> Result<Decimal, Unfit> {
    let mut parts = bytes.chunks_exact(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let mut next = || parts.next().ok_or(Unfit::Number);
    let (count, weight, sign, _scale) = (next()?, next()?.cast_signed(), next()?, next()?);
    let negative = match sign {
        0x0000 => false,
        0x4000 => true,
        _ => return Err(Unfit::NotFinite),
    };
    let mut mantissa: i128 = 0;
    for _ in 0..count {
        let digit = i128::from(next()?);
        mantissa = mantissa
            .checked_mul(10_000)
            .and_then(|shifted| shifted.checked_add(digit))
            .ok_or(Unfit::Digits)?;
    }
    let mut exponent = 4 * (i32::from(weight) - i32::from(count) + 1);
    if mantissa == 0 {
        return Ok(Decimal::ZERO);
    }
    while exponent < 0 && mantissa % 10 == 0 {
        (mantissa, exponent) = (mantissa / 10, exponent + 1);
    }
    if exponent > 0 {
        let power = 10_i128.checked_pow(exponent.unsigned_abs()).ok_or(Unfit::Digits)?;
        (mantissa, exponent) = (mantissa.checked_mul(power).ok_or(Unfit::Digits)?, 0);
    }
    let signed = if negative { -mantissa } else { mantissa };
    Decimal::try_from_i128_with_scale(signed, exponent.unsigned_abs()).map_err(|_| Unfit::Digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let head = [u16::try_from(digits.len()).unwrap(), weight.cast_unsigned(), sign, 0];
        head.iter().chain(digits).flat_map(|part| part.to_be_bytes()).collect()
    }

    #[test]
    fn a_numeric_keeps_every_digit_or_is_none() {
        let read = |weight, sign, digits: &[u16]| numeric(&wire(weight, sign, digits));
        assert_eq!(read(0, 0, &[]), Ok(Decimal::ZERO));
        assert_eq!(read(1, 0x4000, &[1, 2345, 6700]), Ok(Decimal::new(-1_234_567, 2)));
        assert_eq!(read(-1, 0, &[1000]), Ok(Decimal::new(1, 1)));
        assert_eq!(read(2, 0, &[5]), Ok(Decimal::from(500_000_000)));
        assert_eq!(read(0, 0xC000, &[]), Err(Unfit::NotFinite));
        assert_eq!(read(0, 0xD000, &[]), Err(Unfit::NotFinite));
        assert_eq!(read(0, 0xF000, &[]), Err(Unfit::NotFinite));
        assert_eq!(read(9, 0, &[9999; 10]), Err(Unfit::Digits));
        assert_eq!(read(i16::MAX, 0, &[1]), Err(Unfit::Digits));
        assert_eq!(read(i16::MIN, 0, &[1]), Err(Unfit::Digits));
        for cut in 0..14 {
            assert_eq!(numeric(&wire(1, 0, &[1, 2345, 6700])[..cut]), Err(Unfit::Number), "{cut}");
        }
    }

    #[test]
    fn infinity_is_no_day() {
        for days in [i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX / MICROSECONDS_A_DAY] {
            assert!(matches!(day(days), Cell::Broken(Unfit::Date)), "{days}");
        }
        assert!(matches!(day(-1), Cell::Date(d) if d == date!(1999 - 12 - 31)));
    }
}
