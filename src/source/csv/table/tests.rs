//! One file, read: whose lines it has, what of them is believed, and what refuses it.

use encoding_rs::UTF_8;

use super::*;
use crate::domain::reason::Reason;

fn form() -> Form {
    Form { delimiter: b',', encoding: UTF_8, skip_lines: 0, line_breaks: true, may_be_empty: true }
}

fn selected() -> Vec<Box<str>> {
    vec!["id".into(), "on".into(), "level".into()]
}

fn read(text: &str) -> Result<Table, String> {
    Table::read(text.as_bytes().to_vec(), &form(), &selected()).map_err(|refused| refused.why)
}

fn lines(table: &Table, person: &str) -> Vec<Option<Vec<String>>> {
    let fields = |line| match line {
        Line::Whole(record) => Some(record.iter().map(str::to_owned).collect()),
        Line::Open(record) => {
            Some(record.iter().map(str::to_owned).chain(["(open)".to_owned()]).collect())
        }
        Line::Torn => None,
    };
    table.lines(person).map(fields).collect()
}

#[test]
fn a_person_is_found_by_the_whole_number() {
    let table =
        read("\u{feff}id,on,level\nb,2025-01-01,\"7\"\r\n\na,2025-01-02,\"x,\"\"y\"\nb,3,\n");
    let table = table.unwrap();
    assert_eq!(table.places(), Some(&[0, 1, 2][..]));
    let row = |cells: [&str; 3]| Some(cells.map(str::to_owned).to_vec());
    assert_eq!(lines(&table, "a"), [row(["a", "2025-01-02", "x,\"y"])]);
    assert_eq!(lines(&table, "b"), [row(["b", "2025-01-01", "7"]), row(["b", "3", ""])]);
    for nobody in ["", "A", "a ", "ab", "id"] {
        assert!(lines(&table, nobody).is_empty() && !table.has(nobody), "{nobody}");
    }
    assert_eq!((table.people().collect::<Vec<_>>(), table.rows()), (vec!["a", "b"], 3));
}

#[test]
fn a_torn_line_costs_its_person_or_the_file() {
    let table = read("id,on,level\na,2025-01-01\nb,2025-01-01,7\nc,1,2,3\n").unwrap();
    assert_eq!((lines(&table, "a"), lines(&table, "c")), (vec![None], vec![None]));
    assert!(lines(&table, "b")[0].is_some());
    assert_eq!((table.torn, table.rows()), (2, 1));
    let refused = |text| read(text).unwrap_err();
    assert!(refused("id,on,level\na,2025-01-01,7\nb,2025-").contains("still being written"));
    assert!(refused("id,on,level\na\nb,2025-01-01,7\n").contains("line 2 is torn"));
    assert!(refused("id,on,level\na,2025-01-01,\"7\nb,2025-01-01,7\n").contains("line 2"));
    assert!(refused("").contains("no first line"));
}

#[test]
fn the_last_cell_of_a_file_without_a_last_line_break_is_not_believed() {
    let table = read("id,on,level\na,2025-01-01,7\nb,2025-01-01,12").unwrap();
    assert!(!table.ended);
    let row = ["b", "2025-01-01", "12", "(open)"].map(str::to_owned).to_vec();
    assert_eq!(lines(&table, "b"), [Some(row)]);
    assert_eq!(lines(&table, "a")[0].as_ref().map(Vec::len), Some(3));
    // Whose line it is may be cut as well.
    let subject_last = Table::read(b"on,level,id\n1,2,ab".to_vec(), &form(), &selected());
    assert_eq!(subject_last.unwrap_err().alarm, Reason::SourceTorn);
}

