//! Level `enforcing`: a whole `AgencyService`, asked past any gateway of ours
//! with a gateway's certificate and with grants of a test issuer that it pins.

mod answers;
mod describe;
mod forgery;
mod grants;
mod link;
mod requests;
mod stream;
mod streams;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use prost::Message;
use time::{Duration, OffsetDateTime};
use tokio::sync::OnceCell;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::plan::{EnforcingPlan, TestNumber};
use super::{Check, Level, Report, Verdict, check, failed, run_all, skipped};
use crate::clock;
use crate::config::catalogue::{self, CatalogueError};
use crate::config::key_file::{self, KeyFileError};
use crate::domain::catalogue::Catalogue;
use crate::domain::grant::{Frequency, JwsKey, Per};
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::domain::section::Section;
use crate::issuer::{AgencyRequest, GrantRequest, Issuer, IssuerSettings, SettingsError};
use crate::link::connect::{ConnectError, Connector};
use crate::link::identity::{IdentityError, OwnIdentity};
use crate::link::limits::ConnectLimits;
use crate::link::tls::LinkTls;
use crate::link::trust::{Trust, TrustLoadError, TrustStore};
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_client::AgencyServiceClient;
use crate::wire::refusal::reason_of;
use crate::wire::section::{self, RequestHash};

/// Uses that a grant of the kit allows, unless a check needs fewer.
const USES: u32 = 64;

