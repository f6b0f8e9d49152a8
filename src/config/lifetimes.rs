//! The ceilings of a profile: minutes for what is handed out, a day for what justifies it.

use std::time::Duration;

use super::findings::{Bounds, Findings};
use super::problem::Rule;
use super::raw::RawProfile;
use crate::domain::profile::Lifetimes;

/// A case lives for days, and its own state holds what stands on it: its task may too.
pub(super) fn check(
    raw: &RawProfile,
    case: bool,
    findings: &mut Findings<'_>,
) -> Option<Lifetimes> {
    let deadline_bounds = if case { CASE_DEADLINE } else { DEADLINE };
    let deadline = findings.duration(raw.deadline.as_ref(), &deadline_bounds);
    let token = findings.duration(raw.token_ttl.as_ref(), &TOKEN);
    let lease_bounds = Bounds {
        key: "lease_ttl",
        default: token.unwrap_or(TOKEN.default),
        ..TOKEN
    };
    let lease = findings.duration(raw.lease_ttl.as_ref(), &lease_bounds);
    let certificate = findings.duration(raw.certificate_ttl.as_ref(), &CERTIFICATE);
    let permit = findings.duration(raw.permit_ttl.as_ref(), &PERMIT);
    let approval = findings.duration(raw.approval_ttl.as_ref(), &APPROVAL);
    let session_bounds = Bounds {
        default: deadline.unwrap_or(SESSION.default).min(SESSION.default),
        ..SESSION
    };
    let session = findings.duration(raw.session_ttl.as_ref(), &session_bounds);
    let lifetimes = Lifetimes {
        deadline: deadline?,
        token: token?,
        lease: lease?,
        certificate: certificate?,
        permit: permit?,
        approval: approval?,
        session: session?,
    };
    ordered(raw, &lifetimes, findings);
    Some(lifetimes)
}

fn ordered(raw: &RawProfile, lifetimes: &Lifetimes, findings: &mut Findings<'_>) {
    let given = |first: &Option<super::raw::Text>, second: &Option<super::raw::Text>| {
        let text = first.as_ref().or(second.as_ref());
        text.map_or_else(|| raw.name.span(), super::raw::Text::span)
    };
    if lifetimes.session > lifetimes.deadline {
        let what = "a session would outlive its task";
        let at = given(&raw.session_ttl, &raw.deadline);
        findings.refuse(at, Rule::LifetimeOrder, what);
    }
    if lifetimes.token > lifetimes.session {
        let what = "a session would end before its first token";
        let at = given(&raw.session_ttl, &raw.token_ttl);
        findings.refuse(at, Rule::LifetimeOrder, what);
    }
    if lifetimes.lease > lifetimes.token {
        let what = "the lease is cut to the token's end";
        let at = given(&raw.lease_ttl, &raw.token_ttl);
        findings.warn(at, Rule::LeaseOutlivesToken, what);
    }
}

const TOKEN: Bounds = Bounds {
    key: "token_ttl",
    least: Duration::from_secs(1),
    most: Duration::from_mins(15),
    default: Duration::from_mins(5),
    rule: Rule::Lifetime,
};

const CERTIFICATE: Bounds = Bounds {
    key: "certificate_ttl",
    least: Duration::from_secs(1),
    most: Duration::from_hours(1),
    default: Duration::from_mins(10),
    rule: Rule::Lifetime,
};

/// Long enough to walk to the service with it.
const PERMIT: Bounds = Bounds {
    key: "permit_ttl",
    default: Duration::from_mins(1),
    ..TOKEN
};

/// An approval is somebody's word about what they have just seen.
const APPROVAL: Bounds = Bounds {
    key: "approval_ttl",
    least: Duration::from_mins(1),
    most: Duration::from_hours(24),
    default: Duration::from_hours(1),
    rule: Rule::Lifetime,
};

const SESSION: Bounds = Bounds {
    key: "session_ttl",
    least: Duration::from_secs(1),
    most: Duration::from_hours(24),
    default: Duration::from_mins(15),
    rule: Rule::Lifetime,
};

const DEADLINE: Bounds = Bounds {
    key: "deadline",
    least: Duration::from_secs(1),
    most: Duration::from_hours(24),
    default: Duration::from_hours(1),
    rule: Rule::Lifetime,
};

const CASE_DEADLINE: Bounds = Bounds {
    most: Duration::from_hours(24 * 30),
    ..DEADLINE
};
