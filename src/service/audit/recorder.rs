//! What both ends write into their audit logs, and the rule that nothing is
//! disclosed without it.
//!
//! A record holds no value and no card number. What a record looks like is
//! `domain::audit`'s business, and how it gets to disk is `store`'s; what is refused before it
//! gets as far as a record is counted in `refusals`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use crate::clock;
use crate::domain::audit::disclosed::names;
use crate::domain::audit::{
    CountRecord, Decision, Receipt, ReceiptProof, Record, RequestId, SearchRecord, SectionRecord,
    SubjectTag, Timestamp,
};
use crate::domain::catalogue::{AgencyId, CatalogueDigest};
use crate::domain::grant::VerifiedGrant;
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::domain::section::SectionStatus;
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::Subject;
use crate::service::audit::denials::{Denials, Under};
use crate::service::audit::refusals::Refusals;
use crate::service::judge::Ruling;
use crate::store::audit_log::{AuditError, AuditLog, Health, fresh_blind};
use crate::wire::refusal::Refusal;
use aws_lc_rs::hmac;
use futures_util::FutureExt;
use time::OffsetDateTime;

/// A role's audit log.
#[derive(Debug)]
pub struct Recorder {
    log: AuditLog,
    refusals: Refusals,
    denials: Denials,
    /// An agency's own key for tags of persons.
    tag: Option<hmac::Key>,
}

/// One line of a request's record: an agency, what it was asked, what came of it.
#[derive(Debug, Clone)]
pub struct Line {
    /// Which agency; `None` where none was chosen.
    pub agency: Option<AgencyId>,
    /// The items.
    pub items: ItemSet,
    /// What came of it.
    pub decision: Decision,
    /// What was counted of the grant for it.
    pub count: Option<CountRecord>,
}

/// A request that is being answered. If it ends before its answer, `abandoned`
/// says what is recorded of it: a caller that hangs up does not go unrecorded. What the
/// log does not take is at least counted.
pub struct Unrecorded<'a, F: FnOnce() -> Vec<Record>> {
    recorder: &'a Recorder,
    peer: &'a SpiffeId,
    grant: Option<&'a VerifiedGrant>,
    abandoned: Option<F>,
}

impl<F: FnOnce() -> Vec<Record>> Drop for Unrecorded<'_, F> {
    fn drop(&mut self) {
        let Some(abandoned) = self.abandoned.take() else { return };
        let records = abandoned();
        let counted =
            |record: &Record| matches!(record, Record::Section(section) if section.count.is_some());
        let spent = self.under().is_some_and(|under| self.recorder.denials.is_spent(&under));
        // Nothing can come of a grant that is spent, and much of who asks under it.
        if spent && !records.iter().any(counted) {
            return self.recorder.count_refusal(self.peer, Reason::Abandoned);
        }
        // Queued by the call; the receipt is nobody's.
        let queued = self.recorder.log.append(records);
        if let Some(Err(_)) = queued.now_or_never() {
            self.recorder.count_refusal(self.peer, Reason::Abandoned);
        }
    }
}

impl<'a, F: FnOnce() -> Vec<Record>> Unrecorded<'a, F> {
    /// Of a request under this grant.
    #[must_use]
    pub fn under_grant(mut self, grant: &'a VerifiedGrant) -> Self {
        self.grant = Some(grant);
        self
    }

    fn under(&self) -> Option<Under<'a>> {
        let (peer, grant) = (self.peer, self.grant?);
        Some(Under { peer, grant, utc: clock::process().recorded(), now: clock::now() })
    }

    /// Whether what is denied here was denied before in the same way; then it is counted,
    /// and needs no record of its own.
    pub fn is_counted(&mut self, reason: Reason) -> bool {
        let denials = &self.recorder.denials;
        let repeated = self.under().is_some_and(|under| denials.is_repeated(&under, reason));
        if repeated {
            self.abandoned = None;
            self.recorder.count_refusal(self.peer, reason);
        }
        repeated
    }

    /// Writes what came of the request instead, and gives the proof that it is on
    /// disk. A request that thereby is refused without a record is counted.
    ///
    /// # Errors
    /// Nothing may be disclosed.
    pub async fn record(
        mut self,
        records: Result<Vec<Record>, Refusal>,
    ) -> Result<Receipt, Refusal> {
        self.abandoned = None;
        let recorded = match records {
            Ok(records) => self.recorder.append(records).await,
            Err(refusal) => Err(refusal),
        };
        recorded.inspect_err(|refusal| self.recorder.count_refusal(self.peer, refusal.reason))
    }
}

impl Recorder {
    /// Writes to `log`. An agency gives the secret for its tags of persons.
    pub fn new(log: AuditLog, tag: Option<&Sensitive<[u8; 32]>>) -> Self {
        let tag = tag.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
        Self { log, refusals: Refusals::default(), denials: Denials::default(), tag }
    }

    /// Refuses a request while the log cannot take its record, before anybody is
    /// asked about it.
    ///
    /// # Errors
    /// `UNAVAILABLE`.
    pub fn check_ready(&self) -> Result<(), Refusal> {
        match self.log.health() {
            Health::Ready => Ok(()),
            Health::DiskFull | Health::Poisoned(_) => Err(audit_down()),
        }
    }

    /// The log itself, for what is told of it.
    pub const fn log(&self) -> &AuditLog {
        &self.log
    }

    /// The time of the last record that the log had when it was opened.
    pub fn last_time(&self) -> OffsetDateTime {
        self.log.recovery().last.to_utc()
    }

    /// How many entries the log has.
    pub fn size(&self) -> u64 {
        self.log.latest().checkpoint().size
    }

