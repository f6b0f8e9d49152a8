//! The follower: reads the entries of every other writer and joins what they moved into the view.
//! It holds one position per writer, sees every gap, and waits for nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::position::{Position, WriterId};
use crate::store::{Down, Store};

/// Follows the log.
pub struct Follower {
    store: Arc<dyn Store>,
    seen: HashMap<WriterId, u64>,
}

impl Follower {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            seen: HashMap::new(),
        }
    }

    /// Reads all there is. The view is as fresh as the moment at which this read began.
    pub async fn run(&mut self, started: Duration) -> Result<u64, Down> {
        let mut taken = 0;
        loop {
            let seen: Vec<_> = self
                .seen
                .iter()
                .map(|(writer, n)| Position {
                    writer: *writer,
                    n: *n,
                })
                .collect();
            let news = self.store.follow(&seen).await?;
            if news.is_empty() {
                self.store.view().heard(started);
                return Ok(taken);
            }
            for item in news {
                item.touches
                    .iter()
                    .for_each(|touch| self.store.view().join(touch));
                let last = self.seen.entry(item.position.writer).or_default();
                *last = item.position.n.max(*last);
                taken += 1;
            }
        }
    }
}
