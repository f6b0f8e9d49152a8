//! What is generated is what is defined: a change of a definition without the generator is found here.

use std::path::Path;

#[test]
fn every_definition_was_generated_from_as_it_stands() {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut found = 0;
    for entry in std::fs::read_dir(&proto).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "proto") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let definition = std::fs::read(&path).unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, &definition);
        let expected = format!("// From {name}.proto, SHA-256 {}", hex::encode(digest));
        let code = std::fs::read_to_string(proto.join(format!("src/{name}.rs"))).unwrap();
        assert_eq!(
            code.lines().next(),
            Some(expected.as_str()),
            "generate it anew: proto/generate/src/main.rs says how"
        );
        found += 1;
    }
    assert!(found > 0, "the definitions were not found");
}
