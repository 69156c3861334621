//! Tests of [`super`].

use proptest::prelude::*;
use rust_decimal::Decimal;
use time::macros::date;

use super::*;
use crate::domain::value::CodeIndex;
use crate::source::mapping::Mapping;
use crate::source::testing::{WHOLE, compile};

fn mapping() -> Mapping {
    compile(WHOLE).unwrap()
}

/// Reads a cell as the item with this id.
fn read(mapping: &Mapping, id: &str, cell: Cell<'_>) -> Result<Value, Unfit> {
    let column = mapping.queries[0].columns.iter().find(|column| &*column.id == id).unwrap();
    value(cell, &column.form)
}

const OUT_OF_RANGE: Unfit = Unfit::Catalogue(Misfit::Range);

#[test]
fn each_type_reads_its_own_forms() {
    use Cell::{Bool, Integer, Real, Text};
    let mapping = mapping();
    let ok = |id, cell, value| assert_eq!(read(&mapping, id, cell), Ok(value), "{id} {cell:?}");
    for cell in [Bool(true), Integer(1), Text("1"), Text("true"), Text("TRUE")] {
        ok("work.job.employed", cell, Value::Boolean(true));
    }
    ok("work.job.employed", Integer(0), Value::Boolean(false));
    ok("work.job.sector", Text("G"), Value::Code(CodeIndex(0)));
    ok("work.job.sector", Integer(2), Value::Code(CodeIndex(1)));
    for text in ["2024-02-29", "2024-02-29 23:59:59", "2024-02-29T00:00:00"] {
        ok("work.job.started_on", Text(text), Value::Date(date!(2024 - 02 - 29)));
    }
    ok("work.job.pay", Integer(123_456), Value::Money(Decimal::new(123_456, 2)));
    ok("work.job.pay", Text("12.5"), Value::Money(Decimal::new(125, 3)));
    ok("work.job.level", Integer(7), Value::Integer(7));
    ok("work.job.level", Text("7"), Value::Integer(7));
    ok("work.job.level", Real(7.0), Value::Integer(7));
    ok("work.job.share", Real(0.1), Value::Decimal(Decimal::new(1, 1)));
    ok("work.job.share", Real(-0.0), Value::Decimal(Decimal::ZERO));
    ok("work.job.share", Integer(1), Value::Decimal(Decimal::ONE));
    ok("work.job.share", Text("-0.25"), Value::Decimal(Decimal::new(-25, 2)));
    ok("work.job.tenure_months", Integer(600), Value::Months(600));
}

