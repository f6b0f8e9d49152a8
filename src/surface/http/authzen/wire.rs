//! The shapes of AuthZEN, and what they mean here. Members that are not known are passed over; those that
//! are of another type are not.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::broker::Presented;
use crate::broker::check::{CheckRequest, Cleared, Holder};
use crate::broker::consume::Consumed;
use crate::domain::action::{Act, Resource};
use crate::domain::ids::ReservationId;
use crate::domain::secret::Secret;
use crate::error::{Code, Error, Kind};
use crate::surface::http::form::malformed;
use crate::surface::http::problem;
use crate::surface::settings::ResourceServer;

/// Who acts: the workload that a token was issued to, with that token.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenSubject)]
pub(super) struct Subject {
    /// `workload`
    r#type: String,
    /// The SPIFFE ID: the token's `sub`.
    id: String,
    properties: Option<Shown>,
}

/// What the enforcement point was shown.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenShown)]
struct Shown {
    access_token: Option<String>,
    /// Thumbprint of the key whose DPoP proof the enforcement point has verified.
    key: Option<String>,
    /// The proof, where it is left to the broker.
    dpop: Option<Dpop>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenProof)]
struct Dpop {
    /// The header as it came.
    proof: String,
    /// Of the request that it came with.
    method: String,
    url: String,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenAction)]
pub(in crate::surface::http) struct Action {
    name: String,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = AuthzenResource)]
pub(in crate::surface::http) struct Thing {
    r#type: String,
    id: String,
    /// Texts, numbers and truths are compared, as texts; anything else is passed over.
    #[schema(value_type = Option<Object>)]
    properties: Option<BTreeMap<String, Value>>,
}

/// One answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthzenDecision)]
pub(super) struct Decision {
    decision: bool,
    context: Told,
}

/// For whom and which task it was permitted, or why it was not.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = AuthzenContext)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    /// The permit that was consumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    permit: Option<String>,
    /// The same request was answered before: what it permits may have been done.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial_id: Option<String>,
    /// What an approval would be for, where one would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failed>,
}

/// Why there is no decision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthzenError)]
struct Failed {
    status: u16,
    message: String,
}

/// What is asked, in the broker's words.
pub(super) fn request(
    subject: &Subject,
    action: &Action,
    thing: &Thing,
    server: &ResourceServer,
) -> Result<CheckRequest, Error> {
    if subject.r#type != "workload" {
        let text = "the subject's type is `workload`";
        return Err(malformed(text).with_field("subject.type"));
    }
    let shown = subject.properties.as_ref();
    let token = shown.and_then(|shown| shown.access_token.clone());
    let mut act = act(action, thing)?;
    server.place.mark(&mut act.resource);
    Ok(CheckRequest {
        subject: Some(subject.id.clone()),
        token: Secret::from(token.unwrap_or_default()),
        holder: shown.map_or(Ok(Holder::Nobody), holder)?,
        act,
        audiences: server.audiences.clone(),
    })
}

/// One action on one resource, in the broker's words.
pub(in crate::surface::http) fn act(action: &Action, thing: &Thing) -> Result<Act, Error> {
    let unfit = |text, field| malformed(text).with_field(field);
    let name = action.name.parse();
    let kind = thing.r#type.parse();
    let id = thing.id.parse();
    Ok(Act {
        action: name.map_err(|_| unfit("not an action's name", "action.name"))?,
        resource: Resource {
            kind: kind.map_err(|_| unfit("not a type of resource", "resource.type"))?,
            id: id.map_err(|_| unfit("not a resource's id", "resource.id"))?,
            properties: properties(thing)?,
        },
    })
}

