//! The table of reasons: one row each, and nothing else.
//!
//! A row is the meaning, then variant, word, gRPC code, when to ask again, who must act
//! and who states it. Its page is `docs/errors/WORD.md`; without one this does not
//! compile. What the columns mean is in [`super`].

use super::{NEVER, after};

reasons! {
    // Refusals of grants.
    /// The agency was sent other than exactly one disclosure: its own.
    GrantAgency = "GRANT_AGENCY", PermissionDenied, NEVER, Gateway, Agency;
    /// The header's `alg` is not the algorithm of the pinned key.
    GrantAlgorithm = "GRANT_ALGORITHM", PermissionDenied, NEVER, Issuer, Agency;
    /// The grant is made out for another gateway.
    GrantAudience = "GRANT_AUDIENCE", PermissionDenied, NEVER, Caller, Agency;
    /// The grant is above its purpose's ceiling in lifetime, frequency or items.
    GrantCeiling = "GRANT_CEILING", PermissionDenied, NEVER, Issuer, Agency;
    /// A claim or a header member of the grant is missing, unknown or malformed.
    GrantClaims = "GRANT_CLAIMS", PermissionDenied, NEVER, Issuer, Agency;
    /// The grant is made out for another consumer than the one at the other end of the link.
    GrantClient = "GRANT_CLIENT", PermissionDenied, NEVER, Caller, Agency;
    /// The header's `crit` names an extension. None is supported.
    GrantCritical = "GRANT_CRITICAL", PermissionDenied, NEVER, Issuer, Agency;
    /// The signed list of digests is malformed: not 16, 32, 64 or 128 of them, one repeated, or one
    /// that is not 32 bytes.
    GrantDigests = "GRANT_DIGESTS", PermissionDenied, NEVER, Issuer, Agency;
    /// A disclosure is not among the signed ones, is listed twice, is malformed, or the one
    /// that the receiver needs is missing.
    GrantDisclosure = "GRANT_DISCLOSURE", PermissionDenied, NEVER, Caller, Agency;
    /// The grant's `exp` has passed. There is no leeway.
    GrantExpired = "GRANT_EXPIRED", PermissionDenied, NEVER, Caller, Agency;
    /// The grant's issuer is not pinned at this end.
    GrantIssuer = "GRANT_ISSUER", PermissionDenied, NEVER, Operator, Agency;
    /// The issuer is pinned, but not for this legal basis, purpose, agency, consumer or status
    /// URI.
    GrantIssuerScope = "GRANT_ISSUER_SCOPE", PermissionDenied, NEVER, Operator, Agency;
    /// Of all that the grant names, nothing is an item that its agency owns in the receiver's
    /// catalogue.
    GrantItems = "GRANT_ITEMS", PermissionDenied, NEVER, Issuer, Agency;
    /// The key that the grant names is not pinned for its issuer, or no longer.
    GrantKey = "GRANT_KEY", PermissionDenied, NEVER, Operator, Agency;
    /// The grant is not a compact SD-JWT of strict JSON.
    GrantMalformed = "GRANT_MALFORMED", PermissionDenied, NEVER, Caller, Agency;
    /// The grant's `nbf` or `iat` lies more than 5 seconds ahead.
    GrantNotYetValid = "GRANT_NOT_YET_VALID", PermissionDenied, NEVER, Caller, Agency;
    /// The grant's purpose is not in the receiver's list.
    GrantPurpose = "GRANT_PURPOSE", PermissionDenied, NEVER, Operator, Agency;
    /// The status list says that the grant has been revoked or suspended.
    GrantRevoked = "GRANT_REVOKED", PermissionDenied, NEVER, Caller, Agency;
    /// The signature does not hold under the pinned key: the grant was altered or forged, or
    /// the pinned key is another.
    GrantSignature = "GRANT_SIGNATURE", PermissionDenied, NEVER, Operator, Agency;
    /// The grant has more than 64 KiB or more than 65 disclosures.
    GrantSize = "GRANT_SIZE", PermissionDenied, NEVER, Issuer, Agency;
    /// The grant's index is beyond the status list.
    GrantStatusIndex = "GRANT_STATUS_INDEX", PermissionDenied, NEVER, Issuer, Agency;
    /// The receiver has no status list of the grant's URI, or none that is young enough, so it
    /// cannot tell whether the grant was revoked.
    GrantStatusStale = "GRANT_STATUS_STALE", Unavailable, after(1_000), Operator, Agency;
    /// The agency cannot open the sealed subject: it is sealed to another key, for another
    /// grant or agency, altered, or no card number.
    GrantSubject = "GRANT_SUBJECT", PermissionDenied, NEVER, Issuer, Agency;
    /// The header's `typ` is not `tributary-grant+sd-jwt`.
    GrantType = "GRANT_TYPE", PermissionDenied, NEVER, Caller, Agency;
    /// The request names its grant by a digest, and the receiver remembers no grant with it.
    GrantUnknown = "GRANT_UNKNOWN", FailedPrecondition, NEVER, Caller, Agency;

    // Refusals of proofs of request.
    /// The consumer's proof of request is past its `exp`.
    ProofExpired = "PROOF_EXPIRED", PermissionDenied, NEVER, Caller, Agency;
    /// The consumer's proof of request is malformed, not signed with the grant's key, or of
    /// another gateway, request, grant or set of items.
    ProofInvalid = "PROOF_INVALID", PermissionDenied, NEVER, Caller, Agency;
    /// The request has no proof of its consumer, and this receiver answers none without.
    ProofMissing = "PROOF_MISSING", PermissionDenied, NEVER, Caller, Agency;
    /// The consumer's proof of request was shown to the agency before, for other items.
    ProofReplayed = "PROOF_REPLAYED", PermissionDenied, NEVER, Caller, Agency;

    // Refusals of requests.
    /// Fields of the request are wrong; the BadRequest detail names each.
    BadRequest = "BAD_REQUEST", InvalidArgument, NEVER, Caller, Agency;
    /// What came is no gRPC call of the right form: its method, content type, time limit or
    /// framing is wrong, or there are more messages than the call takes.
    CallForm = "CALL_FORM", InvalidArgument, NEVER, Caller, Ours;
    /// No answer came in the time given.
    Deadline = "DEADLINE", DeadlineExceeded, NEVER, Caller, Agency;
    /// The grant has been used as often as it allows in this period.
    FrequencyExhausted = "FREQUENCY_EXHAUSTED", PermissionDenied, NEVER, Caller, Agency;
    /// The peer makes this process hold as much memory as one peer may: answers that it does
    /// not read, messages that it does not finish, requests under way.
    MemorySpent = "MEMORY_SPENT", ResourceExhausted, after(1_000), Caller, Ours;
    /// A message was begun and made no progress.
    MessageStalled = "MESSAGE_STALLED", DeadlineExceeded, NEVER, Caller, Ours;
    /// A message has more bytes than one may have.
    MessageTooLarge = "MESSAGE_TOO_LARGE", ResourceExhausted, NEVER, Caller, Ours;
    /// None of the items asked for is both granted and permitted.
    NothingPermitted = "NOTHING_PERMITTED", PermissionDenied, NEVER, Caller, Agency;
    /// Only an identity in the role of a consumer may ask for a profile.
    NotAConsumer = "NOT_A_CONSUMER", PermissionDenied, NEVER, Caller, Ours;
    /// Only an identity in the role of a gateway may ask an agency.
    NotAGateway = "NOT_A_GATEWAY", PermissionDenied, NEVER, Caller, Agency;
    /// Only an identity in the role of a reviewer may read the audit log.
    NotAReviewer = "NOT_A_REVIEWER", PermissionDenied, NEVER, Caller, Ours;
    /// The connection has no verified peer.
    NoPeer = "NO_PEER", Unauthenticated, NEVER, Operator, Ours;
    /// The system's random generator failed.
    NoRandomness = "NO_RANDOMNESS", Internal, NEVER, Operator, Agency;
    /// The server knows nothing of this name.
    NoSuchName = "NO_SUCH_NAME", NotFound, NEVER, Caller, Ours;
    /// More requests are under way than are taken on at once.
    Overloaded = "OVERLOADED", ResourceExhausted, after(100), Caller, Agency;
    /// The server failed on a request; the fault was caught and the process goes on.
    Panic = "PANIC", Internal, NEVER, Operator, Agency;
    /// The catalogues of gateway and agency define an item differently, or one of them does not
    /// have it: it is left out, and everything else flows.
    CatalogueDiffers = "CATALOGUE_DIFFERS", FailedPrecondition, NEVER, Both, Agency;
    /// The policy was narrowed while the request was under way.
    PolicyChanged = "POLICY_CHANGED", PermissionDenied, NEVER, Caller, Agency;
    /// The policy could not be evaluated.
    PolicyFailed = "POLICY_FAILED", Internal, NEVER, Operator, Agency;
    /// The request id was used for another request, too long ago, or too often.
    RequestIdReused = "REQUEST_ID_REUSED", AlreadyExists, NEVER, Caller, Agency;
    /// The server is stopping and ends its streams.
    Stopping = "STOPPING", Unavailable, after(1_000), Nobody, Agency;
    /// A message is not the one that the protocol expects there.
    Undecodable = "UNDECODABLE", InvalidArgument, NEVER, Developers, Agency;
    /// The server has no such method, or does not speak this compression.
    Unsupported = "UNSUPPORTED", Unimplemented, NEVER, Caller, Ours;
    /// The two ends' catalogues have no item in common that both define alike, or one end cannot
    /// compare them item by item.
    WrongCatalogue = "WRONG_CATALOGUE", FailedPrecondition, NEVER, Both, Agency;

    // The audit log.
    /// The caller hung up before the answer. Recorded in the audit log alone.
    Abandoned = "ABANDONED", Cancelled, NEVER, Caller, Log;
    /// The audit log cannot be written, so nothing is disclosed.
    AuditDown = "AUDIT_DOWN", Unavailable, after(1_000), Operator, Agency;
    /// The agency cannot count uses of grants now, so it releases nothing.
    CounterDown = "COUNTER_DOWN", Unavailable, after(1_000), Agency, Agency;
    /// The audit log cannot be searched now: its index cannot be made, or the log does not fit
    /// its checkpoint.
    IndexDown = "INDEX_DOWN", Unavailable, after(5_000), Gateway, Ours;
    /// The peer's audit log does not go on from what was seen of it: it was rewritten, or it has
    /// ended and goes on all the same. Nothing is disclosed to that gateway, or asked of that
    /// agency.
    LogForked = "LOG_FORKED", PermissionDenied, NEVER, Both, Agency;
    /// The peer shows an audit log that is not pinned in `[[audit.peer]]`, or does not show that
    /// it goes on from the log whose successor it is there: rewriting it would go undetected.
    LogNotPinned = "LOG_NOT_PINNED", FailedPrecondition, NEVER, Both, Log;
    /// What the peer shows of its audit log is no checkpoint, or not signed with the pinned
    /// key.
    LogNotSigned = "LOG_NOT_SIGNED", FailedPrecondition, NEVER, Both, Log;
    /// The peer's audit log is shorter than what was seen of it: an older copy was put back.
    LogRolledBack = "LOG_ROLLED_BACK", PermissionDenied, NEVER, Both, Agency;
    /// The peer was asked three times in a row to show its audit log and did not answer.
    LogUnseen = "LOG_UNSEEN", Unavailable, NEVER, Both, Log;
    /// Items were asked for that policy does not permit. Recorded in the audit log alone.
    NotPermitted = "NOT_PERMITTED", PermissionDenied, NEVER, Caller, Log;
    /// The published log has no such entry, or not so many entries, yet.
    NoEntry = "NO_ENTRY", NotFound, NEVER, Caller, Ours;
    /// The audit log gives no proof now.
    NoProof = "NO_PROOF", Unavailable, after(1_000), Gateway, Ours;
    /// The gateway's `[review]` section does not name this reviewer, or not for this kind of
    /// query.
    ReviewDenied = "REVIEW_DENIED", PermissionDenied, NEVER, Gateway, Ours;
    /// The reviewer asks more often than `review.per_minute` allows.
    ReviewQuota = "REVIEW_QUOTA", ResourceExhausted, after(60_000), Caller, Ours;
    /// The gateway's `[status]` section does not name whoever asks how it does.
    StatusDenied = "STATUS_DENIED", PermissionDenied, NEVER, Gateway, Ours;

    // An agency as the gateway sees it.
    /// As many requests are under way to the agency as the gateway puts to it now.
    AgencyBusy = "AGENCY_BUSY", Unavailable, after(100), Nobody, Ours;
    /// The agency's administrator has switched it off (`enabled = false`).
    AgencyClosed = "AGENCY_CLOSED", PermissionDenied, NEVER, Agency, Agency;
    /// The agency refused, for a reason that is not of this protocol.
    AgencyDenied = "AGENCY_DENIED", PermissionDenied, NEVER, Agency, Ours;
    /// Many requests in a row to this agency failed, so it is not asked for a while.
    AgencyFailing = "AGENCY_FAILING", Unavailable, after(1_000), Agency, Ours;
    /// The agency's process does not answer: its work is stuck, or it was stopped.
    AgencyHung = "AGENCY_HUNG", Unavailable, after(1_000), Agency, Ours;
    /// The agency has as many requests under way as it takes.
    AgencyOverloaded = "AGENCY_OVERLOADED", ResourceExhausted, after(100), Agency, Ours;
    /// The agency refused the request itself, for a reason that is not of this protocol.
    AgencyRefused = "AGENCY_REFUSED", InvalidArgument, NEVER, Agency, Ours;
    /// The agency gave a reason for its status that is not of this protocol; it is not
    /// repeated.
    AgencyStated = "AGENCY_STATED", InvalidArgument, NEVER, Agency, Ours;
    /// The agency says that it cannot answer now.
    AgencyUnavailable = "AGENCY_UNAVAILABLE", Unavailable, after(1_000), Agency, Ours;
    /// The agency's endpoint in the gateway's configuration is no address.
    BadAddress = "BAD_ADDRESS", Unavailable, NEVER, Gateway, Ours;
    /// The agency did not finish connecting in time.
    ConnectTimeout = "CONNECT_TIMEOUT", Unavailable, after(1_000), Agency, Ours;
    /// Two endpoints of one agency do not count the uses of grants together, so the
    /// second one is not asked.
    CountersDiffer = "COUNTERS_DIFFER", Unavailable, NEVER, Both, Ours;
    /// The agency ended the stream.
    Ended = "ENDED", Unavailable, after(100), Nobody, Ours;
    /// The agency's Hello is larger than one may be.
    HelloTooLarge = "HELLO_TOO_LARGE", Internal, NEVER, AgencyDevelopers, Ours;
    /// The connection to the agency broke before the answer came.
    LaneLost = "LANE_LOST", Unavailable, after(100), Nobody, Ours;
    /// TLS or HTTP/2 could not be agreed on with the agency.
    LinkBroken = "LINK_BROKEN", Unavailable, after(1_000), Agency, Ours;
    /// The agency refused the gateway's certificate.
    LinkRefused = "LINK_REFUSED", Unavailable, NEVER, Both, Ours;
    /// The gateway has no endpoint for the agency.
    NotConfigured = "NOT_CONFIGURED", Unavailable, NEVER, Gateway, Ours;
    /// The agency's server opened no Exchange stream, or one without Hello.
    NoExchange = "NO_EXCHANGE", Unavailable, after(1_000), Agency, Ours;
    /// The agency's answer has more bytes than a section may have.
    SectionTooLarge = "SECTION_TOO_LARGE", Internal, NEVER, Agency, Agency;
    /// The stream to the agency broke, or carried what cannot be read.
    StreamError = "STREAM_ERROR", Unavailable, after(100), Agency, Ours;
    /// Nothing answers at the agency's address.
    Unreachable = "UNREACHABLE", Unavailable, after(1_000), Agency, Ours;
    /// The agency's certificate does not prove who it is.
    Untrusted = "UNTRUSTED", Unavailable, NEVER, Both, Ours;
    /// As many requests are under way to the agency as it takes.
    WindowFull = "WINDOW_FULL", ResourceExhausted, after(100), Agency, Ours;
    /// The server describes itself, or answers, as another agency. Nothing is sent to it.
    WrongAgency = "WRONG_AGENCY", Internal, NEVER, Gateway, Ours;
    /// Another identity than the expected one is at the address. Nothing was sent.
    WrongIdentity = "WRONG_IDENTITY", Unavailable, NEVER, Gateway, Ours;

    // What an agency sends that is not believed, and streams that break the rules.
    /// An Exchange stream has reached `max_stream_age`, so the agency drains it.
    Age = "AGE", Unavailable, after(100), Nobody, Ours;
    /// The agency has taken another catalogue, and drains its Exchange streams so that the next
    /// ones begin with it.
    CatalogueChanged = "CATALOGUE_CHANGED", Unavailable, after(100), Nobody, Ours;
    /// The gateway has no signed note of the catalogue in force, or no file of that digest in it.
    CatalogueNotSigned = "CATALOGUE_NOT_SIGNED", NotFound, NEVER, Gateway, Ours;
    /// A stream is ended because its connection has reached its greatest age.
    ConnectionAge = "CONNECTION_AGE", Unavailable, after(100), Nobody, Ours;
    /// A message on an Exchange stream had no content; the stream was closed.
    EmptyMessage = "EMPTY_MESSAGE", InvalidArgument, NEVER, Developers, Ours;
    /// The agency's items are out of order or listed twice.
    ItemOrder = "ITEM_ORDER", Internal, NEVER, AgencyDevelopers, Ours;
    /// A changed party file, or a file that it names, cannot be used; the last good one of its
    /// name stays in force, and of a new one nothing is.
    PartyKept = "PARTY_KEPT", FailedPrecondition, NEVER, Operator, Log;
    /// The gateway did not read its answers; the stream was closed.
    PeerDoesNotRead = "PEER_DOES_NOT_READ", InvalidArgument, NEVER, Gateway, Ours;
    /// Exchange ids must rise and one did not; the stream was closed.
    RepeatedExchangeId = "REPEATED_EXCHANGE_ID", InvalidArgument, NEVER, Developers, Ours;
    /// The agency sent Hello twice; the stream was closed.
    SecondHello = "SECOND_HELLO", InvalidArgument, NEVER, AgencyDevelopers, Ours;
    /// The agency answered an item that was not asked for, so its whole section is not
    /// believed.
    UnaskedItem = "UNASKED_ITEM", Internal, NEVER, AgencyDevelopers, Ours;
    /// The peer showed its audit log on an Exchange stream without having been asked; the
    /// stream was closed.
    UnaskedLog = "UNASKED_LOG", InvalidArgument, NEVER, Developers, Ours;
    /// A section's body is not the one that its envelope describes.
    WrongBody = "WRONG_BODY", Internal, NEVER, AgencyDevelopers, Ours;
    /// The answer echoes another request. The stream was ended, since nothing after it is to be
    /// believed.
    WrongEcho = "WRONG_ECHO", Internal, NEVER, AgencyDevelopers, Ours;
    /// A section's status and body do not go together.
    WrongStatus = "WRONG_STATUS", Internal, NEVER, AgencyDevelopers, Ours;
    /// A value does not fit the catalogue.
    WrongValue = "WRONG_VALUE", Internal, NEVER, AgencyDevelopers, Ours;

    // An agency's source.
    /// The agency's source cannot be reached or read.
    SourceDown = "SOURCE_DOWN", Unavailable, after(1_000), Agency, Agency;
    /// The agency's source gave something that is no answer to what was asked.
    SourceInvalid = "SOURCE_INVALID", Internal, NEVER, Agency, Agency;
    /// More requests wait for the agency's source than its queue holds.
    SourceOverloaded = "SOURCE_OVERLOADED", ResourceExhausted, after(100), Agency, Agency;
    /// The mapping and the source do not fit together.
    SourceSchema = "SOURCE_SCHEMA", Unavailable, NEVER, Agency, Agency;
    /// The agency's source did not answer in time.
    SourceTimeout = "SOURCE_TIMEOUT", DeadlineExceeded, NEVER, Agency, Agency;

    // Alarms of a running process.
    /// The process cannot accept connections now and pauses.
    AcceptFailed = "ACCEPT_FAILED", Unavailable, NEVER, Operator, Log;
    /// A changed link certificate or key was not taken; the old pair stays in use until it
    /// expires.
    CertificateKept = "CERTIFICATE_KEPT", FailedPrecondition, NEVER, Operator, Log;
    /// A renewed web certificate of `tributary grant serve` was not taken; the old one stays in
    /// use.
    CertificateRefused = "CERTIFICATE_REFUSED", FailedPrecondition, NEVER, Issuer, Log;
    /// The policy in force has no rule that permits anything, so that every request is refused
    /// with NOTHING_PERMITTED.
    NoPolicy = "NO_POLICY", FailedPrecondition, NEVER, PolicyOwner, Log;
    /// The wall clock differs by more than 5 seconds from the time that has elapsed since the
    /// start, or is behind the audit log's last record; what expires is judged by the later of
    /// the two, what begins by the earlier.
    ClockJumped = "CLOCK_JUMPED", Unavailable, NEVER, Operator, Log;
    /// The changed `[grants]` section, or a key file that it names, cannot be used; the last
    /// good issuers and purposes stay in force.
    PinsKept = "PINS_KEPT", FailedPrecondition, NEVER, Operator, Log;
    /// The changed catalogue cannot be used, or not with the policy, the purposes or the mapping
    /// as they are; the last good one stays in force with all that was made for it.
    CatalogueKept = "CATALOGUE_KEPT", FailedPrecondition, NEVER, Operator, Log;
    /// The changed mapping or source cannot be used; the last good one stays in force.
    MappingKept = "MAPPING_KEPT", FailedPrecondition, NEVER, Agency, Log;
    /// The audit log cannot go on in the folder that the changed configuration names; it goes
    /// on as it was.
    LogKept = "LOG_KEPT", FailedPrecondition, NEVER, Operator, Log;
    /// The changed policy does not load; the last good one stays in force.
    PolicyKept = "POLICY_KEPT", FailedPrecondition, NEVER, PolicyOwner, Log;
    /// A changed key of the configuration is not in force, since a running process does not take
    /// it; everything else is.
    RestartNeeded = "RESTART_NEEDED", FailedPrecondition, NEVER, Operator, Log;
    /// A new CSV file has far fewer rows than the last good one, or lacks people of it; the last
    /// good one stays in use, or those people are answered INVALID.
    SourceShrank = "SOURCE_SHRANK", FailedPrecondition, NEVER, Agency, Log;
    /// A new CSV file is cut or still being written; the last good one stays in use.
    SourceTorn = "SOURCE_TORN", FailedPrecondition, NEVER, Agency, Log;
    /// The issuer cannot sign its status list anew; the last one is handed out and ages.
    StatusListNotSigned = "STATUS_LIST_NOT_SIGNED", Unavailable, NEVER, Issuer, Log;
    /// A status list is missing or older than `max_age`, so grants of its issuer are refused
    /// with GRANT_STATUS_STALE.
    StatusListStale = "STATUS_LIST_STALE", Unavailable, NEVER, Operator, Log;
    /// The agency's file cannot be read, or is not an agency's; its kill switch stays as it is.
    SwitchKept = "SWITCH_KEPT", FailedPrecondition, NEVER, Agency, Log;
    /// Nobody of a trust domain is believed, because its revocation list is past its date or
    /// cannot be read.
    TrustDomainClosed = "TRUST_DOMAIN_CLOSED", Unauthenticated, NEVER, Operator, Log;
    /// A changed file of trust anchors or revocation lists, or the configuration that names it,
    /// cannot be used; the last good one stays in force.
    TrustKept = "TRUST_KEPT", FailedPrecondition, NEVER, Operator, Log;

    // A status list that is not taken.
    /// A claim of the fetched status list is missing, unknown or malformed.
    StatusListClaims = "STATUS_LIST_CLAIMS", FailedPrecondition, NEVER, Issuer, Log;
    /// The fetched status list's `exp` has passed.
    StatusListExpired = "STATUS_LIST_EXPIRED", FailedPrecondition, NEVER, Issuer, Log;
    /// The fetched status list does not decompress, or to more than is allowed.
    StatusListInflate = "STATUS_LIST_INFLATE", FailedPrecondition, NEVER, Issuer, Log;
    /// The fetched status list is signed with a key that is not pinned for its URI.
    StatusListKey = "STATUS_LIST_KEY", FailedPrecondition, NEVER, Operator, Log;
    /// The fetched status list's `iat` lies ahead.
    StatusListNotYetValid = "STATUS_LIST_NOT_YET_VALID", FailedPrecondition, NEVER, Issuer, Log;
    /// The fetched status list is older than the one that is held, so it is not taken.
    StatusListOlder = "STATUS_LIST_OLDER", FailedPrecondition, NEVER, Issuer, Log;
    /// The fetched status list's signature does not hold under the pinned key.
    StatusListSignature = "STATUS_LIST_SIGNATURE", FailedPrecondition, NEVER, Operator, Log;
    /// The fetched status list is too large, or has another size than it may have.
    StatusListSize = "STATUS_LIST_SIZE", FailedPrecondition, NEVER, Issuer, Log;
    /// The fetched status list is made out for another URI.
    StatusListSubject = "STATUS_LIST_SUBJECT", FailedPrecondition, NEVER, Issuer, Log;
    /// What was fetched is no status list token.
    StatusListToken = "STATUS_LIST_TOKEN", FailedPrecondition, NEVER, Issuer, Log;

    // Fetching over HTTPS.
    /// Every CA certificate that may vouch for the HTTPS server has expired, or is not valid yet.
    HttpsAnchorsExpired = "HTTPS_ANCHORS_EXPIRED", Unavailable, NEVER, Operator, Log;
    /// The HTTPS server broke the exchange off, or does not speak HTTP.
    HttpsBroken = "HTTPS_BROKEN", Unavailable, NEVER, Operator, Log;
    /// The HTTPS server answers with another media type than the one that was asked for.
    HttpsMediaType = "HTTPS_MEDIA_TYPE", Unavailable, NEVER, Operator, Log;
    /// The HTTPS server answers with another status than 200. A redirect is not followed.
    HttpsStatus = "HTTPS_STATUS", Unavailable, NEVER, Operator, Log;
    /// The HTTPS server did not answer in time.
    HttpsTimedOut = "HTTPS_TIMED_OUT", Unavailable, NEVER, Operator, Log;
    /// There is no trusted connection to the HTTPS server.
    HttpsTlsFailed = "HTTPS_TLS_FAILED", Unavailable, NEVER, Operator, Log;
    /// The HTTPS server answers with more bytes than are taken.
    HttpsTooLarge = "HTTPS_TOO_LARGE", Unavailable, NEVER, Operator, Log;
    /// Nothing answers at the HTTPS server's address.
    HttpsUnreachable = "HTTPS_UNREACHABLE", Unavailable, NEVER, Operator, Log;

    // Connections that are refused or closed.
    /// The peer's certificate has expired.
    CertificateExpired = "CERTIFICATE_EXPIRED", Unauthenticated, NEVER, Caller, Log;
    /// The peer's certificate, or one above it, is not valid; the log line says how.
    CertificateInvalid = "CERTIFICATE_INVALID", Unauthenticated, NEVER, Caller, Log;
    /// The peer's certificate is not valid yet.
    CertificateNotYetValid = "CERTIFICATE_NOT_YET_VALID", Unauthenticated, NEVER, Caller, Log;
    /// The peer's certificate is not made for this end of a TLS connection.
    CertificatePurpose = "CERTIFICATE_PURPOSE", Unauthenticated, NEVER, Caller, Log;
    /// The peer's certificate has been revoked.
    CertificateRevoked = "CERTIFICATE_REVOKED", Unauthenticated, NEVER, Caller, Log;
    /// The peer's certificate does not have exactly one SPIFFE id.
    CertificateWithoutIdentity = "CERTIFICATE_WITHOUT_IDENTITY", Unauthenticated, NEVER, Caller, Log;
    /// An HTTPS connection was open for as long as it may be, so it was closed.
    ConnectionTimeout = "CONNECTION_TIMEOUT", DeadlineExceeded, NEVER, Nobody, Log;
    /// A connection did not end by itself within the drain time, so it was closed hard.
    DrainTimeout = "DRAIN_TIMEOUT", DeadlineExceeded, NEVER, Nobody, Log;
    /// The peer's certificate comes from the CA of another trust domain than the one that it
    /// names.
    ForeignCa = "FOREIGN_CA", Unauthenticated, NEVER, Caller, Log;
    /// The connection ended during the TLS handshake.
    HandshakeAborted = "HANDSHAKE_ABORTED", Unauthenticated, NEVER, Nobody, Log;
    /// The TLS handshake did not finish in time.
    HandshakeTimeout = "HANDSHAKE_TIMEOUT", DeadlineExceeded, NEVER, Nobody, Log;
    /// What came on the connection is not TLS.
    NotTls = "NOT_TLS", Unauthenticated, NEVER, Caller, Log;
    /// A handshake ended well and no peer was verified in it, so the connection is refused.
    NotVerified = "NOT_VERIFIED", Unauthenticated, NEVER, Operator, Log;
    /// No request came on a connection in the time that it may be idle, so it was closed.
    IdleTimeout = "IDLE_TIMEOUT", DeadlineExceeded, NEVER, Nobody, Ours;
    /// The peer shows no certificate.
    NoCertificate = "NO_CERTIFICATE", Unauthenticated, NEVER, Caller, Log;
    /// The peer does not offer HTTP/2.
    NoHttp2 = "NO_HTTP2", Unauthenticated, NEVER, Caller, Log;
    /// The peer ended the TLS handshake with an alert.
    RefusedByPeer = "REFUSED_BY_PEER", Unauthenticated, NEVER, Both, Log;
    /// The revocation list of the peer's trust domain is past its date.
    RevocationListExpired = "REVOCATION_LIST_EXPIRED", Unauthenticated, NEVER, Operator, Log;
    /// No revocation list covers the peer's certificate.
    RevocationUnknown = "REVOCATION_UNKNOWN", Unauthenticated, NEVER, Operator, Log;
    /// The revocation list of the peer's trust domain cannot be used.
    RevocationUnusable = "REVOCATION_UNUSABLE", Unauthenticated, NEVER, Operator, Log;
    /// The peer's trust domain may not speak for the role in its SPIFFE id.
    RoleNotAllowed = "ROLE_NOT_ALLOWED", Unauthenticated, NEVER, Operator, Log;
    /// No TLS configuration could be made for the connection.
    TlsConfiguration = "TLS_CONFIGURATION", Unauthenticated, NEVER, Operator, Log;
    /// The TLS handshake failed; the log line says how.
    TlsFailed = "TLS_FAILED", Unauthenticated, NEVER, Both, Log;
    /// The peer offers no TLS version, cipher or signature that is accepted here.
    TlsIncompatible = "TLS_INCOMPATIBLE", Unauthenticated, NEVER, Caller, Log;
    /// As many connections are open as are taken, so another is refused.
    TooManyConnections = "TOO_MANY_CONNECTIONS", ResourceExhausted, NEVER, Operator, Log;
    /// The peer's trust domain has as many connections open as one may, or those that are
    /// left are kept for domains that have fewer.
    TooManyConnectionsOfDomain = "TOO_MANY_CONNECTIONS_OF_DOMAIN", ResourceExhausted, NEVER, Caller, Log;
    /// The peer has as many connections open as one peer may.
    TooManyConnectionsOfPeer = "TOO_MANY_CONNECTIONS_OF_PEER", ResourceExhausted, NEVER, Caller, Log;
    /// As many TLS handshakes are under way as are taken, so the slowest is given up.
    TooManyHandshakes = "TOO_MANY_HANDSHAKES", ResourceExhausted, NEVER, Operator, Log;
    /// No pinned CA vouches for the peer's certificate.
    UnknownCa = "UNKNOWN_CA", Unauthenticated, NEVER, Operator, Log;
    /// The trust domain in the peer's SPIFFE id is not configured here.
    UnknownTrustDomain = "UNKNOWN_TRUST_DOMAIN", Unauthenticated, NEVER, Operator, Log;
    /// A connection brought more frames that ask for nothing than any honest peer sends, so
    /// it was closed.
    FramesWithoutWork = "FRAMES_WITHOUT_WORK", ResourceExhausted, NEVER, Caller, Ours;
    /// The process holds as much as it may for its peers, so the connections of the one that
    /// makes it hold most were closed.
    HeaviestPeer = "HEAVIEST_PEER", ResourceExhausted, NEVER, Caller, Ours;
    /// An answer was not read in its time, so its stream was reset.
    Unread = "UNREAD", DeadlineExceeded, NEVER, Caller, Log;

    // The command line.
    /// A line of the input of `tributary profile stream` is no request.
    BadLine = "BAD_LINE", InvalidArgument, NEVER, Caller, Ours;
}