#[test]
fn what_does_not_fit_is_no_value() {
    use Cell::{Bool, Integer, Other, Real, Text};
    let (mapping, long, digits) = (mapping(), "G".repeat(MAX_TEXT + 1), "1".repeat(40));
    let no = |id, cell, why| assert_eq!(read(&mapping, id, cell), Err(why), "{id} {cell:?}");
    for cell in [Integer(2), Text("yes"), Text("t"), Text(""), Text("true ")] {
        no("work.job.employed", cell, Unfit::Word);
    }
    for cell in [Real(1.0), Other] {
        no("work.job.employed", cell, Unfit::Kind);
    }
    for cell in [Text("g"), Text("G "), Text(""), Text("public"), Integer(3)] {
        no("work.job.sector", cell, Unfit::Code);
    }
    no("work.job.sector", Real(2.0), Unfit::Kind);
    no("work.job.sector", Text("G\0"), Unfit::Unprintable);
    no("work.job.sector", Text("G\n"), Unfit::Unprintable);
    no("work.job.sector", Text(&long), Unfit::Length);
    for text in [
        "0000-00-00",
        "0000-01-01",
        "2023-02-29",
        "2023-13-01",
        "2023-1-01",
        "23-01-01",
        "20230101",
        "+023-01-01",
        "2023-01-01 ",
        "2023-01-01 24:00:00",
        "2023-01-01 00:00",
        "2023-01-01x00:00:00",
        "01/02/2023",
        "2023-01-01-",
        "",
        "２０２３-01-01",
    ] {
        no("work.job.started_on", Text(text), Unfit::Date);
    }
    no("work.job.started_on", Integer(20_230_101), Unfit::Kind);
    for text in ["abc", "", "-", "1.", "1e3", " 1", "1_0", "+1", "0x1", "1,000"] {
        no("work.job.level", Text(text), Unfit::Number);
    }
    no("work.job.level", Text("9223372036854775808"), Unfit::Digits);
    no("work.job.level", Real(1.5), Unfit::Fraction);
    no("work.job.level", Text("1.0"), Unfit::Fraction);
    no("work.job.level", Real(1e16), Unfit::Digits);
    no("work.job.level", Real(f64::NAN), Unfit::NotFinite);
    no("work.job.level", Integer(21), OUT_OF_RANGE);
    no("work.job.level", Bool(true), Unfit::Kind);
    for text in ["9e999", "NaN", "inf", "1_0", "1.", ".5", "1,5", "1.2.3", "--1", "１"] {
        no("work.job.share", Text(text), Unfit::Number);
    }
    no("work.job.share", Real(f64::INFINITY), Unfit::NotFinite);
    no("work.job.share", Real(1e300), Unfit::Digits);
    no("work.job.share", Real(5e-324), Unfit::Digits);
    no("work.job.share", Text(&digits), Unfit::Digits);
    no("work.job.share", Text("10.1"), OUT_OF_RANGE);
    no("work.job.pay", Integer(-1), OUT_OF_RANGE);
    no("work.job.pay", Text("0.00000001"), Unfit::Catalogue(Misfit::Precision));
    no("work.job.tenure_months", Integer(-1), OUT_OF_RANGE);
    no("work.job.tenure_months", Integer(i64::MAX), OUT_OF_RANGE);
}

#[test]
fn a_statements_reference_is_short_and_visible() {
    assert_eq!(statement(Cell::Null), Ok(None));
    assert_eq!(statement(Cell::Text("")), Ok(None));
    assert_eq!(statement(Cell::Text("S-2024/17 第3号")), Ok(Some("S-2024/17 第3号".into())));
    assert!(statement(Cell::Text(&"第".repeat(200))).is_ok());
    assert_eq!(statement(Cell::Text(&"s".repeat(201))), Err(Unfit::Length));
    assert_eq!(statement(Cell::Text("a\u{202e}b")), Err(Unfit::Unprintable));
    assert_eq!(statement(Cell::Text("a\nb")), Err(Unfit::Unprintable));
    assert_eq!(statement(Cell::Integer(1)), Err(Unfit::Kind));
}

#[test]
fn a_cell_prints_its_kind_alone() {
    assert_eq!(format!("{:?}", Cell::Text("330199")), "Text");
    assert_eq!(format!("{:?}", Cell::Integer(330_199)), "Integer");
}

#[derive(Debug, Clone)]
enum Any {
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    Other,
}

impl Any {
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Bool(value) => Cell::Bool(*value),
            Self::Integer(value) => Cell::Integer(*value),
            Self::Real(value) => Cell::Real(*value),
            Self::Text(value) => Cell::Text(value),
            Self::Other => Cell::Other,
        }
    }
}

fn any_cell() -> impl Strategy<Value = Any> {
    prop_oneof![
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Integer),
        (-1000i64..1000).prop_map(Any::Integer),
        any::<f64>().prop_map(Any::Real),
        (-1000i32..1000).prop_map(|n| Any::Real(f64::from(n) / 100.0)),
        any::<String>().prop_map(Any::Text),
        "-?[0-9]{0,30}(\\.[0-9]{0,30})?".prop_map(Any::Text),
        "[0-9]{4}-[0-1][0-9]-[0-3][0-9]([ T][0-9]{2}:[0-9]{2}:[0-9]{2})?".prop_map(Any::Text),
        prop_oneof![Just("G"), Just("2"), Just("true")].prop_map(|text| Any::Text(text.into())),
        Just(Any::Other),
    ]
}

