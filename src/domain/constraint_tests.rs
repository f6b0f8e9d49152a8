use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::action::Act;
use crate::domain::grant::Audience;
use crate::domain::identity::Identity;
use crate::domain::ids::{CredentialId, LineageId, TaskId};
use crate::domain::lineage::{Lineage, LineageState};
use crate::domain::task::{End, Epoch};
use crate::error::Code;

const ACTIONS: [&str; 3] = ["read", "list", "refund"];
const SCOPES: [&str; 3] = ["a", "b", "c"];
const GRANTS: [&str; 2] = ["case", "other"];

fn grant() -> Grant {
    Grant {
        audiences: [audience()].into(),
        scopes: SCOPES.iter().map(|s| s.parse().unwrap()).collect(),
        acts: Acts {
            reads: ["read", "list"]
                .iter()
                .map(|a| a.parse().unwrap())
                .collect(),
            writes: ["refund".parse().unwrap()].into(),
            resources: [rule()].into(),
        },
        ..Grant::default()
    }
}

fn rule() -> crate::domain::action::ResourceRule {
    crate::domain::action::ResourceRule {
        kind: "record".parse().unwrap(),
        id: None,
        properties: BTreeMap::new(),
    }
}

fn audience() -> Audience {
    "api".parse().unwrap()
}

fn whole() -> Grants {
    let all = GRANTS.iter().map(|name| (name.parse().unwrap(), grant()));
    Grants::new(all.collect())
}

