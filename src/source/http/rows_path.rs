//! Where the rows are in an answer, step by step. An empty list at the end of the
//! path says that there are none; a path that leads nowhere says nothing.

use serde_json::Value;
use serde_json_path::JsonPath;

/// A JSONPath whose steps are known.
#[derive(Debug, Clone)]
pub(in crate::source) struct RowsPath {
    whole: JsonPath,
    steps: Vec<Step>,
}

/// One step of a path.
#[derive(Debug, Clone)]
struct Step {
    /// The path before it, and with it.
    before: JsonPath,
    with: JsonPath,
    kind: StepKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepKind {
    /// A member or one place of a list: it must be there.
    One,
    /// All of a list, or some of it by a rule: the list must be there.
    Each,
    /// Anything else: something must be found in the end.
    Other,
}

impl RowsPath {
    /// From what a query says.
    ///
    /// # Errors
    /// It is no JSONPath.
    pub fn new(text: &str) -> Result<Self, String> {
        let whole = json_path(text)?;
        let mut steps = Vec::new();
        let mut before = JsonPath::parse("$").map_err(|error| error.message().to_owned())?;
        for (end, kind) in ends(text) {
            let with = json_path(text.get(..end).unwrap_or(text))?;
            steps.push(Step { before, with: with.clone(), kind });
            before = with;
        }
        Ok(Self { whole, steps })
    }

    /// The rows of an answer; `None` when the path leads nowhere.
    pub fn rows<'a>(&self, answer: &'a Value) -> Option<Vec<&'a Value>> {
        let rows = self.whole.query(answer).all();
        for step in &self.steps {
            let (before, with) = (step.before.query(answer), step.with.query(answer));
            let there = match step.kind {
                StepKind::One => with.len() == before.len(),
                StepKind::Each => before.iter().all(|list| list.is_array()),
                StepKind::Other => !rows.is_empty(),
            };
            if !there {
                return None;
            }
        }
        let row = |value: &&Value| value.is_object() || value.is_array();
        rows.iter().all(row).then_some(rows)
    }

    /// The objects on the way to the rows, where an answer speaks of itself.
    pub fn around<'a>(&self, answer: &'a Value) -> Vec<&'a Value> {
        self.steps.iter().flat_map(|step| step.before.query(answer).all()).collect()
    }
}

/// Reads a JSONPath.
///
/// # Errors
/// It is none.
pub(super) fn json_path(text: &str) -> Result<JsonPath, String> {
    JsonPath::parse(text).map_err(|error| {
        format!("`{}` is no JSONPath (RFC 9535): {}", text.escape_default(), error.message())
    })
}

/// Where each step of a path ends, and what it is. The path is known to be one.
fn ends(text: &str) -> Vec<(usize, StepKind)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        let (end, kind) = match byte {
            b'.' if bytes.get(at + 1) == Some(&b'.') => (bytes.len(), StepKind::Other),
            b'.' => {
                let name = text.get(at + 1..).unwrap_or_default();
                let length = name.find(['.', '[']).unwrap_or(name.len());
                let all = name.get(..length).is_some_and(|name| name.trim() == "*");
                (at + 1 + length, if all { StepKind::Each } else { StepKind::One })
            }
            b'[' => {
                let end = closing(bytes, at);
                (end, selector(text.get(at + 1..end.saturating_sub(1)).unwrap_or_default()))
            }
            _ => {
                at += 1;
                continue;
            }
        };
        found.push((end, kind));
        at = end;
    }
    found
}

/// Behind the bracket that closes the one at this place.
fn closing(bytes: &[u8], open: usize) -> usize {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(mark), byte) if *byte == mark => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(*byte),
            (None, b'[') => depth += 1,
            (None, b']') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            (None, _) => {}
        }
    }
    bytes.len()
}

fn selector(inside: &str) -> StepKind {
    let inside = inside.trim();
    let name = |mark: char| {
        inside.len() > 1
            && inside.starts_with(mark)
            && inside.ends_with(mark)
            && inside.matches(mark).count() == 2
    };
    match inside {
        _ if name('\'') || name('"') || inside.parse::<i64>().is_ok() => StepKind::One,
        "*" => StepKind::Each,
        _ if inside.starts_with('?') => StepKind::Each,
        _ if inside.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b':' | b'-' | b' ')) => {
            StepKind::Each
        }
        _ => StepKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str, answer: &Value) -> Option<usize> {
        RowsPath::new(path).unwrap().rows(answer).map(|rows| rows.len())
    }

    #[test]
    fn an_empty_list_is_nobody_and_a_path_that_leads_nowhere_is_no_answer() {
        let good = json!({"code": 0, "data": {"list": [{"n": 1}, {"n": 2}], "one": {"n": 1}}});
        let empty = json!({"code": 0, "data": {"list": []}});
        for (path, answer, rows) in [
            ("$.data.list[*]", &good, Some(2)),
            ("$['data'][\"list\"][*]", &good, Some(2)),
            ("$.data.list[?@.n > 1]", &good, Some(1)),
            ("$.data.list[?@.n > 2]", &good, Some(0)),
            ("$.data.list[0:1]", &good, Some(1)),
            ("$.data.list[0]", &good, Some(1)),
            ("$.data.one", &good, Some(1)),
            ("$..list[*]", &good, Some(2)),
            ("$.data.list[*]", &empty, Some(0)),
            ("$.data.list[0]", &empty, None),
            ("$..list[*]", &empty, None),
        ] {
            assert_eq!(found(path, answer), rows, "{path}");
        }
        for answer in [
            json!({"code": 500, "data": null}),
            json!({"code": 500}),
            json!({"data": {"list": null}}),
            json!({"data": {"list": "none"}}),
            json!({"data": {"list": {"error": {"code": 1}}}}),
            json!({"data": {"list": [1, 2]}}),
            json!({"data": []}),
            json!([]),
            json!("busy"),
        ] {
            assert_eq!(found("$.data.list[*]", &answer), None, "{answer}");
        }
        assert_eq!(found("$[*]", &json!({"error": {"code": 5}})), None);
        assert_eq!(found("$[*]", &json!([])), Some(0));
        assert_eq!(found("$.a[*].b[*]", &json!({"a": []})), Some(0));
        assert_eq!(found("$.a[*].b[*]", &json!({"a": [{"b": [{}]}, {}]})), None);
        assert_eq!(found("$", &json!({"n": 1})), Some(1));
    }

    #[test]
    fn a_path_is_cut_into_its_steps() {
        let cut = |path: &str| -> Vec<String> {
            ends(path).iter().map(|(end, kind)| format!("{} {kind:?}", &path[..*end])).collect()
        };
        assert_eq!(
            cut("$.a['b]'][?@['x'] == ']'].*"),
            [
                "$.a One",
                "$.a['b]'] One",
                "$.a['b]'][?@['x'] == ']'] Each",
                "$.a['b]'][?@['x'] == ']'].* Each"
            ]
        );
    }
}
