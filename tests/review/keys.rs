//! Single keys of the example city, each edited in every way that its kind of value
//! allows: the review has a class for each, and its flows are what brute force finds.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{DocumentMut, Item, Value};
use tributary::config::agency::AgencyConfig;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::audit::{Origin, SigningKey};
use tributary::domain::flows::change::{Change, Class};
use tributary::domain::flows::diff::diff;
use tributary::domain::flows::edits::{Edited, combine, edits};
use tributary::domain::flows::federation::Federation;
use tributary::domain::flows::open::flows;

use crate::kit::files::copy;
use crate::support::City;

const CERTS: &str = "certs/dev/bank.city.example";
/// A `review.toml` with an acceptor, whose key is one.
fn review_toml() -> String {
    let name: Origin = "board".parse().unwrap();
    let key = SigningKey::from_seed(&[1; 32]).unwrap().verifying_key(&name).unwrap();
    format!(
        "longest_acceptance = \"30days\"\n\n[[acceptor]]\nname = \"board\"\nkey = \"{key}\"\n\
         emails = [\"board@city.example\"]\n"
    )
}

/// The city with its issuer, a public file and a `review.toml`.
fn city() -> City {
    let city = City::new();
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/city/consent");
    copy(&from, &city.path().join("consent"));
    std::fs::create_dir_all(city.path().join(CERTS)).unwrap();
    city.write(&format!("{CERTS}/ca.pem"), "an anchor\n");
    city.write("review.toml", &review_toml());
    city
}

/// The city without the files of most agencies, whose keys are those of the others: what
/// the gateway allows them is their upper bound.
fn small() -> City {
    let city = city();
    for agency in ["employment", "enterprise", "social_security", "traffic", "volunteering"] {
        std::fs::remove_file(city.path().join(format!("agencies/{agency}.toml"))).unwrap();
    }
    city
}

/// One place in a document: keys and indexes.
#[derive(Debug, Clone)]
enum Step {
    Key(String),
    At(usize),
}

/// What is done to one key.
#[derive(Debug, Clone)]
enum Deed {
    Set(Value),
    Remove,
}

struct Single {
    file: String,
    path: Vec<Step>,
    deed: Deed,
}

impl Single {
    fn name(&self) -> String {
        let path: Vec<String> = self
            .path
            .iter()
            .map(|step| match step {
                Step::Key(key) => key.clone(),
                Step::At(at) => at.to_string(),
            })
            .collect();
        let deed = match &self.deed {
            Deed::Set(value) => format!("= {}", value.to_string().trim()),
            Deed::Remove => "removed".to_owned(),
        };
        format!("{}: {} {deed}", self.file, path.join("."))
    }

    fn apply(&self, text: &str) -> String {
        let mut document: DocumentMut = text.parse().unwrap();
        let (last, way) = self.path.split_last().unwrap();
        change(document.as_item_mut(), way, last, &self.deed);
        document.to_string()
    }
}

fn change(item: &mut Item, way: &[Step], last: &Step, deed: &Deed) {
    let Some((step, rest)) = way.split_first() else {
        return match (last, deed) {
            (Step::Key(key), Deed::Set(value)) => {
                let table = item.as_table_like_mut().unwrap();
                table.insert(key, Item::Value(value.clone()));
            }
            (Step::Key(key), Deed::Remove) => {
                assert!(item.as_table_like_mut().unwrap().remove(key).is_some(), "{key}");
            }
            (Step::At(at), Deed::Remove) => match item {
                Item::ArrayOfTables(array) => _ = array.remove(*at),
                _ => _ = item.as_array_mut().unwrap().remove(*at),
            },
            (Step::At(at), Deed::Set(value)) => {
                item.as_array_mut().unwrap().replace(*at, value.clone());
            }
        };
    };
    match step {
        Step::Key(key) => change(item.get_mut(key).unwrap(), rest, last, deed),
        Step::At(at) => match item {
            Item::ArrayOfTables(array) => {
                let mut inner = Item::Table(array.get(*at).unwrap().clone());
                change(&mut inner, rest, last, deed);
                *array.get_mut(*at).unwrap() = inner.into_table().unwrap();
            }
            _ => {
                let array = item.as_array_mut().unwrap();
                let mut inner = Item::Value(array.get(*at).unwrap().clone());
                change(&mut inner, rest, last, deed);
                array.replace(*at, inner.into_value().unwrap());
            }
        },
    }
}

