//! The server: what it answers, and what nobody can take of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tributary::clock;
use tributary::link::https::{FetchLimits, HttpsClient, HttpsUri, PublishLimits, ServerPair};
use tributary::service::status_lists::MEDIA_TYPE;

use super::support::*;
use crate::kit::waiting::until;

/// A stock client's exit code and output; none where there is no `curl`.
async fn curl(pki: &Pki, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "90", "--cacert"])
        .arg(pki.anchors_file())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await;
    match output {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).to_lowercase()))
        }
        Err(error) => {
            eprintln!("SKIPPED: curl cannot be run ({error})");
            None
        }
    }
}

#[tokio::test]
async fn a_stock_client_is_answered() {
    let pki = Pki::new();
    let site = Site::start(&pki.issued).await;
    site.show("document");
    let uri = site.uri();
    let Some((done, text)) = curl(&pki, &["--include", &uri]).await else {
        return;
    };
    assert!(done, "{text}");
    for part in [
        "http/1.1 200 ok",
        "content-type: application/statuslist+jwt\r",
        "cache-control: public, max-age=2\r",
        "content-length: 8\r",
        "\r\n\r\ndocument",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let elsewhere = uri.replace(PATH, "/");
    let query = format!("{uri}?a=b");
    for (arguments, told) in [
        (["--head", &uri], "content-length: 8\r"),
        (["--include", &elsewhere], "http/1.1 404"),
        (["--include", &query], "http/1.1 404"),
        (["-iXPOST", &uri], "http/1.1 405"),
        (["-iXDELETE", &uri], "allow: get, head\r"),
        (["-ida=b", &uri], "http/1.1 405"),
    ] {
        let (done, text) = curl(&pki, &arguments).await.unwrap();
        assert!(done && text.contains(told), "{arguments:?}: {text}");
    }
    let (done, text) = curl(&pki, &["--tls-max", "1.2", &uri]).await.unwrap();
    assert!(!done, "TLS 1.2 is refused: {text}");
    let (done, text) = curl(&Pki::new(), &[&uri]).await.unwrap();
    assert!(!done, "another authority is not believed: {text}");
}

/// Waits until the server closes a connection.
async fn closed(stream: &mut TcpStream) {
    let mut byte = [0_u8; 4096];
    let reading = async { while matches!(stream.read(&mut byte).await, Ok(read) if read > 0) {} };
    tokio::time::timeout(LONG, reading).await.expect("the server closes the connection");
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    let pki = Pki::new();
    let unhurried = PublishLimits {
        handshake: LONG * 3,
        headers: LONG * 3,
        connections: 2,
        ..PublishLimits::default()
    };
    let (any, short) = ("127.0.0.1:0".parse().unwrap(), Duration::from_millis(300));
    let limits = PublishLimits { handshake: short, ..unhurried.clone() };
    let site = Site::start_at(any, &pki.issued, limits).await;
    let begun = clock::now();
    closed(&mut TcpStream::connect(site.address).await.unwrap()).await;
    assert!(begun.elapsed() >= short);

    // After the handshake, without a request.
    let limits = PublishLimits { headers: short, ..unhurried };
    let site = Site::start_at(any, &pki.issued, limits).await;
    site.show("document");
    let mut stream = pki.connected(site.address).await.unwrap();
    let mut rest = Vec::new();
    let reading = stream.read_to_end(&mut rest);
    let _ = tokio::time::timeout(LONG, reading).await.expect("the server closes the connection");
    assert!(!String::from_utf8_lossy(&rest).contains("200"));

    // Others are served meanwhile and afterwards: whoever asks in time.
    let limits = FetchLimits { connect: LONG, total: LONG, ..FetchLimits::default() };
    let client = HttpsClient::new(pki.anchors(), limits);
    let uri = HttpsUri::parse(&site.uri()).unwrap();
    let _held = TcpStream::connect(site.address).await.unwrap();
    let got = async || client.get(&uri, MEDIA_TYPE).await;
    assert_eq!(until("an answer", got, Result::is_ok).await.unwrap(), "document");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_stop_is_bounded() {
    let pki = Pki::new();
    let limits = PublishLimits {
        handshake: LONG * 3,
        whole: LONG * 3,
        connections: 2,
        ..PublishLimits::default()
    };
    let mut site = Site::start_at("127.0.0.1:0".parse().unwrap(), &pki.issued, limits).await;
    let _first = TcpStream::connect(site.address).await.unwrap();
    let _second = TcpStream::connect(site.address).await.unwrap();
    let mut third = TcpStream::connect(site.address).await.unwrap();
    closed(&mut third).await;
    let stopped = tokio::time::timeout(LONG, site.stop()).await;
    assert!(stopped.is_ok(), "two silent peers do not keep it from stopping");
    assert!(TcpStream::connect(site.address).await.is_err());
}

#[test]
fn a_pair_that_cannot_be_used_is_refused() {
    let (pki, now) = (Pki::new(), clock::utc());
    let issued = &pki.issued;
    let load = |now| ServerPair::load(&issued.certificate, &issued.key, now);
    let late = load(now + Duration::from_secs(2 * 86_400)).unwrap_err().to_string();
    assert!(late.contains("not now"), "{late}");
    let pair = load(now).unwrap();

    fs::set_permissions(&issued.key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(load(now).unwrap_err().to_string().contains("chmod 600"));
    assert!(pair.reload(now).is_err(), "and the old pair stays");
    fs::set_permissions(&issued.key, fs::Permissions::from_mode(0o600)).unwrap();
    pair.reload(now).unwrap();
    let other = Pki::new();
    let mixed = ServerPair::load(&other.issued.certificate, &issued.key, now).unwrap_err();
    assert!(mixed.to_string().contains("cannot be used together"), "{mixed}");
}
