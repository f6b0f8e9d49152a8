//! Imports run one way: what comes early in the way through knows nothing of what comes late, and
//! each library that reaches outside is used in one place.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{self, Source};

/// What each module may import beside itself.
const MAY: &[(&str, &[&str])] = &[
    ("domain", GROUND),
    ("error", GROUND),
    ("seams", GROUND),
    ("telemetry", GROUND),
    // The stages know the values of one another that they take and hand on, and no more.
    ("outbound", &[]),
    ("attest", &["outbound"]),
    ("context", &["attest", "outbound"]),
    ("decide", &["attest", "context", "ledger"]),
    ("ledger", &["decide"]),
    ("mint", &["ledger"]),
    ("store", &["ledger", "mint"]),
    ("broker", BROKER),
    (
        "surface",
        &[
            "broker", "attest", "context", "ledger", "mint", "outbound", "store",
        ],
    ),
    ("jobs", &["broker", "ledger", "outbound", "store"]),
    // Each stage owns its checked settings; configuration parses into them.
    (
        "config",
        &["attest", "broker", "context", "mint", "store", "surface"],
    ),
    (
        "cli",
        &[
            "config", "surface", "jobs", "broker", "store", "outbound", "attest", "context",
            "decide", "ledger", "mint",
        ],
    ),
];

const GROUND: &[&str] = &["domain", "error", "seams", "telemetry"];

const BROKER: &[&str] = &["attest", "context", "decide", "ledger", "mint", "store"];

/// Which library is at home where.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["src/store/"]),
    ("axum", &["src/surface/", "src/cli/serve.rs"]),
    ("hyper", &["src/surface/", "src/cli/client.rs"]),
    ("tonic", &["src/surface/grpc/"]),
    ("writ_proto", &["src/surface/grpc/"]),
    ("cedar_policy", &["src/decide/"]),
    ("reqwest", &["src/outbound/"]),
    ("toml", &["src/config/"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    // Elsewhere it only names algorithms.
    (
        "jsonwebtoken",
        &["src/attest/", "src/broker/token.rs", "src/config/source.rs"],
    ),
    (
        "rcgen",
        &["src/cli/dev_tls.rs", "src/cli/svid.rs", "src/mint/x509/"],
    ),
    (
        "x509_parser",
        &[
            "src/attest/certificate.rs",
            "src/attest/csr.rs",
            "src/cli/doctor/",
        ],
    ),
];

#[test]
fn imports_run_one_way() {
    let may: BTreeMap<_, BTreeSet<_>> = MAY
        .iter()
        .map(|(module, more)| (*module, more.iter().chain(GROUND).copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    for file in source::all() {
        let module = file.module();
        if matches!(module, "main" | "lib") {
            continue;
        }
        let allowed = may.get(module);
        for (line, named) in modules_named(&file) {
            let fits = named == module || allowed.is_some_and(|may| may.contains(named.as_str()));
            if !fits {
                wrong.push(format!("{}:{line}: {module} imports {named}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn an_import_that_is_allowed_is_one_that_is_made() {
    let mut made = BTreeSet::new();
    for file in source::all() {
        for (_, named) in modules_named(&file) {
            made.insert((file.module().to_owned(), named));
        }
    }
    let unused: Vec<_> = MAY
        .iter()
        .flat_map(|(module, more)| more.iter().map(move |named| (*module, *named)))
        .filter(|(_, named)| !GROUND.contains(named))
        .filter(|(module, named)| !made.contains(&((*module).to_owned(), (*named).to_owned())))
        .collect();
    assert!(unused.is_empty(), "allowed and not needed: {unused:?}");
}

#[test]
fn each_library_that_reaches_outside_is_used_in_one_place() {
    let mut wrong = Vec::new();
    for file in source::all() {
        for (library, homes) in HOMES {
            if homes.iter().any(|home| file.path.starts_with(home)) {
                continue;
            }
            let named = format!("{library}::");
            for (line, text) in file.code() {
                if mentions(text, &named) {
                    wrong.push(format!("{}:{line}: {library} is not for here", file.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// An address is not an identity: only records and logs ask for one.
#[test]
fn no_stage_can_decide_by_an_address() {
    let may = [
        "src/broker/caller.rs",
        "src/broker/refuse.rs",
        "src/surface/http/connection.rs",
        "src/surface/http/peer.rs",
        "src/surface/http/problem.rs",
        "src/surface/http/proxies.rs",
    ];
    let asks = |text: &str| text.contains("caller::") || text.contains(".addr()");
    let asking: BTreeSet<_> = source::all()
        .iter()
        .filter(|file| file.code().any(|(_, text)| asks(text)))
        .map(|file| file.path.clone())
        .collect();
    let wrong: Vec<_> = asking
        .iter()
        .filter(|path| !may.contains(&path.as_str()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(asking.contains("src/broker/refuse.rs"), "{asking:?}");
}

/// The modules of this crate that a file names, with the lines.
fn modules_named(file: &Source) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (line, text) in file.code() {
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let list = list.split('}').next().unwrap();
                named.extend(list.split(',').map(|item| (line, first_word(item.trim()))));
            } else {
                named.push((line, first_word(rest)));
            }
        }
    }
    named.retain(|(_, name)| !name.is_empty());
    named
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

/// Whether the text names the library's path, and not something that ends alike.
fn mentions(text: &str, named: &str) -> bool {
    text.match_indices(named).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
    })
}
