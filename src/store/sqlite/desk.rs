//! Look-ups that wait at the same time are one statement. Each would otherwise be a transaction of
//! its own on a connection of its own, of which the hops between threads cost more than the rows.
//!
//! A desk has a connection for itself: one of a pool is asked whether it still lives each time it is
//! given back, which is another hop.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::row::down;
use crate::store::Down;
use crate::store::row_mac::RowMac;

/// Reads what stands for each of some keys, in their order.
pub(super) type Read<K, T> = for<'a> fn(
    &'a mut SqliteConnection,
    &'a dyn RowMac,
    &'a [K],
) -> BoxFuture<'a, Result<Vec<T>, Down>>;

/// Where keys are handed in.
pub(super) struct Desk<K, T>(mpsc::Sender<Asked<K, T>>);

/// What every desk of a store works with.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) options: SqliteConnectOptions,
    pub(super) mac: Arc<dyn RowMac>,
    pub(super) closing: CancellationToken,
    pub(super) tasks: TaskTracker,
}

struct Asked<K, T> {
    key: K,
    answer: oneshot::Sender<Result<T, Down>>,
}

/// Whoever answers, with the connection, as long as there is one that works.
struct Clerk<K, T> {
    office: Office,
    read: Read<K, T>,
    db: Option<SqliteConnection>,
}

impl<K, T> Desk<K, T>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
{
    /// Opens a desk; it closes with the office, or when nobody can come any more.
    pub(super) fn open(office: &Office, read: Read<K, T>) -> Self {
        let (sender, queue) = mpsc::channel(WAITING);
        let clerk = Clerk {
            office: office.clone(),
            read,
            db: None,
        };
        drop(office.tasks.spawn(clerk.attend(queue)));
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

impl<K, T> Clerk<K, T> {
    async fn attend(mut self, mut queue: mpsc::Receiver<Asked<K, T>>) {
        let closing = self.office.closing.clone();
        let mut asked = Vec::new();
        while let Some(1..) = closing
            .run_until_cancelled(queue.recv_many(&mut asked, TOGETHER))
            .await
        {
            let (keys, answers): (Vec<_>, Vec<_>) =
                asked.drain(..).map(|one| (one.key, one.answer)).unzip();
            self.answer(&keys, answers).await;
        }
        if let Some(db) = self.db {
            let _closed = db.close().await;
        }
    }

    async fn answer(&mut self, keys: &[K], answers: Vec<oneshot::Sender<Result<T, Down>>>) {
        match self.look_up(keys).await {
            Ok(found) => answers.into_iter().zip(found).for_each(tell),
            // One broken row is the answer to one question only.
            Err(_) if keys.len() > 1 => {
                for (key, answer) in keys.chunks(1).zip(answers) {
                    let found = self.look_up(key).await.map(|mut found| found.pop());
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

    /// After an error the connection is thrown away: it may be what is broken.
    async fn look_up(&mut self, keys: &[K]) -> Result<Vec<T>, Down> {
        let mut db = match self.db.take() {
            Some(db) => db,
            None => SqliteConnection::connect_with(&self.office.options)
                .await
                .map_err(down)?,
        };
        let found = (self.read)(&mut db, self.office.mac.as_ref(), keys).await?;
        self.db = Some(db);
        Ok(found)
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
