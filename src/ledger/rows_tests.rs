//! Whatever verbs ask for, in whatever order, with whatever values: what the fold admits keeps the
//! promises, and what it refuses changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::constraint::{Approval, Quarantine, Risk, StepUp};
use crate::domain::credential::{CredentialKind, JwtSvid, RecallClass, SecretLease, X509Svid};
use crate::domain::freeze::{Freeze, FreezeScope};
use crate::domain::grant::{Grant, Grants, TokenGrant};
use crate::domain::identity::{Identity, TrustDomain};
use crate::domain::ids::{ChangeId, Realm};
use crate::domain::lineage::LineageState;
use crate::domain::session::{EvidenceMark, SessionState};
use crate::domain::task::{End, Epoch, TaskState};
use crate::domain::x509::Serial;
use crate::error::Code;
use crate::ledger::answered::{Answer, Answered, Repeat};
use crate::ledger::change::{Lane, SealedVersion};
use crate::ledger::entry::{Entry, Event, Subject};
use crate::seams::SystemEntropy;

/// What a verb might ask for. Small numbers, so that steps meet.
#[derive(Debug, Clone)]
enum Ask {
    Task { task: u8, grants: u8, minutes: u8 },
    Lineage { lineage: u8, grants: u8 },
    Session { lineage: u8, session: u8 },
    Token(Token),
    Lease { lineage: u8, session: u8, below: u8 },
    Svid { lineage: u8, session: u8, whom: u8 },
    Certificate(Certificate),
    Move(Move),
    Beside(Beside),
}

/// A row that is there, or would be, in its next epoch.
#[derive(Debug, Clone)]
enum Move {
    NarrowTask {
        task: u8,
        grants: u8,
    },
    NarrowLineage {
        lineage: u8,
        grants: u8,
    },
    Renew {
        session: u8,
    },
    EndTask {
        task: u8,
    },
    EndLineage {
        lineage: u8,
    },
    Quarantine {
        lineage: u8,
    },
    Raise {
        lineage: u8,
        high: bool,
        approved: bool,
    },
    Approve {
        lineage: u8,
        who: u8,
    },
    /// Live again: mostly with a part of what it had and a date, else with neither.
    Release {
        lineage: u8,
        grants: u8,
        dated: bool,
    },
    EndSession {
        session: u8,
    },
}

/// What is written besides tasks and what hangs on them.
#[derive(Debug, Clone)]
enum Beside {
    BarCredential { credential: u8 },
    Spend { task: u8, uses: u8 },
    Once { key: u8 },
    Order { key: u8, hours_ago: u8 },
    Secret { version: u8 },
    Freeze { scope: u8, minutes: u8 },
    Lift { scope: u8 },
}

#[derive(Debug, Clone)]
struct Token {
    lineage: u8,
    session: u8,
    scopes: u8,
    minutes: u8,
    parent: Option<u8>,
}

/// A certificate, mostly with a token as its parent and recalled as it should be.
#[derive(Debug, Clone)]
struct Certificate {
    lineage: u8,
    session: u8,
    minutes: u8,
    parent: Option<u8>,
    listed: bool,
}

/// One change, after which some time passes.
#[derive(Debug, Clone)]
struct Step {
    asks: Vec<Ask>,
    minutes: u8,
}

const WHO: [&str; 3] = ["ada", "grace", "linus"];
const TASKS: u8 = 2;
const LINEAGES: u8 = 3;
const SESSIONS: u8 = 4;

/// Steps in which little is wrong are likely, so that there is something to go wrong with.
fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => (0..TASKS, kept(), 20..200_u8)
            .prop_map(|(task, grants, minutes)| Ask::Task { task, grants, minutes }),
        4 => (0..LINEAGES, kept())
            .prop_map(|(lineage, grants)| Ask::Lineage { lineage, grants }),
        4 => place().prop_map(|(lineage, session)| Ask::Session { lineage, session }),
        12 => token().prop_map(Ask::Token),
        3 => (place(), 0..2_u8)
            .prop_map(|((lineage, session), below)| Ask::Lease { lineage, session, below }),
        3 => (place(), 0..2_u8)
            .prop_map(|((lineage, session), whom)| Ask::Svid { lineage, session, whom }),
        3 => certificate().prop_map(Ask::Certificate),
        6 => moved().prop_map(Ask::Move),
        5 => beside().prop_map(Ask::Beside),
    ]
}

