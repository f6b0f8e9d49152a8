//! The orders: a bounded list at a time, and what is stuck once more.

use serde_json::json;

use super::{BREATH, RevokeArgs};
use crate::cli::CliError;
use crate::cli::client::{Admin, Call};
use crate::cli::out::complain;
use crate::domain::ids::TaskId;
use crate::surface::http::admin::revocations::{
    FateKind, FateView, MOST_TASKS, NewRevocation, RevocationView,
};

/// Revokes part by part. What is stuck is tried again with the rest; broken off, the same command goes on.
pub(super) async fn revoke_tasks(
    ids: &[TaskId],
    condition: &str,
    args: &RevokeArgs,
    admin: &Admin,
) -> Result<Vec<FateView>, CliError> {
    let mut results: Vec<FateView> = Vec::new();
    let mut left: Vec<TaskId> = ids.to_vec();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 && !left.is_empty() {
            tokio::time::sleep(BREATH).await;
        }
        let mut stuck = Vec::new();
        for part in left.chunks(MOST_TASKS) {
            let order = NewRevocation {
                tasks: part.to_vec(),
                r#where: Some(condition.to_owned()),
                reason: args.reason.clone(),
                ..NewRevocation::default()
            };
            for (id, fate) in part.iter().zip(give(&order, admin).await?) {
                if fate.outcome == FateKind::Stuck && attempt + 1 < ATTEMPTS {
                    stuck.push(*id);
                } else {
                    results.push(fate);
                }
            }
            complain(&format!("{} of {}", results.len(), ids.len())).ok();
        }
        left = stuck;
    }
    Ok(results)
}

pub(super) async fn give(order: &NewRevocation, admin: &Admin) -> Result<Vec<FateView>, CliError> {
    let answer = admin
        .ask(Call::post("/api/v1/revocations", &json!(order)))
        .await?;
    Ok(answer.read::<RevocationView>()?.results)
}

/// How often what is stuck is tried.
const ATTEMPTS: usize = 3;
