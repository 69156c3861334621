//! A MySQL or MariaDB server's entry as the driver's options.

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use crate::config::mapping::{Server, TlsMode};
use crate::files;

/// Reads a server's entry.
///
/// # Errors
/// The address is none.
pub(in crate::source) fn options(server: &Server) -> Result<MySqlConnectOptions, sqlx::Error> {
    // The driver knows the protocol by one name.
    let url = server.url.expose().replacen("mariadb://", "mysql://", 1);
    let mut options = url
        .parse::<MySqlConnectOptions>()?
        .disable_statement_logging()
        // The session's own mode stays: it says what a quote means.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .ssl_mode(match server.tls {
            TlsMode::VerifyFull => MySqlSslMode::VerifyIdentity,
            TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            TlsMode::Off => MySqlSslMode::Disabled,
        });
    // The driver opens them by their path.
    let named = server.ca.iter().chain(server.identity.iter().flat_map(|(a, b)| [a, b]));
    for file in named {
        files::expect_file(file)?;
    }
    if let Some(ca) = &server.ca {
        options = options.ssl_ca(ca);
    }
    if let Some((certificate, key)) = &server.identity {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}