fn moved() -> impl Strategy<Value = Move> {
    let left = prop_oneof![Just(1_u8), any::<u8>()];
    prop_oneof![
        1 => (0..TASKS, kept()).prop_map(|(task, grants)| Move::NarrowTask { task, grants }),
        1 => (0..LINEAGES, kept())
            .prop_map(|(lineage, grants)| Move::NarrowLineage { lineage, grants }),
        1 => (0..SESSIONS).prop_map(|session| Move::Renew { session }),
        1 => (0..TASKS).prop_map(|task| Move::EndTask { task }),
        1 => (0..LINEAGES).prop_map(|lineage| Move::EndLineage { lineage }),
        1 => (0..LINEAGES).prop_map(|lineage| Move::Quarantine { lineage }),
        1 => (0..LINEAGES, any::<bool>(), proptest::bool::weighted(0.2))
            .prop_map(|(lineage, high, approved)| Move::Raise { lineage, high, approved }),
        1 => (0..LINEAGES, 0..3_u8).prop_map(|(lineage, who)| Move::Approve { lineage, who }),
        1 => (0..LINEAGES, left, proptest::bool::weighted(0.8))
            .prop_map(|(lineage, grants, dated)| Move::Release { lineage, grants, dated }),
        1 => (0..SESSIONS).prop_map(|session| Move::EndSession { session }),
    ]
}

fn beside() -> impl Strategy<Value = Beside> {
    prop_oneof![
        2 => (0..8_u8).prop_map(|credential| Beside::BarCredential { credential }),
        4 => (0..TASKS, 0..3_u8).prop_map(|(task, uses)| Beside::Spend { task, uses }),
        2 => (0..3_u8).prop_map(|key| Beside::Once { key }),
        2 => (0..3_u8, 0..30_u8).prop_map(|(key, hours_ago)| Beside::Order { key, hours_ago }),
        2 => (0..4_u8).prop_map(|version| Beside::Secret { version }),
        1 => (0..6_u8, 0..3_u8).prop_map(|(scope, minutes)| Beside::Freeze { scope, minutes }),
        1 => (0..4_u8).prop_map(|scope| Beside::Lift { scope }),
    ]
}

/// A mask of what is granted: mostly everything.
fn kept() -> impl Strategy<Value = u8> {
    prop_oneof![2 => Just(0xff_u8), 1 => any::<u8>()]
}

/// A session and mostly its own lineage.
fn place() -> impl Strategy<Value = (u8, u8)> {
    prop_oneof![
        5 => (0..SESSIONS).prop_map(|session| (session % LINEAGES, session)),
        1 => (0..LINEAGES, 0..SESSIONS),
    ]
}

fn token() -> impl Strategy<Value = Token> {
    let scopes = prop_oneof![2 => Just(1_u8), 1 => any::<u8>()];
    let parent = proptest::option::weighted(0.3, 0..8_u8);
    (place(), scopes, 0..60_u8, parent).prop_map(|((lineage, session), scopes, minutes, parent)| {
        Token {
            lineage,
            session,
            scopes,
            minutes,
            parent,
        }
    })
}

