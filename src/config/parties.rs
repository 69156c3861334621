//! Party files: what `include` names, one small file for each organisation that the
//! process deals with, in the very tables that the main file has.
//!
//! They become part of the configuration before anything of it is judged, so that what
//! holds of the main file holds of them: a misspelt key is an error with its line, and a
//! review sees each of them. What is not about a party (listening, limits, the own log,
//! policy, purposes) stands in the main file alone. Each file's paths are relative to
//! itself.

use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::faults::{Faults, child, element};
use super::file::{FileError, read_text};
use super::{reload, shape};
use crate::domain::lines::line_at;
use crate::files;

/// Most patterns of one `include`.
pub const MAX_PATTERNS: usize = 16;

/// Most party files of one configuration.
pub const MAX_PARTIES: usize = 256;

/// A list of tables that a party file may have.
#[derive(Debug)]
pub struct List {
    /// Its key.
    pub key: &'static str,
    /// By which key its entries are told apart.
    pub by: &'static str,
    /// The paths of files in an entry.
    pub paths: &'static [&'static str],
}

const TRUST: List = List { key: "link.trust", by: "domain", paths: &["anchors", "crl"] };
const PEER: List = List { key: "audit.peer", by: "identity", paths: &["logs"] };
const CONSUMER: List = List { key: "consumer", by: "id", paths: &[] };
const ISSUER: List = List {
    key: "grants.issuer",
    by: "id",
    paths: &["keys.file", "status_keys.file", "status_anchors"],
};

/// What a gateway's party files may say.
pub const OF_GATEWAY: &[List] = &[
    TRUST,
    PEER,
    CONSUMER,
    ISSUER,
    List { key: "agency", by: "id", paths: &[] },
    List { key: "review.reviewer", by: "id", paths: &[] },
];

/// What an agency's party files may say.
pub const OF_AGENCY: &[List] = &[TRUST, PEER, CONSUMER, ISSUER];

/// What an issuer's party files may say.
pub const OF_ISSUER: &[List] = &[List { key: "sealing", by: "agency", paths: &["file"] }];

/// One party file, or why there is none of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Where it is.
    pub path: PathBuf,
    /// What it says; why it cannot be read.
    pub text: Result<String, String>,
}

/// A configuration as it is written: its main file, and the party files that it includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The main file.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
    /// The party files, in order of `include` and of their names.
    pub parties: Vec<Party>,
    /// Folders that cannot be listed, and why: by the pattern's place in `include`.
    unlisted: Vec<(usize, String)>,
}