fn holder(shown: &Shown) -> Result<Holder, Error> {
    let refuse = |text| malformed(text).with_field("subject.properties");
    match (&shown.key, &shown.dpop) {
        (None, None) => Ok(Holder::Nobody),
        (Some(_), Some(_)) => Err(refuse("give `key` or `dpop`, not both")),
        (Some(key), None) => {
            let key = key.parse();
            Ok(Holder::Vouched(key.map_err(|_| {
                refuse("`key` is the thumbprint of a key (RFC 7638)")
            })?))
        }
        (None, Some(Dpop { proof, method, url })) => {
            let method = METHODS.iter().find(|known| known.as_str() == method);
            let method = method.ok_or_else(|| refuse("`dpop.method` is not a method of HTTP"))?;
            let url = url.parse();
            Ok(Holder::Proof(Box::new(Presented {
                proof: proof.clone(),
                method: method.as_str(),
                url: url.map_err(|_| refuse("`dpop.url` is not a URL"))?,
            })))
        }
    }
}

fn properties(thing: &Thing) -> Result<BTreeMap<String, String>, Error> {
    let mut properties = BTreeMap::new();
    for (name, value) in thing.properties.iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        if properties.len() >= MOST_PROPERTIES || text.len() > LONGEST_PROPERTY {
            let text = "the resource has more properties, or longer ones, than are looked at";
            return Err(malformed(text).with_field("resource.properties"));
        }
        properties.insert(name.clone(), text);
    }
    Ok(properties)
}

impl Decision {
    /// The answer to one evaluation.
    ///
    /// # Errors
    /// There is none: the request cannot be read, or nothing is known.
    pub(super) fn of(outcome: Result<Cleared, Error>) -> Result<Self, Error> {
        match outcome {
            Ok(cleared) => Ok(Self::permitted(&cleared, Told::default())),
            Err(error) => Self::refused(error),
        }
    }

    /// The answer to a consumption.
    ///
    /// # Errors
    /// As above.
    pub(super) fn of_consumed(
        outcome: Result<Consumed, Error>,
        permit: Option<ReservationId>,
    ) -> Result<Self, Error> {
        match outcome {
            Ok(consumed) => {
                let told = Told {
                    permit: permit.map(|id| id.to_string()),
                    repeated: Some(consumed.repeated),
                    ..Told::default()
                };
                Ok(Self::permitted(&consumed.cleared, told))
            }
            Err(error) => Self::refused(error),
        }
    }

    fn permitted(cleared: &Cleared, told: Told) -> Self {
        Self {
            decision: true,
            context: Told {
                task: Some(cleared.claims().task.to_string()),
                ..told
            },
        }
    }

    /// A denial is a decision; not to know is none.
    fn refused(error: Error) -> Result<Self, Error> {
        match error.kind() {
            Kind::Unverified | Kind::Target | Kind::Scope | Kind::Denied => {
                problem::log(&error);
                Ok(Self::denied(&error))
            }
            Kind::Malformed
            | Kind::Unauthenticated
            | Kind::Absent
            | Kind::Conflict
            | Kind::Contradicted
            | Kind::Undetermined
            | Kind::Internal => Err(error),
        }
    }

    fn denied(error: &Error) -> Self {
        Self {
            decision: false,
            context: Told {
                code: Some(error.code().as_str()),
                reason: Some(error.public().to_owned()),
                field: error.field().map(str::to_owned),
                denial_id: error.denial().map(str::to_owned),
                challenge: error.challenge().map(str::to_owned),
                ..Told::default()
            },
        }
    }

    /// The place of an answer that there is not: it permits nothing.
    pub(super) fn failed(error: &Error) -> Self {
        problem::log(error);
        let denied = Self::denied(error);
        let status = problem::status(error.kind()).as_u16();
        let message = error.public().to_owned();
        Self {
            context: Told {
                error: Some(Failed { status, message }),
                ..denied.context
            },
            ..denied
        }
    }

    pub(super) const fn is_permit(&self) -> bool {
        self.decision
    }
}

/// The body is not of the form that it has to be.
pub(super) fn unreadable() -> Error {
    Error::new(
        Code::RequestMalformed,
        "the body is an object with a subject, an action and a resource, each of its form",
    )
}

const METHODS: [Method; 7] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
];

const MOST_PROPERTIES: usize = 64;
const LONGEST_PROPERTY: usize = 1024;
