//! Look-ups that wait at the same time are one statement. Each would otherwise be a transaction of
//! its own on a connection of its own, of which the hops between threads cost more than the rows.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::Db;
use crate::store::Down;

/// Reads what stands for each of some keys, in their order.
pub(super) type Read<K, T> = for<'a> fn(&'a Db, &'a [K]) -> BoxFuture<'a, Result<Vec<T>, Down>>;

/// Where keys are handed in.
pub(super) struct Desk<K, T>(mpsc::Sender<Asked<K, T>>);

struct Asked<K, T> {
    key: K,
    answer: oneshot::Sender<Result<T, Down>>,
}

impl<K, T> Desk<K, T>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
{
    /// Opens a desk; it closes when nobody can come any more.
    pub(super) fn open(db: Arc<Db>, read: Read<K, T>) -> Self {
        let (sender, queue) = mpsc::channel(WAITING);
        drop(tokio::spawn(attend(db, queue, read)));
        Self(sender)
    }

    pub(super) async fn ask(&self, key: K) -> Result<T, Down> {
        let closed = || Down("it is closed".to_owned());
        let (answer, told) = oneshot::channel();
        let sent = self.0.send(Asked { key, answer }).await;
        sent.map_err(|_| closed())?;
        told.await.unwrap_or_else(|_| Err(closed()))
    }
}

async fn attend<K, T>(db: Arc<Db>, mut queue: mpsc::Receiver<Asked<K, T>>, read: Read<K, T>) {
    let mut asked = Vec::new();
    while queue.recv_many(&mut asked, TOGETHER).await > 0 {
        let (keys, answers): (Vec<_>, Vec<_>) =
            asked.drain(..).map(|one| (one.key, one.answer)).unzip();
        match read(&db, &keys).await {
            Ok(found) => answers.into_iter().zip(found).for_each(tell),
            // One broken row is the answer to one question only.
            Err(_) if keys.len() > 1 => {
                for (key, answer) in keys.chunks(1).zip(answers) {
                    let found = read(&db, key).await.map(|mut found| found.pop());
                    let nothing = || Err(Down("nothing was answered".to_owned()));
                    let found = found.and_then(|found| found.map_or_else(nothing, Ok));
                    drop(answer.send(found));
                }
            }
            Err(down) => answers
                .into_iter()
                .for_each(|answer| drop(answer.send(Err(Down(down.0.clone()))))),
        }
    }
}

/// Whoever asked may have gone; a read is no loss.
fn tell<T>((answer, found): (oneshot::Sender<Result<T, Down>>, T)) {
    drop(answer.send(Ok(found)));
}

/// How many may wait without being taken; more wait to be let in.
const WAITING: usize = 1_024;

/// How many keys one statement takes.
const TOGETHER: usize = 128;
