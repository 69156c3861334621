//! What an edit does to the flows, and what it is blamed on: a table.

use std::collections::BTreeSet;

use tributary::domain::flows::change::{Change, Class};
use tributary::domain::flows::diff::diff;
use tributary::domain::flows::federation::Federation;
use tributary::domain::flows::places::Kind;

use crate::support::{BANK, City, SCORING};

/// One row: what is done, and what must come of it. A blame is written as
/// `kind name edit house`.
struct Edit {
    name: &'static str,
    apply: fn(&City),
    classes: &'static [Class],
    blames: &'static [&'static str],
}

const fn nothing(name: &'static str, apply: fn(&City)) -> Edit {
    Edit { name, apply, classes: &[], blames: &[] }
}

const GATEWAY: &str = "policies/gateway.cedar";
const NEW_ITEM: &str = r#"
[[item]]
id = "lending.card.annual_fee_waived"
number = 511
title = { en = "Annual fee waived", zh = "免年费" }
type = "boolean"
owners = ["lending"]
sensitivity = "ordinary"
meaning = "The annual fee of a card was waived in the last year."
"#;

fn map_new_item(city: &City, id: &str, agency: &str) {
    let file = format!("agencies/{agency}.toml");
    let text = city.read(&file);
    // Beside the first item of the first query, with any column.
    let at = text.find("[query.items]\n").unwrap() + "[query.items]\n".len();
    city.write(&file, &format!("{}\"{id}\" = \"any\"\n{}", &text[..at], &text[at..]));
}

fn unmap(city: &City, id: &str, agency: &str) {
    let file = format!("agencies/{agency}.toml");
    let text = city.read(&file);
    let line = text.lines().find(|line| line.starts_with(&format!("\"{id}\" ="))).unwrap();
    city.write(&file, &text.replace(&format!("{line}\n"), ""));
}

fn permit(id: &str, consumer: &str, resource: &str, purpose: &str) -> String {
    format!(
        "@id(\"{id}\")\npermit (principal == Consumer::\"{consumer}\", action == Action::\"read\", \
         {resource})\nwhen {{ context.purpose == Purpose::\"{purpose}\" && context.basis != \
         Basis::\"statute\" }};\n"
    )
}

/// Takes a rule out, by its `@id`.
fn drop_rule(city: &City, file: &str, id: &str) {
    let text = city.read(file);
    let from = text.find(&format!("@id(\"{id}\")")).unwrap();
    let to = from + text[from..].find(";\n").unwrap() + 2;
    city.write(file, &format!("{}{}", &text[..from], &text[to..]));
}

use Class::{Closed, Narrowed, Opened, Reclassified, Rerouted, Widened};

