//! The configuration read again while the broker runs: by an operator's order, or by a SIGHUP. What takes
//! effect by a restart alone is refused by its name, and then nothing is taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::config::load;
use super::error::chain;
use super::wire::rules;
use crate::broker::Broker;
use crate::broker::apply::{Configuration, Fixed, Plan, Wanted, refused};
use crate::broker::revoke::Order;
use crate::broker::rules::Rules;
use crate::config::{Config, Marks};
use crate::error::{Code, Error};

/// The file that the broker was started with, and what it said then.
struct Reload {
    broker: Arc<Broker>,
    file: PathBuf,
    marks: Marks,
}

/// Where the configuration is read again, which a SIGHUP asks for too until `stop`.
pub(super) fn configuration(
    broker: &Arc<Broker>,
    file: Option<PathBuf>,
    config: &Config,
    stop: &CancellationToken,
) -> Arc<dyn Configuration> {
    let Some(file) = file else {
        return Arc::new(Fixed);
    };
    let reload = Arc::new(Reload {
        broker: Arc::clone(broker),
        // It is found again wherever the broker goes.
        file: std::path::absolute(&file).unwrap_or(file),
        marks: config.marks.clone(),
    });
    let hang_ups = Arc::clone(&reload).hang_ups();
    tokio::spawn(stop.clone().run_until_cancelled_owned(hang_ups));
    reload
}

impl Reload {
    /// Applies the file at each SIGHUP. A file that is refused changes nothing, and its faults are logged.
    async fn hang_ups(self: Arc<Self>) {
        let Ok(mut hang_ups) = signal(SignalKind::hangup()) else {
            tracing::error!("SIGHUP cannot be heard: `writ apply` reads the configuration again");
            return;
        };
        while hang_ups.recv().await.is_some() {
            let order = Order {
                by: "signal:SIGHUP".to_owned(),
                reason: None,
                repeat: None,
            };
            match Arc::clone(&self).apply(Wanted::Whatever, order).await {
                Ok(plan) => tracing::info!(
                    policy_set = %plan.to,
                    changed = plan.applied,
                    "the configuration was read again"
                ),
                Err(error) => tracing::error!(
                    code = %error.code(),
                    "the configuration in force stays: {}",
                    error.public()
                ),
            }
        }
    }

    async fn read_and_apply(&self, wanted: Wanted, order: &Order) -> Result<Plan, Error> {
        let (file, marks) = (self.file.clone(), self.marks.clone());
        let read = tokio::task::spawn_blocking(move || read(&file, &marks));
        let rules = read.await.map_err(|e| {
            Error::new(Code::Internal, "the configuration was not read to its end").with_internal(e)
        })?;
        self.broker.apply(rules?, wanted, order).await
    }
}

impl Configuration for Reload {
    fn apply(
        self: Arc<Self>,
        wanted: Wanted,
        order: Order,
    ) -> BoxFuture<'static, Result<Plan, Error>> {
        let applied = tokio::spawn(async move { self.read_and_apply(wanted, &order).await });
        Box::pin(async {
            applied.await.unwrap_or_else(|e| {
                let text = "the configuration was not applied to its end";
                Err(Error::new(Code::Internal, text).with_internal(e))
            })
        })
    }
}

/// The rules of the file, if they are all that it changes.
fn read(file: &Path, marks: &Marks) -> Result<Rules, Error> {
    let config = load(file).map_err(|error| refused(chain(&error)))?;
    let fixed = marks.differing(&config.marks);
    if !fixed.is_empty() {
        let text = format!(
            "{} changed, and takes effect by a restart: only profiles and policies are replaced while the broker runs",
            fixed.join(", ")
        );
        return Err(refused(text));
    }
    rules(&config).map_err(refused)
}
