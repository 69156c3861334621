//! The configuration in force while a process runs: its main file and its party files,
//! looked at twice a second and taken once they have settled.
//!
//! Each file stands for itself. One that cannot be used leaves the last good one of its
//! name in force, holds up no other, and is tried again; one that is gone takes with it
//! whatever it said. What is made of the configuration (connections, pins, policies) is
//! the business of whoever hears the [`News`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::mapping_file::AsWritten;
use super::named::judge_parties;
use super::serving::folder_of;
use super::watching::Rounds;
use crate::clock;
use crate::config::agency::AgencyLimitsConfig;
use crate::config::audit::AuditConfig;
use crate::config::door::DoorConfig;
use crate::config::faults::Faults;
use crate::config::file::FileError;
use crate::config::gateway::{AgencyEntry, GatewayLimitsConfig};
use crate::config::grants::GrantsConfig;
use crate::config::link::LinkConfig;
use crate::config::parties::{Party, Written};
use crate::config::policy::PolicyConfig;
use crate::config::reload::{Look, Watch};
use crate::config::review::ReviewConfig;
use crate::config::status::StatusConfig;
use crate::domain::catalogue::Catalogue;
use crate::domain::finding::{Finding, Findings};
use crate::domain::reason::Reason;

/// How long a file that was refused is left before it is tried again: what it names may
/// have come after it.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Rounds in which refused files may still be taken because another one was.
const PASSES: usize = 8;

/// How often the main file is read again when what it includes changes meanwhile.
const READINGS: usize = 4;

/// What of a role's configuration may change while it runs.
#[derive(Debug, Clone)]
pub(super) struct Changing {
    /// The catalogue's folder.
    pub(super) catalogue: PathBuf,
    pub(super) link: LinkConfig,
    pub(super) grants: GrantsConfig,
    pub(super) audit: AuditConfig,
    /// Of a gateway; an agency has none of these.
    pub(super) agencies: Vec<AgencyEntry>,
    pub(super) review: ReviewConfig,
    pub(super) status: StatusConfig,
    pub(super) policy: PolicyConfig,
    pub(super) limits: RoleLimits,
    pub(super) door: DoorConfig,
    /// What is as it was at the start, whatever the files say: each key, and what it says.
    pub(super) fixed: Vec<(&'static str, String)>,
    /// Of an agency.
    pub(super) mapping: Option<Arc<AsWritten>>,
    /// None yet; it knows the lines of the files.
    pub(super) faults: Faults,
}

/// The `[limits]` of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoleLimits {
    Gateway(GatewayLimitsConfig),
    Agency(AgencyLimitsConfig),
}

/// Judges a configuration as its role does.
pub(super) type Read = fn(&Written) -> (Option<Changing>, Faults);

/// Configuration files, watched since before they were read.
pub(super) struct Watched {
    watch: Watch,
    pub(super) written: Written,
}

impl Watched {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The main file cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self, FileError> {
        let mut watch = Watch::new(vec![path.to_owned()], "toml");
        let mut folders = vec![path.to_owned()];
        let mut written = Written::read(path)?;
        for _ in 0..READINGS {
            if written.watched() == folders {
                break;
            }
            folders = written.watched();
            watch = Watch::new(folders.clone(), "toml");
            written = Written::read(path)?;
        }
        Ok(Self { watch, written })
    }
}

/// What is in force.
#[derive(Debug)]
struct InForce {
    /// How often it changed.
    version: u64,
    changing: Arc<Changing>,
    /// How often the main file was refused, and why the last time.
    refusals: u64,
    refusal: String,
}

/// The configuration in force.
pub(super) struct Standing {
    path: PathBuf,
    read: Read,
    /// By which names in party files are judged.
    catalogue: ArcSwap<Catalogue>,
    files: Mutex<Files>,
    in_force: ArcSwap<InForce>,
}

struct Files {
    watch: Watch,
    good: Written,
    /// Party files that are not in force as they stand, and why.
    refused: BTreeMap<PathBuf, String>,
    try_at: Option<Instant>,
}

impl Standing {
    /// Begins with a configuration that was judged as a start judges it.
    pub(super) fn new(
        watched: Watched,
        read: Read,
        changing: Changing,
        catalogue: &Arc<Catalogue>,
    ) -> Arc<Self> {
        let Watched { watch, written } = watched;
        let path = written.path.clone();
        let files = Files { watch, good: written, refused: BTreeMap::new(), try_at: None };
        let changing = Arc::new(changing);
        let first = InForce { version: 0, changing, refusals: 0, refusal: String::new() };
        Arc::new(Self {
            path,
            read,
            catalogue: ArcSwap::new(catalogue.clone()),
            files: Mutex::new(files),
            in_force: ArcSwap::from_pointee(first),
        })
    }

