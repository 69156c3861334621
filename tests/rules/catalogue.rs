//! The lint: the city's catalogue passes, broken ones are refused at the right
//! line with words that help, and the digest means what it should.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tributary::config::catalogue::load;
use tributary::domain::catalogue::{
    Catalogue, CatalogueDigest, Finding, Item, Sensitivity, Source,
};
use tributary::domain::item::ItemNumber;

/// A sound catalogue of two files; the tests break it.
const SCHOOL: &str = r#"# Comments do not count.
domain = "school"
title = { en = "School", zh = "学校" }

[[category]]
id = "school.degree"
title = { en = "Degree", zh = "学位" }

[[item]]
id = "school.degree.held"
number = 3
title = { en = "Degree held", zh = "已获学位" }
type = "boolean"
owners = ["education"]
sensitivity = "ordinary"
meaning = "A degree is on record."

[[item]]
id = "school.degree.level"
number = 4
title = { en = "Degree level", zh = "学位级别" }
type = "code"
codes = [
  { code = "bachelor", en = "Bachelor", zh = "学士" },
  { code = "master", en = "Master", zh = "硕士" },
]
owners = ["education", "employment"]
sensitivity = "ordinary"
survivorship = "authoritative"
meaning = "The highest degree on record."

[[item]]
id = "school.degree.fee"
number = 5
title = { en = "Fee owed", zh = "欠缴学费" }
type = "money"
unit = "CNY"
range = [0, 100000]
owners = ["education", "lending"]
sensitivity = "conditional"
survivorship = "sum"
adverse_months = 60
meaning = "Tuition fees overdue."
"#;

const ROAD: &str = r#"domain = "road"
title = { en = "Road", zh = "道路" }

[[category]]
id = "road.fine"
title = { en = "Fines", zh = "罚款" }

[[item]]
id = "road.fine.count"
number = 9
title = { en = "Open fines", zh = "未缴罚款" }
type = "integer"
unit = "count"
range = [0, 500]
owners = ["traffic"]
sensitivity = "ordinary"
meaning = "Fines past their due date."
"#;

const RESERVED: &str = "numbers = [100]\nids = [\"school.degree.gone\"]\n";

const BUNDLES: &str = r#"[[bundle]]
id = "basic"
title = { en = "Basic", zh = "基础" }
meaning = "A short profile."
items = ["road.fine.*"]
"#;

fn parse(school: &str) -> Result<Catalogue, Vec<Finding>> {
    parse_with(school, BUNDLES)
}

fn parse_with(school: &str, bundles: &str) -> Result<Catalogue, Vec<Finding>> {
    Catalogue::parse(&[
        Source { name: "bundles.toml", text: bundles },
        Source { name: "reserved.toml", text: RESERVED },
        Source { name: "road.toml", text: ROAD },
        Source { name: "school.toml", text: school },
    ])
}

fn refused(school: &str) -> Vec<Finding> {
    match parse(school) {
        Ok(_) => panic!("this was accepted:\n{school}"),
        Err(findings) => findings,
    }
}