impl Written {
    /// Reads all of it.
    ///
    /// # Errors
    /// The main file cannot be read. What cannot be read of the others is a fault of the
    /// configuration.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = read_text(path)?;
        Ok(Self::with(path, text))
    }

    /// Reads the party files that a main file with this text includes.
    pub fn with(path: &Path, text: String) -> Self {
        let mut written =
            Self { path: path.to_owned(), text, parties: Vec::new(), unlisted: Vec::new() };
        for (at, pattern) in patterns(&written.text).iter().enumerate().take(MAX_PATTERNS) {
            let Ok(folder) = folder_of(pattern) else { continue };
            match reload::files(&written.folder().join(folder), "toml") {
                Ok(found) => written.parties.extend(found.into_iter().map(party)),
                Err(error) => written.unlisted.push((at, files::why(&error))),
            }
            // One more tells that there are too many.
            written.parties.truncate(MAX_PARTIES + 1);
        }
        written
    }

    /// The folder from which the configuration's paths start.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// What is to be watched: the main file, and the folders of the others.
    pub fn watched(&self) -> Vec<PathBuf> {
        let folders = patterns(&self.text).into_iter().take(MAX_PATTERNS);
        let folders =
            folders.filter_map(|pattern| Some(self.folder().join(folder_of(&pattern).ok()?)));
        std::iter::once(self.path.clone()).chain(folders).collect()
    }

    /// The folders that it includes and that cannot be listed, and why.
    pub fn unlisted(&self) -> impl Iterator<Item = (PathBuf, String)> {
        let patterns = patterns(&self.text);
        self.unlisted.iter().filter_map(move |(at, why)| {
            let folder = folder_of(patterns.get(*at)?).ok()?;
            Some((self.folder().join(folder), why.clone()))
        })
    }

    /// The same, with one more party file, or another one in the place of its name.
    #[must_use]
    pub fn with_party(&self, party: &Party) -> Self {
        let mut with = self.clone();
        with.parties.retain(|known| known.path != party.path);
        with.parties.push(party.clone());
        with.as_listed()
    }

    /// The same, as if every folder had been listed: with the party files in their order.
    #[must_use]
    pub fn as_listed(mut self) -> Self {
        let folders = self.watched();
        let place = |party: &Party| {
            let parent = party.path.parent();
            (folders.iter().position(|folder| Some(folder.as_path()) == parent), party.path.clone())
        };
        self.parties.sort_by_cached_key(place);
        self.unlisted.clear();
        self
    }

    /// Reads it into its shape; `lists` are what party files may have. What was read with
    /// faults has stand-ins in it: judge it further, never use it.
    pub(crate) fn judge<T: DeserializeOwned>(&self, lists: &[List]) -> (Option<T>, Faults) {
        let mut faults = Faults::new(&self.path);
        let mut table = shape::parse(&self.text, &mut faults);
        self.judge_include(&mut faults);
        for party in self.parties.iter().take(MAX_PARTIES) {
            match &party.text {
                Ok(text) => {
                    let merging = Merging { written: self, file: (&party.path, text), lists };
                    merging.merge(table.get_mut(), &mut faults);
                }
                Err(why) => {
                    let message = format!("cannot be read: {why}: mend the file, or take it away");
                    faults.add_elsewhere(&party.path, 1, message);
                }
            }
        }
        (shape::fit(table, &mut faults), faults)
    }

    fn judge_include(&self, faults: &mut Faults) {
        let patterns = patterns(&self.text);
        if patterns.len() > MAX_PATTERNS {
            let message =
                format!("must have at most {MAX_PATTERNS} patterns, not {}", patterns.len());
            faults.add("include", message);
        }
        if self.parties.len() > MAX_PARTIES {
            let message = format!("names more than {MAX_PARTIES} files: take some of them away");
            faults.add("include", message);
        }
        let key = |at| match patterns.len() {
            1 => "include".to_owned(),
            _ => element("include", at),
        };
        for (at, pattern) in patterns.iter().enumerate() {
            if let Err(message) = folder_of(pattern) {
                faults.add(&key(at), message);
            } else if patterns.iter().take(at).any(|other| other == pattern) {
                let shown = pattern.escape_debug();
                faults.add(&key(at), format!("lists `{shown}` twice: leave one of the two"));
            }
        }
        for (at, why) in &self.unlisted {
            let message =
                format!("names a folder that cannot be listed ({why}): make it, or take it out");
            faults.add(&key(*at), message);
        }
    }
}

fn party(path: PathBuf) -> Party {
    let read = files::read_text(&path, files::SMALL);
    Party { path, text: read.map_err(|error| files::why(&error)) }
}

/// What `include` says, as far as it says anything.
fn patterns(text: &str) -> Vec<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    let one = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    let include = table.get_ref().get("include");
    match include.map(|include| (include, include.get_ref())) {
        Some((_, DeValue::Array(patterns))) => patterns.iter().filter_map(one).collect(),
        Some((include, _)) => one(include).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The folder that a pattern names, below the main file's own: what a review of that
/// folder does not have must not be part of the configuration.
fn folder_of(pattern: &str) -> Result<&Path, String> {
    let folder = pattern.strip_suffix("/*.toml").map(Path::new);
    let below = |folder: &&Path| {
        folder.components().all(|part| matches!(part, Component::Normal(_)))
            && folder.components().next().is_some()
    };
    folder.filter(below).ok_or_else(|| {
        let shown = pattern.escape_debug();
        format!("must be FOLDER/*.toml, with the folder below this file's own, not `{shown}`")
    })
}

/// One party file on its way into the configuration.
struct Merging<'a> {
    written: &'a Written,
    file: (&'a Path, &'a str),
    lists: &'a [List],
}

