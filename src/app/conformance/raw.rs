//! Calls whose messages are any bytes: what no generated client would send.

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// Bytes out and bytes in.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

async fn ready(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let mut client = Grpc::new(channel).max_encoding_message_size(usize::MAX);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(client)
}

/// A unary call with these bytes as its message.
pub(super) async fn unary(
    channel: Channel,
    path: &'static str,
    message: Bytes,
) -> Result<Bytes, Status> {
    let mut client = ready(channel).await?;
    let path = PathAndQuery::from_static(path);
    Ok(client.unary(Request::new(message), path, Raw).await?.into_inner())
}

/// A stream on which each of the queue's items is a message.
pub(super) async fn stream(
    channel: Channel,
    path: &'static str,
    queue: impl tokio_stream::Stream<Item = Bytes> + Send + 'static,
) -> Result<Streaming<Bytes>, Status> {
    let mut client = ready(channel).await?;
    let path = PathAndQuery::from_static(path);
    Ok(client.streaming(Request::new(queue), path, Raw).await?.into_inner())
}
