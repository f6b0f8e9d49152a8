//! `SECURITY.md` names the test of each promise: every one of them is there.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn each_test_that_the_threat_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let (_, model) = page.split_once("## Who attacks").unwrap();
    let (model, _) = model.split_once("## Out of scope").unwrap();
    let named: Vec<_> = model
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| is_a_tests_name(word))
        .collect();
    assert!(named.len() > 40, "the names were not found");
    let mut there = BTreeSet::new();
    for folder in ["src", "tests"] {
        collect(&root.join(folder), &mut there);
    }
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !there.contains(*name))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// A sentence in the form of a name; what is shorter is a setting or a code.
fn is_a_tests_name(word: &str) -> bool {
    word.matches('_').count() >= 3
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn collect(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let own = path.file_name().is_some_and(|name| name != "peers");
        if path.is_dir() && own {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let functions = text.split("fn ").skip(1);
            names.extend(functions.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
}
