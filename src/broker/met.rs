//! Tasks that this replica has met. Under a name that it never met there is most likely nothing, so that
//! evidence for it is decided on without asking the store first. The fold sees every name and has
//! the last word: what was presumed wrongly is refused there, and decided again on what stands. A refusal
//! is given only after the store was asked.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::domain::name::TaskName;

/// What a verb decides on: the rows, or that there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    Presumed,
    Read,
}

/// The names of tasks that this replica was asked about, as far back as there is room.
#[derive(Default)]
pub struct Met {
    marks: RandomState,
    names: Mutex<Generations>,
}

/// When the young are too many they become the old, and the old are forgotten.
#[derive(Default)]
struct Generations {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Met {
    /// What evidence for this task is decided on. A name is met by asking.
    pub fn ground(&self, name: &TaskName) -> Ground {
        let mark = self.marks.hash_one(name);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let first = names.young.insert(mark) && !names.old.contains(&mark);
        if names.young.len() >= GENERATION {
            names.old = mem::take(&mut names.young);
        }
        if first {
            Ground::Presumed
        } else {
            Ground::Read
        }
    }
}

/// Eight bytes each: what is remembered stays below a few MiB, whatever is asked.
const GENERATION: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> TaskName {
        format!("github/1/{number}/1").parse().unwrap()
    }

    #[test]
    fn a_name_is_presumed_to_be_free_once() {
        let met = Met::default();
        let grounds = [1, 1, 2, 1].map(|number| met.ground(&name(number)));
        let (presumed, read) = (Ground::Presumed, Ground::Read);
        assert_eq!(grounds, [presumed, read, presumed, read]);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_was_met_last_is_remembered() {
        let met = Met::default();
        for number in 0..3 * GENERATION {
            met.ground(&name(number));
        }
        let names = met.names.lock().unwrap();
        assert!(names.young.len() + names.old.len() <= 2 * GENERATION);
        drop(names);
        assert_eq!(met.ground(&name(3 * GENERATION - 1)), Ground::Read);
        assert_eq!(met.ground(&name(2 * GENERATION)), Ground::Read);
    }
}
