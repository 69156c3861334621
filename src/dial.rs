//! TCP connections to a name: it is looked up anew each time, and all of its addresses
//! are tried, staggered, so that one that is silent does not hide the others (RFC 8305).
//!
//! IPv6 and IPv4 take turns. What connects first is used, and the rest is dropped.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};
use tokio::time::sleep;

/// How much later the next address is tried beside those before it (RFC 8305, section
/// 5: Connection Attempt Delay).
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried.
const ADDRESSES: usize = 16;

/// Connects to whichever address of a name answers first.
///
/// # Errors
/// The last address's error, with the address, once all of them have failed; or that
/// the name cannot be looked up. Bounding the time is the caller's business.
pub async fn dial(name: impl ToSocketAddrs) -> io::Result<TcpStream> {
    first(addresses(name).await?).await
}

/// A name's addresses, looked up now, with the one in front that answers first: for a
/// client that connects by itself and would wait for a silent one. Only a name of several
/// addresses costs a connection, which is dropped.
///
/// # Errors
/// As [`dial`].
pub async fn answering(name: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = addresses(name).await?;
    if addresses.len() > 1 {
        let answers = first(addresses.clone()).await?.peer_addr()?;
        addresses.sort_by_key(|address| *address != answers);
    }
    Ok(addresses)
}

async fn addresses(name: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    Ok(in_turns(lookup_host(name).await?.collect()))
}

async fn first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut last = none();
    loop {
        match waiting.next() {
            Some(address) => attempts.push(connect(address)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                // The next one is tried at once.
                Err(error) => last = error,
            },
            () = sleep(STAGGER), if more => {}
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connected = TcpStream::connect(address).await.and_then(|stream| {
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    connected.map_err(|error| io::Error::new(error.kind(), format!("{error} ({address})")))
}

/// Each address once, the families in turns, as the resolver orders them.
fn in_turns(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let turns = std::iter::from_fn(|| {
        let turn: Vec<SocketAddr> = first.next().into_iter().chain(second.next()).collect();
        (!turn.is_empty()).then_some(turn)
    });
    turns.flatten().take(ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[test]
    fn families_take_turns_and_no_address_is_tried_twice() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let resolved: Vec<SocketAddr> =
            parse(&["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        let wanted: Vec<SocketAddr> =
            parse(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
        assert_eq!(in_turns(resolved), wanted);
        assert!(in_turns(Vec::new()).is_empty());
    }

    /// An address that answers no attempt: its queue of connections is full. Whoever
    /// holds what is returned keeps it so.
    async fn silent() -> (SocketAddr, TcpListener, Vec<tokio::task::JoinHandle<()>>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let fill = (0..8).map(|_| {
            tokio::spawn(async move {
                let stream = TcpStream::connect(address).await;
                std::future::pending::<()>().await;
                drop(stream);
            })
        });
        let fill: Vec<_> = fill.collect();
        // Full once an attempt of our own does not get through.
        loop {
            let tried = tokio::time::timeout(Duration::from_millis(300), connect(address)).await;
            if tried.is_err() {
                return (address, listener, fill);
            }
        }
    }

    #[tokio::test]
    async fn row_59_a_silent_first_address_does_not_hide_the_second() {
        let (dead, _listener, fill) = silent().await;
        let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = live.local_addr().unwrap();
        let both = [dead, address];
        let dialled = tokio::time::timeout(Duration::from_secs(60), dial(&both[..]));
        let stream = dialled.await.expect("the second address was not tried").unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let order = tokio::time::timeout(Duration::from_secs(60), answering(&both[..]));
        let order = order.await.expect("the second address was not tried").unwrap();
        assert_eq!(order, [address, dead]);
        for one in fill {
            one.abort();
        }
    }

    #[tokio::test]
    async fn the_error_names_the_address() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = dial(gone).await.unwrap_err();
        assert!(error.to_string().contains(&gone.to_string()), "{error}");
        assert!(dial(&[][..]).await.is_err());
    }
}