/// Other values that may stand in the place of one.
fn others(key: &str, value: &Value) -> Vec<Value> {
    match value {
        Value::Boolean(flag) => vec![Value::from(!flag.value())],
        Value::Integer(number) => {
            let number = *number.value();
            let mut others = vec![Value::from(number + 1)];
            if number > 1 {
                others.push(Value::from(number - 1));
            }
            others
        }
        Value::String(text) => words(key, text.value()).into_iter().map(Value::from).collect(),
        _ => Vec::new(),
    }
}

fn words(key: &str, text: &str) -> Vec<String> {
    const SWAPS: &[(&str, &str)] = &[
        ("agency", "reviewer"),
        ("consumer", "gateway"),
        ("gateway", "issuer"),
        ("reviewer", "consumer"),
        ("consent", "statute"),
        ("ordinary", "conditional"),
        ("conditional", "ordinary"),
        ("day", "week"),
        ("list", "prove"),
        ("freshest", "authoritative"),
        ("authoritative", "freshest"),
        ("boolean", "date"),
        ("integer", "months"),
        ("EdDSA", "ES256"),
        ("credit_profile", "rental_deposit_waiver"),
        ("education", "lending"),
        ("lending", "traffic"),
    ];
    let swapped: Vec<String> =
        SWAPS.iter().filter(|(from, _)| *from == text).map(|(_, to)| (*to).to_owned()).collect();
    if !swapped.is_empty() {
        return swapped;
    }
    if let Some(number) = text.strip_suffix("days").and_then(|days| days.parse::<u32>().ok()) {
        return vec![format!("{}days", number + 1), format!("{}days", number.max(2) - 1)];
    }
    if let Some(number) = text.strip_suffix('s').and_then(|span| span.parse::<u32>().ok()) {
        return vec![format!("{}s", number + 7)];
    }
    if text.ends_with(".pem") {
        return vec![format!("certs/other-{}", text.replace('/', "-"))];
    }
    if text.contains("127.0.0.1:") {
        return vec![text.replace("127.0.0.1:", "127.0.0.9:")];
    }
    match key {
        "items" => vec!["lending.*".to_owned()],
        "column" => vec!["another_column".to_owned()],
        "check_digit" => Vec::new(),
        "sql" => vec![text.replacen("where", "where 1 = 1 and", 1)],
        _ => vec![format!("{text}x")],
    }
}

/// Every key below an item, with what may be done to it.
fn walk(
    item: &Item,
    at: &[Step],
    found: &mut Vec<(Vec<Step>, Deed)>,
    most: &dyn Fn(&str) -> usize,
) {
    let inner = |step: Step| [at, &[step]].concat();
    if let Some(table) = item.as_table_like() {
        for (key, value) in table.iter() {
            let here = inner(Step::Key(key.to_owned()));
            found.push((here.clone(), Deed::Remove));
            walk(value, &here, found, most);
        }
        return;
    }
    let key = match at.iter().rev().find(|step| matches!(step, Step::Key(_))) {
        Some(Step::Key(key)) => key.as_str(),
        _ => "",
    };
    match item {
        Item::ArrayOfTables(array) => {
            for (number, table) in array.iter().enumerate().take(most(key)) {
                let here = inner(Step::At(number));
                found.push((here.clone(), Deed::Remove));
                walk(&Item::Table(table.clone()), &here, found, most);
            }
        }
        Item::Value(Value::Array(array)) => {
            for (number, value) in array.iter().enumerate().take(2) {
                let here = inner(Step::At(number));
                if array.len() > 1 {
                    found.push((here.clone(), Deed::Remove));
                }
                walk(&Item::Value(value.clone()), &here, found, most);
            }
        }
        Item::Value(value) => {
            let deeds = others(key, value).into_iter().map(Deed::Set);
            found.extend(deeds.map(|deed| (at.to_vec(), deed)));
        }
        _ => {}
    }
}

