//! The page: escaped, deterministic, bounded, and opened in a browser.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{City, review};

fn page(city: &City, more: &[&str]) -> String {
    let file = city.path().join("review.html");
    let mut arguments = vec![
        "page",
        city.path().to_str().unwrap(),
        "-o",
        file.to_str().unwrap(),
        "--as-of",
        "2026-11-24",
    ];
    arguments.extend(more);
    let output = review(&arguments);
    assert!(output.status.success(), "{output:?}");
    std::fs::read_to_string(file).unwrap()
}

const HOSTILE: &str =
    "<script>alert(1)</script><img src=x onerror=alert(2)>\\\" onmouseover=\\\"alert(3)";

/// A name that would be markup, wherever a name can stand.
fn make_hostile(city: &City) {
    city.replace(
        "catalogue/lending.toml",
        "en = \"Months without a late payment\"",
        &format!("en = \"{HOSTILE}\""),
    );
    city.replace(
        "agencies/lending.toml",
        "title = { en = \"",
        &format!("title = {{ en = \"{HOSTILE}"),
    );
    city.replace("policies/gateway.cedar", "resource in Category::\"lending.history\" ||\n", "");
    city.write("flows.lock", &format!(
        "[[accepted]]\nclass = \"closed\"\nconsumer = \"spiffe://scoring.city.example/consumer/scoring-service\"\n\
         purpose = \"rental_deposit_waiver\"\nagency = \"lending\"\nbases = [\"consent\", \"written_consent\"]\n\
         items = [\"lending.history.clean_months\"]\nwho = \"{HOSTILE}\"\nwhy = \"{HOSTILE}\"\nuntil = \"2999-01-01\"\n"
    ));
}

#[test]
fn a_hostile_catalogue_is_text_and_never_markup() {
    let (old, city) = (City::new(), City::new());
    make_hostile(&city);
    let lock = city.path().join("flows.lock");
    let page =
        page(&city, &["--against", old.path().to_str().unwrap(), "--lock", lock.to_str().unwrap()]);
    assert!(page.contains("&lt;script&gt;alert(1)"), "the name is shown");
    let lower = page.to_ascii_lowercase();
    for markup in ["<script", "<img", "javascript:", "<iframe", "<a href=\"http"] {
        assert!(!lower.contains(markup), "{markup}");
    }
    // No attribute of the name's own: each `onmouseover` stands behind an escaped quote.
    let plain = page.matches("onmouseover").count();
    assert_eq!(plain, page.matches("&quot; onmouseover=&quot;").count());
    assert!(plain > 0);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let city = City::new();
    assert_eq!(page(&city, &[]), page(&city, &[]));
}

/// Nine purposes more, for which everybody's grants may be.
fn add_purposes(city: &City) {
    const LAST: &str = "\"small_business_loan\"]";
    let more: Vec<String> = (4..=12).map(|at| format!("made_up_purpose_{at}")).collect();
    let listed =
        format!("\"small_business_loan\", {}]", format!("{more:?}").trim_matches(['[', ']']));
    city.replace("policies/vocabulary.toml", LAST, &listed);
    let entries: String = more
        .iter()
        .map(|code| {
            format!(
                "[[grants.purpose]]\ncode = \"{code}\"\nmax_lifetime = \"30days\"\n\
                 max_frequency = {{ count = 3, per = \"day\" }}\nitems = [\"*\"]\n\n"
            )
        })
        .collect();
    let mut files = vec!["gateway.toml".to_owned()];
    for entry in std::fs::read_dir(city.path().join("agencies")).unwrap() {
        files.push(format!("agencies/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    for file in files {
        city.replace(&file, LAST, &listed);
        city.replace(&file, "[[grants.purpose]]", &format!("{entries}[[grants.purpose]]"));
    }
}

/// The city with 12 agencies, 20 consumers and 12 purposes over the same 493 items.
fn large() -> City {
    let city = City::new();
    add_purposes(&city);
    let mut names = String::new();
    let mut rules = String::new();
    for at in 0..18 {
        let id = format!("spiffe://bank.city.example/consumer/a-rather-long-name-of-desk-{at}");
        write!(names, "\"{id}\",\n    ").unwrap();
        write!(
            rules,
            "\n@id(\"large-{at}\")\npermit (principal == Consumer::\"{id}\", action == Action::\"read\", \
             resource)\nwhen {{ context.basis != Basis::\"statute\" }};\n"
        )
        .unwrap();
    }
    city.replace("policies/vocabulary.toml", "consumers = [", &format!("consumers = [{names}"));
    city.append("policies/gateway.cedar", &rules);
    for at in 0..5 {
        let (from, to) = (&format!("more_{at}"), at + 8);
        // A second owner of what education holds.
        city.append("gateway.toml", &format!(
            "[[agency]]\nid = \"{from}\"\nidentity = \"spiffe://more{at}.city.example/agency/more\"\nendpoint = \"127.0.0.1:71{to:02}\"\n"
        ));
    }
    let text = city.read("catalogue/education.toml");
    let mut more = 0;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            if line == "owners = [\"education\"]" && more < 60 {
                more += 1;
                format!(
                    "owners = [\"education\", \"more_{}\"]\nsurvivorship = \"authoritative\"",
                    more % 5
                )
            } else {
                line.to_owned()
            }
        })
        .collect();
    city.write("catalogue/education.toml", &lines.join("\n"));
    city.replace(
        "policies/vocabulary.toml",
        "agencies = [",
        "agencies = [\n    \"more_0\", \"more_1\", \"more_2\", \"more_3\", \"more_4\",",
    );
    for agency in [
        "education",
        "employment",
        "enterprise",
        "lending",
        "social_security",
        "traffic",
        "volunteering",
    ] {
        city.append(&format!("policies/agencies/{agency}.cedar"), &rules);
    }
    city
}

