//! What a certificate's key may be used for (extended key usage, RFC 5280, section
//! 4.2.1.12): a leaf has to state the purpose that it is shown for. An authority that
//! states purposes is held to them, and one that states none is not limited.

use webpki::{
    Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext,
};
use x509_parser::certificate::X509Certificate;

/// Which end of a connection a certificate is shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// The peer connects to us: it needs the clientAuth purpose.
    Client,
    /// We connect to the peer: it needs the serverAuth purpose.
    Server,
}

/// What an authority may state in place of every purpose.
const ANY: KeyPurposeId<'_> = KeyPurposeId::new(&[0x55, 29, 37, 0]);
const CLIENT: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const SERVER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

impl Usage {
    const fn oid(self) -> &'static [u8] {
        match self {
            Self::Client => CLIENT,
            Self::Server => SERVER,
        }
    }

    fn missing(self, present: Vec<Vec<usize>>) -> Error {
        let required = KeyUsage::required(self.oid());
        Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present })
    }

    /// Holds a leaf to stating the very purpose.
    pub(super) fn stated_by(self, leaf: &X509Certificate<'_>) -> Result<(), Error> {
        let stated = leaf.extended_key_usage().map_err(|_| Error::BadDer)?;
        let stated = stated.is_some_and(|stated| match self {
            Self::Client => stated.value.client_auth,
            Self::Server => stated.value.server_auth,
        });
        if stated { Ok(()) } else { Err(self.missing(Vec::new())) }
    }
}

/// Asked of every certificate of a path.
impl ExtendedKeyUsageValidator for Usage {
    fn validate(&self, iter: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let (wanted, mut present) = (KeyPurposeId::new(self.oid()), Vec::new());
        for stated in iter {
            let stated = stated?;
            if stated == wanted || stated == ANY {
                return Ok(());
            }
            present.push(stated.to_decoded_oid());
        }
        if present.is_empty() { Ok(()) } else { Err(self.missing(present)) }
    }
}
