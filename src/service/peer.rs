//! Who asks, and over which connection: what `link` put into a request.

use tonic::Request;

use crate::domain::peer::PeerId;
use crate::domain::reason::Reason;
use crate::link::validity::Link;
use crate::wire::refusal::Refusal;

/// The verified peer that `link` put into a request.
///
/// # Errors
/// `UNAUTHENTICATED` where there is none, which only a wiring fault can cause.
pub fn peer_of<T>(request: &Request<T>) -> Result<PeerId, Refusal> {
    request.extensions().get::<PeerId>().cloned().ok_or_else(no_peer)
}

/// The connection that a request came on, which `link` put into it.
///
/// # Errors
/// `UNAUTHENTICATED` where there is none, which only a wiring fault can cause.
pub fn link_of<T>(request: &Request<T>) -> Result<Link, Refusal> {
    request.extensions().get::<Link>().cloned().ok_or_else(no_peer)
}

fn no_peer() -> Refusal {
    Refusal::new(Reason::NoPeer, "the link has no verified peer")
}
