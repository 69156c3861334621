//! The code generated from `proto/`, under the packages' own names.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    reason = "generated"
)]

use std::collections::HashSet;

use prost::Message;
use prost_types::FileDescriptorSet;

include!(concat!(env!("OUT_DIR"), "/protocol.rs"));

pub use self::tributary::v1 as pb;

/// The encoded descriptors of every file, for reflection and proto3 JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The paths of the calls with one answer, of those in encoded descriptors.
pub fn one_answer(descriptors: &[&[u8]]) -> HashSet<String> {
    let sets = descriptors.iter().filter_map(|set| FileDescriptorSet::decode(*set).ok());
    let files = sets.flat_map(|set| set.file);
    let services = files.flat_map(|file| {
        let package = file.package().to_owned();
        file.service.into_iter().map(move |service| (package.clone(), service))
    });
    let paths = services.flat_map(|(package, service)| {
        let service_name = format!("/{package}.{}", service.name());
        let methods = service.method.into_iter().filter(|method| !method.server_streaming());
        methods.map(move |method| format!("{service_name}/{}", method.name()))
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_with_one_answer_are_told_from_streams() {
        let all = one_answer(&[DESCRIPTORS]);
        for one in ["ProfileService/GetProfile", "CatalogueService/ListItems"] {
            assert!(all.contains(&format!("/tributary.v1.{one}")), "{one}: {all:?}");
        }
        for stream in ["ProfileService/StreamProfiles", "AgencyService/Exchange"] {
            assert!(!all.contains(&format!("/tributary.v1.{stream}")), "{stream}: {all:?}");
        }
    }
}