const EDITS: &[Edit] = &[
    nothing("a comment and layout in rules", |city| {
        city.replace(GATEWAY, "// The scoring service draws", "// Somebody draws");
        city.replace(
            GATEWAY,
            "    resource\n)\nwhen { context",
            "    resource\n)\n\nwhen\n{ context",
        );
    }),
    nothing("titles and meanings", |city| {
        city.replace("catalogue/lending.toml", "Months without a late payment", "Clean months");
        city.replace("catalogue/lending.toml", "meaning = \"", "meaning = \"Namely: ");
    }),
    nothing("a comment in the catalogue and another order of files", |city| {
        let text = city.read("catalogue/traffic.toml");
        std::fs::remove_file(city.path().join("catalogue/traffic.toml")).unwrap();
        city.write("catalogue/a_traffic.toml", &format!("# moved\n{text}"));
    }),
    nothing("a rule that has another name", |city| {
        city.replace(GATEWAY, "scoring-rental-deposit", "scoring-deposit");
    }),
    nothing("an annotation", |city| {
        city.replace(
            GATEWAY,
            "@id(\"scoring-credit-profile\")",
            "@advice(\"ask\")\n@id(\"scoring-credit-profile\")",
        );
    }),
    nothing("a permit beside one that opens the same", |city| {
        city.append(GATEWAY, &permit("twice", SCORING, "resource", "credit_profile"));
    }),
    nothing("a permit at the gateway that no agency shares", |city| {
        city.append(
            GATEWAY,
            &permit("traffic-too", BANK, "resource in Domain::\"traffic\"", "credit_profile"),
        );
    }),
    nothing("a consumer that no rule names", |city| {
        city.replace(
            "policies/vocabulary.toml",
            "consumers = [",
            "consumers = [\n    \"spiffe://bank.city.example/consumer/card-desk\",",
        );
    }),
    nothing("an item that nobody maps", |city| city.append("catalogue/lending.toml", NEW_ITEM)),
    nothing("an issuer's basis that only the gateway believes", |city| {
        city.replace(
            "gateway.toml",
            "[\"consent\", \"written_consent\"]",
            "[\"consent\", \"written_consent\", \"statute\"]",
        );
    }),
    Edit {
        name: "permits at gateway and agency",
        apply: |city| {
            let rule = permit(
                "traffic-too",
                BANK,
                "resource in Category::\"traffic.penalty\"",
                "credit_profile",
            );
            city.append(GATEWAY, &rule);
            city.append("policies/agencies/traffic.cedar", &rule);
        },
        classes: &[Opened],
        blames: &["rule traffic-too added gateway", "rule traffic-too added traffic"],
    },
    Edit {
        name: "a forbid is taken out",
        apply: |city| drop_rule(city, GATEWAY, "loan-desk-no-enquiries"),
        classes: &[Opened],
        blames: &["rule loan-desk-no-enquiries removed gateway"],
    },
    Edit {
        name: "a forbid of an agency covers less",
        apply: |city| {
            city.replace(
            "policies/agencies/education.cedar",
            "resource in Category::\"education.performance\");",
            "resource in Category::\"education.performance\")\nunless { context.basis == Basis::\"written_consent\" };",
        )
        },
        classes: &[Opened],
        blames: &["rule education-no-marks changed education"],
    },
    Edit {
        name: "a permit of an agency is taken out",
        apply: |city| drop_rule(city, "policies/agencies/employment.cedar", "employment-rental"),
        classes: &[Closed],
        blames: &["rule employment-rental removed employment"],
    },
    Edit {
        name: "a forbid is added at an agency",
        apply: |city| {
            city.append(
            "policies/agencies/lending.cedar",
            "@id(\"no-cards\")\nforbid (principal, action == Action::\"read\", resource in Category::\"lending.card\");\n",
        )
        },
        classes: &[Closed],
        blames: &["rule no-cards added lending"],
    },
    Edit {
        name: "a permit asks for written consent",
        apply: |city| {
            city.replace(
            GATEWAY,
            "when { context.purpose == Purpose::\"credit_profile\" && context.basis != Basis::\"statute\" };",
            "when { context.purpose == Purpose::\"credit_profile\" && context.basis == Basis::\"written_consent\" };",
        )
        },
        classes: &[Narrowed],
        blames: &["rule scoring-credit-profile changed gateway"],
    },
    Edit {
        name: "a permit of an agency no longer asks for written consent",
        apply: |city| {
            city.replace(
                "policies/agencies/volunteering.cedar",
                "context.basis == Basis::\"written_consent\"",
                "context.basis != Basis::\"statute\"",
            )
        },
        classes: &[Widened],
        blames: &["rule volunteering-credit-profile changed volunteering"],
    },
    Edit {
        name: "a permit covers a domain more, with a new rule of the agency",
        apply: |city| {
            city.replace(
                GATEWAY,
                "(resource in Domain::\"enterprise\" ||",
                "(resource in Domain::\"education\" ||\n     resource in Domain::\"enterprise\" ||",
            );
            city.append(
                "policies/agencies/education.cedar",
                &permit("education-business", BANK, "resource", "small_business_loan"),
            );
        },
        classes: &[Opened],
        blames: &[
            "rule education-business added education",
            "rule loan-desk-business changed gateway",
        ],
    },
    Edit {
        name: "a new item joins an open category",
        apply: |city| {
            city.append("catalogue/lending.toml", NEW_ITEM);
            map_new_item(city, "lending.card.annual_fee_waived", "lending");
        },
        classes: &[Opened],
        blames: &[
            "item lending.card.annual_fee_waived added ",
            "mapping lending.card.annual_fee_waived added lending",
        ],
    },
    Edit {
        name: "an item gets a second owner that maps it",
        apply: |city| {
            city.replace("catalogue/education.toml", "owners = [\"education\"]\nsensitivity = \"ordinary\"\nmeaning = \"Prizes won", "owners = [\"education\", \"employment\"]\nsurvivorship = \"authoritative\"\nsensitivity = \"ordinary\"\nmeaning = \"Prizes won");
            map_new_item(city, "education.award.competition_awards_count", "employment");
        },
        classes: &[Opened],
        blames: &[
            "item education.award.competition_awards_count changed ",
            "mapping education.award.competition_awards_count added employment",
        ],
    },
    Edit {
        name: "an item moves from one agency to another",
        apply: |city| {
            city.replace(
                "catalogue/education.toml",
                "owners = [\"education\"]\nsensitivity = \"ordinary\"\nmeaning = \"Prizes won",
                "owners = [\"employment\"]\nsensitivity = \"ordinary\"\nmeaning = \"Prizes won",
            );
            map_new_item(city, "education.award.competition_awards_count", "employment");
            unmap(city, "education.award.competition_awards_count", "education");
        },
        classes: &[Rerouted],
        blames: &[
            "item education.award.competition_awards_count changed ",
            "mapping education.award.competition_awards_count added employment",
            "mapping education.award.competition_awards_count removed education",
        ],
    },
    Edit {
        name: "an ordinary item becomes conditional",
        apply: |city| {
            city.replace(
                "catalogue/education.toml",
                "sensitivity = \"ordinary\"\nmeaning = \"Prizes won",
                "sensitivity = \"conditional\"\nmeaning = \"Prizes won",
            )
        },
        classes: &[Reclassified, Narrowed],
        blames: &["item education.award.competition_awards_count changed "],
    },
    Edit {
        name: "a conditional item becomes ordinary",
        apply: |city| {
            let text = city.read("catalogue/education.toml");
            let at = text.find("id = \"education.award.scholarship_amount_36m\"").unwrap();
            let rest = text[at..].replacen("\"conditional\"", "\"ordinary\"", 1);
            city.write("catalogue/education.toml", &format!("{}{rest}", &text[..at]));
        },
        classes: &[Widened, Reclassified],
        blames: &["item education.award.scholarship_amount_36m changed "],
    },
    Edit {
        name: "a longer horizon of an adverse item",
        apply: |city| {
            let text = city.read("catalogue/lending.toml");
            let at = text.find("id = \"lending.public_record.unpaid_judgments_count\"").unwrap();
            let rest = text[at..].replacen("adverse_months = 60", "adverse_months = 48", 1);
            city.write("catalogue/lending.toml", &format!("{}{rest}", &text[..at]));
        },
        classes: &[Reclassified],
        blames: &["item lending.public_record.unpaid_judgments_count changed "],
    },
    Edit {
        name: "an item has another id",
        apply: |city| {
            for folder in ["catalogue", "agencies"] {
                city.replace_everywhere(
                    folder,
                    "\"education.award.competition_awards_count\"",
                    "\"education.award.prizes_count\"",
                );
            }
        },
        classes: &[Reclassified],
        blames: &["item education.award.prizes_count changed "],
    },
    Edit {
        name: "an item moves to a category that fewer may read",
        apply: |city| {
            for folder in ["catalogue", "agencies"] {
                city.replace_everywhere(
                    folder,
                    "\"lending.history.clean_months\"",
                    "\"lending.card.clean_months\"",
                );
            }
        },
        classes: &[Reclassified, Closed],
        blames: &["item lending.card.clean_months changed "],
    },
    Edit {
        name: "another rule of survivorship",
        apply: |city| {
            city.replace(
                "catalogue/employment.toml",
                "survivorship = \"freshest\"",
                "survivorship = \"authoritative\"",
            )
        },
        classes: &[Rerouted],
        blames: &["item employment.current.employed changed "],
    },
    Edit {
        name: "another owner goes first",
        apply: |city| {
            city.replace(
                "catalogue/education.toml",
                "owners = [\"education\", \"employment\"]\nsurvivorship = \"authoritative\"",
                "owners = [\"employment\", \"education\"]\nsurvivorship = \"authoritative\"",
            );
        },
        classes: &[Rerouted],
        blames: &["item education.attainment.highest_level changed "],
    },
    Edit {
        name: "an item is no longer mapped",
        apply: |city| unmap(city, "lending.history.clean_months", "lending"),
        classes: &[Closed],
        blames: &["mapping lending.history.clean_months removed lending"],
    },
    Edit {
        name: "an agency is no longer asked",
        apply: |city| {
            let text = city.read("gateway.toml");
            let at = text.find("[[agency]]\nid = \"traffic\"").unwrap();
            let to = at + text[at..].find("[[agency]]\nid = \"volunteering\"").unwrap();
            city.write("gateway.toml", &format!("{}{}", &text[..at], &text[to..]));
        },
        classes: &[Closed],
        blames: &["route traffic removed gateway"],
    },
    Edit {
        name: "another identity of an agency",
        apply: |city| {
            let (old, new) = ("agency/traffic\"\nendpoint", "agency/traffic-2\"\nendpoint");
            city.replace("gateway.toml", old, new);
        },
        classes: &[Rerouted],
        blames: &["route traffic changed gateway"],
    },
    Edit {
        name: "another endpoint of an agency",
        apply: |city| city.replace("gateway.toml", "127.0.0.1:7106", "elsewhere.example:7106"),
        classes: &[Rerouted],
        blames: &["route traffic changed gateway"],
    },
    Edit {
        name: "the kill switch",
        apply: |city| city.replace("agencies/traffic.toml", "enabled = true", "enabled = false"),
        classes: &[Closed],
        blames: &["kill switch traffic changed traffic"],
    },
    Edit {
        name: "an agency leaves the vocabulary",
        apply: |city| city.replace("policies/vocabulary.toml", "    \"volunteering\",\n", ""),
        classes: &[Closed],
        blames: &[
            "vocabulary volunteering removed gateway",
            "vocabulary volunteering removed volunteering",
        ],
    },
    Edit {
        name: "a new consumer with rules",
        apply: |city| {
            let desk = "spiffe://bank.city.example/consumer/card-desk";
            city.replace(
                "policies/vocabulary.toml",
                "consumers = [",
                &format!("consumers = [\n    \"{desk}\","),
            );
            let rule = permit(
                "card-desk",
                desk,
                "resource in Category::\"lending.card\"",
                "credit_profile",
            );
            city.append(GATEWAY, &rule);
            city.append("policies/agencies/lending.cedar", &rule);
        },
        classes: &[Opened],
        blames: &[
            "rule card-desk added gateway",
            "rule card-desk added lending",
            "vocabulary spiffe://bank.city.example/consumer/card-desk added gateway",
            "vocabulary spiffe://bank.city.example/consumer/card-desk added lending",
        ],
    },
    Edit {
        name: "grants may live longer",
        apply: |city| {
            city.replace("gateway.toml", "max_lifetime = \"90days\"", "max_lifetime = \"120days\"")
        },
        classes: &[Widened],
        blames: &["grants small_business_loan changed gateway"],
    },
    Edit {
        name: "grants may be used less often",
        apply: |city| {
            city.replace(
                "agencies/lending.toml",
                "max_frequency = { count = 10, per = \"day\" }",
                "max_frequency = { count = 2, per = \"day\" }",
            )
        },
        classes: &[Narrowed],
        blames: &["grants small_business_loan changed lending"],
    },
    Edit {
        name: "a purpose's ceiling has fewer items",
        apply: |city| {
            city.replace("gateway.toml", "max_frequency = { count = 10, per = \"day\" }\nitems = [\"*\"]", "max_frequency = { count = 10, per = \"day\" }\nitems = [\"enterprise.*\", \"tax.*\"]")
        },
        classes: &[Narrowed],
        blames: &["grants small_business_loan changed gateway"],
    },
    Edit {
        name: "an issuer's basis that gateway and agency believe",
        apply: |city| {
            for file in ["gateway.toml", "agencies/lending.toml"] {
                city.replace(
                    file,
                    "[\"consent\", \"written_consent\"]",
                    "[\"consent\", \"written_consent\", \"statute\"]",
                );
            }
        },
        classes: &[Widened],
        blames: &[
            "grants spiffe://consent.city.example/issuer/consent-service changed gateway",
            "grants spiffe://consent.city.example/issuer/consent-service changed lending",
        ],
    },
];