    /// Looks at the files in each round, before those who hear of it.
    pub(super) fn start(self: &Arc<Self>, rounds: &Rounds) {
        let standing = self.clone();
        rounds.keep_looking(move || standing.look());
    }

    /// What changes from now on.
    pub(super) fn news(self: &Arc<Self>) -> News {
        News { standing: self.clone(), version: 0, refusals: 0 }
    }

    fn look(&self) {
        let mut files = self.files.lock();
        let again = files.try_at.is_some_and(|at| clock::now() >= at);
        match files.watch.look() {
            Look::Settled => self.reload(&mut files, true),
            Look::Unchanged if again => self.reload(&mut files, false),
            _ => {}
        }
    }

    fn reload(&self, files: &mut Files, seen: bool) {
        let (found, mut refusal) = match Watched::read(&self.path) {
            Ok(Watched { watch, written }) => {
                if written.watched() != files.good.watched() {
                    files.watch = watch;
                }
                (written, None)
            }
            Err(error) => {
                let last_good = Written::with(&self.path, files.good.text.clone());
                (last_good, Some(crate::domain::finding::causes(&error)))
            }
        };
        let taken = self.whole(&found, &files.good).map(|changing| (found.clone(), changing));
        let (good, changing, refused) = match taken {
            Some((good, changing)) => (good, Some(changing), BTreeMap::new()),
            None => self.by_file(&found, &files.good, &mut refusal),
        };
        tell(&files.good, &good, &files.refused, &refused);
        let all = refused.is_empty() && refusal.is_none();
        files.try_at = (!all).then(|| clock::now() + TRY_AGAIN);
        files.refused = refused;
        // Said once of each state, and not with each try.
        let refusal = refusal.filter(|why| seen || *why != self.in_force.load().refusal);
        self.put(changing.filter(|_| good != files.good), refusal);
        files.good = good;
    }

    /// All of it at once, if nothing is wrong.
    fn whole(&self, found: &Written, good: &Written) -> Option<Changing> {
        let changed = |party: &&Party| !good.parties.contains(party);
        let changing = self.judged(found).ok()?;
        let files: Vec<&Path> =
            found.parties.iter().filter(changed).map(|party| &*party.path).collect();
        self.named_by(&changing, &files).is_empty().then_some(changing)
    }

    /// File by file: the main one, and what is gone, before those that have changed.
    fn by_file(
        &self,
        found: &Written,
        good: &Written,
        refusal: &mut Option<String>,
    ) -> (Written, Option<Changing>, BTreeMap<PathBuf, String>) {
        let mut refused = BTreeMap::new();
        let mut listed = found.clone();
        let mut base = last_good(&listed, good);
        let mut changing = match self.judged(&base) {
            Ok(changing) => Some(changing),
            Err(faults) => {
                *refusal = Some(words(&faults));
                listed = Written::with(&self.path, good.text.clone());
                base = last_good(&listed, good);
                self.judged(&base).ok()
            }
        };
        for (folder, why) in listed.unlisted() {
            refused.insert(folder, format!("cannot be listed: {why}"));
        }
        let mut pending: Vec<&Party> =
            listed.parties.iter().filter(|party| !base.parties.contains(party)).collect();
        for _ in 0..PASSES {
            let before = pending.len();
            pending.retain(|party| match self.beside(&base, party) {
                Ok((with, judged)) => {
                    refused.remove(&party.path);
                    (base, changing) = (with, Some(judged));
                    false
                }
                Err(why) => {
                    refused.insert(party.path.clone(), why);
                    true
                }
            });
            if pending.is_empty() || pending.len() == before {
                break;
            }
        }
        (base, changing, refused)
    }

    /// A configuration with one more party file, or another one in its place.
    fn beside(&self, base: &Written, party: &Party) -> Result<(Written, Changing), String> {
        if let Err(why) = &party.text {
            return Err(format!("cannot be read: {why}"));
        }
        let with = base.with_party(party);
        let changing = self.judged(&with).map_err(|faults| words(&faults))?;
        let faults = self.named_by(&changing, &[&party.path]);
        if faults.is_empty() { Ok((with, changing)) } else { Err(words(&faults)) }
    }

    fn judged(&self, written: &Written) -> Result<Changing, Vec<Finding>> {
        let (changing, faults) = (self.read)(written);
        match changing {
            Some(changing) if faults.count() == 0 => Ok(changing),
            _ => Err(faults.refuse().0),
        }
    }

