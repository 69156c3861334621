//! What comes in over a link before anything of ours is decoded: the bytes of a call, and
//! an agency's Hello.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Body, Frame};
use prost::Message;
use tower::{Layer, ServiceExt, service_fn};
use tributary::domain::catalogue::AgencyId;
use tributary::service::agencies::agreement::Agreement;
use tributary::service::edge::{EdgeLayer, Longest};
use tributary::wire::proto::pb;

use super::{AGENCY, CATALOGUE};

const PATHS: [&str; 2] =
    ["/tributary.v1.ProfileService/GetProfile", "/tributary.v1.ProfileService/StreamProfiles"];

/// Bytes of a body that stand in whole messages, from its beginning, and whether that is
/// all.
fn good(body: &[u8], one: bool) -> (usize, bool) {
    let (mut at, mut messages) = (0, 0);
    while let Some([0, length @ ..]) = body.get(at..at + 5)
        && (!one || messages == 0)
    {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        if length > tributary::wire::MAX_MESSAGE_BYTES || body.len() - at - 5 < length {
            break;
        }
        at += 5 + length;
        messages += 1;
    }
    (at, at == body.len() && (!one || messages == 1))
}

/// A call: a byte that says which and in what pieces it comes, its `grpc-timeout` up to a
/// line's end, and its body.
pub fn edge(data: &[u8]) -> bool {
    let Some((how, rest)) = data.split_first() else { return false };
    let end = rest.iter().position(|byte| *byte == b'\n');
    let (timeout, body) = rest.split_at(end.unwrap_or(rest.len()));
    let body = body.get(1..).unwrap_or_default();
    let one = how & 1 == 0;
    let pieces: Vec<Result<Frame<Bytes>, Infallible>> = body
        .chunks(usize::from(how >> 1) + 1)
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let mut request =
        Request::post(PATHS[usize::from(!one)]).header("content-type", "application/grpc");
    if !timeout.is_empty() {
        request = request.header("grpc-timeout", timeout);
    }
    let Ok(request) = request.body(StreamBody::new(stream::iter(pieces))) else { return false };
    let read: Arc<Mutex<(Vec<u8>, bool)>> = Arc::default();
    let known = Arc::clone(&read);
    let service = EdgeLayer { longest: Longest::new(Duration::from_secs(2)) }
        .layer(service_fn(move |request: Request<_>| take(request, Arc::clone(&known))));
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(service.oneshot(request))).unwrap();
    let (came, whole) = &*read.lock().unwrap();
    let (good, all) = good(body, one);
    assert!(body.starts_with(came), "other bytes were passed on");
    if came.is_empty() && !whole {
        // The call was refused before its body, or with it.
        return false;
    }
    assert!(came.len() >= good, "{good} bytes are good and {} were passed on", came.len());
    assert_eq!(*whole, all, "{} of {} bytes", came.len(), body.len());
    all
}

async fn take<B>(
    request: Request<B>,
    read: Arc<Mutex<(Vec<u8>, bool)>>,
) -> Result<Response<Empty<Bytes>>, Infallible>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut body = request.into_body();
    let mut whole = true;
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.lock().unwrap().0.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => whole = false,
        }
    }
    read.lock().unwrap().1 = whole;
    Ok(Response::new(Empty::new()))
}

/// What an agency says of itself, before anything is sent to it.
pub fn hello(data: &[u8]) -> bool {
    let Ok(mut description) = pb::DescribeResponse::decode(data) else { return false };
    let agency = AgencyId::new(AGENCY).unwrap();
    let agreement = Agreement::new(agency.clone(), CATALOGUE.clone(), 2);
    let fits = agreement.accept(0, &description).is_ok();
    assert!(fits == agreement.known().described.is_some(), "an agency that was refused is known");
    description.agency = agency.as_str().to_owned();
    description.catalogue_digest = CATALOGUE.digest().0.to_vec().into();
    let taken = agreement.accept(0, &description).is_ok();
    // Another endpoint that says the very same counts with it, if it says with what.
    let other = agreement.accept(1, &description).is_ok();
    if taken {
        assert_eq!(other, !description.counters_domain.is_empty());
    }
    taken
}