/// Bytes of one answer at most.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Every check, in the order in which they are made.
#[rustfmt::skip]
pub(super) static CHECKS: &[Check<Bench>] = &[
    check(201, "the link's certificate proves the agency's identity", |b| link::identity(b).boxed()),
    check(202, "a stranger's certificate gets no answer", |b| link::stranger(b).boxed()),
    check(203, "an identity in another role gets no answer", |b| link::other_role(b).boxed()),
    check(204, "without TLS there is no answer", |b| link::plain(b).boxed()),
    check(210, "Describe names the agency", |b| describe::names(b).boxed()),
    check(211, "Describe states the catalogue's digest", |b| describe::digest(b).boxed()),
    check(212, "the items offered rise, and are the agency's own", |b| describe::items(b).boxed()),
    check(213, "the limits are stated", |b| describe::limits(b).boxed()),
    check(214, "how old records may be is stated", |b| describe::freshness(b).boxed()),
    check(215, "the features are ones that the protocol knows", |b| describe::features(b).boxed()),
    check(216, "the health service says SERVING", |b| describe::health(b).boxed()),
    check(217, "the definitions of the items owned are the catalogue's", |b| describe::definitions(b).boxed()),
    check(220, "a granted question is answered with a section that a gateway believes", |b| answers::believed(b).boxed()),
    check(221, "the section echoes its request's hash", |b| answers::echo(b).boxed()),
    check(222, "each item asked for is answered or explained", |b| answers::complete(b).boxed()),
    check(223, "the body's blind is random and new each time", |b| answers::blind(b).boxed()),
    check(224, "no value is of a day to come", |b| answers::as_of(b).boxed()),
    check(225, "the same question has the same answer", |b| answers::repeatable(b).boxed()),
    check(226, "an unknown subject is NO_RECORD, with no item", |b| answers::unknown(b).boxed()),
    check(227, "an item that the grant does not name is not answered", |b| answers::ungranted(b).boxed()),
    check(228, "an item of another agency is not answered", |b| answers::foreign(b).boxed()),
    check(239, "a good grant, put together anew, is answered: the next ones differ in one thing", |b| grants::control(b).boxed()),
    check(240, "a grant with a changed signature is refused", |b| grants::signature(b).boxed()),
    check(241, "a grant signed with a stranger's key is refused", |b| grants::stranger(b).boxed()),
    check(242, "a grant whose claims were changed is refused", |b| grants::claims(b).boxed()),
    check(243, "a grant without an algorithm is refused", |b| grants::algorithm(b).boxed()),
    check(244, "an expired grant is refused", |b| grants::expired(b).boxed()),
    check(245, "a grant that is not valid yet is refused", |b| grants::early(b).boxed()),
    check(246, "a grant for another gateway is refused", |b| grants::audience(b).boxed()),
    check(247, "a grant for another consumer is refused", |b| grants::consumer(b).boxed()),
    check(248, "a grant of an issuer that is not pinned is refused", |b| grants::issuer(b).boxed()),
    check(249, "a grant for an unlisted purpose is refused", |b| grants::purpose(b).boxed()),
    check(250, "a grant of a longer life than any purpose's is refused", |b| grants::lifetime(b).boxed()),
    check(251, "a grant without the agency's disclosure is refused", |b| grants::undisclosed(b).boxed()),
    check(252, "a disclosure of another grant is refused", |b| grants::swapped(b).boxed()),
    check(253, "a subject sealed for another grant is refused", |b| grants::resealed(b).boxed()),
    check(254, "a grant that is none is refused", |b| grants::garbage(b).boxed()),
    check(255, "an oversize grant is refused", |b| grants::oversize(b).boxed()),
    check(256, "a spent grant is refused", |b| grants::spent(b).boxed()),
    check(257, "a retry is the same use", |b| grants::retry(b).boxed()),
    check(258, "a request id used for another question is refused", |b| grants::reused(b).boxed()),
    check(259, "a revoked grant is refused", |b| grants::revoked(b).boxed()),
    check(260, "a refusal states a reason of the protocol", |b| grants::reason(b).boxed()),
    check(270, "a question numbered by another catalogue is refused", |b| requests::catalogue(b).boxed()),
    check(271, "a question without items, id or consumer is refused", |b| requests::fields(b).boxed()),
    check(272, "garbage is refused, and the agency goes on", |b| requests::garbage(b).boxed()),
    check(273, "an oversize request is refused, and the agency goes on", |b| requests::oversize(b).boxed()),
    check(274, "a question whose time is up leaves the agency answering", |b| requests::deadline(b).boxed()),
    check(275, "cancelled questions leave the agency answering", |b| requests::cancelled(b).boxed()),
    check(276, "by another catalogue only what both define alike is answered", |b| requests::definitions(b).boxed()),
    check(280, "a stream begins with Hello and the same description", |b| streams::hello(b).boxed()),
    check(281, "an answer on the stream echoes id and hash", |b| streams::echo(b).boxed()),
    check(282, "questions at once are each answered once, as themselves", |b| streams::many(b).boxed()),
    check(283, "a forged grant fails alone on a stream", |b| streams::forged(b).boxed()),
    check(284, "a bad request fails alone on a stream", |b| streams::inner(b).boxed()),
    check(285, "a question without time left gets no values", |b| streams::no_time(b).boxed()),
    check(286, "a cancelled question is the only one lost", |b| streams::cancel(b).boxed()),
    check(287, "an exchange id that repeats closes the stream", |b| streams::repeated(b).boxed()),
    check(288, "an exchange id that falls closes the stream", |b| streams::falling(b).boxed()),
    check(289, "a message without content closes the stream", |b| streams::empty(b).boxed()),
    check(290, "garbage ends its stream, and nothing behind it is answered", |b| streams::garbage(b).boxed()),
    check(291, "an oversize message ends its own stream alone", |b| streams::oversize(b).boxed()),
    check(292, "after Finish what is under way is answered and the stream ends", |b| streams::finish(b).boxed()),
    check(293, "twice the window at once: each is refused for itself or for want of room", |b| streams::window(b).boxed()),
];

