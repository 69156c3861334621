//! A grant as a request carries it: whole, or by its digest.

use bytes::Bytes;
use tonic::Code;

use super::proto::pb;
use super::refusal::FieldFault;
use crate::domain::grant::{GrantError, PresentationDigest, Presented};

/// Reads what was presented. Nothing in it is checked but its form.
///
/// # Errors
/// The field that is missing or wrong.
pub fn decode(grant: Option<pb::GrantPresentation>) -> Result<Presented<Bytes>, FieldFault> {
    let pb::GrantPresentation { sd_jwt, digest } = grant.unwrap_or_default();
    let wrong = |field: &str, description: &str| FieldFault {
        field: field.to_owned(),
        description: description.to_owned(),
    };
    match (sd_jwt.is_empty(), digest.is_empty()) {
        (false, true) => Ok(Presented::Whole(sd_jwt)),
        (true, false) => match <[u8; 32]>::try_from(&*digest) {
            Ok(digest) => Ok(Presented::Digest(PresentationDigest(digest))),
            Err(_) => Err(wrong("grant.digest", "must be the 32 bytes of a SHA-256")),
        },
        (false, false) => Err(wrong("grant", "must be sd_jwt or digest, not both")),
        (true, true) => {
            Err(wrong("grant.sd_jwt", "is missing: a grant says whose profile may be read"))
        }
    }
}

/// Writes what is presented.
pub fn encode(presented: Presented<Bytes>) -> pb::GrantPresentation {
    match presented {
        Presented::Whole(sd_jwt) => pb::GrantPresentation { sd_jwt, ..Default::default() },
        Presented::Digest(digest) => {
            let digest = Bytes::copy_from_slice(&digest.0);
            pb::GrantPresentation { digest, ..Default::default() }
        }
    }
}

/// Whether an agency says that a grant may be named to it by its digest.
pub fn takes_digests(description: &pb::DescribeResponse) -> bool {
    description.features().any(|is| is == pb::ProtocolFeature::GrantDigest)
}

/// Whether a refusal says that the receiver does not know the grant by its digest, and
/// is to be sent it whole.
pub fn is_unknown(code: Code, reason: &str) -> bool {
    code == Code::FailedPrecondition && reason == GrantError::Unknown.reason().as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(sd_jwt: &[u8], digest: &[u8]) -> Result<Presented<Bytes>, String> {
        let grant = pb::GrantPresentation {
            sd_jwt: Bytes::copy_from_slice(sd_jwt),
            digest: Bytes::copy_from_slice(digest),
        };
        decode(Some(grant)).map_err(|fault| fault.field)
    }

    #[test]
    fn exactly_one_is_to_be_set_and_a_digest_has_32_bytes() {
        assert_eq!(field(b"a~", b""), Ok(Presented::Whole(Bytes::from_static(b"a~"))));
        assert_eq!(field(b"", &[7; 32]), Ok(Presented::Digest(PresentationDigest([7; 32]))));
        assert_eq!(field(b"a~", &[7; 32]), Err("grant".into()));
        assert_eq!(field(b"a~", &[7]), Err("grant".into()));
        for length in [1, 31, 33, 64] {
            assert_eq!(field(b"", &vec![7; length]), Err("grant.digest".into()), "{length}");
        }
        assert_eq!(field(b"", b""), Err("grant.sd_jwt".into()));
        assert_eq!(decode(None).map_err(|fault| fault.field), Err("grant.sd_jwt".into()));
    }

    #[test]
    fn what_is_written_is_read() {
        let digest = PresentationDigest::of(b"a~");
        for presented in [Presented::Whole(Bytes::from_static(b"a~")), Presented::Digest(digest)] {
            assert_eq!(decode(Some(encode(presented.clone()))), Ok(presented));
        }
    }

    #[test]
    fn only_a_failed_precondition_asks_for_the_whole() {
        assert!(is_unknown(Code::FailedPrecondition, "GRANT_UNKNOWN"));
        assert!(!is_unknown(Code::PermissionDenied, "GRANT_UNKNOWN"));
        assert!(!is_unknown(Code::FailedPrecondition, "WRONG_CATALOGUE"));
    }
}
