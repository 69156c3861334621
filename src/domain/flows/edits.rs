//! Two federations held against one another, key by key: whatever their files say
//! otherwise, each key once, with the class that its row gives it and the line on which
//! it stands. Flows are [`super::diff`]'s business; [`combine`] tells once what both see.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Blame, Change, Class, Edit};
use super::digest::digest;
use super::federation::{Federation, House};
use super::keys::{FileKind, Row, ValueForm};
use super::places::{FilePlace, GATEWAY, Kind as What};
use super::settings::{self, Seen, Setting, Settings, Text};

/// One key that says something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edited {
    /// What it is.
    pub class: Class,
    /// Whose files say it.
    pub houses: Vec<String>,
    /// The key with the names around it; of a rule `rule[@id]`.
    pub key: String,
    /// How it was edited.
    pub edit: Edit,
    /// What it means, for people.
    pub says: String,
    /// What stood there, as far as it may be shown.
    pub from: Option<String>,
    /// What stands there.
    pub to: Option<String>,
    /// The names around it, innermost first.
    pub names: Vec<String>,
    /// Ids of the items that are concerned, where it is not all.
    pub items: Vec<String>,
    /// The line: in the new files, in the old ones where it was removed.
    pub place: Option<FilePlace>,
    /// The key without its names.
    pub pattern: String,
    /// SHA-256 of what stood and stands there in full, shown or not.
    pub digest: String,
}

/// Every key that says something else, gravest class first.
pub fn edits(old: &Federation, new: &Federation) -> Vec<Edited> {
    let mut found = Vec::new();
    for (before, after) in pairs(&old.files, &new.files) {
        files(before, after, old, new, &mut found);
    }
    rules(old, new, &mut found);
    merged(found)
}

/// Tells once what flows and keys both say: flows that changed by a key alone stand with
/// that key, and a key that flows are blamed on stands with the flows.
pub fn combine(changes: Vec<Change>, edits: Vec<Edited>) -> (Vec<Change>, Vec<Edited>) {
    let told_by_key = |change: &Change| {
        let mut blames = change.blames.iter();
        change.by_key && blames.any(|blame| edits.iter().any(|edit| edit.is_blamed(blame)))
    };
    let kept: Vec<Change> = changes.into_iter().filter(|change| !told_by_key(change)).collect();
    let blames: BTreeSet<&Blame> = kept.iter().flat_map(|change| &change.blames).collect();
    let told_by_flows =
        |edit: &Edited| edit.is_of_flows() && blames.iter().any(|blame| edit.is_blamed(blame));
    let edits: Vec<Edited> = edits.into_iter().filter(|edit| !told_by_flows(edit)).collect();
    (kept, edits)
}

impl Edited {
    /// Whether flows say all of it, where they are blamed on it.
    fn is_of_flows(&self) -> bool {
        let pattern = &*self.pattern;
        matches!(
            pattern,
            "rule" | "enabled" | "purposes" | "consumers" | "agencies" | "item[].owners"
        ) || (self.edit != Edit::Changed
            && matches!(pattern, "query[]" | "query[].items.*" | "agency[]" | "item[]"))
    }

    /// Whether a flow that is blamed on something is blamed on this.
    fn is_blamed(&self, blame: &Blame) -> bool {
        let house = blame.house.is_empty() || self.houses.contains(&blame.house);
        let name = |at: usize| self.names.get(at).is_some_and(|name| *name == blame.name);
        let last = self.names.last().is_some_and(|name| *name == blame.name);
        house
            && match blame.kind {
                What::Rule => self.pattern == "rule" && name(0),
                What::Item => {
                    self.pattern.starts_with("item[]") && self.items.contains(&blame.name)
                }
                What::Vocabulary => {
                    matches!(&*self.pattern, "purposes" | "consumers" | "agencies") && name(0)
                }
                What::Route => self.pattern.starts_with("agency[]") && last,
                What::Mapping => match &*self.pattern {
                    "query[]" => self.items.contains(&blame.name),
                    "query[].items.*" => name(0),
                    _ => false,
                },
                What::Switch => self.pattern == "enabled",
                What::Grants => self.pattern.starts_with("grants.") && last,
            }
    }

    fn sealed(mut self, kind: &str, old: &str, new: &str) -> Self {
        let (class, edit) = (self.class.as_str(), self.edit.as_str());
        self.digest = digest([kind, class, edit, &self.key, old, new]);
        self
    }
}

