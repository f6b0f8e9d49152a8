//! The published table of outcomes is the one that the code has: every code, its status on each
//! surface, its meaning and what it ends, none missing and none too many.

use std::collections::{BTreeMap, BTreeSet};

use writ::error::{Code, Kind};
use writ::surface::http::oauth::error::{Asked, outcome};
use writ::surface::http::problem;

use super::source;

const PAGE: &str = include_str!("../../../docs/reference/outcomes.md");

#[test]
fn the_published_table_is_what_the_surfaces_answer() {
    let published: Vec<_> = PAGE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<_> = Code::ALL.iter().map(|code| row(*code)).collect();
    let missing: Vec<_> = expected
        .iter()
        .filter(|row| !published.contains(&row.as_str()))
        .collect();
    assert!(missing.is_empty(), "not published:\n{}", joined(&missing));
    let wrong: Vec<_> = published
        .iter()
        .filter(|row| !expected.iter().any(|expected| expected == *row))
        .collect();
    assert!(
        wrong.is_empty(),
        "published and not so:\n{}",
        joined(&wrong)
    );
    assert_eq!(published.len(), expected.len(), "a row stands twice");
}

/// A denial ends something only in `decide`, and only these do.
#[test]
fn what_the_table_says_to_end_something_is_what_ends_something() {
    let mut ending = BTreeSet::new();
    for file in source::all() {
        let mut last = None;
        for (_, line) in file.code() {
            if let Some(at) = line.find("Denial::new(Code::") {
                let name = &line[at + "Denial::new(Code::".len()..];
                last = name.split([',', ' ', ')']).next().map(str::to_owned);
            }
            if line.starts_with(".ends(") {
                ending.insert(last.clone().unwrap());
            }
        }
    }
    let told: BTreeSet<_> = Code::ALL
        .iter()
        .filter(|code| !ends(**code).is_empty())
        .map(|code| format!("{code:?}"))
        .collect();
    assert_eq!(told, ending);
}

/// Nothing that could not be known is told as a refusal, on any surface.
#[test]
fn what_is_undetermined_is_503_everywhere() {
    for code in Code::ALL
        .iter()
        .filter(|code| code.kind() == Kind::Undetermined)
    {
        for asked in [Asked::Exchange, Asked::Refresh] {
            let (status, error) = outcome(*code, asked);
            assert_eq!((status.as_u16(), error), (503, "temporarily_unavailable"));
        }
        assert_eq!(problem::status(code.kind()).as_u16(), 503);
    }
}

fn row(code: Code) -> String {
    let oauth = |asked| {
        let (status, error) = outcome(code, asked);
        format!("{} `{error}`", status.as_u16())
    };
    let ends = match ends(code) {
        "" => "–",
        ends => ends,
    };
    format!(
        "| `{code}` | {} | {} | {} | {} | {} | {ends} |",
        meanings()[code.as_str()],
        oauth(Asked::Exchange),
        oauth(Asked::Refresh),
        introspection(code),
        problem::status(code.kind()).as_u16(),
    )
}

/// Introspection tells a resource server nothing of why: what is not a standing token is inactive.
fn introspection(code: Code) -> String {
    match code.kind() {
        Kind::Malformed | Kind::Unauthenticated | Kind::Undetermined | Kind::Internal => {
            let (status, error) = outcome(code, Asked::Exchange);
            format!("{} `{error}`", status.as_u16())
        }
        Kind::Unverified
        | Kind::Target
        | Kind::Scope
        | Kind::Denied
        | Kind::Absent
        | Kind::Conflict
        | Kind::Contradicted => "200 inactive".to_owned(),
    }
}

fn ends(code: Code) -> &'static str {
    if code == Code::ContextEnded {
        "the task, if its run or case is over for good; the lineage, if its job is, or its case is closed"
    } else if matches!(
        code,
        Code::ContextMismatch | Code::IdentityMismatch | Code::ResourceMismatch
    ) {
        "the lineage"
    } else {
        ""
    }
}

/// What each code means, as its own documentation says.
fn meanings() -> BTreeMap<String, String> {
    let text = include_str!("../../../src/error.rs");
    let mut meanings = BTreeMap::new();
    let mut meaning = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(said) = line.strip_prefix("/// ") {
            said.clone_into(&mut meaning);
        } else if let (true, Some((_, rest))) = (line.contains("\" => "), line.split_once(" = \""))
        {
            let code = rest.split('"').next().unwrap();
            meanings.insert(code.to_owned(), meaning.trim_end_matches('.').to_owned());
        }
    }
    meanings
}

fn joined<T: ToString>(rows: &[T]) -> String {
    let rows: Vec<_> = rows.iter().map(ToString::to_string).collect();
    rows.join("\n")
}
