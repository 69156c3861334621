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
    value(cell, mapping.queries[0].columns.iter().find(|column| &*column.id == id).unwrap())
}

const OUT_OF_RANGE: Unfit = Unfit::Catalogue(Misfit::Range);

#[test]
fn each_type_reads_its_own_forms() {
    use Cell::{Bool, Integer, Real, Text};
    let mapping = mapping();
    let ok = |id, cell, value| assert_eq!(read(&mapping, id, cell), Ok(value), "{id} {cell:?}");
    for cell in [Bool(true), Integer(1), Text("1"), Text("true")] {
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
    for cell in [Integer(2), Text("yes"), Text("TRUE"), Text(""), Real(1.0), Other] {
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
    for text in ["abc", "", "-", "1.0", "1e3", " 1", "1_0", "+1", "0x1"] {
        no("work.job.level", Text(text), Unfit::Number);
    }
    no("work.job.level", Text("9223372036854775808"), Unfit::Digits);
    no("work.job.level", Real(1.5), Unfit::Number);
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
            column.scale = scale;
            if let Ok(value) = value(cell.cell(), column) {
                prop_assert_eq!(column.value_type.check(&value), Ok(()));
            }
        }
        let _ = (date(cell.cell(), DateForm::Iso), boolean(cell.cell()), statement(cell.cell()));
    }
}