type Paired<'a> = (Option<Side<'a>>, Option<Side<'a>>);

/// A house's files of one kind: the catalogue is many files that are read as one.
type Side<'a> = Vec<&'a Text>;

/// Which file of the old side is which of the new: by house, then by name.
fn pairs<'a>(old: &'a [Text], new: &'a [Text]) -> Vec<Paired<'a>> {
    let group = |texts: &'a [Text]| {
        let mut groups: BTreeMap<(FileKind, &str), Side<'a>> = BTreeMap::new();
        for text in texts {
            groups.entry((text.kind, &*text.house)).or_default().push(text);
        }
        groups
    };
    let (mut before, mut after) = (group(old), group(new));
    let mut pairs = Vec::new();
    let both: Vec<_> = before.keys().filter(|key| after.contains_key(key)).copied().collect();
    for key in both {
        pairs.push((before.remove(&key), after.remove(&key)));
    }
    for (key, side) in before {
        let same = |other: &Side<'_>| {
            let of = |side: &Side<'_>| side.first().map(|text| (text.kind, text.file.clone()));
            let texts = |side: &Side<'_>| side.first().map(|text| (text.kind, text.text.clone()));
            of(other) == of(&side) || texts(other) == texts(&side)
        };
        let found = after.iter().find(|((kind, _), other)| *kind == key.0 && same(other));
        let found = found.map(|(key, _)| *key);
        pairs.push((Some(side), found.and_then(|key| after.remove(&key))));
    }
    pairs.extend(after.into_values().map(|side| (None, Some(side))));
    pairs
}

fn files(
    before: Option<Side<'_>>,
    after: Option<Side<'_>>,
    old: &Federation,
    new: &Federation,
    found: &mut Vec<Edited>,
) {
    let Some(first) = after.as_ref().or(before.as_ref()).and_then(|side| side.first()) else {
        return;
    };
    let (kind, house) = (first.kind, first.house.clone());
    let own = matches!(kind, FileKind::Agency | FileKind::Issuer | FileKind::Request);
    if own && before.is_some() != after.is_some() {
        let texts = after.as_ref().or(before.as_ref()).map_or(&[][..], Vec::as_slice);
        return found.push(whole(first, texts, after.is_some()));
    }
    // Vocabularies come and go with their houses.
    if kind == FileKind::Vocabulary && before.is_some() != after.is_some() {
        return;
    }
    let told = |side: &Option<Side<'_>>| -> Vec<_> {
        let texts = side.iter().flatten();
        texts.map(|text| (text.file.clone(), text.text.clone(), text.public.clone())).collect()
    };
    if told(&before) == told(&after) {
        return;
    }
    let read = |side: &Option<Side<'_>>| -> Settings {
        side.iter().flatten().flat_map(|text| settings::read(text)).collect()
    };
    let mut comparison = Comparison {
        kind,
        house,
        texts: [before.clone().unwrap_or_default(), after.clone().unwrap_or_default()],
        settings: [read(&before), read(&after)],
        federations: [old, new],
        found: Vec::new(),
    };
    comparison.rename_queries();
    comparison.compare();
    found.append(&mut comparison.found);
}

/// A file that was not there, or is not, with all that it includes.
fn whole(text: &Text, all: &[&Text], there: bool) -> Edited {
    let edit = if there { Edit::Added } else { Edit::Removed };
    let what = match text.kind {
        FileKind::Agency => format!("what {} decides itself", text.house),
        FileKind::Issuer => format!("the issuer {}", text.house),
        _ => format!("the request {}", text.file),
    };
    let says = match there {
        true => format!("{what} is part of the federation's files now"),
        false => format!("{what} is no longer part of the federation's files"),
    };
    let place = Some(FilePlace { file: text.file.clone(), line: 1 });
    let edited = Edited {
        class: Class::Trust,
        houses: vec![text.house.clone()],
        key: format!("file[{}]", text.file),
        edit,
        says,
        from: (!there).then(|| text.file.clone()),
        to: there.then(|| text.file.clone()),
        names: vec![text.house.clone()],
        items: Vec::new(),
        place,
        pattern: "file".to_owned(),
        digest: String::new(),
    };
    let all: String = all.iter().map(|text| &*text.text).collect();
    edited.sealed(text.kind.as_str(), "", &all)
}