/// Keys that the city does not state, where somebody may state them.
const ADDED: &[(&str, &str, &str, &str)] = &[
    ("gateway.toml", "grants", "cache", "5"),
    ("gateway.toml", "link.trust.8", "crl", "'certs/bank.crl'"),
    ("gateway.toml", "audit", "on_contradiction", "'alarm'"),
    ("gateway.toml", "audit", "look_every", "'20s'"),
    ("gateway.toml", "audit", "peers_folder", "'elsewhere'"),
    ("gateway.toml", "policy", "cached_decisions", "9"),
    ("gateway.toml", "agency.0", "connections", "3"),
    ("gateway.toml", "agency.0", "max_in_flight", "9"),
    ("agencies/lending.toml", "source.sql", "pool", "7"),
    ("agencies/lending.toml", "source.sql", "account_may_write", "true"),
    ("agencies/lending.toml", "source.sql", "row_security", "'meant'"),
    ("agencies/lending.toml", "source.sql", "zone", "'Asia/Shanghai'"),
    ("agencies/lending.toml", "source.sql", "tls", "'off'"),
    ("agencies/lending.toml", "source.sql", "password_env", "'SECRET'"),
    ("agencies/lending.toml", "source.sql", "max_batch", "9"),
    ("agencies/lending.toml", "source.sql", "statement_timeout", "'9s'"),
    ("agencies/lending.toml", "query.0", "dates", "'unix'"),
    ("agencies/lending.toml", "query.0", "disputed", "'disputed'"),
    ("agencies/lending.toml", "query.0", "ended", "'updated_on'"),
    ("agencies/lending.toml", "query.0", "statement", "'said'"),
    ("agencies/lending.toml", "query.0", "wrapped", "false"),
    ("agencies/lending.toml", "query.0", "subject_type", "'integer'"),
    ("agencies/lending.toml", "query.0", "subject_form", "['trim', { zero_pad = 18 }]"),
    ("agencies/lending.toml", "query.0", "subject_others", "0.1"),
    ("agencies/lending.toml", "query.0", "rows", "'$.rows'"),
    ("agencies/lending.toml", "query.0", "paging", "'link'"),
    ("agencies/lending.toml", "query.0", "nobody", "[404]"),
    ("agencies/lending.toml", "query.0", "success", "{ path = '$.ok', values = [true] }"),
    ("agencies/lending.toml", "", "limits", "{ max_deadline = '11s' }"),
    ("agencies/lending.toml", "", "limits", "{ freshness = '1h' }"),
    ("agencies/lending.toml", "", "limits", "{ max_total = 7 }"),
    ("review.toml", "", "agencies", "['agencies/lending.toml']"),
];

fn steps(path: &str) -> Vec<Step> {
    let steps = path.split('.').filter(|step| !step.is_empty());
    steps.map(|step| step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::At)).collect()
}

