//! A name for each query, which says which table it is, in whatever script.

use crate::source::TableSeen;

/// A query's name has so many characters at most; some are left for a number.
const LONGEST: usize = 56;

/// A name for each table, none twice.
pub(super) fn names(tables: &[TableSeen]) -> Vec<String> {
    let mut taken: Vec<String> = Vec::with_capacity(tables.len());
    for table in tables {
        let plain = word(&table.name);
        let with_schema =
            table.schema.as_ref().map(|schema| word(&format!("{schema}.{}", table.name)));
        let alone = tables.iter().filter(|other| word(&other.name) == plain).count() == 1;
        let wanted = match with_schema {
            Some(name) if !alone => name,
            _ => plain,
        };
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let mut candidates = std::iter::once(wanted.clone()).chain(numbered);
        let name = candidates.find(|name| !taken.contains(name));
        taken.push(name.unwrap_or(wanted));
    }
    taken
}

/// A table's name without what a query's name may not have.
fn word(name: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String =
        name.chars().map(|c| if allowed(c) { c } else { '_' }).take(LONGEST).collect();
    if word.chars().any(char::is_alphanumeric) { word } else { "table".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: Option<&str>, name: &str) -> TableSeen {
        TableSeen {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
            ..TableSeen::default()
        }
    }

    #[test]
    fn each_table_has_a_name_of_its_own_that_says_which_it_is() {
        let tables = [
            table(None, "学生"),
            table(None, "成绩"),
            table(None, "jobs"),
            table(Some("hr"), "jobs"),
            table(None, "a b"),
            table(None, "a_b"),
            table(None, "\"\""),
            table(None, "?"),
            table(Some("hr"), "people"),
        ];
        assert_eq!(
            names(&tables),
            ["学生", "成绩", "jobs", "hr.jobs", "a_b", "a_b_2", "table", "table_2", "people"]
        );
        let long = "x".repeat(300);
        let names = names(&[table(None, &long), table(None, &format!("{long}y"))]);
        assert!(names[0] != names[1] && names.iter().all(|name| name.len() <= 64), "{names:?}");
    }
}
