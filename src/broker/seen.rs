//! What has been looked at before, by the hash of its bytes, so that it is read and verified once. Only what
//! can never change of it is kept; what stands is asked each time.

use std::sync::Arc;

use papaya::HashMap;

use crate::domain::key::Digest;

/// Bounded: when full, it starts over.
pub struct Seen<T> {
    seen: HashMap<Digest, Arc<T>>,
    capacity: usize,
}

impl<T: Send + Sync> Seen<T> {
    pub fn new(capacity: usize) -> Self {
        Self {
            seen: HashMap::new(),
            capacity,
        }
    }

    pub(in crate::broker) fn get(&self, digest: &Digest) -> Option<Arc<T>> {
        self.seen.pin().get(digest).cloned()
    }

    pub(in crate::broker) fn keep(&self, digest: Digest, one: &Arc<T>) {
        let seen = self.seen.pin();
        if seen.len() >= self.capacity {
            seen.clear();
        }
        seen.insert(digest, Arc::clone(one));
    }

    /// Forgets what is of no use any more.
    pub(in crate::broker) fn forget(&self, over: impl Fn(&T) -> bool) {
        self.seen.pin().retain(|_, one| !over(one));
    }
}