fn certificate() -> impl Strategy<Value = Certificate> {
    let parent = proptest::option::weighted(0.7, 0..8_u8);
    let listed = proptest::bool::weighted(0.9);
    (place(), 0..30_u8, parent, listed).prop_map(|((lineage, session), minutes, parent, listed)| {
        Certificate {
            lineage,
            session,
            minutes,
            parent,
            listed,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let asks = prop_oneof![
        3 => proptest::collection::vec(ask(), 1..2),
        1 => proptest::collection::vec(ask(), 2..4),
    ];
    let minutes = prop_oneof![3 => Just(0_u8), 1 => 1..10_u8];
    (asks, minutes).prop_map(|(asks, minutes)| Step { asks, minutes })
}

/// A lineage that is stopped, and lives again a minute later.
fn stop_and_go() -> impl Strategy<Value = Vec<Step>> {
    (0..LINEAGES, any::<u8>()).prop_map(|(lineage, grants)| {
        let dated = true;
        let moves = [
            Move::Quarantine { lineage },
            Move::Release {
                lineage,
                grants,
                dated,
            },
        ];
        let alone = |ask| Step {
            asks: vec![Ask::Move(ask)],
            minutes: 1,
        };
        moves.map(alone).into()
    })
}

/// Everything is opened once, more or less widely, and then anything may come.
fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let opening = proptest::collection::vec(kept(), usize::from(TASKS + LINEAGES));
    let opening = (opening, 20..200_u8).prop_map(|(kept, minutes)| {
        let mut kept = kept.into_iter();
        let mut grants = move || kept.next().unwrap_or(0xff);
        let mut asks = Vec::new();
        for task in 0..TASKS {
            let grants = grants();
            asks.push(Ask::Task {
                task,
                grants,
                minutes,
            });
        }
        for lineage in 0..LINEAGES {
            let grants = grants();
            asks.push(Ask::Lineage { lineage, grants });
        }
        for session in 0..SESSIONS {
            let lineage = session % LINEAGES;
            asks.push(Ask::Session { lineage, session });
        }
        let alone = |ask| Step {
            asks: vec![ask],
            minutes: 0,
        };
        asks.into_iter().map(alone).collect::<Vec<_>>()
    });
    let some = prop_oneof![
        16 => step().prop_map(|step| vec![step]),
        1 => stop_and_go(),
    ];
    (opening, proptest::collection::vec(some, count))
        .prop_map(|(opening, steps)| [opening, steps.concat()].concat())
}

/// The rows, the time, and the credentials in the order of their issue.
struct World {
    rows: Rows,
    now: Timestamp,
    issued: Vec<CredentialId>,
    changes: u64,
}

impl World {
    fn write(&mut self, ask: &Ask) -> Write {
        match ask {
            Ask::Task {
                task,
                grants,
                minutes,
            } => Write::Task(self.new_task(*task, *grants, *minutes)),
            Ask::Lineage { lineage, grants } => Write::Lineage(self.new_lineage(*lineage, *grants)),
            Ask::Session { lineage, session } => {
                Write::Session(self.new_session(*lineage, *session))
            }
            Ask::Token(token) => {
                let parent = token.parent.and_then(|n| self.recent(n));
                let mut new = self.credential(token.lineage, token.session, None);
                if let Some(parent) = parent {
                    new.parent = Some(parent.id);
                    // Mostly where the parent is.
                    if token.minutes % 4 != 0 {
                        (new.lineage, new.session) = (parent.lineage, parent.session);
                    }
                }
                new.expires_at = self.now.plus(minutes(token.minutes));
                new.kind = CredentialKind::AccessToken(TokenGrant {
                    name: grant_name(),
                    audiences: BTreeSet::from(["api".parse().unwrap()]),
                    scopes: scopes(token.scopes),
                });
                Write::Credential(new)
            }
            Ask::Lease {
                lineage,
                session,
                below,
            } => {
                let mut new = self.credential(*lineage, *session, None);
                new.kind = CredentialKind::SecretLease(SecretLease {
                    grant: grant_name(),
                    path: if *below == 0 { "prod/db" } else { "test/db" }
                        .parse()
                        .unwrap(),
                    version: 1,
                });
                Write::Credential(new)
            }
            Ask::Svid {
                lineage,
                session,
                whom,
            } => {
                let mut new = self.credential(*lineage, *session, None);
                new.kind = CredentialKind::JwtSvid(JwtSvid {
                    grant: grant_name(),
                    audience: if *whom == 0 { "db" } else { "other" }.parse().unwrap(),
                });
                Write::Credential(new)
            }
            Ask::Certificate(wanted) => Write::Credential(self.certificate(wanted)),
            Ask::Move(ask) => self.moved(ask),
            Ask::Beside(ask) => self.beside(ask),
        }
    }

    fn certificate(&mut self, wanted: &Certificate) -> CredentialRecord {
        let parent = wanted.parent.and_then(|n| self.recent(n));
        let mut new = self.credential(wanted.lineage, wanted.session, None);
        if let Some(parent) = parent {
            new.parent = Some(parent.id);
            (new.lineage, new.session) = (parent.lineage, parent.session);
        }
        new.expires_at = self.now.plus(minutes(wanted.minutes));
        if wanted.listed {
            new.recall = RecallClass::List;
        }
        new.kind = CredentialKind::X509Svid(X509Svid {
            grant: grant_name(),
            serial: Serial::new(&SystemEntropy),
            authority: "AAAAAAAAAAAAAAAA".parse().unwrap(),
            key: Thumbprint::from_bytes([4; 32]),
        });
        new
    }

    fn moved(&self, ask: &Move) -> Write {
        match ask {
            Move::NarrowTask { task, grants: kept } => {
                let mut task = self.task(*task);
                task.grants = grants(*kept);
                task.epoch = task.epoch.next();
                Write::Task(task)
            }
            Move::NarrowLineage {
                lineage,
                grants: kept,
            } => {
                let mut lineage = self.lineage(*lineage);
                lineage.grants = grants(*kept);
                lineage.epoch = lineage.epoch.next();
                Write::Lineage(lineage)
            }
            Move::Renew { session } => {
                let session = self.session(*session);
                let evidence = session.evidence.clone();
                Write::Session(session.renewed(self.now, evidence))
            }
            Move::EndTask { task } => {
                let mut task = self.task(*task);
                task.state = TaskState::Over(self.end());
                task.epoch = task.epoch.next();
                Write::Task(task)
            }
            Move::EndLineage { lineage } => {
                let mut lineage = self.lineage(*lineage);
                lineage.state = LineageState::Ended(self.end());
                lineage.epoch = lineage.epoch.next();
                Write::Lineage(lineage)
            }
            Move::Raise {
                lineage,
                high,
                approved,
            } => Write::Lineage(self.raised(*lineage, *high, *approved)),
            Move::Approve { lineage, who } => Write::Lineage(self.approved(*lineage, *who)),
            Move::Quarantine { lineage } => Write::Lineage(self.stopped(*lineage)),
            Move::Release {
                lineage,
                grants: kept,
                dated,
            } => Write::Lineage(self.released(*lineage, *kept, *dated)),
            Move::EndSession { session } => {
                let mut session = self.session(*session);
                session.state = SessionState::Ended(self.end());
                session.epoch = session.epoch.next();
                Write::Session(session)
            }
        }
    }

    fn stopped(&self, n: u8) -> Lineage {
        let old = self.lineage(n);
        Lineage {
            state: LineageState::Quarantined(Quarantine {
                since: self.now,
                by: "ada".to_owned(),
                reason: None,
            }),
            epoch: old.epoch.next(),
            ..old
        }
    }

    /// At a risk, by the first of three; sometimes with an approval that nobody gave.
    fn raised(&self, n: u8, high: bool, approved: bool) -> Lineage {
        let old = self.lineage(n);
        let under = StepUp {
            risk: if high { Risk::High } else { Risk::Medium },
            since: self.now,
            begun: old.epoch.next(),
            by: WHO[0].to_owned(),
            reason: None,
            approvals: if approved {
                vec![self.approval(1)]
            } else {
                vec![]
            },
        };
        Lineage {
            state: LineageState::StepUp(under),
            epoch: old.epoch.next(),
            ..old
        }
    }

    /// With one more approval, by one of three.
    fn approved(&self, n: u8, who: u8) -> Lineage {
        let old = self.lineage(n);
        let mut state = old.state.clone();
        if let LineageState::StepUp(under) = &mut state {
            under
                .approvals
                .retain(|one| one.by != WHO[usize::from(who)]);
            under.approvals.push(self.approval(who));
        }
        Lineage {
            state,
            epoch: old.epoch.next(),
            ..old
        }
    }

    fn approval(&self, who: u8) -> Approval {
        Approval {
            by: WHO[usize::from(who)].to_owned(),
            at: self.now,
            until: self.now.plus(minutes(5)),
            reason: None,
        }
    }

    fn released(&self, n: u8, kept: u8, dated: bool) -> Lineage {
        let old = self.lineage(n);
        let grants = if dated {
            common(&old.grants, &grants(kept))
        } else {
            grants(kept)
        };
        Lineage {
            state: LineageState::Active,
            grants,
            released_at: if dated {
                Some(self.now)
            } else {
                old.released_at
            },
            epoch: old.epoch.next(),
            ..old
        }
    }

    fn beside(&self, ask: &Beside) -> Write {
        match ask {
            Beside::BarCredential { credential } => Write::Bar(Bar {
                key: BarKey::Credential(self.issued_or_absent(*credential)),
                at: self.now,
                until: self.now.plus(minutes(60)),
                by: None,
                reason: None,
            }),
            Beside::Spend { task, uses } => Write::Spend {
                task: task_id(*task),
                grant: grant_name(),
                uses: (*uses).into(),
            },
            Beside::Once { key } => Write::Once(Once {
                kind: OnceKind::Proof,
                until: Timestamp::from_micros(i64::MAX),
                digest: Digest::of(&[&[*key]]),
                session: None,
            }),
            Beside::Order { key, hours_ago } => {
                let order = Repeat {
                    key: Digest::of(&[&[*key]]),
                    request: Digest::of(&[b"order"]),
                };
                let mut answered = order.answered(Answer::SecretDeleted, self.now);
                answered.until = answered
                    .until
                    .minus(Duration::from_hours((*hours_ago).into()));
                Write::Answered(answered)
            }
            Beside::Freeze { scope, minutes: n } => Write::Freeze(Freeze {
                until: self.now.plus(minutes(*n)),
                ..self.freeze(*scope)
            }),
            Beside::Lift { scope } => Write::Freeze(Freeze {
                lifted_at: Some(self.now),
                ..self.freeze(*scope)
            }),
            Beside::Secret { version } => Write::Secret(SealedVersion {
                path: "prod/db".parse().unwrap(),
                version: (*version).into(),
                at: self.now,
                key_id: String::new(),
                digest: Digest::of(&[]),
                wrapped: vec![],
                sealed: vec![],
            }),
        }
    }

    /// The freeze of a scope in its next epoch.
    fn freeze(&self, n: u8) -> Freeze {
        let scopes = ["all", "profile/p", "issuer/ci", "profile/other"];
        let scope: FreezeScope = scopes[usize::from(n).min(3)].parse().unwrap();
        let known = self.rows.freezes.get(&scope);
        Freeze {
            epoch: known.map_or(Epoch::FIRST, |known| known.epoch.next()),
            at: self.now,
            until: known.map_or(self.now, |known| known.until),
            scope,
            by: "ada".to_owned(),
            reason: None,
            lifted_at: None,
        }
    }

    fn end(&self) -> End {
        End::new(Code::TaskRevoked, self.now)
    }

    /// One of the newest credentials.
    fn recent(&self, n: u8) -> Option<CredentialRecord> {
        let id = self.issued.iter().rev().nth(usize::from(n))?;
        self.rows.credentials.get(id).cloned()
    }

    fn issued_or_absent(&self, n: u8) -> CredentialId {
        let known = self.issued.iter().rev().nth(usize::from(n));
        known
            .copied()
            .unwrap_or(CredentialId::from_bytes([0xee; 16]))
    }

    fn new_task(&self, n: u8, kept: u8, lasts: u8) -> Task {
        Task {
            id: task_id(n),
            name: format!("ci/{n}").parse().unwrap(),
            profile: "p".parse().unwrap(),
            state: TaskState::Open,
            epoch: Epoch::FIRST,
            opened_at: self.now,
            deadline: self.now.plus(minutes(lasts)),
            grants: grants(kept),
            agent: None,
            opened_by: None,
        }
    }

    fn new_lineage(&self, n: u8, kept: u8) -> Lineage {
        let task = self.task(n % TASKS);
        let domain: TrustDomain = "example.org".parse().unwrap();
        Lineage {
            id: LineageId::from_bytes([n; 16]),
            task: task.id,
            instance: format!("i{n}").parse().unwrap(),
            identity: Identity::new(domain.id(&["w"]).unwrap(), BTreeMap::new()),
            state: LineageState::Active,
            epoch: Epoch::FIRST,
            opened_at: self.now,
            deadline: task.deadline,
            bindings: vec![],
            grants: grants(kept),
            released_at: None,
        }
    }

    fn new_session(&self, lineage: u8, n: u8) -> Session {
        let lineage = self.lineage(lineage);
        Session {
            id: SessionId::from_bytes([n; 16]),
            lineage: lineage.id,
            key: Some(Thumbprint::from_bytes([n; 32])),
            state: SessionState::Live,
            epoch: Epoch::FIRST,
            opened_at: self.now,
            deadline: lineage.deadline,
            expires_at: lineage.deadline,
            granted: TokenGrant {
                name: "deploy".parse().unwrap(),
                audiences: [].into(),
                scopes: [].into(),
            },
            evidence: EvidenceMark {
                digest: Digest::of(&[]),
                issued_at: self.now,
                granted_until: self.now,
            },
        }
    }

    fn credential(
        &mut self,
        lineage: u8,
        session: u8,
        parent: Option<CredentialId>,
    ) -> CredentialRecord {
        self.changes += 1;
        let mut id = [0; 16];
        let millis = self.now.micros() / 1_000;
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        id[8..].copy_from_slice(&self.changes.to_be_bytes());
        CredentialRecord {
            id: CredentialId::from_bytes(id),
            lineage: LineageId::from_bytes([lineage; 16]),
            session: SessionId::from_bytes([session; 16]),
            parent,
            kind: CredentialKind::AccessToken(TokenGrant {
                name: grant_name(),
                audiences: BTreeSet::new(),
                scopes: BTreeSet::new(),
            }),
            recall: RecallClass::Expiry,
            issued_at: self.now,
            expires_at: self.now.plus(minutes(5)),
        }
    }

    fn task(&self, n: u8) -> Task {
        let known = self.rows.task(task_id(n)).cloned();
        known.unwrap_or_else(|| self.new_task(n, 0, 1))
    }

    fn lineage(&self, n: u8) -> Lineage {
        let known = self.rows.lineage(LineageId::from_bytes([n; 16])).cloned();
        known.unwrap_or_else(|| self.new_lineage(n, 0))
    }

    fn session(&self, n: u8) -> Session {
        let known = self.rows.session(SessionId::from_bytes([n; 16])).cloned();
        known.unwrap_or_else(|| self.new_session(n % LINEAGES, n))
    }

    fn change(&mut self, asks: &[Ask]) -> Change {
        let writes = asks.iter().map(|ask| self.write(ask)).collect();
        Change {
            id: ChangeId::from_bytes([1; 16]),
            realm: Realm::DEFAULT,
            lane: Lane::Issue,
            expects: vec![],
            writes,
            entry: Entry {
                at: self.now,
                subject: Subject::default(),
                event: Event::SessionRevoked {
                    by: "ada".to_owned(),
                },
            },
        }
    }

    /// What an admitted credential must be, said again and otherwise than the fold says it.
    fn is_sound(&self, new: &CredentialRecord, before: &Rows) -> bool {
        let lineage = self.rows.lineage(new.lineage).unwrap();
        let task = self.rows.task(lineage.task).unwrap();
        let session = self.rows.session(new.session).unwrap();
        let alive = task.is_open()
            && self.now < task.deadline
            && matches!(
                lineage.state,
                LineageState::Active | LineageState::StepUp(_)
            )
            && lineage.released_at.is_none_or(|at| at < self.now)
            && session.is_live()
            && session.lineage == lineage.id;
        let timely = new.expires_at <= task.deadline && new.expires_at > self.now;
        let parent = new.parent.is_none_or(|id| {
            let parent = before.credentials.get(&id);
            !before.bars.contains_key(&BarKey::Credential(id))
                && parent.is_some_and(|parent| {
                    parent.lineage == new.lineage
                        && lineage
                            .released_at
                            .is_none_or(|at| parent.id.made_at() > at)
                        && parent.expires_at > self.now
                        && new.expires_at <= parent.expires_at
                        && matches!(parent.kind, CredentialKind::AccessToken(_))
                        && scopes_of(new).is_subset(&scopes_of(parent))
                })
        });
        let given = |grants: &Grants| {
            let grant = grants.named(&grant_name());
            grant.is_some_and(|grant| match &new.kind {
                CredentialKind::AccessToken(token) => token.scopes.is_subset(&grant.scopes),
                CredentialKind::SecretLease(lease) => {
                    lease.path.as_str().starts_with("prod/") && !grant.secrets.is_empty()
                }
                CredentialKind::JwtSvid(svid) => {
                    svid.audience.as_str() == "db" && !grant.jwt_svids.is_empty()
                }
                CredentialKind::X509Svid(_) => grant.x509_svid,
            })
        };
        let certified = matches!(new.kind, CredentialKind::X509Svid(_));
        let recalled = certified == (new.recall == RecallClass::List);
        let names = ["all", "profile/p", "issuer/ci"];
        let frozen = self.rows.freezes.values().any(|freeze| {
            let covers = names.contains(&freeze.scope.to_string().as_str());
            covers && freeze.lifted_at.is_none() && self.now < freeze.until
        });
        alive
            && timely
            && !frozen
            && parent
            && recalled
            && given(&lineage.grants)
            && given(&task.grants)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_changes_issues_what_the_task_does_not_allow(
        steps in steps(1..40)
    ) {
        let mut world = World {
            rows: Rows::default(),
            now: Timestamp::from_micros(1_000_000),
            issued: vec![],
            changes: 0,
        };
        for step in steps {
            let change = world.change(&step.asks);
            let before = world.rows.clone();
            if world.rows.admit(&change, world.now).is_ok() {
                for write in &change.writes {
                    if let Write::Credential(new) = write {
                        prop_assert!(world.is_sound(new, &before), "{new:?} in {:?}", change.writes);
                        world.issued.push(new.id);
                    }
                }
                for order in orders(&change) {
                    let kept = before.answered.get(&order.key);
                    prop_assert!(kept.is_none_or(|until| *until <= world.now));
                    prop_assert!(order.until > world.now);
                    let same = orders(&change).filter(|other| other.key == order.key);
                    prop_assert_eq!(same.count(), 1);
                }
                for n in 0..TASKS {
                    let limit = world.rows.task(task_id(n))
                        .and_then(|task| task.grants.named(&grant_name())?.uses);
                    let used = world.rows.spent(task_id(n), &grant_name());
                    let used_before = before.spent(task_id(n), &grant_name());
                    prop_assert!(
                        limit.is_none_or(|limit| used <= limit || used == used_before)
                    );
                }
            } else {
                prop_assert_eq!(&world.rows, &before);
            }
            world.now = world.now.plus(minutes(step.minutes));
        }
    }

    #[test]
    fn what_is_over_stays_over(steps in steps(1..40)) {
        let mut world = World {
            rows: Rows::default(),
            now: Timestamp::from_micros(1_000_000),
            issued: vec![],
            changes: 0,
        };
        let mut over = BTreeSet::new();
        for step in steps {
            let change = world.change(&step.asks);
            let outcome = world.rows.admit(&change, world.now);
            for n in 0..TASKS {
                let open = world.rows.task(task_id(n)).map(Task::is_open);
                if open == Some(false) {
                    over.insert(n);
                }
                prop_assert!(!over.contains(&n) || open == Some(false), "{outcome:?}");
            }
            world.now = world.now.plus(minutes(step.minutes));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_lineage_never_widens_and_leaves_quarantine_with_less_or_not_at_all(
        steps in steps(1..40)
    ) {
        let mut world = World {
            rows: Rows::default(),
            now: Timestamp::from_micros(1_000_000),
            issued: vec![],
            changes: 0,
        };
        for step in steps {
            let change = world.change(&step.asks);
            let before = world.rows.clone();
            let outcome = world.rows.admit(&change, world.now);
            for old in before.lineages.values() {
                let new = world.rows.lineage(old.id).unwrap();
                prop_assert!(!old.is_over() || new == old, "{outcome:?}");
                prop_assert!(new.grants.within(&old.grants).is_ok());
                prop_assert!(new.released_at >= old.released_at);
                let left = matches!(old.state, LineageState::Quarantined(_)) && new.is_live();
                prop_assert!(!left || old.grants.within(&new.grants).is_err());
                prop_assert!(!left || new.released_at > old.released_at);
                // Nobody leaves a risk but by a release, a higher one, quarantine or the end.
                if let LineageState::StepUp(under) = &old.state {
                    let released = new.released_at > old.released_at;
                    let still = new.step_up().is_none_or(|now| now.risk >= under.risk);
                    prop_assert!(still && (released || !matches!(new.state, LineageState::Active)));
                }
                // Whoever raised it has approved nothing, and nobody counts twice.
                let approvals = new.step_up().map(|under| &under.approvals);
                let by: Vec<_> = approvals.into_iter().flatten().map(|one| one.by.as_str()).collect();
                prop_assert!(!by.contains(&WHO[0]));
                prop_assert_eq!(by.iter().collect::<BTreeSet<_>>().len(), by.len());
            }
            world.now = world.now.plus(minutes(step.minutes));
        }
    }
}

#[test]
fn the_generator_does_reach_what_it_is_to_judge() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = steps(30..40);
    let (mut issued, mut children, mut certified) = (0, 0, 0);
    let (mut released, mut after) = (0, 0);
    for _ in 0..200 {
        let mut world = World {
            rows: Rows::default(),
            now: Timestamp::from_micros(1_000_000),
            issued: vec![],
            changes: 0,
        };
        for step in steps.new_tree(&mut runner).unwrap().current() {
            let change = world.change(&step.asks);
            if world.rows.admit(&change, world.now).is_ok() {
                for write in &change.writes {
                    released += usize::from(matches!(write, Write::Lineage(row)
                        if row.is_live() && row.released_at == Some(world.now)));
                    if let Write::Credential(new) = write {
                        world.issued.push(new.id);
                        issued += 1;
                        let lineage = world.rows.lineage(new.lineage).unwrap();
                        after += usize::from(lineage.released_at.is_some());
                        children += usize::from(new.parent.is_some());
                        certified += usize::from(new.recall == RecallClass::List);
                    }
                }
            }
            world.now = world.now.plus(minutes(step.minutes));
        }
    }
    assert!(issued > 200, "only {issued} credentials were admitted");
    assert!(children > 5, "only {children} had a parent");
    assert!(certified > 5, "only {certified} were certificates");
    assert!(released > 5, "only {released} lineages were released");
    assert!(after > 0, "only {after} were issued after a release");
}

#[test]
fn a_bar_is_never_shortened() {
    let mut rows = Rows::default();
    let key = BarKey::Credential(CredentialId::from_bytes([1; 16]));
    let bar = |until| Bar {
        key: key.clone(),
        at: Timestamp::EPOCH,
        until: Timestamp::from_micros(until),
        by: None,
        reason: None,
    };
    rows.put_bar(bar(10));
    rows.put_bar(bar(5));
    assert_eq!(rows.bars.get(&key).map(|b| b.until.micros()), Some(10));
}

fn task_id(n: u8) -> TaskId {
    TaskId::from_bytes([n; 16])
}

fn grant_name() -> GrantName {
    "g".parse().unwrap()
}

fn minutes(n: u8) -> Duration {
    Duration::from_secs(60 * u64::from(n))
}

fn scopes(mask: u8) -> BTreeSet<crate::domain::grant::Scope> {
    ["a", "b", "c"]
        .iter()
        .enumerate()
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, name)| name.parse().unwrap())
        .collect()
}

fn scopes_of(credential: &CredentialRecord) -> BTreeSet<crate::domain::grant::Scope> {
    match &credential.kind {
        CredentialKind::AccessToken(token) => token.scopes.clone(),
        CredentialKind::SecretLease(_)
        | CredentialKind::JwtSvid(_)
        | CredentialKind::X509Svid(_) => BTreeSet::new(),
    }
}

/// What both have.
fn common(one: &Grants, other: &Grants) -> Grants {
    let both = one.iter().filter_map(|(name, grant)| {
        let other = other.named(name)?;
        let kept = Grant {
            scopes: &grant.scopes & &other.scopes,
            secrets: &grant.secrets & &other.secrets,
            jwt_svids: &grant.jwt_svids & &other.jwt_svids,
            x509_svid: grant.x509_svid && other.x509_svid,
            uses: grant.uses.min(other.uses),
            ..grant.clone()
        };
        Some((name.clone(), kept))
    });
    Grants::new(both.collect())
}

/// Grants by a mask: three scopes, the secrets, SVIDs of both kinds, and the limit of uses.
fn grants(mask: u8) -> Grants {
    let secrets = if mask & 8 == 0 {
        vec![]
    } else {
        vec!["prod/*"]
    };
    let grant = Grant {
        audiences: BTreeSet::from(["api".parse().unwrap()]),
        scopes: scopes(mask),
        secrets: secrets.iter().map(|text| text.parse().unwrap()).collect(),
        jwt_svids: if mask & 16 == 0 {
            BTreeSet::new()
        } else {
            BTreeSet::from(["db".parse().unwrap()])
        },
        x509_svid: mask & 32 != 0,
        acts: crate::domain::action::Acts::default(),
        uses: Some(u32::from(mask >> 6) + 1),
    };
    Grants::new(BTreeMap::from([(grant_name(), grant)]))
}

fn orders(change: &Change) -> impl Iterator<Item = &Answered> {
    change.writes.iter().filter_map(|write| {
        if let Write::Answered(answered) = write {
            return Some(answered);
        }
        None
    })
}

#[test]
fn an_order_is_admitted_once_under_its_key_until_the_key_is_forgotten() {
    let (now, key) = (Timestamp::from_micros(1), Digest::of(&[b"key"]));
    let order = |request: &[u8], now| {
        let request = Digest::of(&[request]);
        let answered = Repeat { key, request }.answered(Answer::SecretDeleted, now);
        vec![Write::Answered(answered)]
    };
    let mut rows = Rows::default();
    let first = order(b"one", now);
    rows.check(&[], &first, now).unwrap();
    for write in first {
        rows.apply(write);
    }
    // The same order, or another: the key was used.
    for request in [&b"one"[..], b"other"] {
        let refused = rows.check(&[], &order(request, now), now);
        assert_eq!(refused, Err(Refusal::OrderGiven));
    }
    let until = rows.answered[&key];
    rows.check(&[], &order(b"other", until), until).unwrap();
    let twice = [order(b"one", until), order(b"other", until)].concat();
    let refused = rows.check(&[], &twice, until);
    assert!(matches!(refused, Err(Refusal::Illegal(_))), "{refused:?}");
    let over = order(b"one", now);
    assert!(rows.check(&[], &over, until).is_err());
    assert_eq!(rows.forget(until), 0);
    assert!(rows.answered.is_empty());
}
