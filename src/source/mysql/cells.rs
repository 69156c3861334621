//! MySQL's binary values as cells. Days are read from their bytes here, since the
//! zero date that its tables may hold is a value like any other on the wire.

use std::ops::ControlFlow;

use sqlx::mysql::{MySql as Driver, MySqlRow, MySqlValueRef};
use sqlx::{Decode, Row as _, Type, TypeInfo, ValueRef};
use time::{Date, Month};

use crate::domain::zone::Moment;
use crate::source::RowSink;
use crate::source::cell::{Cell, Unfit};
use crate::source::convert::plain_decimal;
use crate::source::introspection::Kind;

pub(super) fn give(row: &MySqlRow, sink: &mut dyn RowSink) -> ControlFlow<()> {
    let cells: Vec<Cell<'_>> =
        (0..row.len()).map(|at| row.try_get_raw(at).map_or(Cell::Other, cell)).collect();
    sink.row(&cells)
}

/// What a column of this type gives.
pub(super) fn kind(type_name: &str) -> Kind {
    match type_name {
        // One digit wide: what `boolean` makes.
        "BOOLEAN" => Kind::Integer,
        "FLOAT" | "DOUBLE" | "DECIMAL" => Kind::Number,
        "DATE" | "DATETIME" => Kind::Date,
        "TIMESTAMP" => Kind::Moment,
        "TIME" | "BIT" | "GEOMETRY" | "JSON" => Kind::Other,
        // A text compared byte for byte calls itself binary.
        "BINARY" | "VARBINARY" | "NULL" => Kind::Unknown,
        other if other.contains("INT") || other == "YEAR" => Kind::Integer,
        other if other.ends_with("BLOB") => Kind::Unknown,
        _ => Kind::Text,
    }
}

fn cell(value: MySqlValueRef<'_>) -> Cell<'_> {
    let info = value.type_info();
    // The driver takes the zero date for NULL; that would be nothing recorded.
    match info.name() {
        "DATE" | "DATETIME" => {
            return <&[u8] as Decode<Driver>>::decode(value).map_or(Cell::Null, day);
        }
        // The session's zone is UTC wherever a zone is stated; elsewhere no moment is
        // a day.
        "TIMESTAMP" => {
            return <&[u8] as Decode<Driver>>::decode(value).map_or(Cell::Null, moment);
        }
        _ => {}
    }
    if value.is_null() {
        return Cell::Null;
    }
    let read = match info.name() {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
            <i64 as Decode<Driver>>::decode(value).ok().map(Cell::Integer)
        }
        "FLOAT" => <f32 as Decode<Driver>>::decode(value).ok().map(single),
        "DOUBLE" => <f64 as Decode<Driver>>::decode(value).ok().map(Cell::Real),
        "DECIMAL" => <&str as Decode<Driver>>::decode(value)
            .ok()
            .map(|text| plain_decimal(text).map_or_else(Cell::Broken, Cell::Decimal)),
        name if name.ends_with("UNSIGNED") || name == "YEAR" => {
            <u64 as Decode<Driver>>::decode(value).ok().map(|number| {
                i64::try_from(number).map_or_else(|_| Cell::Decimal(number.into()), Cell::Integer)
            })
        }
        // Texts of every width and collation, but no blobs.
        _ if <str as Type<Driver>>::compatible(&info) => {
            <&str as Decode<Driver>>::decode(value).ok().map(Cell::Text)
        }
        _ => None,
    };
    read.unwrap_or(Cell::Other)
}

/// A single in its own shortest digits, not in those of the double next to it.
fn single(number: f32) -> Cell<'static> {
    number.to_string().parse().map_or(Cell::Other, Cell::Real)
}

/// A length, then year, month and day; nothing after the length is the zero date.
fn day(bytes: &[u8]) -> Cell<'static> {
    let [_, low, high, month, day, ..] = bytes else {
        return Cell::Broken(Unfit::Date);
    };
    let year = i32::from(u16::from_le_bytes([*low, *high]));
    Month::try_from(*month)
        .and_then(|month| Date::from_calendar_date(year, month, *day))
        .map_or(Cell::Broken(Unfit::Date), Cell::Date)
}

/// The same with hour, minute and second, in UTC.
fn moment(bytes: &[u8]) -> Cell<'static> {
    let Cell::Date(date) = day(bytes) else {
        return Cell::Broken(Unfit::Date);
    };
    let (hour, minute, second) = match bytes {
        [_, _, _, _, _, hour, minute, second, ..] => (*hour, *minute, *second),
        // Midnight is left out.
        _ => (0, 0, 0),
    };
    let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let midnight = date.midnight().assume_utc().unix_timestamp();
    Cell::Moment(Moment::from_seconds(midnight + of_day))
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn a_zero_date_is_no_day() {
        for bytes in [&[][..], &[0], &[4, 0, 0, 0, 0], &[4, 0xe9, 0x07, 0, 1], &[4, 0xe7, 7, 2, 30]]
        {
            assert!(matches!(day(bytes), Cell::Broken(Unfit::Date)), "{bytes:?}");
        }
        let late = [7, 0xe9, 0x07, 1, 31, 23, 59, 59];
        assert!(matches!(day(&late), Cell::Date(d) if d == date!(2025 - 01 - 31)));
        let seconds = Moment::from_seconds(1_738_367_999);
        assert!(matches!(moment(&late), Cell::Moment(m) if m == seconds));
        assert!(matches!(moment(&[0]), Cell::Broken(Unfit::Date)));
    }
}