/// Replaces a text that occurs; a table row that breaks nothing is a mistake.
fn edit(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` does not occur");
    text.replacen(from, to, 1)
}

fn digest(school: &str) -> CatalogueDigest {
    parse(school).unwrap().digest()
}

fn city() -> Catalogue {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/city/catalogue")).unwrap()
}

#[test]
fn the_city_has_493_sound_items_of_seven_agencies() {
    let city = city();
    assert_eq!(city.items().len(), 493);
    assert_eq!(city.agencies().len(), 7);
    let domains: BTreeSet<&str> = city.items().iter().map(|item| item.domain()).collect();
    assert_eq!(domains.len(), 11);
    for item in city.items() {
        assert_eq!(city.find(&item.id), Some(item));
        assert_eq!(city.item(item.number), Some(item));
    }
}

#[test]
fn no_two_items_of_the_city_share_a_title_or_a_meaning() {
    let city = city();
    let mut titles = BTreeSet::new();
    let mut meanings = BTreeSet::new();
    for item in city.items() {
        assert!(titles.insert((item.domain(), &item.title.en)), "{} repeats a title", item.id);
        assert!(titles.insert((item.domain(), &item.title.zh)), "{} repeats a title", item.id);
        assert!(meanings.insert(&item.meaning), "{} repeats a meaning", item.id);
    }
}

#[test]
fn what_shows_wealth_or_income_is_conditional_in_the_city() {
    let city = city();
    for prefix in ["tax.", "assets.", "social_security.base."] {
        let about: Vec<&Item> =
            city.items().iter().filter(|item| item.id.starts_with(prefix)).collect();
        assert!(!about.is_empty(), "no item starts with {prefix}");
        for item in about {
            assert_eq!(item.sensitivity, Sensitivity::Conditional, "{}", item.id);
        }
    }
}

/// From, to, line, and words that the finding must have.
const BROKEN: &[(&str, &str, usize, &[&str])] = &[
    (
        "school.degree.level",
        "school.degree.held",
        18,
        &["school.degree.held", "already used at school.toml:9"],
    ),
    ("number = 4", "number = 3", 18, &["number 3", "`school.degree.held`", "school.toml:9"]),
    ("number = 4", "number = 9", 18, &["number 9", "`road.fine.count`", "road.toml:8"]),
    ("number = 4", "number = 100", 18, &["number 100", "`school.degree.level`", "reserved"]),
    ("school.degree.level", "school.degree.gone", 18, &["school.degree.gone", "reserved"]),
    ("number = 5", "number = 512", 32, &["number 512", "0 to 511"]),
    ("number = 5", "number = -1", 34, &["-1"]),
    ("number = 5\n", "", 32, &["missing field `number`"]),
    ("\"boolean\"", "\"text\"", 9, &["type `text`", "boolean, integer, decimal"]),
    ("\"money\"", "\"amount\"", 32, &["type `amount`", "boolean, integer, decimal"]),
    ("[\"education\"]", "[]", 9, &["no owner", "name the agency"]),
    ("owners = [\"education\"]\n", "", 9, &["missing field `owners`"]),
    ("[\"education\"]", "[\"Education!\"]", 9, &["`Education!`", "not an agency's name"]),
    ("\"lending\"]", "\"education\"]", 32, &["`education` stands twice"]),
    ("survivorship = \"authoritative\"\n", "", 18, &["several owners", "survivorship"]),
    ("\"authoritative\"", "\"sum\"", 18, &["survivorship sum", "type code"]),
    ("\"authoritative\"", "\"maximum\"", 18, &["survivorship maximum", "type code"]),
    ("\"authoritative\"", "\"loudest\"", 29, &["loudest", "freshest"]),
    ("range = [0, 100000]\n", "", 32, &["money", "needs a range"]),
    ("[0, 100000]", "[100000, 0]", 32, &["range", "the smaller first"]),
    ("[0, 100000]", "[0, nan]", 32, &["range must be two numbers"]),
    ("[0, 100000]", "[\"0\", \"1\"]", 32, &["range must be two numbers"]),
    ("\"boolean\"", "\"boolean\"\nrange = [0, 1]", 9, &["boolean", "must have no range"]),
    ("unit = \"CNY\"\n", "", 32, &["money", "needs a unit"]),
    ("\"CNY\"", "\"yuan\"", 32, &["currency such as CNY"]),
    ("\"boolean\"", "\"boolean\"\nunit = \"yes\"", 9, &["boolean", "must have no unit"]),
    ("\"boolean\"", "\"boolean\"\ncodes = []", 9, &["`codes` goes with type code"]),
    ("code = \"master\"", "code = \"bachelor\"", 18, &["code `bachelor`", "stands once"]),
    ("code = \"master\"", "code = \"Master\"", 18, &["code `Master`", "lower-case"]),
    ("  { code = \"master\", en = \"Master\", zh = \"硕士\" },\n", "", 18, &["2 to 64 codes"]),
    ("en = \"Master\"", "en = \"\"", 18, &["code `master`", "title.en is empty"]),
    ("zh = \"硕士\"", "zh = \"\\u0007\"", 18, &["code `master`", "title.zh", "one line"]),
    (
        "\"school.degree.held\"",
        "\"road.fine.held\"",
        9,
        &["`road.fine.held`", "file of domain `school`"],
    ),
    ("school.degree.held", "school.diploma.held", 9, &["`school.diploma`", "not declared"]),
    ("school.degree.held", "school.held", 9, &["domain.category.name"]),
    ("school.degree.held", "school.degree.Held", 9, &["domain.category.name", "lower case"]),
    ("type = \"boolean\"", "type = \"boolean\"\ncolour = \"red\"", 14, &["unknown field `colour`"]),
    ("number = 3", "number = = 3", 11, &[]),
    ("en = \"Degree held\"", "en = \" \"", 9, &["title.en is empty"]),
    ("zh = \"已获学位\"", "zh = \"\"", 9, &["title.zh is empty"]),
    ("Degree held", "Degree\\u001b[31m held", 9, &["title.en", "one line"]),
    ("A degree is on record.", "A degree\\nis on record.", 9, &["meaning", "one line"]),
    ("\"ordinary\"", "\"secret\"", 15, &["secret", "conditional"]),
];

#[test]
fn what_is_broken_is_refused_at_its_line_with_words_that_help() {
    parse(SCHOOL).expect("the catalogue that the rows break is itself sound");
    for (from, to, line, words) in BROKEN {
        let findings = refused(&edit(SCHOOL, from, to));
        let shown = || findings.iter().map(|f| format!("\n  {f}")).collect::<String>();
        let right = |finding: &&Finding| {
            let says = |word: &&str| finding.message.contains(*word);
            finding.file == "school.toml" && finding.line == *line && words.iter().all(says)
        };
        assert!(
            findings.iter().any(|f| right(&f)),
            "{from} -> {to}: line {line} {words:?} not in{}",
            shown()
        );
        assert_eq!(findings.len(), 1, "{from} -> {to}: one mistake, several findings:{}", shown());
    }
}

#[test]
fn a_category_belongs_to_its_domain() {
    let findings = refused(&edit(SCHOOL, "\"school.degree\"", "\"college.degree\""));
    assert_eq!(
        findings[0].to_string(),
        "school.toml:1: category `college.degree` must be `school.name`"
    );
    // And its items are without one.
    assert_eq!(findings.len(), 4, "{findings:?}");
}

#[test]
fn a_domain_has_one_file() {
    let again = ROAD.replace("road.fine.count", "road.fine.total").replace("= 9", "= 10");
    let again = again.replace("road.fine", "road.toll");
    let findings = refused(&again);
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["school.toml:1: domain `road` has already the file road.toml"]);
}

#[test]
fn every_finding_is_one_line() {
    for (from, to, ..) in BROKEN {
        for finding in refused(&edit(SCHOOL, from, to)) {
            let text = finding.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
    let odd = edit(SCHOOL, "school.degree.held", "school.degree.\\n\\u001b[2J");
    for finding in parse(&odd).unwrap_err() {
        assert!(!finding.to_string().chars().any(char::is_control), "{finding:?}");
    }
}

#[test]
fn every_mistake_is_named_and_not_just_the_first() {
    let text = edit(SCHOOL, "[\"education\"]", "[]");
    let text = edit(&text, "number = 4", "number = 600");
    let text = edit(&text, "\"CNY\"", "\"yuan\"");
    let lines: Vec<usize> = parse(&text).unwrap_err().iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [9, 18, 32]);
}

#[test]
fn a_broken_bundle_is_refused() {
    for (from, to, line, word) in [
        ("\"road.fine.*\"", "\"road.fine.nothing\"", 1, "`road.fine.nothing` names no item"),
        ("\"road.fine.*\"", "\"road.toll.*\"", 1, "`road.toll.*` names no item"),
        ("\"road.fine.*\"", "\"road.f*\"", 1, "`road.f*` names no item"),
        ("\"basic\"", "\"Basic\"", 1, "bundle id `Basic`"),
        ("meaning", "purpose", 4, "unknown field `purpose`"),
    ] {
        let findings = parse_with(SCHOOL, &edit(BUNDLES, from, to)).expect_err(to);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((&*findings[0].file, findings[0].line), ("bundles.toml", line));
        assert!(findings[0].message.contains(word), "{}", findings[0]);
    }
    let twice = format!("{BUNDLES}{BUNDLES}");
    let findings = parse_with(SCHOOL, &twice).unwrap_err();
    assert_eq!(findings[0].line, 6, "{findings:?}");
}

#[test]
fn a_broken_item_does_not_make_its_bundle_look_broken() {
    let bundles = edit(BUNDLES, "road.fine.*", "school.degree.held");
    let findings = parse_with(&edit(SCHOOL, "[\"education\"]", "[]"), &bundles).unwrap_err();
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn an_empty_folder_is_no_catalogue() {
    let findings = Catalogue::parse(&[]).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.contains("no item"), "{}", findings[0]);
}

/// A category of facts, an item's last word that names it, and a Chinese title.
const PROHIBITED: &[(&str, &str, &str)] = &[
    ("religion", "religious_affiliation", "宗教信仰"),
    ("ethnicity", "ethnic_group", "民族"),
    ("genes", "dna_profile", "基因检测结果"),
    ("biometrics", "fingerprint_held", "指纹已登记"),
    ("health or medical history", "medical_leave_days", "近一年病假天数"),
    ("blood type", "blood_type", "血型"),
    ("politics", "political_status", "政治面貌"),
    ("union membership", "union_member", "工会会员"),
    ("sexuality", "sexual_orientation", "性取向"),
    ("location traces", "last_location", "最近位置"),
    ("contacts and social networks", "contact_count", "通讯录人数"),
    ("relatives' data", "spouse_income", "配偶收入"),
    ("dismissal reasons", "dismissal_reason", "离职原因"),
    ("school discipline or special-education records", "disciplinary_record", "在校处分"),
    ("raw transactions", "transaction_list", "交易明细"),
];

#[test]
fn no_item_may_hold_what_is_prohibited() {
    for (category, name, title) in PROHIBITED {
        let by_id = edit(SCHOOL, "school.degree.held", &format!("school.degree.{name}"));
        let by_title = edit(SCHOOL, "已获学位", title);
        let by_code = edit(SCHOOL, "zh = \"硕士\"", &format!("zh = \"{title}\""));
        for (text, line) in [(by_id, 9), (by_title, 9), (by_code, 18)] {
            let findings = parse(&text).expect_err(category);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].line, line);
            let says = format!("no item may hold {category} ");
            assert!(findings[0].message.contains(&says), "{}", findings[0]);
        }
    }
}

#[test]
fn no_domain_category_or_bundle_may_be_named_after_what_is_prohibited() {
    for (from, to) in [("zh = \"学校\"", "zh = \"宗教\""), ("zh = \"学位\"", "zh = \"宗教\"")]
    {
        let findings = refused(&edit(SCHOOL, from, to));
        assert!(findings[0].message.contains("religion"), "{}", findings[0]);
    }
    let findings = parse_with(SCHOOL, &edit(BUNDLES, "基础", "宗教")).unwrap_err();
    assert!(findings[0].message.contains("religion"), "{}", findings[0]);
}

#[test]
fn the_digest_knows_nothing_of_order_comments_and_bundles() {
    let original = digest(SCHOOL);
    let swapped = Catalogue::parse(&[
        Source { name: "school.toml", text: SCHOOL },
        Source { name: "road.toml", text: ROAD },
    ]);
    assert_eq!(swapped.unwrap().digest(), original);
    assert_eq!(digest(&format!("# More.\n\n{SCHOOL}\n# And more.\n")), original);
    assert_eq!(digest(&edit(SCHOOL, "[0, 100000]", "[0.0, 100_000]")), original);

    let (head, items) = SCHOOL.split_once("[[item]]").unwrap();
    let mut items: Vec<&str> = items.split("[[item]]").collect();
    items.reverse();
    let reversed: String = items.iter().map(|item| format!("[[item]]{item}\n")).collect();
    assert_eq!(digest(&format!("{head}{reversed}")), original);

    let bundles = edit(BUNDLES, "road.fine.*", "*");
    assert_eq!(parse_with(SCHOOL, &bundles).unwrap().digest(), original);
}

#[test]
fn every_field_of_an_item_changes_the_digest() {
    let mut seen = BTreeSet::from([digest(SCHOOL).to_string()]);
    for (from, to) in [
        ("school.degree.held", "school.degree.earned"),
        ("number = 3", "number = 6"),
        ("en = \"Degree held\"", "en = \"Degree\""),
        ("zh = \"已获学位\"", "zh = \"获得学位\""),
        ("type = \"boolean\"", "type = \"date\""),
        ("owners = [\"education\"]", "owners = [\"employment\"]"),
        ("[\"education\", \"employment\"]", "[\"employment\", \"education\"]"),
        ("[\"education\", \"lending\"]", "[\"education\", \"lending\", \"tax\"]"),
        ("sensitivity = \"ordinary\"", "sensitivity = \"conditional\""),
        ("survivorship = \"authoritative\"", "survivorship = \"freshest\""),
        ("survivorship = \"sum\"", "survivorship = \"maximum\""),
        ("A degree is on record.", "A degree is recorded."),
        ("code = \"master\"", "code = \"doctor\""),
        ("en = \"Master\"", "en = \"Master's\""),
        ("zh = \"硕士\"", "zh = \"硕士级\""),
        ("unit = \"CNY\"", "unit = \"HKD\""),
        ("range = [0, 100000]", "range = [1, 100000]"),
        ("range = [0, 100000]", "range = [0, 100001]"),
        ("adverse_months = 60", "adverse_months = 61"),
        ("adverse_months = 60\n", ""),
        ("adverse_months = 60", "adverse_months = 0"),
    ] {
        assert!(seen.insert(digest(&edit(SCHOOL, from, to)).to_string()), "{from} -> {to}");
    }
    let (rest, _) = SCHOOL.rsplit_once("[[item]]").unwrap();
    assert!(seen.insert(digest(rest).to_string()), "an item less");
}

/// As docs/protocol/catalogue.md has it.
#[test]
fn a_definitions_digest_is_the_documented_one() {
    let text = |text: &str| [&(text.len() as u64).to_be_bytes(), text.as_bytes()].concat();
    let count = |count: u64| count.to_be_bytes().to_vec();
    let digest = |parts: &[Vec<u8>]| Sha256::digest(parts.concat()).to_vec();
    let catalogue = parse(SCHOOL).unwrap();
    let fee = digest(&[
        text("tributary-item-v1"),
        count(5),
        text("school.degree.fee"),
        text("money"),
        text("CNY"),
        text("CNY"),
        text("0"),
        text("100000"),
        count(2),
        text("education"),
        text("lending"),
        text("conditional"),
        text("60"),
        text("sum"),
        text("Tuition fees overdue."),
        count(0),
    ]);
    let level = digest(&[
        text("tributary-item-v1"),
        count(4),
        text("school.degree.level"),
        text("code"),
        [text(""), text(""), text(""), text("")].concat(),
        count(2),
        text("education"),
        text("employment"),
        text("ordinary"),
        text(""),
        text("authoritative"),
        text("The highest degree on record."),
        count(2),
        text("bachelor"),
        text("master"),
    ]);
    let items = [4, 5].into_iter().filter_map(ItemNumber::new).collect();
    assert_eq!(catalogue.digests_of(&items), [level.clone(), fee.clone()].concat());
    let all = digest(&[text("tributary-items-v1"), vec![0, 4], level, vec![0, 5], fee]);
    assert_eq!(catalogue.digest_of(&items).map(Vec::from), Some(all));
}

/// Where a text is cut, and what is put there.
fn damage() -> impl Strategy<Value = String> {
    let pieces = proptest::sample::select(vec![
        "[[item]]\n",
        "[",
        "\"",
        "=",
        "\n",
        "number = 3\n",
        "{ en = \"\" }",
        "\u{0}",
        "99999999999999999999",
        "nan",
        "'''",
        "[[category]]\n",
        "codes = []\n",
        "é",
        "学",
        "\\u0000",
    ]);
    (0..=SCHOOL.len(), 0usize..40, pieces).prop_map(|(at, gone, piece)| {
        let bytes = SCHOOL.as_bytes();
        let rest = bytes.get(at + gone..).unwrap_or_default();
        let damaged = [&bytes[..at], piece.as_bytes(), rest].concat();
        String::from_utf8_lossy(&damaged).into_owned()
    })
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(name in "[a-z]{1,8}\\.toml", text in any::<String>()) {
        let _ = Catalogue::parse(&[Source { name: &name, text: &text }]);
        let _ = Catalogue::parse(&[Source { name: "reserved.toml", text: &text }]);
        let _ = parse_with(SCHOOL, &text);
    }

    #[test]
    fn damaged_files_never_panic_and_name_the_file(text in damage()) {
        if let Err(findings) = parse(&text) {
            prop_assert!(!findings.is_empty());
            let lines = text.lines().count();
            for finding in &findings {
                prop_assert!(finding.line <= lines + 1, "{}", finding);
                prop_assert!(!finding.to_string().chars().any(char::is_control), "{:?}", finding);
            }
        }
    }
}
