//! proto3 JSON for the messages that people and scripts read.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::proto::DESCRIPTORS;

/// Why a message has no JSON form. Only a fault of the build can cause it.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The embedded descriptors cannot be read.
    #[error("the embedded descriptors cannot be read")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// The message is not among the descriptors.
    #[error("`{0}` is not among the embedded descriptors")]
    UnknownMessage(&'static str),
    /// The message does not fit its descriptor.
    #[error("the message does not fit its descriptor")]
    Decode(#[from] prost::DecodeError),
    /// The message cannot be written.
    #[error("the message cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
}

/// A message of package `tributary.v1` as proto3 JSON, with the names of the
/// proto files (`as_of`, not `asOf`) and with default values left in, so that a
/// script need not know which fields may be absent.
///
/// # Errors
/// See [`JsonError`].
pub fn to_json(name: &'static str, message: &impl Message) -> Result<serde_json::Value, JsonError> {
    let pool = DescriptorPool::decode(DESCRIPTORS)?;
    let descriptor = pool
        .get_message_by_name(&format!("tributary.v1.{name}"))
        .ok_or(JsonError::UnknownMessage(name))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    Ok(dynamic.serialize_with_options(serde_json::value::Serializer, &options)?)
}
