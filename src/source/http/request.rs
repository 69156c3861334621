//! A query's request: where its people go, and how its answer is read.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::super::Key;
use super::reading::{Reading, Told};
use super::rows_path::json_path;
use crate::config::mapping::SUBJECTS;

/// Where one person belongs in a path.
pub(in crate::source) const SUBJECT: &str = "{subject}";

/// What stays as it is in a path: letters, digits and the other unreserved
/// characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One query's request.
#[derive(Debug, Clone)]
pub(in crate::source) struct Request {
    path: Box<str>,
    pub people: PeopleAt,
    pub reading: Reading,
    /// Of the selected columns, in order.
    pub columns: Vec<JsonPath>,
}

/// Where the people go.
#[derive(Debug, Clone)]
pub(in crate::source) enum PeopleAt {
    /// One into the path.
    Path,
    /// All into the body, in place of the string `{subjects}`.
    Body(Value),
}

impl Request {
    /// From what a query says.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(
        path: &str,
        body: Option<&str>,
        told: Told<'_>,
        selected: &[Box<str>],
    ) -> Result<Self, String> {
        if !path.starts_with('/') || path.starts_with("//") || path.contains(['#', '\\']) {
            return Err("`path` must start with one `/`, and have no `#` and no `\\`".to_owned());
        }
        let people = match (body, path.matches(SUBJECT).count()) {
            (None, 1) => PeopleAt::Path,
            (None, 0) => {
                return Err(format!(
                    "a query that is not bounded by subject is refused: write `{SUBJECT}` into \
                     `path`, or a `body` such as '{{\"ids\": \"{SUBJECTS}\"}}'"
                ));
            }
            (Some(body), 0) => {
                let body: Value =
                    serde_json::from_str(body).map_err(|error| format!("`body`: {error}"))?;
                match places(&body) {
                    1 => PeopleAt::Body(body),
                    count => {
                        return Err(format!(
                            "the string \"{SUBJECTS}\" stands {count} times in `body`: write it \
                             once, as a value of its own; it becomes the array of the people"
                        ));
                    }
                }
            }
            _ => {
                return Err(format!(
                    "`{SUBJECT}` stands once in `path`, or \"{SUBJECTS}\" once in `body`, not both"
                ));
            }
        };
        let columns =
            selected.iter().map(|column| column_path(column)).collect::<Result<_, _>>()?;
        Ok(Self { path: path.into(), people, reading: Reading::new(told)?, columns })
    }

    /// Path and body for these people; `None` for one who cannot be asked about.
    pub fn of(&self, people: &[Key]) -> Option<(String, Option<Vec<u8>>)> {
        match &self.people {
            PeopleAt::Path => {
                let person = people.first()?.expose();
                // Those two would be steps of the path, encoded or not.
                if matches!(&**person, "" | "." | "..") {
                    return None;
                }
                let encoded = utf8_percent_encode(person, RESERVED).to_string();
                Some((self.path.replacen(SUBJECT, &encoded, 1), None))
            }
            PeopleAt::Body(body) => {
                let people = people.iter().map(|person| Value::from(&**person.expose()));
                let people = Value::Array(people.collect());
                let body = serde_json::to_vec(&filled(body, &people)).ok()?;
                Some((self.path.to_string(), Some(body)))
            }
        }
    }
}

/// A column is a JSONPath, or the plain name of a member.
fn column_path(column: &str) -> Result<JsonPath, String> {
    if column.starts_with('$') {
        return json_path(column);
    }
    let quoted = column.replace('\\', "\\\\").replace('\'', "\\'");
    json_path(&format!("$['{quoted}']"))
}

fn places(value: &Value) -> usize {
    match value {
        Value::String(text) => usize::from(text == SUBJECTS),
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(members) => members.values().map(places).sum(),
        _ => 0,
    }
}

fn filled(value: &Value, people: &Value) -> Value {
    match value {
        Value::String(text) if text == SUBJECTS => people.clone(),
        Value::Array(items) => items.iter().map(|item| filled(item, people)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, item)| (name.clone(), filled(item, people))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::sensitive::Sensitive;

    fn key(person: &str) -> Key {
        Sensitive::new(person.into())
    }

    const fn told(rows: &str) -> Told<'_> {
        Told { rows, success: None, nobody: None, paging: None }
    }

    fn request(path: &str, body: Option<&str>) -> Result<Request, String> {
        Request::new(path, body, told("$[*]"), &["id".into(), "$.a.b".into()])
    }

    proptest! {
        #[test]
        fn whoever_is_asked_about_is_one_step_of_the_path(person in "\\PC{1,20}") {
            let request = request("/people/{subject}/job?x=1", None).unwrap();
            let base = reqwest::Url::parse("http://localhost:1/").unwrap();
            let Some((path, None)) = request.of(&[key(&person)]) else {
                prop_assert!(person == "." || person == "..");
                return Ok(());
            };
            let url = base.join(&path).unwrap();
            let steps: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!((steps.len(), steps[0], steps[2]), (3, "people", "job"));
            prop_assert_eq!((url.query(), url.fragment()), (Some("x=1"), None));
            let decoded = percent_encoding::percent_decode_str(steps[1]).decode_utf8().unwrap();
            prop_assert_eq!(decoded, person);
        }

        #[test]
        fn whoever_is_asked_about_is_one_string_of_the_body(people: Vec<String>) {
            let request = request("/find", Some(r#"{"q": {"ids": "{subjects}", "n": 1}}"#)).unwrap();
            let keys: Vec<Key> = people.iter().map(|person| key(person)).collect();
            let (_, body) = request.of(&keys).unwrap();
            let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
            prop_assert_eq!(body, serde_json::json!({"q": {"ids": people, "n": 1}}));
        }
    }

    #[test]
    fn what_is_not_bounded_or_no_path_is_refused() {
        for (path, body, phrase) in [
            ("/all", None, "not bounded by subject"),
            ("people/{subject}", None, "must start with one `/`"),
            ("//host/{subject}", None, "must start with one `/`"),
            ("/p/{subject}/{subject}", None, "stands once"),
            ("/p/{subject}", Some(r#"["{subjects}"]"#), "not both"),
            ("/p", Some(r#"{"ids": []}"#), "stands 0 times"),
            ("/p", Some(r#"{"ids": "a {subjects}"}"#), "stands 0 times"),
            ("/p", Some("{"), "`body`"),
        ] {
            let refused = request(path, body).unwrap_err();
            assert!(refused.contains(phrase), "{path}: {refused}");
        }
        assert!(
            Request::new("/{subject}", None, told("people"), &[]).unwrap_err().contains("JSONPath")
        );
        let column = Request::new("/{subject}", None, told("$"), &["$.a[".into()]).unwrap_err();
        assert!(column.contains("`$.a[`"), "{column}");
    }
}