proptest! {
    #[test]
    fn whatever_is_read_fits_the_catalogue(cell in any_cell(), scale in 0u32..=9) {
        let mut mapping = mapping();
        for column in &mut mapping.queries[0].columns {
            column.form.figures.scale = scale;
            if let Ok(value) = value(cell.cell(), &column.form) {
                prop_assert_eq!(column.form.value_type.check(&value), Ok(()));
            }
        }
        let _ = (Days::default().read(cell.cell()), Words::default().read(cell.cell()));
        let _ = statement(cell.cell());
    }
}

/// The mapping with a table in the place of one item's column, read as that item.
fn read_as(id: &str, table: &str, cell: Cell<'_>) -> Result<Value, Unfit> {
    let items = WHOLE.split_once("[query.items]").unwrap().0;
    let text = format!("{items}[query.items]\n\"{id}\" = {table}\n");
    let mapping = compile(&text).unwrap_or_else(|found| panic!("{found:?}"));
    read(&mapping, id, cell)
}

#[test]
fn yes_and_no_are_the_stated_words_and_no_others() {
    use Cell::{Bool, Integer, Text};
    let id = "work.job.employed";
    for table in [
        "{ column = 'x', true = ['Y', '是'], false = ['N'] }",
        "{ column = 'x', codes = { Y = 'true', '是' = 'true', N = 'false' } }",
    ] {
        for (cell, read) in [
            (Text("Y"), Ok(true)),
            (Text("是"), Ok(true)),
            (Text("N"), Ok(false)),
            (Bool(true), Ok(true)),
            (Text("y"), Err(Unfit::Code)),
            (Text("true"), Err(Unfit::Code)),
            (Integer(1), Err(Unfit::Code)),
        ] {
            assert_eq!(read_as(id, table, cell), read.map(Value::Boolean), "{table} {cell:?}");
        }
    }
    // What is stated is meant, even where it is the other way round.
    let turned = "{ column = 'x', true = ['0'], false = ['1'] }";
    assert_eq!(read_as(id, turned, Integer(0)), Ok(Value::Boolean(true)));
}

#[test]
fn numbers_are_written_as_the_mapping_says() {
    use Cell::Text;
    let id = "work.job.share";
    let pay = "work.job.pay";
    for (id, table, text, units, scale) in [
        (pay, "{ column = 'x', currency = 'CNY', thousands = ',' }", "1,234.50", 123_450, 2),
        (pay, "{ column = 'x', currency = 'CNY', thousands = ',' }", "234.5", 2345, 1),
        (
            pay,
            "{ column = 'x', currency = 'CNY', thousands = '.', decimal = ',' }",
            "1.234,5",
            12345,
            1,
        ),
        (
            pay,
            "{ column = 'x', currency = 'CNY', thousands = ' ', symbol = '¥' }",
            "¥ 1 234",
            1234,
            0,
        ),
        (pay, "{ column = 'x', currency = 'CNY', symbol = '元' }", "12.50元", 1250, 2),
        (id, "{ column = 'x', percent = true }", "12.5%", 125, 3),
        (id, "{ column = 'x', percent = true }", "-8 %", -8, 2),
        (id, "{ column = 'x', decimal = ',' }", "-0,25", -25, 2),
        (id, "{ column = 'x', places = 1 }", "0.25", 3, 1),
        (id, "{ column = 'x', places = 1 }", "-0.25", -3, 1),
    ] {
        let wanted = Decimal::new(units, scale);
        let wanted = if id == pay { Value::Money(wanted) } else { Value::Decimal(wanted) };
        assert_eq!(read_as(id, table, Text(text)), Ok(wanted), "{table}: {text}");
    }
    for (table, text) in [
        ("{ column = 'x', thousands = ',' }", "1,23"),
        ("{ column = 'x', thousands = ',' }", "1234,500"),
        ("{ column = 'x', thousands = ',' }", ",123"),
        ("{ column = 'x', thousands = ',' }", "1,234,"),
        ("{ column = 'x', thousands = ',' }", "0.1,234"),
        ("{ column = 'x', decimal = ',' }", "1.5"),
        ("{ column = 'x', decimal = ',' }", "1,5,0"),
        ("{ column = 'x', percent = true }", "12.5"),
        ("{ column = 'x', symbol = '¥' }", "-¥-1"),
        ("{ column = 'x', symbol = '¥' }", "$1"),
    ] {
        assert_eq!(read_as(id, table, Text(text)), Err(Unfit::Number), "{table}: {text}");
    }
}

