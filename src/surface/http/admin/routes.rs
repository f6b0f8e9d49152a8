//! Every route of operators: what it takes and answers, and the role that it asks for.

use http::StatusCode;

use super::audit::CheckpointView;
use super::challenges::{NewApproval, WaitingPage, WaitingView};
use super::configuration::{NewRules, PlanView, RulesView};
use super::decode::{Opening, Reason};
use super::denial_view::Explanation;
use super::find_view::FoundView;
use super::freezes::{FreezeList, FreezeView, NewFreeze};
use super::keys::{KeyList, KeyStep, KeyView, NewKey};
use super::lineages::{ConstrainedView, NewRelease, NewRisk};
use super::list::LARGEST_PAGE;
use super::login::OperatorView;
use super::night::{ExposureView, WhyView};
use super::revocations::{NewRevocation, PreviewView, RevocationView, Wanted};
use super::secrets::{SecretPage, Stored};
use super::table::{OperatorRoute, Table};
use super::task_view::{Ended, LineageView, TaskDetail, TaskPage, TaskView};
use super::{
    audit, challenges, configuration, denials, freezes, keys, lineages, login, night, revocations,
    secrets, tasks,
};
use crate::domain::role::Role::{Admin, Approver, Operator, Viewer};
use crate::surface::http::openapi;
use crate::surface::http::route::{Content, Parameter, Refuses, Route, Shape, Takes};

/// Every route of operators. The roles stand here and nowhere else.
pub fn table() -> Table {
    let table = Table::default()
        .with(Viewer, document())
        .with(Viewer, whoami());
    let table = with_tasks(table);
    let table = with_night(table);
    let table = with_lineages(table);
    let table = with_freezes(table);
    let table = with_revocations(table);
    let table = with_secrets(table);
    let table = with_keys(table);
    let table = with_configuration(table);
    with_audit(table)
}

fn document() -> OperatorRoute {
    Route::get(openapi::OPENAPI, "openapi", openapi::for_operators)
        .about("This document.")
        .answers(StatusCode::OK, Content::Object)
        .refuses(Refuses::Problem, LOOK)
}

fn whoami() -> OperatorRoute {
    Route::get("/api/v1/whoami", "whoami", login::whoami)
        .about("Who asks, as the log names them, and with which roles.")
        .answers(StatusCode::OK, Content::json::<OperatorView>())
        .refuses(Refuses::Problem, LOOK)
}

fn with_tasks(table: Table) -> Table {
    let list = Route::get("/api/v1/tasks", "list_tasks", tasks::list)
        .about("Tasks, newest first.")
        .asks(PAGE)
        .answers(StatusCode::OK, Content::json::<TaskPage>())
        .refuses(Refuses::Problem, ASK);
    let open = Route::post("/api/v1/tasks", "open_task", tasks::open)
        .about("Opens the task of a case for a workload that the case does not name.")
        .takes(Takes::Json(Shape::of::<Opening>()))
        .answers(StatusCode::OK, Content::json::<TaskView>())
        .once()
        .refuses(Refuses::Problem, ONCE);
    let show = Route::get("/api/v1/tasks/{task}", "show_task", tasks::show)
        .about("A task, by its id or by its name with each slash as %2F.")
        .answers(StatusCode::OK, Content::json::<TaskDetail>())
        .refuses(Refuses::Problem, SHOW);
    let revoke = Route::post("/api/v1/tasks/{task}/revoke", "revoke_task", tasks::revoke)
        .about(
            "Ends a task because trust in it is withdrawn. A name that was never opened is barred.",
        )
        .takes(Takes::JsonOrNothing(Shape::of::<Reason>()))
        .answers(StatusCode::OK, Content::json::<Ended>())
        .refuses(Refuses::Problem, ORDER);
    let close = Route::post("/api/v1/tasks/{task}/close", "close_task", tasks::close)
        .about("Ends a task because its work is done.")
        .takes(Takes::JsonOrNothing(Shape::of::<Reason>()))
        .answers(StatusCode::OK, Content::json::<Ended>())
        .refuses(Refuses::Problem, ORDER);
    table
        .with(Viewer, list)
        .with(Operator, open)
        .with(Viewer, show)
        .with(Operator, revoke)
        .with(Operator, close)
}

