//! A request that a gateway holds, and what is asked about it. Gateways tell of it in forms of their own
//! (`forward_auth` in headers, `ext_authz` in a message), and are believed because they authenticate; from
//! there on the question is the same, and so is what the gateway may tell the service behind.

use http::{HeaderMap, HeaderName, Method};
use url::Url;

use crate::broker::check::{CheckRequest, Cleared, Holder};
use crate::broker::consume::ConsumeRequest;
use crate::broker::{Broker, Presented};
use crate::domain::action::{Act, Resource};
use crate::domain::ids::ReservationId;
use crate::domain::name::ServerName;
use crate::error::{Code, Error, Kind};
use crate::surface::http::form::malformed;
use crate::surface::http::plain::{is_plain_authority, is_plain_path};
use crate::surface::http::present;
use crate::surface::settings::ResourceServer;

/// The request that the gateway holds.
#[derive(Debug)]
pub struct Held {
    method: &'static str,
    /// Where it was sent to, with no query: what a proof is about (RFC 9449 §4.2).
    url: Url,
    path: String,
}

/// What is asked about it.
#[derive(Debug)]
pub enum Question {
    Check(CheckRequest),
    /// Its sender has shown a permit: if the request may go on, that is used up.
    Consume {
        check: CheckRequest,
        /// None where what was shown is none.
        permit: Option<ReservationId>,
        server: ServerName,
    },
}

/// What the gateway says of it.
pub struct Told<'a> {
    pub method: Part<'a>,
    pub scheme: Part<'a>,
    /// With its port, if one was named.
    pub authority: Part<'a>,
    /// The path with its query, as it was sent.
    pub target: Part<'a>,
}

/// One thing that it says, and under which name.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    pub name: &'static str,
    pub text: &'a str,
}

impl Held {
    /// # Errors
    /// `request_malformed`, also for what two readers could take for two different requests.
    pub fn read(told: &Told<'_>) -> Result<Self, Error> {
        let refuse = |text, part: Part<'_>| malformed(text).with_field(part.name);
        let method = METHODS
            .iter()
            .find(|known| known.as_str() == told.method.text);
        let method =
            method.ok_or_else(|| refuse("not a method that is decided on", told.method))?;
        let path = told.target.text.split('?').next().unwrap_or_default();
        if !is_plain_path(path) {
            return Err(refuse("the path has more than one reading", told.target));
        }
        let authority = told.authority.text;
        if !is_plain_authority(authority) {
            return Err(refuse("not a host", told.authority));
        }
        if !matches!(told.scheme.text, "http" | "https") {
            return Err(refuse("not a scheme of HTTP", told.scheme));
        }
        let url = Url::parse(&format!("{}://{authority}{path}", told.scheme.text));
        Ok(Self {
            method: method.as_str(),
            url: url.map_err(|_| refuse("not a host", told.authority))?,
            path: path.to_owned(),
        })
    }

    /// What the broker is asked: whether whoever sent these headers may do this, as the gateway sees it.
    ///
    /// # Errors
    /// `token_invalid` without one token; `proof_invalid` where it is not clear which proof is meant.
    pub fn question(self, sent: &HeaderMap, server: &ResourceServer) -> Result<Question, Error> {
        let (_, token) = present::token(sent)?;
        let proof = present::single(sent, "dpop")
            .map_err(|_| Error::new(Code::ProofInvalid, "more than one DPoP header, or no text"))?;
        let mut act = self.act()?;
        server.place.mark(&mut act.resource);
        let holder = proof.map_or(Holder::Nobody, |proof| {
            Holder::Proof(Box::new(Presented {
                proof: proof.to_owned(),
                method: self.method,
                url: self.url,
            }))
        });
        let check = CheckRequest {
            subject: None,
            token,
            holder,
            act,
            audiences: server.audiences.clone(),
        };
        let permit = present::single(sent, PERMIT.as_str())
            .map_err(|_| malformed("more than one permit, or no text").with_field("writ-permit"))?;
        Ok(match permit {
            None => Question::Check(check),
            Some(text) => Question::Consume {
                check,
                permit: text.parse().ok(),
                server: server.name.clone(),
            },
        })
    }

    /// The method, in small letters, on a resource of the type `http` whose id is the path.
    fn act(&self) -> Result<Act, Error> {
        let unfit = || malformed("not an action on a resource");
        let host = self.url.host_str().unwrap_or_default();
        let action = self.method.to_ascii_lowercase();
        Ok(Act {
            action: action.parse().map_err(|_| unfit())?,
            resource: Resource {
                kind: "http".parse().map_err(|_| unfit())?,
                id: self.path.parse().map_err(|_| unfit())?,
                properties: [("host".to_owned(), host.to_owned())].into(),
            },
        })
    }
}

impl Question {
    /// The answer. A gateway does not ask again about the request that it holds: whoever does has another request,
    /// for which there is no permit any more.
    ///
    /// # Errors
    /// As of a check, or of a consumption.
    pub async fn put(self, broker: &Broker) -> Result<Cleared, Error> {
        let (check, permit, server) = match self {
            Self::Check(check) => return broker.check(&check).await,
            Self::Consume {
                check,
                permit,
                server,
            } => (check, permit, server),
        };
        let mut key = [0; 16];
        broker.entropy.fill(&mut key);
        let request = ConsumeRequest {
            check,
            permit,
            server,
            key: hex::encode(key),
        };
        Ok(broker.consume(&request).await?.cleared)
    }
}

/// Whose request it is, for the service behind. The gateway puts each in place of what the sender may have sent
/// under the name.
pub fn whose(cleared: &Cleared) -> [(HeaderName, String); 2] {
    let claims = cleared.claims();
    [
        (WORKLOAD, claims.sub.as_str().to_owned()),
        (TASK, claims.task.to_string()),
    ]
}

/// Why it was stopped, for whoever sent it.
pub fn why(error: &Error) -> impl Iterator<Item = (HeaderName, String)> {
    let denial = error.denial().map(|id| (DENIAL, id.to_owned()));
    let challenge = error.challenge().map(|id| (CHALLENGE, id.to_owned()));
    [(CODE, error.code().as_str().to_owned())]
        .into_iter()
        .chain(denial)
        .chain(challenge)
}

/// Whether the sender has to show something else, a token or a proof: 401 (RFC 9110 §15.5.2).
pub fn shows_too_little(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unverified) || error.code() == Code::ProofRequired
}

const CODE: HeaderName = HeaderName::from_static("writ-code");
/// What the sender shows for an action that is counted.
pub const PERMIT: HeaderName = HeaderName::from_static("writ-permit");
const DENIAL: HeaderName = HeaderName::from_static("writ-denial");
const CHALLENGE: HeaderName = HeaderName::from_static("writ-challenge");
const TASK: HeaderName = HeaderName::from_static("writ-task");
const WORKLOAD: HeaderName = HeaderName::from_static("writ-workload");

/// The methods that are decided on. `CONNECT` and `TRACE` have no resource.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