fn lineage(grants: Grants) -> Lineage {
    Lineage {
        id: LineageId::from_bytes([1; 16]),
        task: TaskId::from_bytes([2; 16]),
        instance: "i".parse().unwrap(),
        identity: Identity::new("spiffe://a/b".parse().unwrap(), BTreeMap::new()),
        state: LineageState::Active,
        epoch: Epoch::FIRST,
        opened_at: at(0),
        deadline: at(1_000_000_000),
        bindings: Vec::new(),
        grants,
        released_at: None,
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn why() -> Quarantine {
    Quarantine {
        since: at(10),
        by: "ada".to_owned(),
        reason: None,
    }
}

/// Everything that can be asked of these grants.
fn given(grants: &Grants) -> BTreeSet<String> {
    let mut given = BTreeSet::new();
    for (name, grant) in grants.iter() {
        given.extend(
            grant
                .scopes
                .iter()
                .map(|s| format!("{name} {}", s.as_str())),
        );
    }
    for action in ACTIONS {
        let act = Act {
            action: action.parse().unwrap(),
            resource: crate::domain::action::Resource {
                kind: "record".parse().unwrap(),
                id: "1".parse().unwrap(),
                properties: BTreeMap::new(),
            },
        };
        if grants.act(&[audience()].into(), &act, &|_, _| None).is_ok() {
            given.insert(format!("act {action}"));
        }
    }
    given
}

fn narrowing() -> impl Strategy<Value = Narrowing> {
    fn some<T: std::str::FromStr<Err: std::fmt::Debug> + Ord + std::fmt::Debug>(
        of: &'static [&'static str],
    ) -> impl Strategy<Value = BTreeSet<T>> {
        let picked = proptest::sample::subsequence(of, 0..=of.len());
        picked.prop_map(|names| names.iter().map(|name| name.parse().unwrap()).collect())
    }
    let parts = (some(&GRANTS), some(&ACTIONS), some(&SCOPES), any::<bool>());
    parts.prop_map(|(grants, actions, scopes, writes)| Narrowing {
        grants,
        actions,
        scopes,
        writes,
    })
}

proptest! {
    #[test]
    fn no_row_of_releases_gives_back_what_one_took_away(
        narrowings in proptest::collection::vec(narrowing(), 1..6),
    ) {
        let mut lineage = lineage(whole());
        let mut moves = 0;
        for narrowing in narrowings {
            let before = lineage.clone();
            let held = lineage.quarantine(why()).unwrap();
            prop_assert!(!held.is_live() && !held.is_over());
            let left = narrowing.of(&held.grants).unwrap_or_else(|_| held.grants.clone());
            match held.clone().release(left, at(20 + moves)) {
                Ok(released) => {
                    moves += 1;
                    let (now, then) = (given(&released.grants), given(&before.grants));
                    prop_assert!(now.is_subset(&then), "{now:?} {then:?}");
                    prop_assert!(before.grants.within(&released.grants).is_err());
                    prop_assert_eq!(released.epoch, before.epoch.next().next());
                    lineage = released;
                }
                Err(Unmovable::NotNarrower) => lineage = before,
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
    }
}

#[test]
fn a_lineage_leaves_quarantine_narrower_or_not_at_all() {
    let held = lineage(whole()).quarantine(why()).unwrap();
    let wider = {
        let more = Grant {
            x509_svid: true,
            ..grant()
        };
        let mut all: BTreeMap<GrantName, Grant> = BTreeMap::new();
        all.insert("case".parse().unwrap(), more);
        Grants::new(all)
    };
    for grants in [whole(), wider] {
        let refused = held.clone().release(grants, at(20)).unwrap_err();
        assert_eq!(refused, Unmovable::NotNarrower);
    }
    let nothing = Narrowing::default().of(&held.grants).unwrap();
    assert_eq!(
        held.release(nothing, at(20)).unwrap_err(),
        Unmovable::NotNarrower
    );
}

#[test]
fn each_state_has_its_moves_and_no_other() {
    let active = lineage(whole());
    let held = active.clone().quarantine(why()).unwrap();
    let ended = held
        .clone()
        .end(End::new(Code::TaskRevoked, at(1)))
        .unwrap();
    let less = Grants::default;
    assert_eq!(
        active.release(less(), at(1)).unwrap_err(),
        Unmovable::AtLarge
    );
    assert_eq!(held.quarantine(why()).unwrap_err(), Unmovable::Quarantined);
    assert_eq!(
        ended.clone().quarantine(why()).unwrap_err(),
        Unmovable::Over
    );
    assert_eq!(ended.release(less(), at(1)).unwrap_err(), Unmovable::Over);
}

#[test]
fn what_was_given_before_a_release_is_not_carried_after_it() {
    let id = |millis: i64| {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        CredentialId::from_bytes(bytes)
    };
    let active = lineage(whole());
    assert!(active.carries(id(1)));
    let held = active.quarantine(why()).unwrap();
    assert!(!held.carries(id(1)) && !held.carries(id(100)));
    let released = held.release(Grants::default(), at(20)).unwrap();
    assert!(!released.carries(id(19)) && !released.carries(id(20)));
    assert!(released.carries(id(21)));
}

#[test]
fn what_is_not_there_is_not_taken_away() {
    let gone = |narrowing: Narrowing| narrowing.of(&whole()).unwrap_err().to_string();
    let no_grant = Narrowing {
        grants: ["refunds".parse().unwrap()].into(),
        ..Narrowing::default()
    };
    assert_eq!(gone(no_grant), "there is no grant `refunds`");
    let no_action = Narrowing {
        actions: ["refnud".parse().unwrap()].into(),
        ..Narrowing::default()
    };
    assert_eq!(gone(no_action), "no grant has the action `refnud`");
    let no_scope = Narrowing {
        scopes: ["d".parse().unwrap()].into(),
        ..Narrowing::default()
    };
    assert_eq!(gone(no_scope), "no grant has the scope `d`");
}

fn raised(risk: Risk) -> Lineage {
    lineage(whole()).raise(rise(risk)).unwrap()
}

fn rise(risk: Risk) -> StepUp {
    StepUp {
        risk,
        since: at(5),
        begun: Epoch::FIRST,
        by: "ada".to_owned(),
        reason: None,
        approvals: Vec::new(),
    }
}

fn word(by: &str, until: i64) -> Approval {
    Approval {
        by: by.to_owned(),
        at: at(5),
        until: at(until),
        reason: None,
    }
}

#[test]
fn a_risk_rises_and_never_falls_by_a_word() {
    let medium = raised(Risk::Medium);
    assert_eq!(
        medium.clone().raise(rise(Risk::Medium)).unwrap_err(),
        Unmovable::AtThatRisk
    );
    let high = medium.clone().raise(rise(Risk::High)).unwrap();
    assert_ne!(medium.challenge(), high.challenge());
    assert_eq!(
        high.clone().raise(rise(Risk::Medium)).unwrap_err(),
        Unmovable::AtThatRisk
    );
    assert_eq!(
        high.clone().release(whole(), at(9)).unwrap_err(),
        Unmovable::NotNarrower
    );
    assert!(high.is_live() && high.carries(CredentialId::from_bytes([0; 16])));
}

#[test]
fn an_approval_is_of_one_challenge_and_by_somebody_else() {
    let medium = raised(Risk::Medium);
    let challenge = medium.challenge().unwrap();
    let own = medium.clone().approve(challenge, word("ada", 50));
    assert_eq!(own.unwrap_err(), Unmovable::OwnChallenge);
    let high = medium.clone().raise(rise(Risk::High)).unwrap();
    let stale = high.clone().approve(challenge, word("grace", 50));
    assert_eq!(stale.unwrap_err(), Unmovable::NoSuchChallenge);
    let held = high.quarantine(why()).unwrap();
    let late = held.approve(challenge, word("grace", 50));
    assert_eq!(late.unwrap_err(), Unmovable::NoSuchChallenge);
}

#[test]
fn as_many_have_to_hold_at_once_as_the_quorum_is() {
    let medium = raised(Risk::Medium);
    let challenge = medium.challenge().unwrap();
    let until = |lineage: &Lineage, quorum, now| {
        let under = lineage.step_up().unwrap();
        under.approved_until(quorum, at(now))
    };
    assert_eq!(until(&medium, 1, 6), None);
    let one = medium.approve(challenge, word("grace", 50)).unwrap();
    assert_eq!(until(&one, 1, 6), Some(at(50)));
    assert_eq!(until(&one, 2, 6), None);
    let again = one.approve(challenge, word("grace", 60)).unwrap();
    assert_eq!(
        (until(&again, 1, 6), until(&again, 2, 6)),
        (Some(at(60)), None)
    );
    let two = again.approve(challenge, word("linus", 40)).unwrap();
    assert_eq!(
        (until(&two, 1, 6), until(&two, 2, 6)),
        (Some(at(60)), Some(at(40)))
    );
    assert_eq!(
        (until(&two, 2, 40), until(&two, 1, 40)),
        (None, Some(at(60)))
    );
    // Nobody asks for none, and none is not enough.
    assert_eq!(until(&two, 0, 6), None);
}

#[test]
fn a_challenge_survives_its_text_and_nothing_else_is_one() {
    let challenge = raised(Risk::High).challenge().unwrap();
    assert_eq!(challenge.to_string().parse(), Ok(challenge));
    let digits = "01".repeat(16);
    for bad in [
        "",
        "ch-",
        "ch-1-1",
        "lin_01-1",
        &format!("ch-{digits}"),
        &format!("ch-{digits}-0"),
        &format!("ch-{digits}-01"),
        &format!("ch-{digits}-+1"),
        &format!("ch-{digits}-1-1"),
    ] {
        assert_eq!(bad.parse::<ChallengeId>(), Err(BadChallenge), "{bad}");
    }
}