    /// An agency's own tag of a person.
    pub fn tag_of(&self, subject: &Subject) -> Option<SubjectTag> {
        let tag = hmac::sign(self.tag.as_ref()?, subject.expose().as_bytes());
        tag.as_ref().try_into().ok().map(SubjectTag::new)
    }

    /// The records of a request that was judged by this catalogue.
    ///
    /// # Errors
    /// `INTERNAL` when the system gives no randomness.
    pub fn records(
        &self,
        request: &RequestId,
        grant: &VerifiedGrant,
        (ruling, catalogue): (Option<&Ruling>, CatalogueDigest),
        subject: Option<SubjectTag>,
        lines: impl IntoIterator<Item = Line>,
    ) -> Result<Vec<Record>, Refusal> {
        let record = |line: Line| {
            let blind = fresh_blind().map_err(|_| audit_down())?;
            let agency = line.agency.as_ref();
            let rules = ruling.and_then(|ruling| ruling.rules(grant, agency, &line.items));
            let record = SectionRecord {
                time: Timestamp::new(clock::process().recorded()),
                request: request.clone(),
                consumer: grant.client().clone(),
                purpose: Some(grant.purpose().clone()),
                basis: Some(grant.legal_basis()),
                grant: Some(grant.jti().clone()),
                agency: line.agency,
                items: line.items,
                catalogue,
                decision: line.decision,
                rules,
                subject,
                count: line.count,
                blind,
            };
            Ok(Record::Section(Box::new(record)))
        };
        lines.into_iter().map(record).collect()
    }

    /// Begins a request of this peer: from here on it is recorded, whatever happens.
    pub fn begin<'a, F: FnOnce() -> Vec<Record>>(
        &'a self,
        peer: &'a SpiffeId,
        abandoned: F,
    ) -> Unrecorded<'a, F> {
        Unrecorded { recorder: self, peer, grant: None, abandoned: Some(abandoned) }
    }

    /// Takes back what was recorded as answered: authority ended while the record
    /// was being written, and nothing was released. The caller does not wait.
    pub fn withhold(&self, mut records: Vec<Record>, reason: Reason) {
        records.retain_mut(|record| match record {
            Record::Section(section)
                if section.decision == Decision::Section(SectionStatus::Ok) =>
            {
                section.decision = Decision::Withheld(reason.into());
                fresh_blind().map(|blind| section.blind = blind).is_ok()
            }
            _ => false,
        });
        if !records.is_empty() {
            drop(self.log.append(records));
        }
    }

    /// Writes records and waits until they are on disk.
    ///
    /// # Errors
    /// Nothing may be disclosed.
    pub async fn append(&self, records: Vec<Record>) -> Result<Receipt, Refusal> {
        self.log.append(records).await.map_err(|error| match error {
            AuditError::Overloaded { .. } => {
                Refusal::overloaded("the audit log has as much waiting as it takes")
            }
            error => {
                tracing::error!(reason = %Reason::AuditDown, "nothing is disclosed: {error}");
                audit_down()
            }
        })
    }

    /// Answers a peer's request. A panic is answered INTERNAL and counted as a
    /// refusal, and the process goes on. Every other refusal is `answer`'s own care.
    ///
    /// # Errors
    /// The refusal.
    pub async fn guarded<T>(
        &self,
        peer: &SpiffeId,
        answer: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(reason = %Reason::Panic, %peer, "a request's handler panicked");
            self.count_refusal(peer, Reason::Panic);
            let message = "the server failed on this request; it may be sent again";
            Err(Refusal::new(Reason::Panic, message))
        })
    }

    /// Proves a receipt of this log; nothing where the log cannot. The records are in
    /// the log either way, so that an answer does not fail for it.
    pub async fn prove(
        self: &Arc<Self>,
        receipt: &Receipt,
        records: &[Record],
    ) -> Option<ReceiptProof> {
        let entries = records.iter().zip(receipt.entries());
        let mut names: Vec<_> = entries.flat_map(|(record, entry)| names(record, entry)).collect();
        names.sort_unstable();
        names.dedup();
        let (recorder, receipt) = (self.clone(), receipt.clone());
        let proving = tokio::task::spawn_blocking(move || recorder.log.prove(&receipt, names));
        let proved = proving.await.ok()?;
        proved
            .inspect_err(|error| tracing::warn!("a receipt goes out without its proof: {error}"))
            .ok()
    }

    /// Records a search of the log; only then may its answer be given.
    ///
    /// # Errors
    /// Nothing may be disclosed.
    pub async fn record_search(&self, search: SearchRecord) -> Result<Receipt, Refusal> {
        self.append(vec![Record::Search(search)]).await
    }

    /// Counts a refusal of what never got as far as a grant.
    pub fn count_refusal(&self, peer: &SpiffeId, reason: Reason) {
        self.refusals.count(&self.log, peer, reason);
    }

    /// Writes counted refusals until the log is out of use: the process is to stop then. A
    /// failed sync is never tried again.
    pub async fn until_lost(&self) -> String {
        tokio::select! {
            why = self.log.lost() => why,
            never = self.refusals.write_always(&self.log) => match never {},
        }
    }

    /// Writes what is counted and not yet written, before the log is closed.
    pub async fn flush(&self) {
        self.refusals.flush(&self.log).await;
    }
}

/// What is recorded of a refusal.
pub fn refused(reason: Reason) -> Decision {
    Decision::Refused(reason.into())
}

fn audit_down() -> Refusal {
    let message = "the audit log cannot be written now, so nothing is disclosed";
    Refusal::new(Reason::AuditDown, message)
}
