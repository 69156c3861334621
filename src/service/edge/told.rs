//! Every refusal says why in a form that programs read: what tonic and the standard
//! services refuse by themselves gets an ErrorInfo too, and the code that says whose
//! fault it is.
//!
//! tonic answers an oversize message with OUT_OF_RANGE and an undecodable one with
//! INTERNAL.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use tonic::{Code, Status};

use crate::domain::reason::Reason;
use crate::wire::refusal::Refusal;

/// An answer's body whose trailers say why.
#[derive(Debug, Default)]
pub struct Told<B>(pub(super) B);

/// Says why, where these headers or trailers refuse and do not say it yet.
pub(super) fn complete(headers: &mut HeaderMap) {
    let Some(status) = Status::from_header_map(headers) else { return };
    if status.code() == Code::Ok || !status.details().is_empty() {
        return;
    }
    let reason = match status.code() {
        Code::OutOfRange => Reason::MessageTooLarge,
        Code::ResourceExhausted => Reason::Overloaded,
        Code::Unimplemented => Reason::Unsupported,
        Code::NotFound => Reason::NoSuchName,
        Code::InvalidArgument => Reason::Undecodable,
        Code::Internal if status.message().starts_with("failed to decode") => Reason::Undecodable,
        Code::DeadlineExceeded | Code::Cancelled => Reason::Deadline,
        _ => Reason::Panic,
    };
    let told = Refusal::new(reason, status.message()).into_status("");
    // Nothing in it is no header: the text is escaped and the details are Base64.
    let _ = told.add_header(headers);
}

impl<B: Body + Unpin> Body for Told<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            frame.map(|mut frame| {
                if let Some(trailers) = frame.trailers_mut() {
                    complete(trailers);
                }
                frame
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
