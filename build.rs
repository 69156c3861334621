//! Compiles `proto/tributary/v1` in pure Rust: no protoc on the machine.

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("proto");
    let mut ours: Vec<PathBuf> = std::fs::read_dir(root.join("tributary/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    ours.retain(|path| path.extension().is_some_and(|ending| ending == "proto"));
    ours.push(root.join("google/rpc/status.proto"));
    ours.push(root.join("google/rpc/error_details.proto"));
    ours.sort();
    println!("cargo::rerun-if-changed=proto");

    let descriptors = protox::compile(&ours, [root])?;
    // Server reflection and proto3 JSON read the same descriptors at run time.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;

    tonic_prost_build::configure()
        .codec_path("crate::wire::codec::Fitting")
        .include_file("protocol.rs")
        // Inner messages travel as slices of the frame that brought them.
        .bytes(".tributary.v1")
        // Far larger than its alternatives.
        .boxed(".tributary.v1.AuditRecord.record.section")
        .boxed(".tributary.v1.GetProfileResponse.receipt")
        .boxed(".tributary.v1.ExchangeHello.description")
        .compile_fds(descriptors)?;
    Ok(())
}
