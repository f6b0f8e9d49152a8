//! Whatever is asked of a pool, in whatever order: it never gives more uses than it has, each is consumed at most
//! once, and only in its time and under what it was reserved under.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::action::{Acts, ResourceRule};
use crate::domain::grant::{Grant, Grants};
use crate::domain::identity::Identity;
use crate::domain::ids::{LineageId, TaskId};
use crate::domain::lineage::{Lineage, LineageState};
use crate::domain::name::GrantName;
use crate::domain::task::{End, Epoch, Task, TaskState};
use crate::domain::time::Timestamp;
use crate::error::Code;
use crate::ledger::rows::{Refusal, Rows};

/// One change of the fold. Small numbers, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Reserve {
        lineage: u8,
        seconds: u8,
    },
    /// A use is claimed without being taken, or several for one.
    Claim {
        lineage: u8,
        claims: u8,
        uses: u8,
    },
    Consume {
        one: u8,
    },
    /// Of what was never reserved, or as something else than it was reserved as.
    Forge {
        one: u8,
        how: u8,
    },
    Unspend {
        one: u8,
    },
    EndLineage {
        lineage: u8,
    },
    EndTask,
    Narrow {
        uses: u8,
    },
    Pass {
        seconds: u8,
    },
}

const LINEAGES: u8 = 3;

