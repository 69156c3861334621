//! A PostgreSQL server's entry as the driver's options.

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::mapping::{Server, TlsMode};
use crate::files;

/// Reads a server's entry.
///
/// # Errors
/// The address is none.
pub(in crate::source) fn options(server: &Server) -> Result<PgConnectOptions, sqlx::Error> {
    let mut options = server
        .url
        .expose()
        .parse::<PgConnectOptions>()?
        .application_name("tributary-agency")
        // A pooler refuses what it does not know, and no cell is read as text.
        .extra_float_digits(None)
        .disable_statement_logging()
        .ssl_mode(match server.tls {
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::Off => PgSslMode::Disable,
        });
    // The driver opens them by their path.
    let named = server.ca.iter().chain(server.identity.iter().flat_map(|(a, b)| [a, b]));
    for file in named {
        files::expect_file(file)?;
    }
    if let Some(ca) = &server.ca {
        options = options.ssl_root_cert(ca);
    }
    if let Some((certificate, key)) = &server.identity {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}