    /// What is wrong with keys, anchors and names that these files name.
    fn named_by(&self, changing: &Changing, files: &[&Path]) -> Vec<Finding> {
        if files.is_empty() {
            return Vec::new();
        }
        let mut faults = changing.faults.clone();
        let Changing { link, grants, audit, agencies, .. } = changing;
        let sections = (link, grants, audit, &**agencies);
        judge_parties(sections, folder_of(&self.path), &self.catalogue.load(), &mut faults);
        let Findings(mut found) = faults.refuse();
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        found.retain(|finding| names.contains(&finding.file));
        found
    }

    fn put(&self, changing: Option<Changing>, refusal: Option<String>) {
        if changing.is_none() && refusal.is_none() {
            return;
        }
        let before = self.in_force.load();
        let version = before.version + u64::from(changing.is_some());
        let changing = changing.map_or_else(|| before.changing.clone(), Arc::new);
        let refusals = before.refusals + u64::from(refusal.is_some());
        let refusal = refusal.unwrap_or_else(|| before.refusal.clone());
        self.in_force.store(Arc::new(InForce { version, changing, refusals, refusal }));
    }
}

/// The configuration as listed, with every file as it was when it was good: what is gone
/// is gone, what is new is not there yet.
fn last_good(listed: &Written, good: &Written) -> Written {
    let mut base = listed.clone();
    base.parties.retain_mut(|party| {
        let known = good.parties.iter().find(|known| known.path == party.path);
        known.is_some_and(|known| {
            party.clone_from(known);
            true
        })
    });
    // Nobody knows what is in a folder that cannot be listed.
    let folders: Vec<PathBuf> = listed.unlisted().map(|(folder, _)| folder).collect();
    let unseen = good.parties.iter().filter(|party| {
        party.path.parent().is_some_and(|parent| folders.iter().any(|folder| folder == parent))
    });
    base.parties.extend(unseen.cloned());
    base.as_listed()
}

fn words(faults: &[Finding]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Says what of party files is in force now, and what is not: a line each, once.
fn tell(
    before: &Written,
    now: &Written,
    told: &BTreeMap<PathBuf, String>,
    refused: &BTreeMap<PathBuf, String>,
) {
    let named = |written: &Written, path: &Path| written.parties.iter().any(|one| one.path == path);
    for party in before.parties.iter().filter(|party| !named(now, &party.path)) {
        let file = party.path.display();
        tracing::info!(%file, "a party file is gone, and nothing that it said is in force any more");
    }
    for party in now.parties.iter().filter(|party| !before.parties.contains(party)) {
        let file = party.path.display();
        tracing::info!(%file, new = !named(before, &party.path), "a party file is in force");
    }
    for (path, why) in refused.iter().filter(|(path, why)| told.get(*path) != Some(why)) {
        let file = path.display();
        let kept = |party: &Party| party.path == *path || party.path.parent() == Some(path);
        let stays = match now.parties.iter().any(kept) {
            true => "the last good one stays in force",
            false => "nothing of it is in force",
        };
        tracing::error!(reason = %Reason::PartyKept, %file, error = why, "a party file cannot be used; {stays}");
    }
}

/// What one hears of changes.
pub(super) struct News {
    standing: Arc<Standing>,
    version: u64,
    refusals: u64,
}

/// A change of the configuration.
pub(super) enum Heard {
    /// Another one is in force.
    Changed(Arc<Changing>),
    /// The main file cannot be used.
    Refused(String),
}

impl News {
    /// What changed since the last time.
    pub(super) fn take(&mut self) -> Option<Heard> {
        let now = self.standing.in_force.load();
        if now.version != self.version {
            self.version = now.version;
            return Some(Heard::Changed(now.changing.clone()));
        }
        if now.refusals != self.refusals {
            self.refusals = now.refusals;
            return Some(Heard::Refused(now.refusal.clone()));
        }
        None
    }

    /// Hands over what is in force, in each round in which that has changed or one of the
    /// `files` that it names has and has settled.
    pub(super) fn follow(
        mut self,
        rounds: &Rounds,
        files: impl Fn(&Changing) -> Vec<PathBuf> + Send + 'static,
        mut take: impl FnMut(&Changing) + Send + 'static,
    ) {
        let mut watch = Watch::new(files(&self.now()), "");
        rounds.keep_looking(move || {
            let changed = matches!(self.take(), Some(Heard::Changed(_)));
            let now = self.now();
            if changed {
                watch = Watch::new(files(&now), "");
            }
            if changed || watch.look() == Look::Settled {
                take(&now);
            }
        });
    }

    /// Judges what party files name by another catalogue from now on.
    pub(super) fn judge_by(&self, catalogue: &Arc<Catalogue>) {
        self.standing.catalogue.store(catalogue.clone());
    }

    /// What is in force now.
    pub(super) fn now(&self) -> Arc<Changing> {
        self.standing.in_force.load().changing.clone()
    }
}
