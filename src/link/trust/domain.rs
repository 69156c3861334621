//! One trust domain: its anchors, its lists, and the verification of a path to them.
//!
//! webpki builds the path and checks signatures, times, purposes and names. What it
//! leaves to others is asked of each path that it finds, so that a path that fails here
//! does not hide another that holds: the anchor's own times, names, and revocation.

use std::cell::Cell;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use time::OffsetDateTime;
use webpki::{EndEntityCert, Error, VerifiedPath};
use x509_parser::certificate::X509Certificate;

use super::names::{self, Shown, UriConstraints};
use super::revocation::{ListSigner, Lists, PathStep};
use super::{Usage, unix_time};
use crate::domain::peer::Role;
use crate::link::certificate;

#[derive(Debug)]
pub(super) struct Domain {
    pub roles: Vec<Role>,
    pub anchors: Arc<Anchors>,
    pub revocation: Arc<Revocation>,
}

/// A trust domain's authorities.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// In the same order as `known`.
    anchors: Vec<TrustAnchor<'static>>,
    known: Vec<Anchor>,
}

/// What webpki does not keep of an anchor.
#[derive(Debug)]
struct Anchor {
    issuer: ListSigner,
    names: UriConstraints,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

/// A trust domain's revocation lists.
#[derive(Debug)]
pub(super) enum Revocation {
    NotConfigured,
    Lists(Lists),
    /// Configured, but unreadable or corrupt: nobody of the domain is believed.
    Unusable(String),
}

impl Revocation {
    pub(super) const fn has_lists(&self) -> bool {
        matches!(self, Self::Lists(_))
    }
}

impl Anchors {
    pub(super) fn add(
        &mut self,
        der: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
    ) -> Result<(), Error> {
        let names = UriConstraints::of(parsed)?;
        self.anchors.push(webpki::anchor_from_trusted_cert(&names::shown(der))?.to_owned());
        self.known.push(Anchor {
            issuer: ListSigner::of(parsed),
            names,
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
        });
        Ok(())
    }

    /// When the last of them runs out.
    pub(super) fn until(&self) -> Option<OffsetDateTime> {
        self.known.iter().map(|anchor| anchor.not_after).max()
    }

    /// Whether an authority's key is in both.
    pub(super) fn share(&self, others: &Self) -> bool {
        let key = |anchor: &TrustAnchor<'static>| anchor.subject_public_key_info.clone();
        self.anchors.iter().any(|own| others.anchors.iter().any(|other| key(own) == key(other)))
    }

    /// webpki takes an anchor for ever; an authority's own certificate says from when and
    /// until when it may be believed. Of several with one key the best is taken.
    fn valid(&self, anchor: &TrustAnchor<'_>, now: OffsetDateTime) -> Result<&Anchor, Error> {
        let mut found = Error::UnknownIssuer;
        let all = self.anchors.iter().zip(&self.known);
        for (_, known) in all.filter(|(ours, _)| *ours == anchor) {
            let (time, not_before) = (unix_time(now), unix_time(known.not_before));
            if now < known.not_before {
                found = Error::CertNotValidYet { time, not_before };
            } else if now > known.not_after {
                found = Error::CertExpired { time, not_after: unix_time(known.not_after) };
            } else {
                return Ok(known);
            }
        }
        Err(found)
    }
}

impl Domain {
    /// Gives until when what was found holds, as far as it is not the leaf's own matter.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        now: OffsetDateTime,
    ) -> Result<OffsetDateTime, Error> {
        let end_entity = EndEntityCert::try_from(leaf)?;
        let shown = Shown::of(intermediates);
        let algorithms = shown.algorithms();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            algorithms.iter().map(|one| one as _).collect();
        let until = Cell::new(OffsetDateTime::UNIX_EPOCH);
        end_entity.verify_for_usage(
            &algorithms,
            &self.anchors.anchors,
            &shown.certificates,
            unix_time(now),
            usage,
            None,
            Some(&|path| {
                until.set(self.judge(path, &shown, usage, now)?);
                Ok(())
            }),
        )?;
        Ok(until.get())
    }

    /// What webpki does not ask of a path.
    fn judge(
        &self,
        path: &VerifiedPath<'_>,
        shown: &Shown<'_>,
        usage: Usage,
        now: OffsetDateTime,
    ) -> Result<OffsetDateTime, Error> {
        let anchor = self.anchors.valid(path.anchor(), now)?;
        // From the leaf upwards, here and below.
        let certificates: Vec<_> =
            std::iter::once(&**path.end_entity()).chain(path.intermediate_certificates()).collect();
        let ders: Vec<_> = certificates.iter().map(|one| shown.original(&one.der())).collect();
        let parsed: Vec<_> = ders
            .iter()
            .map(|der| certificate::parse(der).map_err(|_| Error::BadDer))
            .collect::<Result<_, _>>()?;
        let (leaf, above) = parsed.split_first().ok_or(Error::BadDer)?;
        usage.stated_by(leaf)?;
        for (depth, below) in parsed.iter().enumerate() {
            anchor.names.check(below)?;
            for authority in parsed.iter().skip(depth + 1) {
                UriConstraints::of(authority)?.check(below)?;
            }
        }
        let ends = parsed.iter().map(|one| one.validity().not_after.to_datetime());
        let until = ends.fold(anchor.not_after, OffsetDateTime::min);
        let Revocation::Lists(lists) = &*self.revocation else { return Ok(until) };

        let issuers: Vec<ListSigner> = above.iter().map(ListSigner::of).collect();
        let steps: Vec<_> = certificates
            .iter()
            .zip(&parsed)
            .zip(issuers.iter().chain([&anchor.issuer]))
            .map(|((certificate, parsed), issuer)| PathStep { certificate, parsed, issuer })
            .collect();
        let anchors = self.anchors.known.iter().map(|anchor| &anchor.issuer);
        let known: Vec<_> = anchors.chain(&issuers).collect();
        let renewal = lists.check(&steps, &known, now)?;
        Ok(renewal.map_or(until, |renewal| until.min(renewal)))
    }
}
