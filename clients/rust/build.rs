//! Generates messages and clients from the contract's descriptor set; no protoc is needed.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=contract.binpb");
    let files =
        prost_types::FileDescriptorSet::decode(std::fs::read("contract.binpb")?.as_slice())?;
    tonic_prost_build::configure()
        .build_server(false)
        .disable_comments(["."])
        .include_file("contract.rs")
        .compile_fds(files)?;
    Ok(())
}
