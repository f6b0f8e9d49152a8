//! Generates `proto/src/` anew: `cargo run --locked --manifest-path proto/generate/Cargo.toml`.
//!
//! Each file begins with the digest of what it was generated from, so that a test can tell without a
//! compiler of protocol buffers that nobody has changed the one without the other.

use std::error::Error;
use std::fs;
use std::path::Path;

/// Each definition, and the package that it is in.
const DEFINITIONS: [(&str, &str); 1] = [("ext_authz", "envoy.service.auth.v3")];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let src = proto.join("src");
    for (name, package) in DEFINITIONS {
        let definition = proto.join(format!("{name}.proto"));
        let parsed = protox::compile([&definition], [&proto])?;
        tonic_prost_build::configure()
            .build_client(false)
            // What is held may be a token, and never gets into a text.
            .skip_debug(["."])
            .out_dir(&src)
            .compile_fds(parsed)?;
        let generated = src.join(format!("{package}.rs"));
        let code = fs::read_to_string(&generated)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, &fs::read(&definition)?);
        let digest: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let code = format!("// From {name}.proto, SHA-256 {digest}\n{code}");
        fs::write(src.join(format!("{name}.rs")), code)?;
        fs::remove_file(generated)?;
    }
    Ok(())
}