#[test]
fn the_noise_of_a_binary_fraction_is_no_value_unless_its_places_are_stated() {
    use Cell::Real;
    let noise = 0.1 + 0.2;
    let pay = "{ column = 'x', currency = 'CNY' }";
    for (id, table) in [("work.job.share", "{ column = 'x' }"), ("work.job.pay", pay)] {
        assert_eq!(read_as(id, table, Real(noise)), Err(Unfit::Noise), "{id}");
        assert_eq!(read_as(id, table, Real(-1.0 / 3.0)), Err(Unfit::Noise), "{id}");
    }
    let places = "{ column = 'x', places = 2 }";
    let read = read_as("work.job.share", places, Real(noise));
    assert_eq!(read, Ok(Value::Decimal(Decimal::new(3, 1))));
    let whole = read_as("work.job.pay", pay, Real(123_456.0));
    assert_eq!(whole, Ok(Value::Money(Decimal::from(123_456))));
}

proptest! {
    /// Fifteen digits are what a fraction of 64 bits holds: they come back as written.
    #[test]
    fn a_decimal_of_fifteen_digits_survives_the_binary_fraction(
        units in -999_999_999_999_999i64..=999_999_999_999_999, scale in 0u32..=15
    ) {
        let written = Decimal::new(units, scale);
        let through: f64 = written.to_string().parse().unwrap();
        let read = NumberForm::default().decimal(Cell::Real(through));
        prop_assert_eq!(read.map(|number| number.normalize()), Ok(written.normalize()));
    }
}

#[test]
fn a_moment_is_the_day_of_the_sources_zone_or_none() {
    use Cell::{Date, Integer, Moment, Text};
    let id = "work.job.started_on";
    let moment = crate::domain::zone::Moment::from_seconds(1_709_569_800);
    let with = |zone: &str, dates: &str, cell: Cell<'_>| {
        let items = WHOLE.split_once("[query.items]").unwrap().0;
        let items = items.replacen("[source.sql]", &format!("[source.sql]\n{zone}"), 1);
        let text = format!("{items}[query.items]\n\"{id}\" = {{ column = 'x'{dates} }}\n");
        read(&compile(&text).unwrap(), id, cell)
    };
    let zone = "zone = \"Asia/Shanghai\"";
    let day = Ok(Value::Date(date!(2024 - 03 - 05)));
    for (dates, cell) in [
        ("", Moment(moment)),
        ("", Text("2024-03-05T00:30:00+08:00")),
        ("", Text("2024-03-04T16:30:00Z")),
        (", dates = 'unix'", Integer(1_709_569_800)),
        (", dates = 'unix'", Text("1709569800")),
        (", dates = 'unix-ms'", Integer(1_709_569_800_999)),
        ("", Text("2024-03-05 00:30:00")),
        ("", Date(date!(2024 - 03 - 05))),
    ] {
        assert_eq!(with(zone, dates, cell), day, "{cell:?}{dates}");
    }
    for cell in [Moment(moment), Text("2024-03-05T00:30:00+08:00"), Text("2024-03-05T00:30:00Z")] {
        assert_eq!(with("", "", cell), Err(Unfit::Zone), "{cell:?}");
    }
    assert_eq!(with("", "", Text("2024-03-05 00:30:00")), day, "its own calendar day");
}