/// Why the kit cannot ask at all.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// An item of the plan.
    #[error("`{0}` under [enforcing] items is not an item of this agency in the catalogue")]
    Item(String),
    /// The own certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Trust anchors.
    #[error(transparent)]
    Trust(#[from] TrustLoadError),
    /// The endpoint.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The consumer's proof key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The test issuer.
    #[error("the test issuer cannot be used")]
    Issuer(#[from] SettingsError),
    /// No randomness.
    #[error("there is no randomness")]
    Random,
}

/// What the checks ask with.
pub(super) struct Bench {
    plan: EnforcingPlan,
    endpoint: String,
    catalogue: Catalogue,
    items: ItemSet,
    issuer: Issuer,
    proof_key: JwsKey,
    gateway: SpiffeId,
    connector: Connector,
    channel: OnceCell<Result<Channel, String>>,
    described: OnceCell<Result<pb::DescribeResponse, Status>>,
    /// Request ids never repeat, not even between two runs of the kit.
    run: String,
    serial: AtomicU64,
}

/// Checks the agency at `host:port`.
///
/// # Errors
/// [`BenchError`]: the plan cannot be used. Whatever the agency does is a finding.
pub async fn run(endpoint: &str, plan: EnforcingPlan) -> Result<Report, BenchError> {
    let bench = Bench::new(endpoint, plan)?;
    Ok(run_all(Level::Enforcing, CHECKS, &bench).await)
}

/// What an agency said to a question.
enum Said {
    /// A section, with the request's hash.
    Section(Box<pb::FetchSectionResponse>, RequestHash),
    /// A refusal.
    Refused(Status),
}

impl Bench {
    fn new(endpoint: &str, plan: EnforcingPlan) -> Result<Self, BenchError> {
        let catalogue = catalogue::load(&plan.catalogue)?;
        let owned = catalogue.owned_by(&plan.agency);
        let mut items = ItemSet::EMPTY;
        for id in &plan.items {
            let item = catalogue.find(id).filter(|item| owned.contains(item.number));
            items.insert(
                item.ok_or_else(|| BenchError::Item(id.escape_default().to_string()))?.number,
            );
        }
        let link = &plan.link;
        let identity = OwnIdentity::load(&link.certificate, &link.key, clock::utc())?;
        let gateway = identity.id();
        let tls = LinkTls::new(identity, Trust::new(TrustStore::load(&link.trust)?));
        let connector =
            Connector::new(endpoint, plan.identity.clone(), tls, ConnectLimits::default())?;
        let issuer = IssuerSettings::read(&plan.issuer)?.issuer()?;
        let proof_key = key_file::verifying_key(&plan.proof_key)?;
        let mut run = [0; 8];
        aws_lc_rs::rand::fill(&mut run).map_err(|_| BenchError::Random)?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            catalogue,
            items,
            issuer,
            proof_key,
            gateway,
            connector,
            channel: OnceCell::new(),
            described: OnceCell::new(),
            run: data_encoding::HEXLOWER.encode(&run),
            serial: AtomicU64::new(0),
            plan,
        })
    }

    /// The link, made once.
    async fn channel(&self) -> Verdict<Channel> {
        let channel = self.channel.get_or_init(async || {
            self.connector.channel().await.map_err(|error| error.to_string())
        });
        match channel.await {
            Ok(channel) => Ok(channel.clone()),
            Err(_) => skipped("there is no link: see check 201"),
        }
    }

    async fn client(&self) -> Verdict<AgencyServiceClient<Channel>> {
        let client = AgencyServiceClient::new(self.channel().await?);
        Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    async fn described(&self) -> Verdict<&pb::DescribeResponse> {
        let mut client = self.client().await?;
        let described = self.described.get_or_init(async || {
            let call = client.describe(pb::DescribeRequest {});
            bounded(self, call).await.map(tonic::Response::into_inner)
        });
        match described.await {
            Ok(described) => Ok(described),
            Err(_) => skipped("there is no description: see check 210"),
        }
    }

    fn person(&self) -> Verdict<&TestNumber> {
        self.plan.known.first().map_or_else(|| skipped("the plan knows nobody"), Ok)
    }

    fn request_id(&self) -> String {
        format!("kit-{}-{}", self.run, self.serial.fetch_add(1, Ordering::Relaxed))
    }

    /// What a good grant over these items asks for.
    fn wish(&self, person: &TestNumber, items: &ItemSet) -> GrantRequest {
        let now = clock::utc();
        let ids = items.iter().filter_map(|number| self.catalogue.item(number));
        let day = |days| now.date().saturating_add(Duration::days(days));
        GrantRequest {
            audience: self.gateway.clone(),
            client: self.plan.consumer.clone(),
            proof_key: self.proof_key.clone(),
            purpose: self.plan.purpose.clone(),
            purpose_text: "A check of conformance with a test person.".to_owned(),
            legal_basis: self.plan.legal_basis,
            legal_basis_ref: "conformance kit".to_owned(),
            not_before: now - Duration::minutes(1),
            expires_at: now + Duration::hours(1),
            data_life: Duration::hours(1),
            frequency: Frequency { count: USES, per: Per::Day },
            subject: person.number().clone(),
            agencies: vec![AgencyRequest {
                agency: self.plan.agency.clone(),
                items: ids.map(|item| item.id.to_string()).collect(),
                from: day(-3650),
                to: day(365),
            }],
        }
    }

    /// Issues a grant as wished, and gives the agency's part of it.
    fn issue(&self, wish: &GrantRequest, at: OffsetDateTime) -> Verdict<String> {
        match self.issuer.issue(wish, at) {
            Ok(issued) => Ok(forgery::part(&issued.presentation, self.plan.agency.as_str())),
            Err(error) => skipped(format!("the test issuer makes no such grant: {error}")),
        }
    }

    /// A good grant for the first test person.
    fn grant(&self) -> Verdict<String> {
        self.issue(&self.wish(self.person()?, &self.items), clock::utc() - Duration::minutes(1))
    }

    fn question(&self, grant: &str, items: &ItemSet) -> pb::FetchSectionRequest {
        pb::FetchSectionRequest {
            request_id: self.request_id(),
            items: items.to_bytes().into(),
            catalogue_digest: Bytes::copy_from_slice(&self.catalogue.digest().0),
            consumer: self.plan.consumer.to_string(),
            grant: Some(pb::GrantPresentation {
                sd_jwt: grant.as_bytes().to_vec().into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Puts a question by FetchSection.
    async fn ask(&self, question: pb::FetchSectionRequest) -> Verdict<Said> {
        let mut client = self.client().await?;
        let hash = RequestHash::of(&question.encode_to_vec());
        let mut request = tonic::Request::new(question);
        request.set_timeout(self.plan.deadline);
        Ok(match bounded(self, client.fetch_section(request)).await {
            Ok(answer) => Said::Section(Box::new(answer.into_inner()), hash),
            Err(status) => Said::Refused(status),
        })
    }

    /// Holds a section against its question, as the gateway would.
    fn believe(
        &self,
        response: pb::FetchSectionResponse,
        request: RequestHash,
        asked: &ItemSet,
    ) -> Verdict<Section> {
        let question = section::Question {
            agency: &self.plan.agency,
            asked,
            request,
            catalogue: &self.catalogue,
        };
        section::believe(response, &question).or_else(|disbelief| failed(disbelief.to_string()))
    }

    /// Asks, expects a section, and believes it or not.
    async fn section(&self, grant: &str, items: &ItemSet) -> Verdict<Section> {
        match self.ask(self.question(grant, items)).await? {
            Said::Section(response, hash) => self.believe(*response, hash, items),
            Said::Refused(status) => failed(format!("the question is refused: {}", word(&status))),
        }
    }

    /// Whether a good question is still answered.
    async fn goes_on(&self) -> Verdict {
        match self.section(&self.grant()?, &self.items).await {
            Ok(section) if section.status.is_answered() => Ok(()),
            Ok(section) => failed(format!("afterwards a good question is {:?}", section.status)),
            Err(super::Stop::Failed(why)) => failed(format!("afterwards, {why}")),
            Err(skip) => Err(skip),
        }
    }

    /// Expects that a question is refused: by a status of authority or form, or by
    /// a DENIED section. Values and failures of another kind are none.
    async fn refuses(&self, question: pb::FetchSectionRequest) -> Verdict {
        match self.ask(question).await? {
            Said::Section(response, _) => denied(&response),
            Said::Refused(status) => refusal(&status),
        }
    }
}

fn refusal(status: &Status) -> Verdict {
    match status.code() {
        Code::PermissionDenied
        | Code::InvalidArgument
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::OutOfRange => Ok(()),
        _ => failed(format!("it ends with {}, which is no refusal", word(status))),
    }
}

fn denied(response: &pb::FetchSectionResponse) -> Verdict {
    let section = response.section.as_ref();
    let status = section.and_then(|section| section.envelope.as_ref()).map(|e| e.status());
    match (status, section.is_some_and(|section| section.body.is_none())) {
        (Some(pb::SectionStatus::Denied), true) => Ok(()),
        (Some(status), _) => failed(format!("it is answered: {}", status.as_str_name())),
        (None, _) => failed("it is answered with a section without envelope"),
    }
}

/// Ends a call a little after its deadline, whatever the agency does.
async fn bounded<T>(
    bench: &Bench,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded("no answer in time");
    let most = bench.plan.deadline + std::time::Duration::from_secs(1);
    tokio::time::timeout(most, call).await.map_err(late)?
}

/// A refusal in a word: its reason where it is one of the protocol's.
fn word(status: &Status) -> String {
    let stated = Reason::stated_by_agency(&reason_of(status)).map_or("", Reason::as_str);
    format!("{:?} {stated}", status.code()).trim_end().to_owned()
}