struct Comparison<'a> {
    kind: FileKind,
    house: String,
    texts: [Side<'a>; 2],
    settings: [Settings; 2],
    federations: [&'a Federation; 2],
    found: Vec<Edited>,
}

impl Comparison<'_> {
    /// A query that is called otherwise and says the same is the same query.
    fn rename_queries(&mut self) {
        let [before, after] = &self.settings;
        let queries = |settings: &Settings| -> BTreeSet<String> {
            let of = settings.values().filter(|setting| setting.pattern == "query[]");
            of.filter_map(|setting| setting.names.first().cloned()).collect()
        };
        let body = |settings: &Settings, name: &str| -> Vec<(String, String)> {
            let start = format!("query[{name}].");
            let inner =
                settings.range(start.clone()..).take_while(|(key, _)| key.starts_with(&start));
            inner
                .filter(|(_, setting)| setting.pattern != "query[].name")
                .map(|(key, setting)| {
                    (key.get(start.len()..).unwrap_or_default().to_owned(), setting.value.clone())
                })
                .collect()
        };
        let (old, new) = (queries(before), queries(after));
        let mut renamed = Vec::new();
        for gone in old.difference(&new) {
            let was = body(before, gone);
            let same = new.difference(&old).find(|name| body(after, name) == was);
            renamed.extend(same.map(|name| (gone.clone(), name.clone())));
        }
        let [before, _] = &mut self.settings;
        for (gone, name) in renamed {
            let (from, to) = (format!("query[{gone}]"), format!("query[{name}]"));
            let moved: Vec<String> =
                before.keys().filter(|key| key.starts_with(&from)).cloned().collect();
            for key in moved {
                if let Some(mut setting) = before.remove(&key) {
                    for called in setting.names.iter_mut().filter(|called| **called == gone) {
                        called.clone_from(&name);
                    }
                    before.insert(key.replacen(&from, &to, 1), setting);
                }
            }
        }
    }

    fn compare(&mut self) {
        let [before, after] = self.settings.clone();
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut told: Option<String> = None;
        for key in keys {
            // What belongs to an entry that comes or goes is told with it.
            let inside = |entry: &String| {
                key.strip_prefix(entry.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
            };
            if told.as_ref().is_some_and(inside) {
                continue;
            }
            let (was, is) = (before.get(key), after.get(key));
            let Some(setting) = is.or(was) else { continue };
            let row = setting.row(self.kind);
            let form = row.map_or(ValueForm::Plain, |row| row.form);
            match (form, was, is) {
                (ValueForm::Followed, ..) | (ValueForm::Entry, Some(_), Some(_)) => {}
                (ValueForm::Entry, ..) => {
                    self.entry(key, setting, row, is.is_some());
                    told = Some(key.clone());
                }
                (ValueForm::Public, ..) => self.public(key, was, is, row),
                _ if self.kind == FileKind::Vocabulary => self.vocabulary(key, was, is),
                _ => self.leaf(key, was, is, row),
            }
        }
    }

    fn leaf(
        &mut self,
        key: &str,
        was: Option<&Setting>,
        is: Option<&Setting>,
        row: Option<&'static Row>,
    ) {
        let default = row.map(settings::default_of).unwrap_or_default();
        let value = |setting: Option<&Setting>| {
            setting.map_or_else(|| default.clone(), |setting| setting.value.clone())
        };
        let (old, new) = (value(was), value(is));
        if old == new {
            return;
        }
        let shown = |setting: Option<&Setting>| match setting {
            Some(setting) => Some(setting.shown.clone()).filter(|shown| !shown.is_empty()),
            None => Some(format!("{default} (unwritten)")).filter(|_| !default.is_empty()),
        };
        let Some(at) = is.or(was) else { return };
        let (mut from, mut to) = (shown(was), shown(is));
        if from == to {
            // Only what is not shown differs.
            from = from.map(|from| format!("{from} (another secret)"));
            to = to.map(|to| format!("{to} (another secret)"));
        }
        let edit = match (&from, &to) {
            (None, _) => Edit::Added,
            (_, None) => Edit::Removed,
            _ => Edit::Changed,
        };
        let class = self.class(at, row, &old, &new);
        self.push(Pushed { key, at, row, class, edit, from, to }, &old, &new);
    }

    /// A lower ceiling needs nobody's consent.
    fn class(&self, at: &Setting, row: Option<&'static Row>, old: &str, new: &str) -> Class {
        let class = row.map_or(Class::Trust, |row| row.class);
        let fewer = |old: &str, new: &str| {
            let set =
                |text: &str| -> BTreeSet<String> { text.split(", ").map(str::to_owned).collect() };
            !new.is_empty() && set(new).is_subset(&set(old))
        };
        let lower = match &*at.pattern {
            "grants.purpose[].max_lifetime" | "grants.max_age" | "limits.max_deadline" => {
                let spans = (settings::span_of(old), settings::span_of(new));
                matches!(spans, (Some(old), Some(new)) if new < old)
            }
            "grants.purpose[].max_frequency.count" => {
                matches!((old.parse::<u64>(), new.parse::<u64>()), (Ok(old), Ok(new)) if new < old)
            }
            "grants.purpose[].items" => fewer(old, new),
            _ => false,
        };
        if lower && self.kind != FileKind::Request { Class::Narrowed } else { class }
    }

    /// A list of names, each of which is an edit of its own.
    fn vocabulary(&mut self, key: &str, was: Option<&Setting>, is: Option<&Setting>) {
        let names = |setting: Option<&Setting>| -> BTreeSet<String> {
            let value = setting.map(|setting| setting.value.clone()).unwrap_or_default();
            value.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let (old, new) = (names(was), names(is));
        let Some(at) = is.or(was) else { return };
        // Without this list every agency of the catalogue may be named.
        if key == "agencies" && (old.is_empty() || new.is_empty()) {
            return self.leaf(key, was, is, at.row(self.kind));
        }
        for name in old.symmetric_difference(&new) {
            let there = new.contains(name);
            let edit = if there { Edit::Added } else { Edit::Removed };
            let side = usize::from(there);
            let line = self.line_of(side, name).unwrap_or(at.line);
            let mut at = Setting { names: vec![name.clone()], line, ..at.clone() };
            if let (false, Some(was)) = (there, was) {
                at.file.clone_from(&was.file);
            }
            let row = at.row(self.kind);
            let class = row.map_or(Class::Trust, |row| row.class);
            let (from, to) = ((!there).then(|| name.clone()), there.then(|| name.clone()));
            let (was, is) = if there { ("", &**name) } else { (&**name, "") };
            let key = format!("{key}[{name}]");
            self.push(Pushed { key: &key, at: &at, row, class, edit, from, to }, was, is);
        }
    }

    fn line_of(&self, side: usize, name: &str) -> Option<usize> {
        let wanted = format!("\"{name}\"");
        let text = self.texts.get(side)?.first()?;
        let line = |line: &&str| !line.trim_start().starts_with('#') && line.contains(&wanted);
        let at = text.text.lines().position(|text| line(&text))?;
        Some(at + 1)
    }

    /// A file that is named: another one, or another content.
    fn public(
        &mut self,
        key: &str,
        was: Option<&Setting>,
        is: Option<&Setting>,
        row: Option<&'static Row>,
    ) {
        let sides = [was, is].into_iter().enumerate().map(|(side, setting)| {
            setting.map(|setting| {
                let files = setting.value.lines().map(|path| self.seen(side, setting, path));
                files.collect::<Vec<(String, Option<Seen>)>>()
            })
        });
        let [old, new] = match sides.collect::<Vec<_>>().try_into() {
            Ok(sides) => sides,
            Err(_) => return,
        };
        let content = |side: &Option<Vec<(String, Option<Seen>)>>| -> Option<BTreeSet<String>> {
            let digest = |(_, seen): &(String, Option<Seen>)| match seen {
                Some(Seen::Digest(digest)) => Some(digest.clone()),
                _ => None,
            };
            side.as_ref().map_or(Some(BTreeSet::new()), |files| files.iter().map(digest).collect())
        };
        let same = match (content(&old), content(&new)) {
            (Some(old), Some(new)) => old == new,
            // Not all of it is at hand: what is written counts, and what is seen of it.
            _ => old == new,
        };
        if same {
            return;
        }
        let shown = |side: &Option<Vec<(String, Option<Seen>)>>| {
            side.as_ref().map(|files| {
                let one = |(path, seen): &(String, Option<Seen>)| match seen {
                    Some(Seen::Digest(digest)) => {
                        format!("{path} (SHA-256 {}…)", digest.get(..16).unwrap_or_default())
                    }
                    Some(Seen::Absent) => format!("{path} (not at hand)"),
                    _ => format!("{path} (not seen)"),
                };
                files.iter().map(one).collect::<Vec<_>>().join(", ")
            })
        };
        let (from, to) = (shown(&old), shown(&new));
        let Some(at) = is.or(was) else { return };
        let edit = match (&from, &to) {
            (None, _) => Edit::Added,
            (_, None) => Edit::Removed,
            _ => Edit::Changed,
        };
        let class = row.map_or(Class::Trust, |row| row.class);
        let full = |side: &Option<Vec<(String, Option<Seen>)>>| format!("{side:?}");
        let (was, is) = (full(&old), full(&new));
        self.push(Pushed { key, at, row, class, edit, from, to }, &was, &is);
    }

    fn seen(&self, side: usize, setting: &Setting, path: &str) -> (String, Option<Seen>) {
        let texts = self.texts.get(side);
        let text = texts.and_then(|texts| texts.iter().find(|text| text.file == setting.file));
        (path.to_owned(), text.and_then(|text| text.public.get(path).cloned()))
    }

    /// A table of a list, or of names, that is new or gone.
    fn entry(&mut self, key: &str, at: &Setting, row: Option<&'static Row>, there: bool) {
        let [before, after] = &self.settings;
        let settings = if there { after } else { before };
        let inner: Vec<(String, String, String)> = settings
            .iter()
            .filter(|(inner, setting)| {
                let rest = inner.strip_prefix(key);
                rest.is_some_and(|rest| rest.starts_with(['.', '['])) && !setting.shown.is_empty()
            })
            .map(|(inner, setting)| {
                let rest = inner.get(key.len()..).unwrap_or_default();
                let rest = rest.strip_prefix('.').unwrap_or(rest);
                (rest.to_owned(), setting.shown.clone(), setting.value.clone())
            })
            .collect();
        let shown = inner.iter().map(|(key, shown, _)| format!("{key} = {shown}"));
        let shown = shown.collect::<Vec<_>>().join("; ");
        let mut full = String::new();
        for (key, _, value) in &inner {
            full.push_str(&format!("{key}={value}\n"));
        }
        let shown =
            if shown.is_empty() { at.names.first().cloned().unwrap_or_default() } else { shown };
        let edit = if there { Edit::Added } else { Edit::Removed };
        let class = row.map_or(Class::Trust, |row| row.class);
        let (from, to) = if there { (None, Some(shown)) } else { (Some(shown), None) };
        let (old, new) = if there { ("", &*full) } else { (&*full, "") };
        self.push(Pushed { key, at, row, class, edit, from, to }, old, new);
    }

    fn push(&mut self, pushed: Pushed<'_>, old: &str, new: &str) {
        let Pushed { key, at, row, class, edit, from, to } = pushed;
        let items = self.items(at);
        let mut names = at.names.clone();
        if self.kind == FileKind::Catalogue && at.pattern.starts_with("item[]") {
            // An item's permanent number says nothing to people.
            if let (Some(last), Some(id)) = (names.last_mut(), items.first()) {
                last.clone_from(id);
            }
        }
        let side = edit != Edit::Removed;
        let told = words::Worded {
            row,
            pattern: &at.pattern,
            key,
            house: &self.house,
            names: &names,
            edit,
            from: from.as_deref(),
            to: to.as_deref(),
        };
        let says = told.words();
        let line = self.settings.get(usize::from(side)).and_then(|settings| settings.get(key));
        let (file, line) =
            line.map_or_else(|| (at.file.clone(), at.line), |at| (at.file.clone(), at.line));
        let (file, line) = if self.kind == FileKind::Vocabulary {
            (at.file.clone(), at.line)
        } else {
            (file, line)
        };
        let edited = Edited {
            class,
            houses: vec![self.house.clone()],
            key: key.to_owned(),
            edit,
            says,
            from,
            to,
            names,
            items,
            place: Some(FilePlace { file, line }),
            pattern: at.pattern.clone(),
            digest: String::new(),
        };
        self.found.push(edited.sealed(self.kind.as_str(), old, new));
    }

    /// The items that a key is about.
    fn items(&self, at: &Setting) -> Vec<String> {
        if self.kind == FileKind::Catalogue && at.pattern.starts_with("item[]") {
            let number = at.names.last().and_then(|name| name.parse::<u32>().ok());
            let number = number.and_then(crate::domain::item::ItemNumber::new);
            let id = number.and_then(|number| {
                let sides = self.federations.iter().rev();
                sides
                    .filter_map(|side| side.catalogue.item(number))
                    .map(|item| item.id.to_string())
                    .next()
            });
            return id.into_iter().collect();
        }
        if !at.pattern.starts_with("query[]") {
            return Vec::new();
        }
        if at.pattern.starts_with("query[].items.*") {
            let name = at.names.iter().rev().nth(1);
            return name.into_iter().cloned().collect();
        }
        let Some(query) = at.names.last() else { return Vec::new() };
        let start = format!("query[{query}].items[");
        let mut items = BTreeSet::new();
        for settings in &self.settings {
            let of = settings.iter().filter(|(key, setting)| {
                key.starts_with(&start) && setting.pattern == "query[].items.*"
            });
            items.extend(of.filter_map(|(_, setting)| setting.names.first().cloned()));
        }
        items.into_iter().collect()
    }
}

struct Pushed<'a> {
    key: &'a str,
    at: &'a Setting,
    row: Option<&'static Row>,
    class: Class,
    edit: Edit,
    from: Option<String>,
    to: Option<String>,
}

/// Rules that are new, gone or say something else; one that has another name alone is
/// the same rule.
fn rules(old: &Federation, new: &Federation, found: &mut Vec<Edited>) {
    for (name, before, after) in houses(old, new) {
        let (was, is) = (before.engine.rule_ids(), after.engine.rule_ids());
        let twin = |id: &str, from: &House, others: &BTreeSet<&str>, to: &House| {
            others.iter().any(|other| from.engine.says_as(id, &to.engine, other))
        };
        let gone: BTreeSet<&str> = was.difference(&is).copied().collect();
        let come: BTreeSet<&str> = is.difference(&was).copied().collect();
        for id in was.union(&is) {
            let edit = match (was.contains(id), is.contains(id)) {
                (true, true) if before.engine.same_rule(&after.engine, id) => continue,
                (true, true) => Edit::Changed,
                (true, false) if twin(id, before, &come, after) => continue,
                (true, false) => Edit::Removed,
                (false, _) if twin(id, after, &gone, before) => continue,
                (false, _) => Edit::Added,
            };
            let side = if edit == Edit::Removed { old } else { new };
            let place = super::blame::place_of(side, What::Rule, &name, id);
            let says = format!(
                "the rule {id} of {name} was {}; no flow of today depends on it",
                edit.as_str()
            );
            let edited = Edited {
                class: Class::Operations,
                houses: vec![name.clone()],
                key: format!("rule[{id}]"),
                edit,
                says,
                from: None,
                to: None,
                names: vec![(*id).to_owned()],
                items: Vec::new(),
                place,
                pattern: "rule".to_owned(),
                digest: String::new(),
            };
            let (was, is) = (before.engine.digest().to_string(), after.engine.digest().to_string());
            found.push(edited.sealed("rules", &was, &is));
        }
    }
}

fn houses<'a>(old: &'a Federation, new: &'a Federation) -> Vec<(String, &'a House, &'a House)> {
    let mut houses = vec![(GATEWAY.to_owned(), &old.gateway, &new.gateway)];
    for agency in &old.agencies {
        let after = new.agency(&agency.id).and_then(|agency| agency.own.as_ref());
        if let (Some(before), Some(after)) = (&agency.own, after) {
            houses.push((agency.id.to_string(), &before.house, &after.house));
        }
    }
    houses
}

/// The same line of the same file is one edit, however many houses read it.
fn merged(found: Vec<Edited>) -> Vec<Edited> {
    let mut by: BTreeMap<(String, Option<FilePlace>, Edit, String), Edited> = BTreeMap::new();
    let mut apart = Vec::new();
    for edited in found {
        let shared = matches!(&*edited.pattern, "rule" | "purposes" | "consumers" | "agencies");
        if !shared {
            apart.push(edited);
            continue;
        }
        let key = (edited.key.clone(), edited.place.clone(), edited.edit, edited.digest.clone());
        let key = if edited.pattern == "rule" { (key.0, key.1, key.2, String::new()) } else { key };
        match by.get_mut(&key) {
            Some(known) => known.houses.extend(edited.houses),
            None => _ = by.insert(key, edited),
        }
    }
    apart.extend(by.into_values());
    apart.sort();
    apart
}
