//! How messages become frames: protobuf, with buffers that fit the messages.
//!
//! What the generated code would use takes two buffers of 8 KiB for each call, which a peer
//! that opens streams and says nothing makes us hold by the thousand, and of which an
//! answer that waits to be read keeps all for the few hundred bytes that it has.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

/// Bytes for a message until its length is known.
const BUFFER: usize = 512;

/// Messages that are ready together are handed on together, up to so many bytes.
const TOGETHER: usize = 32 * 1024;

/// The codec of every call: `S` is sent, `R` received.
#[derive(Debug)]
pub struct Fitting<S, R>(PhantomData<(S, R)>);

impl<S, R> Default for Fitting<S, R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<S, R> Codec for Fitting<S, R>
where
    S: Message + 'static,
    R: Message + Default + 'static,
{
    type Encode = S;
    type Decode = R;
    type Encoder = Whole<S>;
    type Decoder = ProstDecoder<R>;

    fn encoder(&mut self) -> Whole<S> {
        Whole(PhantomData)
    }

    fn decoder(&mut self) -> ProstDecoder<R> {
        ProstDecoder::new(settings())
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER, TOGETHER)
}

/// Makes room for a whole message before it writes it.
#[derive(Debug)]
pub struct Whole<S>(PhantomData<S>);

impl<S: Message> Encoder for Whole<S> {
    type Item = S;
    type Error = Status;

    fn encode(&mut self, item: S, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(item.encoded_len());
        item.encode(into).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}
