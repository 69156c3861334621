//! Holds `docs/fault-matrix.md` against the tests that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rows of which none may be missing; later ones come as they are built.
const ROWS: u32 = 50;

/// Every function below a folder whose name begins with rows, and the rows that it
/// names: `row_07_…`, `rows_41_50_…`.
fn tests(folder: &Path, found: &mut BTreeMap<String, BTreeSet<u32>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(str::trim).peekable();
            while let Some(line) = lines.next() {
                let is_test = line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                let next = lines.peek().copied().unwrap_or_default();
                let Some((_, name)) = next.split_once("fn ").filter(|_| is_test) else { continue };
                let name = name.split('(').next().unwrap();
                if name.starts_with("row_") || name.starts_with("rows_") {
                    let words = name.split('_').skip(1);
                    let rows = words.map_while(|word| word.parse().ok()).collect();
                    found.insert(name.to_owned(), rows);
                }
            }
        }
    }
}

/// Each row of the page: its number, its tests, and what they show.
fn page(text: &str) -> Vec<(u32, Vec<String>, String)> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let number = cells[0].parse().ok()?;
        let names = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(cells[2].contains('`') || cells[2] == "none", "row {number}: {}", cells[2]);
        Some((number, names, cells[3].to_owned()))
    });
    rows.collect()
}

#[test]
fn the_fault_matrix_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    tests(&root.join("tests"), &mut found);
    tests(&root.join("src"), &mut found);
    let text = std::fs::read_to_string(root.join("docs/fault-matrix.md")).unwrap();
    let rows = page(&text);
    let numbers: Vec<u32> = rows.iter().map(|(number, ..)| *number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "each row once, in order: {numbers:?}");
    let whole = (1..=ROWS).all(|row| numbers.contains(&row));
    assert!(whole, "a row up to {ROWS} is missing: {numbers:?}");
    let mut wrong = Vec::new();
    for (name, of) in &found {
        let on = |number| rows.iter().any(|(row, names, _)| *row == number && names.contains(name));
        let missing: Vec<u32> = of.iter().copied().filter(|number| !on(*number)).collect();
        if !missing.is_empty() {
            wrong.push(format!("`{name}` does not stand at {missing:?}"));
        }
    }
    for (number, names, shown) in rows {
        assert!(!shown.is_empty(), "row {number} says nothing");
        for name in &names {
            match found.get(name) {
                None => wrong.push(format!("row {number}: there is no test `{name}`")),
                Some(rows) if !rows.contains(&number) => {
                    wrong.push(format!("row {number}: `{name}` is of another row"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