#[test]
fn a_large_federation_stays_under_a_megabyte_and_renders() {
    let (old, city) = (large(), large());
    // For everybody and every purpose something opens and something closes.
    city.replace_everywhere(
        "policies/agencies",
        "context.basis != Basis::\"statute\" };",
        "context.basis == Basis::\"written_consent\" };",
    );
    let federation = city.load();
    assert_eq!(federation.catalogue.items().len(), 493);
    assert_eq!(federation.agencies.len(), 12);
    assert_eq!(federation.gateway.engine.vocabulary().consumers.len(), 20);
    assert_eq!(federation.gateway.engine.vocabulary().purposes.len(), 12);
    let began = tributary::clock::now();
    let page = page(&city, &["--against", old.path().to_str().unwrap()]);
    println!("{} bytes after {:?}", page.len(), began.elapsed());
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    renders(&city.path().join("review.html"), 1280, 900);
}

#[test]
fn it_renders_on_a_desktop_and_on_a_phone() {
    let (old, city) = (City::new(), City::new());
    make_hostile(&city);
    page(&city, &["--against", old.path().to_str().unwrap()]);
    for (width, height) in [(1280, 900), (390, 844)] {
        renders(&city.path().join("review.html"), width, height);
    }
}

/// What keeps people from reading the page, as axe-core finds it, by day and by night.
#[test]
fn nothing_of_moderate_weight_keeps_anybody_from_reading_it() {
    let Some(axe) = std::env::var_os("TRIBUTARY_AXE") else {
        eprintln!("SKIP: set TRIBUTARY_AXE to axe-core's `axe.min.js`");
        return;
    };
    let axe = std::fs::read_to_string(axe).unwrap();
    let (old, city) = (City::new(), City::new());
    make_hostile(&city);
    city.replace("gateway.toml", "max_lifetime = \"30days\"", "max_lifetime = \"60days\"");
    let page = page(&city, &["--against", old.path().to_str().unwrap()]);
    // Its own policy lets no script run, this one neither.
    let (before, policy) = page.split_once("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let (_, after) = policy.split_once('>').unwrap();
    let look = "axe.run(document).then(({ violations }) => { \
                const found = document.createElement('pre'); \
                const light = ['minor', null]; \
                const heavy = violations.filter(({ impact }) => !light.includes(impact)); \
                const said = heavy.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]); \
                found.textContent = 'found: ' + JSON.stringify(said) + ' end'; \
                document.body.replaceChildren(found); })";
    let file = city.path().join("looked-at.html");
    let looked = format!("{before}{after}<script>{axe}</script><script>{look}</script>");
    std::fs::write(&file, looked).unwrap();
    // 0 is dark, 1 is light.
    for scheme in [0, 1] {
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let time = "--virtual-time-budget=60000".to_owned();
        let output = open(&file, (1280, 900), &[scheme.clone(), time, "--dump-dom".to_owned()]);
        let dom = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = dom.split_once("found: ").and_then(|(_, rest)| rest.split_once(" end"));
        let (found, _) = found.unwrap_or_else(|| panic!("axe-core said nothing: {dom:.2000}"));
        assert_eq!(found, "[]", "{scheme}");
    }
}

/// Opens a file in headless Chromium.
fn open(file: &Path, (width, height): (u32, u32), more: &[String]) -> Output {
    let there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let browser = names.into_iter().find(there);
    let browser = browser.expect("chromium is not installed: scripts/test installs it");
    let profile = tempfile::tempdir().unwrap();
    Command::new("timeout")
        .arg("120")
        .arg(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--log-level=0",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},{height}"))
        .args(more)
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap()
}

/// A page in headless Chromium: it must draw something and complain of nothing.
fn renders(file: &Path, width: u32, height: u32) {
    let folder = tempfile::tempdir().unwrap();
    let shot = folder.path().join("shot.png");
    let size = (width, height);
    let output = open(file, size, &[format!("--screenshot={}", shot.display())]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
    let bytes = std::fs::read(&shot).unwrap();
    assert!(bytes.len() > 10_000, "a picture of {} bytes", bytes.len());
    // What stands in the document after parsing: everything up to the footer, and no
    // element that a name made.
    let output = open(file, size, &["--dump-dom".to_owned()]);
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(dom.contains("What this rests on") && dom.contains("</footer>"), "{}", dom.len());
    assert!(!dom.contains("<script") && !dom.contains("<img"));
}