fn step() -> impl Strategy<Value = Step> {
    let lineage = || 0..LINEAGES;
    prop_oneof![
        8 => (lineage(), 1..90_u8).prop_map(|(lineage, seconds)| Step::Reserve { lineage, seconds }),
        2 => (lineage(), 1..3_u8, 0..3_u8)
            .prop_map(|(lineage, claims, uses)| Step::Claim { lineage, claims, uses }),
        8 => (0..8_u8).prop_map(|one| Step::Consume { one }),
        2 => (0..8_u8, 0..5_u8).prop_map(|(one, how)| Step::Forge { one, how }),
        1 => (0..8_u8).prop_map(|one| Step::Unspend { one }),
        1 => lineage().prop_map(|lineage| Step::EndLineage { lineage }),
        1 => Just(Step::EndTask),
        1 => (1..6_u8).prop_map(|uses| Step::Narrow { uses }),
        3 => (1..40_u8).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

struct World {
    rows: Rows,
    now: Timestamp,
    made: Vec<ReservationId>,
    count: u8,
}

impl World {
    fn new(uses: u8) -> Self {
        let now = Timestamp::from_micros(1_000_000_000);
        let mut world = Self {
            rows: Rows::default(),
            now,
            made: Vec::new(),
            count: 0,
        };
        let task = Task {
            id: TASK,
            name: "ci/1".parse().unwrap(),
            profile: "p".parse().unwrap(),
            state: TaskState::Open,
            epoch: Epoch::FIRST,
            opened_at: now,
            deadline: now.plus(Duration::from_mins(10)),
            grants: grants(uses),
            agent: None,
            opened_by: None,
        };
        world.apply(vec![Write::Task(task.clone())]).unwrap();
        for n in 0..LINEAGES {
            let lineage = Lineage {
                id: lineage(n),
                task: TASK,
                instance: format!("i{n}").parse().unwrap(),
                identity: Identity::new("spiffe://example.org/w".parse().unwrap(), BTreeMap::new()),
                state: LineageState::Active,
                epoch: Epoch::FIRST,
                opened_at: now,
                deadline: task.deadline,
                bindings: vec![],
                grants: grants(uses),
                released_at: None,
            };
            world.apply(vec![Write::Lineage(lineage)]).unwrap();
        }
        world
    }

    fn apply(&mut self, writes: Vec<Write>) -> Result<(), Refusal> {
        self.rows.check(&[], &writes, self.now)?;
        for write in writes {
            self.rows.apply(write);
        }
        Ok(())
    }

    fn one(&mut self, n: u8, seconds: u8) -> Reservation {
        self.count += 1;
        Reservation {
            id: ReservationId::from_bytes([self.count; 16]),
            task: TASK,
            lineage: lineage(n),
            grant: grant(),
            audience: "api".parse().unwrap(),
            action: "restart".parse().unwrap(),
            kind: "host".parse().unwrap(),
            resource: "db-7".parse().unwrap(),
            reserved_at: self.now,
            expires_at: self.now.plus(Duration::from_secs(seconds.into())),
            state: ReservationState::Reserved,
        }
    }

    fn known(&self, n: u8) -> Option<Reservation> {
        let id = self.made.get(usize::from(n) % self.made.len().max(1))?;
        self.rows.reservations().find(|one| one.id == *id).cloned()
    }

    /// What was never reserved, or not so.
    fn forged(&mut self, one: u8, how: u8) -> Option<Reservation> {
        let known = self.known(one)?;
        let next = (known.lineage.as_bytes()[0] + 1) % LINEAGES;
        Some(match how {
            0 => self.one(0, 60),
            1 => Reservation {
                resource: "db-8".parse().unwrap(),
                ..known
            },
            2 => Reservation {
                lineage: lineage(next),
                ..known
            },
            3 => Reservation {
                expires_at: known.expires_at.plus(Duration::from_mins(1)),
                ..known
            },
            _ => Reservation {
                audience: "other".parse().unwrap(),
                ..known
            },
        })
    }

    /// What was asked, whether or not it was admitted.
    fn take(&mut self, step: &Step) -> Option<Vec<Write>> {
        let writes = match step {
            Step::Reserve { lineage, seconds } => {
                vec![spend(1), Write::Reservation(self.one(*lineage, *seconds))]
            }
            Step::Claim {
                lineage,
                claims,
                uses,
            } => {
                let claimed = (0..*claims).map(|_| Write::Reservation(self.one(*lineage, 60)));
                let claimed: Vec<_> = claimed.collect();
                let spent = (*uses > 0).then(|| spend(u32::from(*uses)));
                claimed.into_iter().chain(spent).collect()
            }
            Step::Consume { one } => {
                vec![Write::Reservation(consumed(self.known(*one)?, self.now))]
            }
            Step::Forge { one, how } => {
                let forged = self.forged(*one, *how)?;
                vec![Write::Reservation(consumed(forged, self.now))]
            }
            Step::Unspend { one } => {
                let known = self.known(*one)?;
                vec![Write::Reservation(Reservation {
                    state: ReservationState::Reserved,
                    ..known
                })]
            }
            Step::EndLineage { lineage: n } => {
                let row = self.rows.lineage(lineage(*n))?.clone();
                vec![Write::Lineage(row.end(end(self.now)).ok()?)]
            }
            Step::EndTask => {
                let row = self.rows.task(TASK)?.clone();
                vec![Write::Task(row.end(end(self.now)).ok()?)]
            }
            Step::Narrow { uses } => {
                let mut row = self.rows.task(TASK)?.clone();
                (row.grants, row.epoch) = (grants(*uses), row.epoch.next());
                vec![Write::Task(row)]
            }
            Step::Pass { seconds } => {
                self.now = self.now.plus(Duration::from_secs((*seconds).into()));
                return None;
            }
        };
        Some(writes)
    }
}

const TASK: TaskId = TaskId::from_bytes([1; 16]);

fn lineage(n: u8) -> LineageId {
    LineageId::from_bytes([n; 16])
}

fn grant() -> GrantName {
    "fix".parse().unwrap()
}

fn spend(uses: u32) -> Write {
    Write::Spend {
        task: TASK,
        grant: grant(),
        uses,
    }
}

fn end(now: Timestamp) -> End {
    End::new(Code::TaskRevoked, now)
}

fn consumed(one: Reservation, at: Timestamp) -> Reservation {
    Reservation {
        state: ReservationState::Consumed {
            at,
            by: "api".parse().unwrap(),
        },
        ..one
    }
}

fn grants(uses: u8) -> Grants {
    let fix = Grant {
        audiences: BTreeSet::from(["api".parse().unwrap()]),
        acts: Acts {
            writes: BTreeSet::from(["restart".parse().unwrap()]),
            resources: BTreeSet::from([ResourceRule {
                kind: "host".parse().unwrap(),
                id: None,
                properties: BTreeMap::new(),
            }]),
            ..Acts::default()
        },
        uses: Some(uses.into()),
        ..Grant::default()
    };
    Grants::new(BTreeMap::from([(grant(), fix)]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_pool_gives_no_more_than_it_has_and_each_use_is_consumed_once(
        uses in 1..6_u8,
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(uses);
        let mut consumed: HashMap<ReservationId, Timestamp> = HashMap::new();
        for step in steps {
            let before = world.rows.clone();
            let Some(writes) = world.take(&step) else { continue };
            let alive = |one: &Reservation| {
                before.task(TASK).is_some_and(|t| t.is_open() && world.now < t.deadline)
                    && before.lineage(one.lineage).is_some_and(Lineage::is_live)
            };
            let touched: Vec<Reservation> = writes.iter().filter_map(|write| {
                let Write::Reservation(one) = write else { return None };
                Some(one.clone())
            }).collect();
            let sound = touched.iter().all(alive);
            if world.apply(writes).is_err() {
                prop_assert_eq!(&world.rows, &before);
                continue;
            }
            prop_assert!(sound, "{step:?} under what is over");
            for one in touched {
                let ReservationState::Consumed { at, .. } = one.state else {
                    world.made.push(one.id);
                    continue;
                };
                prop_assert!(at < one.expires_at, "{step:?} after its time");
                prop_assert!(consumed.insert(one.id, at).is_none(), "{step:?} consumed twice");
            }
            let reserved = world.rows.reservations().count();
            let spent = world.rows.spent(TASK, &grant());
            prop_assert!(consumed.len() <= reserved);
            prop_assert!(reserved <= spent as usize);
            prop_assert!(spent <= u32::from(uses));
        }
        // What was consumed stays so.
        for (id, at) in consumed {
            let row = world.rows.reservations().find(|one| one.id == id).unwrap();
            let stands = matches!(row.state, ReservationState::Consumed { at: then, .. } if then == at);
            prop_assert!(stands);
        }
    }
}

#[test]
fn the_generator_does_consume_and_exhaust() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = proptest::collection::vec(step(), 30..60);
    let (mut used, mut exhausted) = (0, 0);
    for _ in 0..100 {
        let mut world = World::new(3);
        for step in steps.new_tree(&mut runner).unwrap().current() {
            let Some(writes) = world.take(&step) else {
                continue;
            };
            let reserving = matches!(step, Step::Reserve { .. });
            let consuming = matches!(step, Step::Consume { .. });
            match world.apply(writes) {
                Ok(()) if reserving => world
                    .made
                    .push(ReservationId::from_bytes([world.count; 16])),
                Ok(()) => used += usize::from(consuming),
                Err(Refusal::UsesExhausted(_)) => exhausted += 1,
                Err(_) => {}
            }
        }
    }
    assert!(used > 50, "only {used} were consumed");
    assert!(exhausted > 50, "only {exhausted} found the pool empty");
}

#[test]
fn a_freeze_stops_what_is_reserved_and_not_what_is_consumed() {
    use crate::domain::freeze::{Freeze, FreezeScope};
    let mut world = World::new(3);
    let first = world.one(0, 60);
    let reserve = vec![spend(1), Write::Reservation(first.clone())];
    world.apply(reserve).unwrap();
    let scope: FreezeScope = "all".parse().unwrap();
    let freeze = Freeze {
        scope: scope.clone(),
        epoch: Epoch::FIRST,
        at: world.now,
        until: world.now.plus(Duration::from_mins(1)),
        by: "ada".to_owned(),
        reason: None,
        lifted_at: None,
    };
    world.apply(vec![Write::Freeze(freeze)]).unwrap();
    let next = world.one(0, 60);
    let refused = world.apply(vec![spend(1), Write::Reservation(next)]);
    assert_eq!(refused, Err(Refusal::Frozen(scope)));
    let now = world.now;
    world
        .apply(vec![Write::Reservation(consumed(first, now))])
        .unwrap();
}