fn with_night(table: Table) -> Table {
    let exposure = Route::get("/api/v1/tasks/{task}/exposure", "exposure", night::exposure)
        .about("The secret values that a task has read.")
        .answers(StatusCode::OK, Content::json::<ExposureView>())
        .refuses(Refuses::Problem, SHOW);
    let denial = Route::get("/api/v1/denials/{id}", "explain", denials::show)
        .about("The whole trace of a refusal.")
        .answers(StatusCode::OK, Content::json::<Explanation>())
        .refuses(Refuses::Problem, SHOW);
    let find = Route::post("/api/v1/find", "find", night::find)
        .about("Finds what a text belongs to: a token, an id, a run's page, a commit.")
        .takes(Takes::Bytes(
            "What is looked for. A secret is recognised and repeated nowhere",
        ))
        .answers(StatusCode::OK, Content::json::<FoundView>())
        .refuses(Refuses::Problem, SHOW);
    let why = Route::get("/api/v1/why/{about}", "why", night::why)
        .about("The refusals about a run's page, a task or a denial, and what happened besides.")
        .answers(StatusCode::OK, Content::json::<WhyView>())
        .refuses(Refuses::Problem, SHOW);
    table
        .with(Viewer, exposure)
        .with(Viewer, denial)
        .with(Viewer, find)
        .with(Viewer, why)
}

fn with_lineages(table: Table) -> Table {
    let at = "/api/v1/lineages/{lineage}/quarantine";
    let quarantine = Route::post(at, "quarantine", lineages::quarantine)
        .about("Stops everything under a lineage until somebody has looked at it.")
        .takes(Takes::JsonOrNothing(Shape::of::<Reason>()))
        .answers(StatusCode::OK, Content::json::<ConstrainedView>())
        .refuses(Refuses::Problem, ORDER);
    let at = "/api/v1/lineages/{lineage}/release";
    let release = Route::post(at, "release", lineages::release)
        .about("Lets a lineage go on after its quarantine, with less than it had.")
        .takes(Takes::Json(Shape::of::<NewRelease>()))
        .answers(StatusCode::OK, Content::json::<LineageView>())
        .once()
        .refuses(Refuses::Problem, ONCE);
    let at = "/api/v1/lineages/{lineage}/risk";
    let raise = Route::post(at, "raise_risk", lineages::raise)
        .about(
            "Has a lineage trusted less: what its policies do not allow then waits for approval.",
        )
        .takes(Takes::Json(Shape::of::<NewRisk>()))
        .answers(StatusCode::OK, Content::json::<ConstrainedView>())
        .refuses(Refuses::Problem, ORDER);
    let waiting = Route::get("/api/v1/challenges", "list_challenges", challenges::list)
        .about("Lineages that are constrained, with the challenge that an approval would be for.")
        .asks(PAGE)
        .answers(StatusCode::OK, Content::json::<WaitingPage>())
        .refuses(Refuses::Problem, ASK);
    let at = "/api/v1/challenges/{challenge}/approve";
    let approve = Route::post(at, "approve", challenges::approve)
        .about("Approves what a challenge waits for, until a time.")
        .takes(Takes::Json(Shape::of::<NewApproval>()))
        .answers(StatusCode::OK, Content::json::<WaitingView>())
        .refuses(Refuses::Problem, ORDER);
    table
        .with(Operator, raise)
        .with(Operator, quarantine)
        .with(Approver, release)
        .with(Viewer, waiting)
        .with(Approver, approve)
}

fn with_freezes(table: Table) -> Table {
    let list = Route::get("/api/v1/freezes", "list_freezes", freezes::list)
        .about("The freezes that hold.")
        .answers(StatusCode::OK, Content::json::<FreezeList>())
        .refuses(Refuses::Problem, LOOK);
    let freeze = Route::post("/api/v1/freezes", "freeze", freezes::freeze)
        .about("Stops issue and renewal within a scope, for a while.")
        .takes(Takes::Json(Shape::of::<NewFreeze>()))
        .answers(StatusCode::CREATED, Content::json::<FreezeView>())
        .refuses(Refuses::Problem, ORDER);
    let thaw = Route::post("/api/v1/freezes/{scope}/lift", "lift_freeze", freezes::lift)
        .about("Ends a freeze before its time.")
        .takes(Takes::JsonOrNothing(Shape::of::<Reason>()))
        .answers(StatusCode::OK, Content::json::<FreezeView>())
        .once()
        .refuses(Refuses::Problem, ONCE);
    table
        .with(Viewer, list)
        .with(Operator, freeze)
        .with(Operator, thaw)
}

fn with_revocations(table: Table) -> Table {
    let revoke = Route::post("/api/v1/revocations", "revoke", revocations::revoke)
        .about("Revokes up to a hundred tasks, or one lineage, credential, workload or key.")
        .takes(Takes::Json(Shape::of::<NewRevocation>()))
        .answers(StatusCode::OK, Content::json::<RevocationView>())
        .refuses(Refuses::Problem, ORDER);
    let at = "/api/v1/revocations/preview";
    let preview = Route::post(at, "preview_revocation", revocations::preview)
        .about("The tasks that a condition means, with what is out under each.")
        .takes(Takes::Json(Shape::of::<Wanted>()))
        .answers(StatusCode::OK, Content::json::<PreviewView>())
        .refuses(Refuses::Problem, ASK);
    table.with(Operator, revoke).with(Viewer, preview)
}