fn classes(changes: &[Change]) -> BTreeSet<Class> {
    changes.iter().map(|change| change.class).collect()
}

fn blames(changes: &[Change]) -> BTreeSet<String> {
    let blames = changes.iter().flat_map(|change| &change.blames);
    blames
        .map(|blame| {
            let (kind, edit) = (blame.kind.as_str(), blame.edit.as_str());
            format!("{kind} {} {edit} {}", blame.name, blame.house)
        })
        .collect()
}

/// The line that is blamed is about what is blamed.
fn points_there(changes: &[Change], old: &City, new: &City) {
    for blame in changes.iter().flat_map(|change| &change.blames) {
        let place = blame.place.as_ref().unwrap_or_else(|| panic!("no place: {blame}"));
        let removed = blame.edit == tributary::domain::flows::change::Edit::Removed;
        let text = if removed { old } else { new }.read(&place.file);
        let near: Vec<&str> = text.lines().skip(place.line - 1).take(2).collect();
        let wanted = match blame.kind {
            Kind::Rule => format!("@id(\"{}\")", blame.name),
            Kind::Switch => "enabled".to_owned(),
            _ => format!("\"{}\"", blame.name),
        };
        assert!(near.iter().any(|line| line.contains(&wanted)), "{blame}: {near:?}");
    }
}

