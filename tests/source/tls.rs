//! Whom a source believes to be its server: authorities, client certificates,
//! and what is said when there is no trust.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tributary::clock;
use tributary::domain::peer::Role;
use tributary::link::pki::{Authority, CertificateRequest, Issued, Validity};

use crate::shared::{ask, job};
use crate::site::{Kind, Site};
use crate::town::held;

/// A certificate for this machine, by an authority of its own.
fn certificate(folder: &Path, domain: &str) -> (Authority, Issued) {
    let now = clock::utc();
    let authority = Authority::create(folder, &domain.parse().unwrap(), now).unwrap();
    let validity = Validity::days(now, 3).unwrap();
    let issued = authority.issue(&CertificateRequest::local(Role::Agency, "db", validity)).unwrap();
    (authority, issued)
}

fn acceptor(issued: &Issued, clients: &Path) -> tokio_rustls::TlsAcceptor {
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(clients).unwrap() {
        roots.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let chain = CertificateDer::pem_file_iter(&issued.certificate).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            chain.map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(&issued.key).unwrap(),
        )
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_service_is_believed_by_its_authority_and_believes_ours() {
    let site = Site::new(Kind::Http, "TLS to a service").await.unwrap();
    site.put("job", &[job("p1")]).await;
    let (authority, server) = certificate(site.folder(), "service.example");
    let (other, ours) = certificate(site.folder(), "agency.example");
    let acceptor = acceptor(&server, &other.anchors());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let web = site.web.clone().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, web) = (acceptor.clone(), web.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    web.serve(stream).await;
                }
            });
        }
    });
    let file = |path: &Path| path.display().to_string();
    let ca = format!("ca = \"{}\"", file(&authority.anchors()));
    let identity =
        format!("certificate = \"{}\"\nkey = \"{}\"", file(&ours.certificate), file(&ours.key));
    let open = |lines: &str| site.open(&(site.source(&url, lines) + &site.query("job")));
    let holdings = open(&format!("{ca}\n{identity}"));
    assert_eq!(held(ask(&holdings, "p1", &[5]).await).0.len(), 1);

    let stranger = open(&format!("ca = \"{}\"\n{identity}", file(&other.anchors())));
    let said = stranger.check().await.unwrap_err();
    assert!(said[0].to_string().contains("UnknownIssuer"), "{}", said[0]);
    let nobody = open(&ca).check().await.unwrap_err();
    assert!(nobody[0].to_string().contains("SOURCE_DOWN"), "{}", nobody[0]);
}

#[tokio::test]
async fn a_postgresql_server_is_believed_by_its_authority() {
    let Some(site) = Site::new(Kind::Postgres, "TLS to PostgreSQL").await else { return };
    site.put("job", &[job("p1")]).await;
    let (authority, server) = certificate(site.folder(), "database.example");
    // The server's own account writes the files into its folder.
    for (file, name) in [(&server.certificate, "tls.pem"), (&server.key, "tls.key")] {
        let text = std::fs::read_to_string(file).unwrap();
        site.run(&format!(
            "copy (select unnest(string_to_array($pem${text}$pem$, E'\\n'))) \
             to program 'umask 077; cat > {name}'"
        ))
        .await;
    }
    for setting in ["ssl_cert_file = 'tls.pem'", "ssl_key_file = 'tls.key'", "ssl = on"] {
        site.run(&format!("alter system set {setting}")).await;
    }
    site.run("select pg_reload_conf()").await;
    let ca = authority.anchors().display().to_string();
    let open = |lines: &str| site.open(&(site.source(&site.url, lines) + &site.query("job")));
    let patience = clock::now() + std::time::Duration::from_secs(90);
    // A reload takes a moment.
    let holdings = loop {
        let holdings = open(&format!("tls = \"verify-full\"\nca = \"{ca}\""));
        if holdings.check().await.is_ok() || clock::now() > patience {
            break holdings;
        }
    };
    assert_eq!(held(ask(&holdings, "p1", &[5]).await).0.len(), 1);
    // Neither the public authorities, which the driver always believes, nor another
    // one vouch for this server.
    let (other, _) = certificate(site.folder(), "other.example");
    let other = format!("\nca = \"{}\"", other.anchors().display());
    for (mode, ca) in [("full", ""), ("ca", ""), ("full", &*other), ("ca", &*other)] {
        let said = open(&format!("tls = \"verify-{mode}\"{ca}")).check().await.unwrap_err();
        assert!(said[0].to_string().contains("no trusted connection"), "{mode}: {}", said[0]);
    }
}

#[tokio::test]
async fn a_service_far_away_is_never_asked_in_the_clear() {
    let site = Site::new(Kind::Http, "in the clear").await.unwrap();
    for (url, lines, phrase) in [
        ("http://hr.internal:80", "", "use `https`"),
        ("https://hr.internal", "", "state `ca`"),
        ("https://user:hunter2@hr.internal", "", "holds an account"),
        ("ftp://localhost", "", "https://host:port"),
        ("http://localhost/path", "", "belongs to `path`"),
    ] {
        let text = site.source(url, lines) + &site.query("job");
        let refused = crate::town::try_mapping(&text, site.folder()).unwrap_err();
        let said = format!("{refused:?}");
        assert!(said.contains(phrase) && !said.contains("hunter2"), "{url}: {said}");
    }
}
