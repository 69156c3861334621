//! What an edit means, in a sentence.

use super::{Edit, Row};

/// An edit, to be told.
pub(super) struct Worded<'a> {
    pub row: Option<&'static Row>,
    pub pattern: &'a str,
    pub key: &'a str,
    pub house: &'a str,
    /// Innermost first.
    pub names: &'a [String],
    pub edit: Edit,
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
}

impl Worded<'_> {
    pub fn words(&self) -> String {
        self.plain().unwrap_or_else(|| self.generic())
    }

    fn name(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }

    /// Edits that have a sentence of their own.
    fn plain(&self) -> Option<String> {
        let (house, name) = (self.house, self.name(0));
        let to = self.to.unwrap_or("nothing");
        let there = self.edit != Edit::Removed;
        let said = match (self.pattern, self.edit) {
            ("link.trust[]", Edit::Changed) | ("audit.peer[]", Edit::Changed) => return None,
            ("link.trust[]", _) if there => {
                let roles = field(to, "roles");
                format!(
                    "{name} is now trusted by {house} as {roles}: any certificate of that authority \
                     can pose as one"
                )
            }
            ("link.trust[]", _) => format!("{name} is no longer trusted by {house}"),
            ("link.trust[].roles", _) => {
                let more = added(self.from, self.to);
                match more.is_empty() {
                    true => format!("{name} may speak at {house} for {to} alone"),
                    false => format!(
                        "{name} may now speak at {house} for {more}: any certificate of that \
                         authority can pose as one"
                    ),
                }
            }
            ("review.reviewer[]", _) if there => {
                format!("{name} may now read the log of {house}: {}", field(to, "may"))
            }
            ("review.reviewer[]", _) => format!("{name} may no longer read the log of {house}"),
            ("audit.peer[]", _) if there => {
                format!("{house} now watches the log of {name} (audit.peer)")
            }
            ("audit.peer[]", _) => format!(
                "{house} no longer watches the log of {name} (audit.peer): a rewritten one is not noticed"
            ),
            ("grants.issuer[]", _) if there => format!("{house} now believes grants of {name}"),
            ("grants.issuer[]", _) => format!("{house} no longer believes grants of {name}"),
            ("query[].items.*.column", _) => format!("{name} is now read from column {to}"),
            ("query[].ended", Edit::Removed) => format!(
                "the query {name} no longer says when a fact ended: adverse facts of it never lapse"
            ),
            ("source.sql.url", _) => format!("{house} now reads from {to}"),
            ("agency[].endpoints", _) => format!("{name} is now asked at {to}"),
            ("agency[].identity", _) => format!("{name} is now answered for by {to}"),
            _ => return None,
        };
        Some(said)
    }

    fn generic(&self) -> String {
        let what = match self.row {
            Some(row) => {
                let said = row.says.replace("{0}", self.name(0));
                // A code says something for what stands around it.
                said.replace("{1}", self.name(1))
            }
            None => format!("`{}`", self.key),
        };
        let house = match self.house {
            "" => String::new(),
            house => format!("{house}: "),
        };
        let short = |text: &str| -> String {
            const MOST: usize = 160;
            match text.char_indices().nth(MOST) {
                Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
                None => text.to_owned(),
            }
        };
        match (self.from, self.to) {
            (Some(from), Some(to)) => {
                format!("{house}{what} is now {} (was {})", short(to), short(from))
            }
            (None, Some(to)) => format!("{house}{what} is new: {}", short(to)),
            (Some(from), None) => format!("{house}{what} is gone (was {})", short(from)),
            (None, None) => format!("{house}{what} was {}", self.edit.as_str()),
        }
    }
}

/// What a key inside an entry says, from `key = value; …`.
fn field<'a>(shown: &'a str, key: &str) -> &'a str {
    let fields = shown.split("; ").filter_map(|field| field.split_once(" = "));
    let mut found = fields.filter(|(name, _)| *name == key);
    found.next().map_or("nothing", |(_, value)| value)
}

/// The elements that one list has more than another.
fn added(from: Option<&str>, to: Option<&str>) -> String {
    let known: Vec<&str> = from.unwrap_or_default().split(", ").collect();
    let more = to.unwrap_or_default().split(", ").filter(|one| !known.contains(one));
    more.collect::<Vec<_>>().join(", ")
}