#[test]
fn every_edit_has_its_class_and_its_blame() {
    assert!(EDITS.len() >= 25);
    let old = City::new();
    let before = old.load();
    let mut wrong = Vec::new();
    for edit in EDITS {
        let new = City::new();
        (edit.apply)(&new);
        let after = new.load();
        let changes = diff(&before, &after);
        let (classes, blames) = (classes(&changes), blames(&changes));
        let expected: BTreeSet<Class> = edit.classes.iter().copied().collect();
        let blamed: BTreeSet<String> = edit.blames.iter().map(ToString::to_string).collect();
        if classes != expected || blames != blamed {
            wrong.push(format!("{}: {classes:?} by {blames:?}", edit.name));
        } else {
            points_there(&changes, &old, &new);
        }
        let back = diff(&after, &before);
        assert_eq!(mirrored(&changes), mirrored_back(&back), "{} undone", edit.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Opened and closed items are the same in both directions.
fn mirrored(changes: &[Change]) -> BTreeSet<(Class, String, u16)> {
    spread(changes, |class| class)
}

fn mirrored_back(changes: &[Change]) -> BTreeSet<(Class, String, u16)> {
    spread(changes, |class| match class {
        Opened => Closed,
        Closed => Opened,
        Widened => Narrowed,
        Narrowed => Widened,
        class => class,
    })
}

fn spread(changes: &[Change], turn: fn(Class) -> Class) -> BTreeSet<(Class, String, u16)> {
    let mut all = BTreeSet::new();
    // A moved item is rerouted to where it is now, and a reclassified one has the
    // bases that it has now: those two are not mirrored in full.
    for change in changes.iter().filter(|change| !matches!(change.class, Rerouted | Reclassified)) {
        let agency = &change.agency;
        let flow = format!("{agency} {} {} {:?}", change.consumer, change.purpose, change.bases);
        all.extend(change.items.iter().map(|item| (turn(change.class), flow.clone(), item.get())));
    }
    all
}

#[test]
fn a_new_item_names_the_rules_that_were_open_already() {
    let new = City::new();
    new.append("catalogue/lending.toml", NEW_ITEM);
    map_new_item(&new, "lending.card.annual_fee_waived", "lending");
    let changes = diff(&City::new().load(), &new.load());
    let scoring = changes.iter().find(|change| change.consumer.as_str() == SCORING).unwrap();
    assert_eq!(
        scoring.through,
        ["gateway:scoring-credit-profile", "lending:lending-credit-profile"]
    );
}

#[test]
fn nothing_differs_from_itself() {
    let federation: Federation = City::new().load();
    assert_eq!(diff(&federation, &federation), []);
}