/// All edits of all files.
fn singles(city: &City) -> Vec<Single> {
    let mut all = Vec::new();
    let mut add = |file: &str, most: &dyn Fn(&str) -> usize| {
        let document: DocumentMut = city.read(file).parse().unwrap();
        let mut found = Vec::new();
        walk(document.as_item(), &[], &mut found, most);
        // The same key of two entries, and no more: each is the same to the review.
        let mut times: BTreeMap<(Vec<String>, bool), usize> = BTreeMap::new();
        for (path, deed) in found {
            let keys = path.iter().filter_map(|step| match step {
                Step::Key(key) => {
                    Some(if key.contains('.') { "*".to_owned() } else { key.clone() })
                }
                Step::At(_) => None,
            });
            let kind = (keys.collect(), matches!(deed, Deed::Remove));
            let known = times.entry(kind).or_default();
            *known += 1;
            if *known <= 2 {
                all.push(Single { file: file.to_owned(), path, deed });
            }
        }
    };
    add("gateway.toml", &|key| match key {
        "trust" | "peer" | "agency" => 2,
        _ => 9,
    });
    add("agencies/lending.toml", &|key| if key == "query" { 2 } else { 9 });
    add("catalogue/education.toml", &|key| if key == "item" { 2 } else { 1 });
    add("catalogue/employment.toml", &|key| usize::from(key == "item"));
    add("catalogue/bundles.toml", &|_| 1);
    add("policies/vocabulary.toml", &|_| 9);
    add("consent/issuer.toml", &|_| 1);
    add("consent/credit_profile.toml", &|_| 1);
    add("review.toml", &|_| 9);
    // The first item with written consent alone, which an edit opens to more.
    let file = "catalogue/education.toml";
    let document: DocumentMut = city.read(file).parse().unwrap();
    let items = document["item"].as_array_of_tables().unwrap();
    let conditional = items
        .iter()
        .position(|item| item["id"].as_str() == Some("education.award.scholarship_amount_36m"));
    let path = vec![
        Step::Key("item".to_owned()),
        Step::At(conditional.unwrap()),
        Step::Key("sensitivity".to_owned()),
    ];
    all.push(Single { file: file.to_owned(), path, deed: Deed::Set("ordinary".into()) });
    for (file, at, key, value) in ADDED {
        let mut path = steps(at);
        path.push(Step::Key((*key).to_owned()));
        let deed = Deed::Set(value.parse().unwrap());
        all.push(Single { file: (*file).to_owned(), path, deed });
    }
    all
}

/// Who gets what: brute force over all flows.
type Triple = (String, String, String, String, u16);

fn triples(federation: &Federation) -> BTreeSet<Triple> {
    let mut all = BTreeSet::new();
    for flow in flows(federation) {
        for item in flow.items.iter() {
            all.insert((
                flow.consumer.to_string(),
                flow.purpose.to_string(),
                flow.agency.to_string(),
                flow.basis.to_string(),
                item.get(),
            ));
        }
    }
    all
}

/// What the classes say of who gets what.
fn told(changes: &[Change], classes: [Class; 3]) -> BTreeSet<Triple> {
    let mut all = BTreeSet::new();
    for change in changes.iter().filter(|change| classes.contains(&change.class)) {
        for item in change.items.iter() {
            for basis in &change.bases {
                all.insert((
                    change.consumer.to_string(),
                    change.purpose.to_string(),
                    change.agency.to_string(),
                    basis.to_string(),
                    item.get(),
                ));
            }
        }
    }
    all
}

fn load(city: &City) -> Option<Federation> {
    tributary::app::review::load(city.path()).ok()
}

/// Everything that flows are computed from, as a text.
fn decides(federation: &Federation) -> String {
    let house = |house: &tributary::domain::flows::federation::House| {
        format!("{} {:?} {:?}", house.engine.digest(), house.purposes, house.issuers)
    };
    let mut text = format!("{} {}", federation.catalogue.digest(), house(&federation.gateway));
    for agency in &federation.agencies {
        text.push_str(&format!("{} {} {}", agency.id, agency.identity, agency.endpoint));
        if let Some(own) = &agency.own {
            text.push_str(&format!("{:?} {} {}", own.mapped, own.enabled, house(&own.house)));
        }
    }
    text
}

/// What the city writes down and what would hold without it: taken out, nothing changes.
const DEFAULTS: &[&str] = &[
    "gateway.toml: grants.max_age removed",
    "gateway.toml: grants.fetch_every removed",
    "gateway.toml: review.per_minute removed",
    "gateway.toml: review.max_page removed",
    "gateway.toml: limits removed",
    "gateway.toml: limits.max_deadline removed",
    "gateway.toml: limits.max_in_flight removed",
    "gateway.toml: limits.stream_window removed",
    "gateway.toml: limits.max_in_flight_per_consumer removed",
    "agencies/lending.toml: enabled removed",
    "agencies/lending.toml: grants.max_age removed",
    "agencies/lending.toml: grants.fetch_every removed",
];