impl<'a> Merging<'a> {
    fn merge(&self, root: &mut DeTable<'a>, faults: &mut Faults) {
        let (path, text) = self.file;
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let start = error.span().map_or(0, |span| span.start);
            faults.syntax_elsewhere(path, line_at(text, start), error.message());
        }
        if table.get_ref().is_empty() && errors.is_empty() {
            faults.add_elsewhere(path, 1, "names no party: write it, or take the file away");
        }
        self.section("", table.into_inner(), root, faults);
    }

    /// Takes what a table of the file has into the table of the same name.
    fn section(
        &self,
        around: &str,
        from: DeTable<'a>,
        into: &mut DeTable<'a>,
        faults: &mut Faults,
    ) {
        for (name, value) in from {
            let key = child(around, name.get_ref());
            let line = line_at(self.file.1, name.span().start);
            let list = self.lists.iter().find(|list| list.key == key);
            let below = format!("{key}.");
            let is_section = self.lists.iter().any(|list| list.key.starts_with(&below));
            let span = value.span();
            match (list, value.into_inner()) {
                (Some(list), DeValue::Array(entries)) => {
                    let there = into
                        .entry(name)
                        .or_insert_with(|| Spanned::new(span, DeValue::Array(DeArray::new())));
                    // A main file in which it is no list is told of that.
                    if let DeValue::Array(there) = there.get_mut() {
                        self.entries(list, entries, there, faults);
                    }
                }
                (None, DeValue::Table(section)) if is_section => {
                    let there = into
                        .entry(name)
                        .or_insert_with(|| Spanned::new(span, DeValue::Table(DeTable::new())));
                    if let DeValue::Table(there) = there.get_mut() {
                        self.section(&key, section, there, faults);
                    }
                }
                (Some(_), other) => {
                    let found = other.type_str();
                    let message = format!("`{key}` must be a list of tables, not a {found}");
                    faults.add_elsewhere(self.file.0, line, message);
                }
                (None, _) => {
                    let keys: Vec<_> =
                        self.lists.iter().map(|list| format!("`{}`", list.key)).collect();
                    let keys = keys.join(", ");
                    let message = format!(
                        "`{key}` is no key of a party file: use one of {keys}, or write it in {}",
                        self.written.path.display()
                    );
                    faults.add_elsewhere(self.file.0, line, message);
                }
            }
        }
    }

    fn entries(
        &self,
        list: &List,
        entries: DeArray<'a>,
        into: &mut DeArray<'a>,
        faults: &mut Faults,
    ) {
        for (nth, mut entry) in entries.into_iter().enumerate() {
            let key = element(list.key, into.len());
            let there = element(list.key, nth);
            faults.locate_elsewhere(self.file, [&key, &there], &entry);
            let name = name_of(&entry, list.by);
            let twin =
                into.iter().position(|other| name.is_some() && name_of(other, list.by) == name);
            if let (Some(twin), Some(name)) = (twin, name) {
                let other = faults.place(&element(list.key, twin));
                let message = format!(
                    "is refused: `{}` stands in {other} already: leave it in one of the two",
                    name.escape_debug()
                );
                faults.add(&child(&key, list.by), message);
            }
            for path in list.paths {
                self.rebase(&mut entry, path);
            }
            into.push(entry);
        }
    }

    /// Makes a path that is relative to the party file relative to the main file's folder.
    fn rebase(&self, value: &mut Spanned<DeValue<'a>>, path: &str) {
        match value.get_mut() {
            DeValue::Array(values) => {
                values.iter_mut().for_each(|value| self.rebase(value, path));
            }
            DeValue::Table(table) => {
                let (first, rest) = path.split_once('.').unwrap_or((path, ""));
                if let Some(value) = table.get_mut(first).filter(|_| !path.is_empty()) {
                    self.rebase(value, rest);
                }
            }
            DeValue::String(text) if path.is_empty() => {
                let folder = self.file.0.parent().unwrap_or(Path::new(""));
                let folder = folder.strip_prefix(self.written.folder()).unwrap_or(folder);
                *text = folder.join(&**text).to_string_lossy().into_owned().into();
            }
            _ => {}
        }
    }
}

