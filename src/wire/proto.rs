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
use prost_types::{FileDescriptorSet, MethodDescriptorProto};

include!(concat!(env!("OUT_DIR"), "/protocol.rs"));

pub use self::tributary::v1 as pb;

/// The encoded descriptors of every file, for reflection and proto3 JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The paths of the calls with one message, each way.
#[derive(Debug, Default)]
pub struct Unary {
    /// Those that take one.
    pub questions: HashSet<String>,
    /// Those that are answered with one.
    pub answers: HashSet<String>,
}

/// The calls with one message, of those in encoded descriptors.
pub fn unary(descriptors: &[&[u8]]) -> Unary {
    let mut unary = Unary::default();
    each_method(descriptors, |path, method| {
        if !method.client_streaming() {
            unary.questions.insert(path.clone());
        }
        if !method.server_streaming() {
            unary.answers.insert(path);
        }
    });
    unary
}

/// The paths of every call in encoded descriptors.
pub fn methods(descriptors: &[&[u8]]) -> Vec<String> {
    let mut methods = Vec::new();
    each_method(descriptors, |path, _| methods.push(path));
    methods
}

fn each_method(descriptors: &[&[u8]], mut see: impl FnMut(String, &MethodDescriptorProto)) {
    let sets = descriptors.iter().filter_map(|set| FileDescriptorSet::decode(*set).ok());
    for file in sets.flat_map(|set| set.file) {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                see(path, method);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_with_one_answer_are_told_from_streams() {
        let all = unary(&[DESCRIPTORS]).answers;
        for one in ["ProfileService/GetProfile", "CatalogueService/ListItems"] {
            assert!(all.contains(&format!("/tributary.v1.{one}")), "{one}: {all:?}");
        }
        for stream in ["ProfileService/StreamProfiles", "AgencyService/Exchange"] {
            assert!(!all.contains(&format!("/tributary.v1.{stream}")), "{stream}: {all:?}");
        }
    }
}