struct Seen {
    classes: BTreeSet<Class>,
    fault: Option<String>,
}

/// Judges one edit; `None` where the federation is refused with it.
fn judge(
    single: &Single,
    city: &City,
    before: &Federation,
    was: &BTreeSet<Triple>,
) -> Option<Seen> {
    let text = city.read(&single.file);
    city.write(&single.file, &single.apply(&text));
    // A file that is refused by itself needs no federation around it.
    let path = city.path().join(&single.file);
    let faults = match single.file.as_str() {
        "gateway.toml" => GatewayConfig::judge(&path).unwrap().1.count(),
        "agencies/lending.toml" => AgencyConfig::judge(&path).unwrap().2.count(),
        _ => 0,
    };
    let after = if faults == 0 { load(city) } else { None };
    city.write(&single.file, &text);
    let after = after?;
    let keys = edits(before, &after);
    // Where nothing that flows are computed from changed, they are not computed again.
    let still = decides(before) == decides(&after);
    let changes = if still { Vec::new() } else { diff(before, &after) };
    let mut fault = None;
    if !changes.is_empty() {
        let is = triples(&after);
        let opened: BTreeSet<Triple> = is.difference(was).cloned().collect();
        let closed: BTreeSet<Triple> = was.difference(&is).cloned().collect();
        let open = told(&changes, [Class::Opened, Class::Widened, Class::Rerouted]);
        let shut = told(&changes, [Class::Closed, Class::Narrowed, Class::Rerouted]);
        if !opened.is_subset(&open) || !closed.is_subset(&shut) {
            fault = Some("flows differ from what is told".to_owned());
        }
        let only = told(&changes, [Class::Opened; 3]);
        if !only.is_subset(&opened) {
            fault = Some("a flow is told as opened that was open".to_owned());
        }
    } else if !still && triples(&after) != *was {
        fault = Some("flows changed and none is told".to_owned());
    }
    let (changes, keys) = combine(changes, keys);
    if DEFAULTS.contains(&single.name().as_str()) {
        return Some(Seen { classes: BTreeSet::new(), fault: fault.filter(|_| !keys.is_empty()) });
    }
    if changes.is_empty() && keys.is_empty() {
        fault = Some("nothing is told".to_owned());
    }
    for key in &keys {
        if key.place.is_none() || key.says.is_empty() {
            fault = Some(format!("{} has no line or says nothing", key.key));
        }
    }
    let classes = changes.iter().map(|change| change.class);
    let classes = classes.chain(keys.iter().map(|key| key.class)).collect();
    Some(Seen { classes, fault })
}