#[test]
fn a_cell_of_several_lines_is_read_unless_it_may_hold_a_row() {
    let table = read("id,on,level\na1,2,\"x\ny\"\nb1,3,4\n").unwrap();
    assert_eq!(lines(&table, "a1")[0].as_ref().unwrap()[2], "x\ny");
    assert_eq!(lines(&table, "b1").len(), 1);
    // Whatever its lines end with.
    let crlf = read("id,on,level\r\nc1,1,\r\na1,2,\"x\r\ny\"\r\nb1,3,4\r\n").unwrap();
    assert_eq!((crlf.rows(), lines(&crlf, "a1").len()), (3, 1));
    for (swallowed, phrase) in [
        ("id,on,level\na1,2,\"7\nb1,8\",9\n", "several lines"),
        ("id,on,level\na1,\"7\nb1,8\",9\n", "looks like a row"),
    ] {
        let refused = read(swallowed).unwrap_err();
        assert!(refused.contains(phrase), "{refused}");
    }
    let strict = Form { line_breaks: false, ..form() };
    let text = b"id,on,level\na1,2,\"x\ny\"\n".to_vec();
    let refused = Table::read(text, &strict, &selected()).unwrap_err();
    assert!(refused.why.contains("`line_breaks = true`"), "{}", refused.why);
}

#[test]
fn a_column_that_is_missing_or_there_twice_is_no_place() {
    assert_eq!(read("id,on\n").unwrap().places(), None);
    assert_eq!(read("id,on,level,level\n").unwrap().places(), None);
    assert_eq!(read("id,on,level,level\n").unwrap().named(), (&[1, 1, 2][..], 4));
}

#[test]
fn a_title_stands_above_the_header_and_lines_are_counted_from_the_top() {
    let titled = Form { skip_lines: 2, may_be_empty: false, ..form() };
    let read = |text: &str| Table::read(text.as_bytes().to_vec(), &titled, &selected());
    let table = read("title,,\n\nid,on,level\na,1,2\n").unwrap();
    assert_eq!(lines(&table, "a").len(), 1);
    let torn = read("title,,\n\nid,on,level\na\nb,1,2\n").unwrap_err();
    assert!(torn.why.contains("line 4"), "{}", torn.why);
    let empty = read("title,,\n\nid,on,level\n").unwrap_err();
    assert!(empty.why.contains("`may_be_empty = true`"), "{}", empty.why);
}

/// Cut anywhere, a file is refused, or what is read of it stood in it.
#[test]
fn row_55_cut_at_every_byte_no_cell_is_another_than_in_the_whole() {
    let text = "id,on,level,note\na1,2025-01-02,12,\"x, \"\"y\"\"\"\nb1,2025-01-03,\"3\n4\",\n\
                c1,2025-01-04,567,学历\nd1,2025-01-05,,12\n";
    let whole = read(text).unwrap();
    let mut believed = 0;
    for cut in 0..text.len() {
        let bytes = text.as_bytes()[..cut].to_vec();
        let Ok(table) = Table::read(bytes, &form(), &selected()) else { continue };
        if table.places().is_none() {
            continue;
        }
        assert_eq!(table.ended, text.as_bytes()[cut - 1] == b'\n', "cut at {cut}");
        for person in ["a1", "b1", "c1", "d1", "a", "b", "c", "d"] {
            for (line, right) in
                table.lines(person).zip(whole.lines(person).map(Some).chain([None]))
            {
                let Some(Line::Whole(right)) = right else { panic!("cut at {cut}: {person}") };
                match line {
                    Line::Whole(read) => assert_eq!(read, right, "cut at {cut}: {person}"),
                    Line::Open(read) => {
                        let certain = |record: &StringRecord| {
                            record.iter().take(3).map(str::to_owned).collect::<Vec<_>>()
                        };
                        assert_eq!(certain(&read), certain(&right), "cut at {cut}: {person}");
                    }
                    Line::Torn => continue,
                }
                believed += 1;
            }
        }
    }
    assert!(believed > 20, "{believed}");
}

#[test]
fn whatever_the_bytes_are_nothing_panics() {
    proptest::proptest!(|(bytes: Vec<u8>, skip_lines in 0..2_usize)| {
        let mut text = b"id,on,level\n".to_vec();
        text.extend(bytes);
        let form = Form { skip_lines, ..form() };
        if let Ok(table) = Table::read(text, &form, &selected()) {
            assert!(table.lines("x").count() < 1000);
        }
    });
}
