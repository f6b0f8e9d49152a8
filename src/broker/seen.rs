//! What has been looked at before, so that it is read and verified once. Only what can never change of it is
//! kept, or what says of itself whether it has: what stands is asked each time.

use std::hash::Hash;
use std::sync::Arc;

use papaya::HashMap;

/// Bounded: when full, it starts over.
pub struct Seen<K, T> {
    seen: HashMap<K, Arc<T>>,
    capacity: usize,
}

impl<K: Eq + Hash + Send + Sync, T: Send + Sync> Seen<K, T> {
    pub fn new(capacity: usize) -> Self {
        Self {
            seen: HashMap::new(),
            capacity,
        }
    }

    pub(in crate::broker) fn get(&self, key: &K) -> Option<Arc<T>> {
        self.seen.pin().get(key).cloned()
    }

    pub(in crate::broker) fn keep(&self, key: K, one: &Arc<T>) {
        let seen = self.seen.pin();
        if seen.len() >= self.capacity {
            seen.clear();
        }
        seen.insert(key, Arc::clone(one));
    }

    /// Forgets what is of no use any more.
    pub(in crate::broker) fn forget(&self, over: impl Fn(&T) -> bool) {
        self.seen.pin().retain(|_, one| !over(one));
    }
}
