use std::time::Duration;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_772_344_800_000_000);

fn read(text: &str) -> Result<String, BadCondition> {
    Ok(text.parse::<RawCondition>()?.at(NOW)?.to_string())
}

#[test]
fn a_condition_is_said_back_in_full() {
    for (text, full) in [
        ("repository_id=812345", "repository_id='812345'"),
        (
            "  profile != deploy  and task.1=812345",
            "profile!='deploy' and task.1='812345'",
        ),
        (
            "environment in (production,'a b' , staging)",
            "environment in ('production', 'a b', 'staging')",
        ),
        (
            "issued>-2h AND opened<=2026-03-01T06:00:00Z",
            "issued>2026-03-01T04:00:00Z and opened<=2026-03-01T06:00:00Z",
        ),
        ("workload=spiffe://a/b", "workload='spiffe://a/b'"),
        ("ref=\"refs/heads/it's\"", "ref=\"refs/heads/it's\""),
    ] {
        assert_eq!(read(text).unwrap(), full, "{text}");
        assert_eq!(read(full).unwrap(), full, "{text}");
    }
}

#[test]
fn what_could_be_misread_is_refused() {
    for bad in [
        "",
        " ",
        "repository_id",
        "repository_id=",
        "=1",
        "a=1 b=2",
        "a=1 and",
        "a=1 or b=2",
        "a=1, b=2",
        "not a=1",
        "(a=1)",
        "a in ()",
        "a in (1",
        "a in 1",
        "a='1",
        "a==1",
        "a>1",
        "a<1",
        "issued=-2h",
        "issued>yesterday",
        "issued>2h",
        "opened in (-2h)",
        "issued>-h",
        "issued>--2h",
        "task.0=1",
        "task.9=1",
        "task.x=1",
        "a.b=1",
        "a=1; drop table task",
        "a=1 and and b=1",
        "*=1",
    ] {
        assert!(read(bad).is_err(), "{bad:?} was read as {:?}", read(bad));
    }
    let long = format!("a={}", "x".repeat(MOST_BYTES));
    assert_eq!(read(&long), Err(BadCondition::TooLong));
}

#[test]
fn what_is_asked_of_whom_is_known() {
    let at = |text: &str| text.parse::<RawCondition>().unwrap().at(NOW).unwrap();
    assert!(!at("profile=p").asks_lineages());
    assert!(at("environment!=production").asks_lineages());
    assert!(at("issued>-1h").asks_issues());
    assert_eq!(
        at("a=1 and profile=p and b!=2")
            .claims()
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    let from = at("opened>-2h and opened>=-1h and opened<-1s").opened_from();
    assert_eq!(from, Some(NOW.minus(Duration::from_hours(1))));
    assert_eq!(at("opened<-1h").opened_from(), None);
}