fn with_secrets(table: Table) -> Table {
    let at = "/api/v1/secrets/{*path}";
    let list = Route::get("/api/v1/secrets", "list_secrets", secrets::list)
        .about("Secrets by path, without their values.")
        .asks(PAGE)
        .answers(StatusCode::OK, Content::json::<SecretPage>())
        .refuses(Refuses::Problem, ASK);
    let store = Route::put(at, "put_secret", secrets::store)
        .about("Stores a value as the newest version. The path has its slashes as they are.")
        .takes(Takes::Bytes("The value, up to 64 KiB"))
        .answers(StatusCode::OK, Content::json::<Stored>())
        .refuses(Refuses::Problem, ORDER);
    let delete = Route::delete(at, "delete_secret", secrets::delete)
        .about("Deletes every version of a secret.")
        .answers(StatusCode::NO_CONTENT, Content::Nothing)
        .once()
        .refuses(Refuses::Problem, ONCE);
    table
        .with(Viewer, list)
        .with(Admin, store)
        .with(Admin, delete)
}

fn with_keys(table: Table) -> Table {
    let list = Route::get("/api/v1/keys", "list_keys", keys::list)
        .about("The broker's own keys, without their bytes.")
        .answers(StatusCode::OK, Content::json::<KeyList>())
        .refuses(Refuses::Problem, LOOK);
    let prepare = Route::post("/api/v1/keys", "prepare_key", keys::prepare)
        .about("Makes another key of a purpose. It signs nothing before it is activated.")
        .takes(Takes::Json(Shape::of::<NewKey>()))
        .answers(StatusCode::CREATED, Content::json::<KeyView>())
        .once()
        .refuses(Refuses::Problem, ONCE);
    let step = Route::post("/api/v1/keys/{id}/{step}", "move_key", keys::step)
        .about("Tells a key to `activate`, `retire` or `withdraw`.")
        .takes(Takes::JsonOrNothing(Shape::of::<KeyStep>()))
        .answers(StatusCode::OK, Content::json::<KeyView>())
        .once()
        .refuses(Refuses::Problem, ONCE);
    table
        .with(Viewer, list)
        .with(Admin, prepare)
        .with(Admin, step)
}

fn with_configuration(table: Table) -> Table {
    let at = "/api/v1/configuration";
    let show = Route::get(at, "show_configuration", configuration::show)
        .about("The profiles and policies in force, by name, and the digest that decisions are recorded with.")
        .answers(StatusCode::OK, Content::json::<RulesView>())
        .refuses(Refuses::Problem, LOOK);
    let apply = Route::post("/api/v1/configuration/apply", "apply_configuration", configuration::apply)
        .about("Reads the configuration file again and puts its profiles and policies in force, all or nothing.")
        .takes(Takes::JsonOrNothing(Shape::of::<NewRules>()))
        .answers(StatusCode::OK, Content::json::<PlanView>())
        .refuses(Refuses::Problem, APPLY);
    table.with(Viewer, show).with(Admin, apply)
}

fn with_audit(table: Table) -> Table {
    let at = "/api/v1/audit/checkpoint";
    let checkpoint = Route::get(at, "checkpoint", audit::checkpoint)
        .about("The newest signed head of the log.")
        .answers(StatusCode::OK, Content::json::<CheckpointView>())
        .refuses(Refuses::Problem, SHOW);
    let export = Route::get("/api/v1/audit/export", "export", audit::export)
        .about("The whole log up to its newest head, as a file that anybody can check.")
        .answers(StatusCode::OK, Content::File(audit::LINES))
        .refuses(Refuses::Problem, SHOW);
    table.with(Viewer, checkpoint).with(Viewer, export)
}

const PAGE: &[Parameter] = &[
    Parameter::optional("cursor", "`next` of the part before"),
    Parameter::number("limit", "How many; 50 if left out", LARGEST_PAGE),
];

/// What the gate refuses, and what cannot be read now.
const LOOK: &[u16] = &[401, 403, 503];

/// The same, and a question that cannot be read.
const ASK: &[u16] = &[400, 401, 403, 503];

/// The same, and what is not there.
const SHOW: &[u16] = &[400, 401, 403, 404, 503];

/// What stands in the way of an order that names nothing.
const APPLY: &[u16] = &[400, 401, 403, 409, 503];

/// The same, and what stands in the way of an order.
const ORDER: &[u16] = &[400, 401, 403, 404, 409, 503];

/// The same, and a key that came with another order.
const ONCE: &[u16] = &[400, 401, 403, 404, 409, 422, 503];