fn name_of<'a>(entry: &'a Spanned<DeValue<'_>>, by: &str) -> Option<&'a str> {
    match entry.get_ref() {
        DeValue::Table(table) => match table.get(by)?.get_ref() {
            DeValue::String(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// One pattern, or a list of them.
///
/// # Errors
/// What is neither.
pub(crate) fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "one pattern or a list of them, each FOLDER/*.toml")]
    enum Include {
        One(String),
        More(Vec<String>),
    }
    Ok(match Include::deserialize(from)? {
        Include::One(pattern) => vec![pattern],
        Include::More(patterns) => patterns,
    })
}

#[cfg(test)]
mod tests {
    use super::super::gateway::GatewayConfig;
    use super::*;

    const MAIN: &str = "listen = \"[::1]:0\"\ncatalogue = \"c\"\ninclude = \"parties.d/*.toml\"\n\
        [grants]\n[policy]\nrules = \"r\"\nvocabulary = \"v\"\n\
        [audit]\nfolder = \"a\"\norigin = \"o\"\nkey = \"k\"\n\
        [link]\ncertificate = \"c\"\nkey = \"k\"\n\
        [[link.trust]]\ndomain = \"own.example\"\nroles = [\"consumer\"]\nanchors = \"own.pem\"\n";

    fn party(name: &str, port: u16) -> String {
        format!(
            "[[agency]]\nid = \"{name}\"\nidentity = \"spiffe://{name}.example/agency/{name}\"\n\
             endpoint = \"localhost:{port}\"\n\
             [[link.trust]]\ndomain = \"{name}.example\"\nroles = [\"agency\"]\nanchors = \"{name}.pem\"\n\
             [[audit.peer]]\nidentity = \"spiffe://{name}.example/agency/{name}\"\n\
             logs = [\"../logs/{name}.vkey\", \"/srv/{name}.vkey\"]\n"
        )
    }

    /// A main file with party files beside it.
    fn folder(main: &str, parties: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gateway.toml"), main).unwrap();
        std::fs::create_dir(folder.path().join("parties.d")).unwrap();
        for (name, text) in parties {
            std::fs::write(folder.path().join("parties.d").join(name), text).unwrap();
        }
        folder
    }

    fn judged(folder: &Path) -> (Option<GatewayConfig>, String) {
        let (config, faults) = GatewayConfig::judge(&folder.join("gateway.toml")).unwrap();
        let refused = faults.refuse().to_string();
        (config, refused.replace(&folder.display().to_string(), ""))
    }

    #[test]
    fn party_files_are_part_of_the_configuration_in_order_of_their_names() {
        let folder = folder(
            MAIN,
            &[
                ("b.toml", &party("bravo", 2)),
                ("a.toml", &party("alpha", 1)),
                (".hidden.toml", "no toml"),
                ("notes.txt", "none either"),
            ],
        );
        let (config, refused) = judged(folder.path());
        assert_eq!(refused, "");
        let config = config.unwrap();
        let ids: Vec<_> = config.agency.iter().map(|agency| agency.id.as_str()).collect();
        assert_eq!(ids, ["alpha", "bravo"]);
        let at = |name: &str| folder.path().join(name);
        let anchors: Vec<_> = config.link.trust.iter().map(|trust| &trust.anchors).collect();
        assert_eq!(
            anchors,
            [&at("own.pem"), &at("parties.d/alpha.pem"), &at("parties.d/bravo.pem")]
        );
        let logs = &config.audit.peer[0].logs;
        assert_eq!(*logs, [at("parties.d/../logs/alpha.vkey"), "/srv/alpha.vkey".into()]);
        assert_eq!(config.parties, [at("parties.d/a.toml"), at("parties.d/b.toml")]);
    }

    #[test]
    fn every_fault_is_told_with_the_file_the_line_and_the_key_of_that_file() {
        let other = party("alpha", 1).replace("endpoint", "endpont");
        let folder = folder(
            MAIN,
            &[
                ("a.toml", &party("alpha", 1)),
                ("b.toml", &other),
                ("c.toml", "listen = \"[::1]:1\"\ninclude = \"x/*.toml\"\n[link]\nkey = \"k\"\n"),
                ("d.toml", "agency = 3\n[[link.trust]\n"),
                ("e.toml", ""),
            ],
        );
        std::fs::create_dir(folder.path().join("parties.d/f.toml")).unwrap();
        std::fs::write(folder.path().join("parties.d/g.toml"), vec![b' '; 70_000]).unwrap();
        let (_, refused) = judged(folder.path());
        for told in [
            "/parties.d/b.toml:1: `agency[0].endpoints` is missing: add it",
            "/parties.d/b.toml:2: `agency[0].id` is refused: `alpha` stands in /parties.d/a.toml:1 \
             already: leave it in one of the two",
            "/parties.d/b.toml:4: `agency[0].endpont` is no key: did you mean `endpoint`?",
            "/parties.d/b.toml:6: `link.trust[0].domain` is refused: `alpha.example` stands in \
             /parties.d/a.toml:5 already",
            "/parties.d/b.toml:10: `audit.peer[0].identity` is refused: \
             `spiffe://alpha.example/agency/alpha` stands in /parties.d/a.toml:9 already",
            "/parties.d/c.toml:1: `listen` is no key of a party file: use one of `link.trust`",
            "/parties.d/c.toml:2: `include` is no key of a party file",
            "/parties.d/c.toml:4: `link.key` is no key of a party file",
            "/parties.d/d.toml:1: `agency` must be a list of tables, not a integer",
            "/parties.d/d.toml:2: ",
            "/parties.d/e.toml:1: names no party: write it, or take the file away",
            "/parties.d/f.toml:1: cannot be read: it is a folder and no regular file",
            "/parties.d/g.toml:1: cannot be read: it has 70000 bytes",
        ] {
            assert!(refused.contains(told), "{told}\n{refused}");
        }
    }

    #[test]
    fn an_include_names_folders_below_its_own_that_are_there() {
        for (include, told) in [
            ("\"/etc/*.toml\"", "`include` must be FOLDER/*.toml, with the folder below"),
            ("\"../x/*.toml\"", "`include` must be FOLDER/*.toml"),
            ("\"*.toml\"", "`include` must be FOLDER/*.toml"),
            ("\"parties.d/a.toml\"", "`include` must be FOLDER/*.toml"),
            (
                "[\"parties.d/*.toml\", \"none/*.toml\"]",
                "`include[1]` names a folder that cannot be",
            ),
            (
                "[\"parties.d/*.toml\", \"parties.d/*.toml\"]",
                "`include[1]` lists `parties.d/*.toml` twice",
            ),
            ("3", "`include` is refused: one pattern or a list of them, each FOLDER/*.toml"),
        ] {
            let main = MAIN.replace("\"parties.d/*.toml\"", include);
            let folder = folder(&main, &[]);
            let (_, refused) = judged(folder.path());
            assert!(refused.contains(&format!("/gateway.toml:3: {told}")), "{told}\n{refused}");
        }
    }

    #[test]
    fn there_are_so_many_party_files_at_most() {
        let parties: Vec<_> = (0..=MAX_PARTIES).map(|at| (format!("{at}.toml"), "x = 1")).collect();
        let parties: Vec<_> = parties.iter().map(|(name, text)| (&**name, *text)).collect();
        let folder = folder(MAIN, &parties);
        let (_, refused) = judged(folder.path());
        assert!(refused.contains("`include` names more than 256 files"), "{refused}");
    }

    #[test]
    fn a_party_names_the_issuers_that_may_open_it_or_open_to_it() {
        let issuer = "[[grants.issuer]]\nid = \"spiffe://i.example/issuer/i\"\nkeys = []\n\
            status_keys = []\nstatus_uris = []\nstatus_anchors = \"i.pem\"\nlegal_bases = []\n\
            purposes = []\nagencies = [\"bravo\"]\nconsumers = []\n";
        let named =
            "issuers = [\"spiffe://i.example/issuer/i\", \"spiffe://j.example/issuer/j\"]\n";
        let alpha = party("alpha", 1).replacen("[[link", &format!("{named}[[link"), 1);
        let consumer = format!("[[consumer]]\nid = \"spiffe://own.example/consumer/c\"\n{named}");
        let parties = [("a.toml", &*alpha), ("c.toml", &*consumer), ("i.toml", issuer)];
        let folder = folder(MAIN, &parties);
        let (config, faults) = GatewayConfig::judge(&folder.path().join("gateway.toml")).unwrap();
        let doubts: Vec<_> = faults.doubts().iter().map(ToString::to_string).collect();
        let config = faults.finish(config).unwrap();
        let issuer = &config.grants.issuer[0];
        let agencies: Vec<_> = issuer.agencies().map(|id| id.as_str()).collect();
        assert_eq!(agencies, ["bravo", "alpha"]);
        assert_eq!(issuer.consumers().count(), 1);
        // An issuer that was taken away opens nothing, and holds nobody up.
        assert_eq!(doubts.len(), 2, "{doubts:?}");
        assert!(
            doubts[0].contains("a.toml:5: `agency[0].issuers[1]` names `spiffe://j."),
            "{doubts:?}"
        );
    }
}
