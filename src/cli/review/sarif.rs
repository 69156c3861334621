//! A comparison as SARIF 2.1.0, for code scanning: one result for each change and
//! line that it is blamed on first.
//!
//! Source: OASIS SARIF 2.1.0.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::compared::{Compared, Judged, JudgedEdit, Judgement, what};
use super::forms;
use super::forms::By;
use crate::domain::flows::change::{Blame, Class, Edit};
use crate::domain::flows::places::FilePlace;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn render(compared: &Compared, judged: &Judgement<'_>) -> Value {
    let rules: Vec<Value> = Class::ALL
        .iter()
        .map(|class| {
            json!({
                "id": id(*class),
                "name": class.as_str(),
                "shortDescription": { "text": meaning(*class) },
            })
        })
        .collect();
    let flows = judged.flows.iter().map(|judged| result(compared, judged));
    let edits = judged.edits.iter().map(|judged| edit(compared, judged));
    let results: Vec<Value> = flows.chain(edits).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tributary review",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "originalUriBaseIds": { "SRCROOT": { "description": {
                "text": "The repository's root, or where the folders were named from.",
            }}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn id(class: Class) -> String {
    format!("flow/{class}")
}

const fn meaning(class: Class) -> &'static str {
    match class {
        Class::Opened => "A flow is open that was not there on any legal basis.",
        Class::Widened => "A flow needs less than before.",
        Class::Trust => "Somebody else is believed.",
        Class::Reviewers => "Somebody else may see the log or accept a change.",
        Class::Release => "Releases are recorded or proven otherwise.",
        Class::Ceilings => "Grants may go further.",
        Class::Remapped => "An item is read from elsewhere, or otherwise.",
        Class::Rerouted => "A flow comes from elsewhere.",
        Class::Reclassified => "A flow carries another kind of fact.",
        Class::Narrowed => "A flow needs more than before.",
        Class::Closed => "A flow is no longer open.",
        Class::Operations => "It is run otherwise; nobody gets anything else by it.",
    }
}

fn result(compared: &Compared, judged: &Judged<'_>) -> Value {
    let change = judged.change;
    let route = forms::route(Some(change.class), &change.agency, &change.consumer, &change.purpose);
    let causes: Vec<String> = change.blames.iter().map(ToString::to_string).collect();
    let bases = forms::bases(&change.bases).join(", ");
    let mut text = format!("{route}: {} on {bases}", what(compared, change));
    if !change.detail.is_empty() {
        text.push_str(&format!(", {}", change.detail));
    }
    text.push_str(&format!(". Blamed on {}.", causes.join("; ")));
    let at = Class::ALL.iter().position(|class| *class == change.class);
    let level = if judged.forbidden { "error" } else { "note" };
    let mut result = json!({
        "ruleId": id(change.class),
        "ruleIndex": at,
        "level": level,
        "message": { "text": text },
        "locations": locations(compared, &change.blames),
        "partialFingerprints": { "flow/v1": fingerprint(compared, judged) },
        "properties": forms::change(
            compared.catalogues(), change, judged.accepted.as_deref(), judged.forbidden,
        ),
    });
    if let (Some(accepted), Some(fields)) = (&judged.accepted, result.as_object_mut()) {
        fields.insert("suppressions".to_owned(), suppressions(accepted));
    }
    result
}

fn suppressions(accepted: &[By<'_>]) -> Value {
    let one = |by: &By<'_>| json!({ "kind": "external", "status": "accepted", "justification": by.to_string() });
    Value::Array(accepted.iter().map(one).collect())
}

fn edit(compared: &Compared, judged: &JudgedEdit<'_>) -> Value {
    let JudgedEdit { edit, accepted, forbidden } = judged;
    let commit = compared.commit(edit.place.as_ref(), edit.edit);
    let class = edit.class.as_str().to_uppercase();
    let text = format!("{class} {}. {}.", edit.says, forms::key(edit));
    let places: Vec<Value> =
        edit.place.iter().map(|place| location(compared, place, &forms::key(edit))).collect();
    let mut result = json!({
        "ruleId": id(edit.class),
        "ruleIndex": Class::ALL.iter().position(|class| *class == edit.class),
        "level": if *forbidden { "error" } else { "note" },
        "message": { "text": text },
        "locations": places,
        "partialFingerprints": { "flow/v1": edit.digest },
        "properties": forms::edit(edit, accepted.as_deref(), *forbidden, commit),
    });
    if let (Some(entries), Some(fields)) = (accepted, result.as_object_mut()) {
        fields.insert("suppressions".to_owned(), suppressions(entries));
    }
    result
}

/// Lines of the new side first: code scanning shows the first one.
fn locations(compared: &Compared, blames: &[Blame]) -> Vec<Value> {
    let mut blames: Vec<&Blame> = blames.iter().collect();
    blames.sort_by_key(|blame| blame.edit == Edit::Removed);
    let located = blames
        .into_iter()
        .filter_map(|blame| Some(location(compared, blame.place.as_ref()?, &blame.to_string())));
    located.collect()
}

fn location(compared: &Compared, place: &FilePlace, text: &str) -> Value {
    let uri = match compared.prefix.as_str() {
        "" => place.file.clone(),
        prefix => format!("{prefix}/{}", place.file),
    };
    let mut location = json!({
        "artifactLocation": { "uri": encode(&uri), "uriBaseId": "SRCROOT" },
    });
    if let (1.., Some(fields)) = (place.line, location.as_object_mut()) {
        fields.insert("region".to_owned(), json!({ "startLine": place.line }));
    }
    json!({ "physicalLocation": location, "message": { "text": text } })
}

/// The path of a URI: what is not unreserved is percent-encoded (RFC 3986).
fn encode(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// The same change has the same one, whatever line it stands on.
fn fingerprint(compared: &Compared, judged: &Judged<'_>) -> String {
    let change = judged.change;
    let text = [
        change.class.as_str(),
        change.agency.as_str(),
        change.consumer.as_str(),
        change.purpose.as_str(),
        &forms::bases(&change.bases).join(","),
        &forms::ids(compared.catalogues(), &change.items).join(","),
        &change.detail,
    ]
    .join("\n");
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
