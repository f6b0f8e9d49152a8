//! What is built in, resolved by features as cargo builds it: no second cryptography, no licence and
//! no version that `deny.toml` refuses.

use std::collections::BTreeSet;
use std::process::Command;

/// One package of the build.
struct Package {
    name: String,
    version: Vec<u64>,
    license: String,
}

/// What `deny.toml` refuses and allows.
struct Rules {
    /// Names, each with the version below which it is refused; without one, always.
    bans: Vec<(String, Option<Vec<u64>>)>,
    licenses: BTreeSet<String>,
}

/// Refused in any version: one library for cryptography, one for TLS, no key operations that leak.
const NEVER: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "openssl-sys",
    "native-tls",
    "rsa",
];

#[test]
fn nothing_that_is_banned_is_built_in() {
    let rules = rules();
    for name in NEVER {
        let banned = rules
            .bans
            .iter()
            .any(|(ban, below)| ban == name && below.is_none());
        assert!(banned, "deny.toml lets {name} in");
    }
    let mut wrong = Vec::new();
    for package in built() {
        for (name, below) in &rules.bans {
            let old = below.as_ref().is_none_or(|below| package.version < *below);
            if *name == package.name && old {
                wrong.push(format!("{} {:?}", package.name, package.version));
            }
        }
    }
    assert!(wrong.is_empty(), "banned and built in: {wrong:?}");
}

#[test]
fn every_licence_is_one_that_was_chosen() {
    let allowed = rules().licenses;
    let mut wrong = Vec::new();
    for package in built() {
        if !permits(&package.license, &allowed) {
            wrong.push(format!("{}: {}", package.name, package.license));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_licence_that_was_not_chosen_is_seen() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Apache-2.0".to_owned()]);
    for fine in [
        "MIT OR GPL-3.0",
        "MIT/Apache-2.0",
        "(MIT OR Foo) AND Apache-2.0",
    ] {
        assert!(permits(fine, &allowed), "{fine}");
    }
    for foul in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Foo) AND Bar", ""] {
        assert!(!permits(foul, &allowed), "{foul}");
    }
}

/// The packages of the server and of its tests' world, with the features that are on.
fn built() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--workspace", "--locked", "--offline"])
        .args(["--edges", "normal,build", "--prefix", "none", "--no-dedupe"])
        .args(["--format", "{p}|{l}"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let lines: BTreeSet<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    let packages: Vec<_> = lines.iter().map(|line| package(line)).collect();
    assert!(packages.len() > 100, "the graph was not read");
    packages
}

/// `name v1.2.3 (more)|LICENCE`
fn package(line: &str) -> Package {
    let (named, license) = line.split_once('|').unwrap();
    let mut words = named.split(' ');
    let name = words.next().unwrap().to_owned();
    let version = words.next().unwrap().trim_start_matches('v');
    Package {
        name,
        version: numbers(version),
        license: license.to_owned(),
    }
}

fn numbers(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().unwrap();
    release.split('.').map(|n| n.parse().unwrap()).collect()
}

fn rules() -> Rules {
    let text = include_str!("../../../deny.toml");
    let file: toml::Table = toml::from_str(text).unwrap();
    let bans = file["bans"]["deny"].as_array().unwrap();
    let licenses = file["licenses"]["allow"].as_array().unwrap();
    Rules {
        bans: bans.iter().map(ban).collect(),
        licenses: licenses
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect(),
    }
}

/// `name` or `name:<version`, always with a reason.
fn ban(entry: &toml::Value) -> (String, Option<Vec<u64>>) {
    let named = entry["crate"].as_str().unwrap();
    let reason = entry["reason"].as_str().unwrap();
    assert!(!reason.is_empty(), "{named} is banned without a reason");
    match named.split_once(":<") {
        Some((name, below)) => (name.to_owned(), Some(numbers(below))),
        None => (named.to_owned(), None),
    }
}

/// An SPDX expression with parentheses around alternatives only, as every package here writes it;
/// `/` is the older way to write OR.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let plain = expression.replace(" / ", " OR ").replace('/', " OR ");
    plain.split(" AND ").all(|part| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')');
        part.split(" OR ").any(|name| allowed.contains(name.trim()))
    })
}
