//! What operators look for, from the reading connections.

use futures_util::future::BoxFuture;

use super::{SqliteStore, entry, lineage, session, task};
use crate::domain::ids::{LineageId, Realm, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::name::TaskName;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::inquiry::{Inquiry, Mark, Sort};
use crate::store::{Down, StoredEntry};

impl Inquiry for SqliteStore {
    fn lineage(&self, realm: Realm, id: LineageId) -> BoxFuture<'_, Result<Option<Lineage>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            lineage::by_id(&mut db, self.db.mac(), realm, id).await
        })
    }

    fn newest_lineages(
        &self,
        realm: Realm,
        before: Option<LineageId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Lineage>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            lineage::newest(&mut db, self.db.mac(), realm, before, limit).await
        })
    }

    fn constrained(
        &self,
        realm: Realm,
        after: Option<LineageId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Lineage>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            lineage::constrained(&mut db, self.db.mac(), realm, after, limit).await
        })
    }

    fn sessions(&self, realm: Realm, task: TaskId) -> BoxFuture<'_, Result<Vec<Session>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            session::of_task(&mut db, self.db.mac(), realm, task).await
        })
    }

    fn names<'a>(
        &'a self,
        realm: Realm,
        from: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<TaskName>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            task::names(&mut db, realm, from, limit).await
        })
    }

    fn newest_entries(
        &self,
        realm: Realm,
        sort: Sort,
        before: Option<Mark>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            entry::newest(&mut db, realm, sort, before, limit).await
        })
    }

    fn takings(
        &self,
        realm: Realm,
        task: TaskId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            entry::takings(&mut db, realm, task, limit).await
        })
    }

    fn made_between(
        &self,
        realm: Realm,
        from: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            entry::made_between(&mut db, realm, (from, until), limit).await
        })
    }
}
