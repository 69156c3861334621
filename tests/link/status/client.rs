//! The client: bounded whatever the server does, and never led elsewhere.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tributary::clock;
use tributary::link::https::{FetchError, FetchLimits, HttpsClient, HttpsUri, ServerAnchors};
use tributary::service::status_lists::MEDIA_TYPE;

use super::support::*;
use crate::authorities::{Authority, day, pem};

fn client(pki: &Pki) -> HttpsClient {
    HttpsClient::new(pki.anchors(), patient())
}

/// What it waits for comes.
fn patient() -> FetchLimits {
    FetchLimits { connect: LONG, total: LONG, ..FetchLimits::default() }
}

fn uri(port: u16) -> HttpsUri {
    HttpsUri::parse(&format!("https://localhost:{port}{PATH}")).unwrap()
}

#[tokio::test]
async fn a_host_name_or_an_address_of_the_certificate_is_believed() {
    let pki = Pki::new();
    let site = Site::start(&pki.issued).await;
    site.show("document");
    let client = client(&pki);
    for host in ["localhost", "127.0.0.1"] {
        let uri = HttpsUri::parse(&format!("https://{host}:{}{PATH}", site.address.port()));
        assert_eq!(client.get(&uri.unwrap(), MEDIA_TYPE).await.unwrap(), "document");
    }
    let other = HttpsUri::parse(&site.uri().replace(PATH, "/other")).unwrap();
    let refused = client.get(&other, MEDIA_TYPE).await.unwrap_err();
    assert!(matches!(refused, FetchError::Status(_, status) if status == 404), "{refused}");
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let pki = Pki::new();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silent, _) = rogue(&pki.issued, |stream| async move {
        let _held = stream;
        std::future::pending().await
    })
    .await;
    let (halting, _) = rogue(&pki.issued, |mut stream| async move {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: 9\r\n\r\na");
        let _ = stream.write_all(head.as_bytes()).await;
        std::future::pending().await
    })
    .await;
    for port in [mute.local_addr().unwrap().port(), silent.port(), halting.port()] {
        let total = Duration::from_millis(700);
        let hurried = HttpsClient::new(pki.anchors(), FetchLimits { total, ..patient() });
        let (at, begun) = (uri(port), clock::now());
        let asked = tokio::time::timeout(LONG, hurried.get(&at, MEDIA_TYPE)).await;
        let refused = asked.expect("it is not given up").unwrap_err();
        assert!(matches!(refused, FetchError::TimedOut(..)), "{refused}");
        assert!(begun.elapsed() >= total);
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let pki = Pki::new();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = plain.local_addr().unwrap();
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let (address, _) = rogue(&pki.issued, move |stream| async move {
            let text = format!(
                "HTTP/1.1 {status}\r\nlocation: http://{elsewhere}{PATH}\r\ncontent-length: 0\r\n\r\n"
            );
            answer(stream, &text).await;
        })
        .await;
        let refused = client(&pki).get(&uri(address.port()), MEDIA_TYPE).await.unwrap_err();
        assert!(matches!(refused, FetchError::Status(..)), "{refused}");
    }
    let asked = tokio::time::timeout(Duration::from_millis(200), plain.accept()).await;
    assert!(asked.is_err(), "nobody may come here");
}

#[tokio::test]
async fn a_document_without_end_is_cut_off() {
    let pki = Pki::new();
    let client = client(&pki);
    // A length that is too large, and a length that is not told.
    let site = Site::start(&pki.issued).await;
    site.show(vec![b'a'; 4 * 1024 * 1024 + 1]);
    let refused = client.get(&uri(site.address.port()), MEDIA_TYPE).await.unwrap_err();
    assert!(matches!(refused, FetchError::TooLarge(_, 4_194_304)), "{refused}");
    site.show(vec![b'a'; 4 * 1024 * 1024]);
    assert!(client.get(&uri(site.address.port()), MEDIA_TYPE).await.is_ok());

    let (address, _) = rogue(&pki.issued, |mut stream| async move {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {MEDIA_TYPE}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    })
    .await;
    let refused = client.get(&uri(address.port()), MEDIA_TYPE).await.unwrap_err();
    assert!(matches!(refused, FetchError::TooLarge(..)), "{refused}");

    let (address, _) = rogue(&pki.issued, |mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x-header: and another one\r\n").await.is_ok() {}
    })
    .await;
    let refused = client.get(&uri(address.port()), MEDIA_TYPE).await.unwrap_err();
    assert!(matches!(refused, FetchError::Http(..)), "{refused}");
}

#[tokio::test]
async fn another_type_or_an_encoding_is_refused() {
    let pki = Pki::new();
    for headers in [
        "content-type: text/html".to_owned(),
        "x-none: none".to_owned(),
        format!("content-type: {MEDIA_TYPE}\r\ncontent-encoding: gzip"),
        format!("content-type: {MEDIA_TYPE}\r\ncontent-encoding: identity, gzip"),
        format!(
            "content-type: {MEDIA_TYPE}\r\ncontent-encoding: identity\r\ncontent-encoding: gzip"
        ),
    ] {
        let (address, _) = rogue(&pki.issued, move |stream| {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\ncontent-length: 1\r\n\r\na");
            async move { answer(stream, &text).await }
        })
        .await;
        let refused = client(&pki).get(&uri(address.port()), MEDIA_TYPE).await.unwrap_err();
        assert!(matches!(refused, FetchError::MediaType(..)), "{refused}");
    }
}

#[tokio::test]
async fn what_says_that_it_is_not_encoded_is_taken() {
    let pki = Pki::new();
    let (address, _) = rogue(&pki.issued, |stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: Identity\r\ncontent-length: 1";
        answer(stream, &format!("{head}\r\ncontent-type: {MEDIA_TYPE}\r\n\r\na")).await;
    })
    .await;
    let taken = client(&pki).get(&uri(address.port()), MEDIA_TYPE).await.unwrap();
    assert_eq!(&taken[..], b"a");
}

#[tokio::test]
async fn anchors_out_of_their_time_vouch_for_nobody() {
    let pki = Pki::new();
    for (from, until) in [(1, 9), (-9, -1)] {
        let authority = Authority::made("Root", None, |params| {
            (params.not_before, params.not_after) = (day(from), day(until));
        });
        let file = pki.dir.path().join("anchors.pem");
        write(&file, &pem("CERTIFICATE", &authority.der));
        let client = HttpsClient::new(ServerAnchors::load(&file).unwrap(), FetchLimits::default());
        let refused = client.get(&uri(1), MEDIA_TYPE).await.unwrap_err();
        assert!(matches!(refused, FetchError::AnchorsExpired(_)), "{refused}");
    }
}

#[test]
fn anchors_that_cannot_be_used_are_refused() {
    let pki = Pki::new();
    let file = pki.dir.path().join("anchors.pem");
    write(&file, "");
    for (file, told) in [
        (file, "there is no certificate in it"),
        (pki.issued.certificate.clone(), "no authority's certificate"),
        (pki.dir.path().join("none.pem"), "cannot read"),
    ] {
        let refused = ServerAnchors::load(&file).unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
    }
}
