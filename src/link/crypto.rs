//! The cryptography of every link, of web servers too. Who believes whom by it is the business
//! of [`super::tls`] and [`super::trust`].

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};

/// Our cryptography: aws-lc-rs, TLS 1.3 suites, X25519MLKEM768 before X25519 and
/// the NIST curves.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        provider.kx_groups = vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ];
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}
