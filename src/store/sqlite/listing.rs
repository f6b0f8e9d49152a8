//! What operators look at, from the reading connections.

use futures_util::future::BoxFuture;
use writ_keys::KeyRow;

use super::{
    SqliteStore, certificate, credential, entry, freeze, key, lineage, reservation, secret, spent,
    task,
};
use crate::domain::credential::{CredentialRecord, RecallClass};
use crate::domain::freeze::Freeze;
use crate::domain::grant::SecretPath;
use crate::domain::ids::{LineageId, Realm, TaskId};
use crate::domain::lineage::Lineage;
use crate::domain::name::{GrantName, TaskName};
use crate::domain::position::Position;
use crate::domain::reservation::Reservation;
use crate::domain::task::Task;
use crate::domain::time::Timestamp;
use crate::store::{Down, Listing, SecretListing, StoredEntry};

impl Listing for SqliteStore {
    fn task(&self, realm: Realm, id: TaskId) -> BoxFuture<'_, Result<Option<Task>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            task::by_id(&mut db, self.db.mac(), realm, id).await
        })
    }

    fn task_named<'a>(
        &'a self,
        realm: Realm,
        name: &'a TaskName,
    ) -> BoxFuture<'a, Result<Option<Task>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            task::by_name(&mut db, self.db.mac(), realm, name).await
        })
    }

    fn tasks(
        &self,
        realm: Realm,
        before: Option<TaskId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Task>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            task::newest(&mut db, self.db.mac(), realm, before, limit).await
        })
    }

    fn lineages(&self, realm: Realm, task: TaskId) -> BoxFuture<'_, Result<Vec<Lineage>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            lineage::of_task(&mut db, self.db.mac(), realm, task).await
        })
    }

    fn credentials(
        &self,
        realm: Realm,
        task: TaskId,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CredentialRecord>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            credential::of_task(&mut db, self.db.mac(), realm, task, now).await
        })
    }

    fn reservations(
        &self,
        realm: Realm,
        task: TaskId,
    ) -> BoxFuture<'_, Result<Vec<Reservation>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            reservation::of_task(&mut db, self.db.mac(), realm, task).await
        })
    }

    fn spent(
        &self,
        realm: Realm,
        task: TaskId,
    ) -> BoxFuture<'_, Result<Vec<(GrantName, u32)>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            spent::of_task(&mut db, self.db.mac(), realm, task).await
        })
    }

    fn certificates<'a>(
        &'a self,
        realm: Realm,
        after: (Timestamp, Option<&'a CredentialRecord>),
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<CredentialRecord>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            certificate::page(&mut db, self.db.mac(), realm, after, limit).await
        })
    }

    fn certificates_of(
        &self,
        realm: Realm,
        lineage: LineageId,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CredentialRecord>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            let mut rows =
                credential::of_lineage(&mut db, self.db.mac(), realm, lineage, now).await?;
            rows.retain(|row| row.recall == RecallClass::List);
            Ok(rows)
        })
    }

    fn entry(&self, at: Position) -> BoxFuture<'_, Result<Option<StoredEntry>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            entry::at(&mut db, at).await
        })
    }

    fn entries(
        &self,
        realm: Realm,
        task: TaskId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            entry::of_task(&mut db, realm, task, limit).await
        })
    }

    fn secrets<'a>(
        &'a self,
        realm: Realm,
        after: Option<&'a SecretPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<SecretListing>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            secret::list(&mut db, self.db.mac(), realm, after, limit).await
        })
    }

    fn latest_version<'a>(
        &'a self,
        realm: Realm,
        path: &'a SecretPath,
    ) -> BoxFuture<'a, Result<u32, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            secret::latest(&mut db, self.db.mac(), realm, path).await
        })
    }

    fn freezes(&self, realm: Realm) -> BoxFuture<'_, Result<Vec<Freeze>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            let rows = freeze::all(&mut db, self.db.mac()).await?;
            let here = rows.into_iter().filter(|(of, _)| *of == realm);
            Ok(here.map(|(_, freeze)| freeze).collect())
        })
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<KeyRow>, Down>> {
        Box::pin(async move {
            let mut db = self.db.reader().await?;
            key::all(&mut db).await
        })
    }
}