#[test]
fn row_72_every_edit_of_a_single_key_has_its_class() {
    let base = small();
    let before = load(&base).unwrap();
    let was = triples(&before);
    let singles = singles(&base);
    let (mut judged, mut refused, mut wrong) = (0, 0, Vec::new());
    let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
    // Two halves at once: each has a city of its own.
    let halves: Vec<&[Single]> = singles.chunks(singles.len().div_ceil(2)).collect();
    let seen: Vec<(String, Option<Seen>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = halves
            .iter()
            .map(|half| {
                scope.spawn(|| {
                    let own = small();
                    let of = |single| (Single::name(single), judge(single, &own, &before, &was));
                    half.iter().map(of).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for (name, seen) in seen {
        let Some(seen) = seen else {
            refused += 1;
            continue;
        };
        judged += 1;
        for class in seen.classes {
            *classes.entry(class).or_default() += 1;
        }
        wrong.extend(seen.fault.map(|fault| format!("{name}: {fault}")));
    }
    println!("{judged} judged, {refused} refused, {classes:?}");
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged >= 300, "{judged} edits were judged, {refused} refused");
    let missing: Vec<&Class> =
        Class::ALL.iter().filter(|class| !classes.contains_key(class)).collect();
    assert!(missing.is_empty(), "no edit has the class {missing:?}: {classes:?}");
}

/// What an edit is called, and the edit.
type Edit = (&'static str, fn(&City));

/// Edits that change nothing.
const NOTHING: &[Edit] = &[
    ("comments", |city| city.append("gateway.toml", "# a comment\n")),
    ("an empty line", |city| city.replace("gateway.toml", "[link]", "\n\n[link]")),
    ("roles in another order", |city| {
        city.replace(
            "gateway.toml",
            "\"consent\", \"written_consent\"",
            "\"written_consent\", \"consent\"",
        );
    }),
    ("trust in another order", |city| {
        let entry = "[[link.trust]]\ndomain = \"bank.city.example\"\nroles = [\"consumer\"]\nanchors = \"certs/dev/bank.city.example/ca.pem\"\n";
        city.replace("gateway.toml", entry, "");
        city.replace("gateway.toml", "[[link.trust]]", &format!("{entry}\n[[link.trust]]"));
    }),
    ("a time in other words", |city| city.replace("gateway.toml", "\"60s\"", "\"1m\"")),
    ("a longer name of days", |city| city.replace("gateway.toml", "\"90days\"", "\"90d\"")),
    ("a default that is written", |city| {
        city.replace("gateway.toml", "max_age = \"60s\"", "cache = 4096\nmax_age = \"60s\"");
    }),
    ("a default that is not written", |city| {
        city.replace("gateway.toml", "max_in_flight = 1024\n", "");
    }),
    ("the name of now", |city| {
        city.replace(
            "gateway.toml",
            "endpoint = \"127.0.0.1:7101\"",
            "endpoints = [\"127.0.0.1:7101\"]",
        );
    }),
    ("quotes", |city| {
        city.replace("gateway.toml", "\"small_business_loan\"", "'small_business_loan'")
    }),
    ("a table instead of a column", |city| {
        city.replace(
            "agencies/lending.toml",
            "\"lending.card.open_count\" = \"card_open_count\"",
            "\"lending.card.open_count\" = { column = \"card_open_count\" }",
        );
    }),
    ("layout of a statement", |city| {
        city.replace(
            "agencies/lending.toml",
            "from card_account where",
            "\n   from card_account\n  where",
        );
    }),
    ("the switch unwritten", |city| city.replace("agencies/lending.toml", "enabled = true\n", "")),
    ("an item moves in its file", |city| {
        let text = city.read("catalogue/reserved.toml");
        city.write("catalogue/reserved.toml", &format!("# moved\n{text}"));
    }),
    ("a file of the catalogue has another name", |city| {
        let text = city.read("catalogue/traffic.toml");
        std::fs::remove_file(city.path().join("catalogue/traffic.toml")).unwrap();
        city.write("catalogue/z.toml", &text);
    }),
    ("the vocabulary has another name", |city| {
        let text = city.read("policies/vocabulary.toml");
        city.write("policies/names.toml", &text);
        city.replace("gateway.toml", "policies/vocabulary.toml", "policies/names.toml");
    }),
    ("the rules have another name", |city| {
        let text = city.read("policies/gateway.cedar");
        city.write("policies/rules.cedar", &text);
        city.replace("gateway.toml", "policies/gateway.cedar", "policies/rules.cedar");
    }),
    ("an agency's file has another name", |city| {
        let text = city.read("agencies/traffic.toml");
        std::fs::remove_file(city.path().join("agencies/traffic.toml")).unwrap();
        city.write("agencies/roads.toml", &text);
    }),
    ("an anchor has another name", |city| {
        city.write("certs/bank.pem", "an anchor\n");
        city.replace("gateway.toml", "certs/dev/bank.city.example/ca.pem", "certs/bank.pem");
    }),
    ("names of the vocabulary in another order", |city| {
        city.replace(
            "policies/vocabulary.toml",
            "\"credit_profile\", \"rental_deposit_waiver\"",
            "\"rental_deposit_waiver\", \"credit_profile\"",
        );
    }),
    ("a rule has another name", |city| {
        city.replace("policies/gateway.cedar", "scoring-rental-deposit", "scoring-deposit");
    }),
    ("a request has another name", |city| {
        let text = city.read("consent/credit_profile.toml");
        std::fs::remove_file(city.path().join("consent/credit_profile.toml")).unwrap();
        city.write("consent/profile.toml", &text);
    }),
];

fn compared(before: &Federation, after: &Federation) -> (Vec<Change>, Vec<Edited>) {
    combine(diff(before, after), edits(before, after))
}

#[test]
fn renames_moves_and_words_that_change_nothing_are_no_change() {
    assert!(NOTHING.len() >= 20);
    let before = load(&city()).unwrap();
    let mut wrong = Vec::new();
    for (name, apply) in NOTHING {
        let city = city();
        apply(&city);
        let after = tributary::app::review::load(city.path())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let (changes, keys) = compared(&before, &after);
        if !changes.is_empty() || !keys.is_empty() {
            let keys: Vec<&str> = keys.iter().map(|key| &*key.says).collect();
            wrong.push(format!("{name}: {} flows, {keys:?}", changes.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_edit_is_told_once_with_its_class_and_its_line() {
    let before = load(&city()).unwrap();
    for (file, from, to, class, line, said) in [
        (
            "gateway.toml",
            "max_lifetime = \"30days\"",
            "max_lifetime = \"60days\"",
            Class::Ceilings,
            "max_lifetime = \"60days\"",
            "rental_deposit_waiver",
        ),
        (
            "gateway.toml",
            "max_lifetime = \"30days\"",
            "max_lifetime = \"20days\"",
            Class::Narrowed,
            "max_lifetime = \"20days\"",
            "is now 20days (was 30days)",
        ),
        (
            "agencies/lending.toml",
            "scale = 2",
            "scale = 3",
            Class::Remapped,
            "scale = 3",
            "lending.card.total_limit",
        ),
        (
            "catalogue/education.toml",
            "meaning = \"",
            "meaning = \"Not: ",
            Class::Reclassified,
            "meaning = \"Not: ",
            "what education.attainment.highest_level says is now Not:",
        ),
        (
            "gateway.toml",
            "127.0.0.1:7106",
            "h.example:7106",
            Class::Rerouted,
            "h.example",
            "traffic",
        ),
        ("gateway.toml", "7100", "7200", Class::Operations, "7200", "listens on"),
        ("gateway.toml", "per_minute = 60", "per_minute = 61", Class::Reviewers, "61", "reviewer"),
        ("gateway.toml", "city.example/2026", "city.example/2027", Class::Release, "2027", "log"),
    ] {
        let new = city();
        new.replace(file, from, to);
        let (changes, keys) = compared(&before, &load(&new).unwrap());
        assert!(changes.is_empty(), "{to}: {changes:?}");
        assert_eq!(keys.len(), 1, "{to}: {keys:?}");
        let key = &keys[0];
        assert_eq!(key.class, class, "{to}: {key:?}");
        assert!(key.says.contains(said), "{}", key.says);
        let place = key.place.as_ref().unwrap();
        assert_eq!(place.file, file);
        let text = new.read(file);
        assert!(text.lines().nth(place.line - 1).unwrap().contains(line), "{to}: {}", place.line);
    }
}

#[test]
fn what_a_public_file_holds_counts_and_not_its_name() {
    let before = load(&city()).unwrap();
    let new = city();
    new.write(&format!("{CERTS}/ca.pem"), "another anchor\n");
    let (changes, keys) = compared(&before, &load(&new).unwrap());
    assert!(changes.is_empty());
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(keys[0].class, Class::Trust);
    assert!(keys[0].says.contains("SHA-256") && keys[0].says.contains("bank.city.example"));
}
