//! Which resource server asks: by its generated secret, or by the certificate of its workload. Never by
//! address.

use http::{HeaderMap, HeaderName, header};

use crate::domain::secret::Secret;
use crate::error::{Code, Error, Kind};
use crate::surface::http::form::Form;
use crate::surface::http::peer::Peer;
use crate::surface::http::present;
use crate::surface::http::public::Public;
use crate::surface::settings::ResourceServer;

/// The resource server that asks with a form, which may hold its secret.
///
/// # Errors
/// `client_invalid`; where its certificate cannot be judged now, undetermined.
pub(super) async fn by_form<'a>(
    public: &'a Public,
    peer: &Peer,
    headers: &HeaderMap,
    form: &Form,
) -> Result<&'a ResourceServer, Error> {
    let secret_shown =
        headers.contains_key(header::AUTHORIZATION) || form.one("client_secret")?.is_some();
    if secret_shown {
        return by_secret(&public.servers, headers, form);
    }
    by_certificate(public, peer, form.one("client_id")?).await
}

/// The resource server that asks, with its secret in this header (`Authorization`, or `Proxy-Authorization`
/// where that is the sender's whose request it holds), or with its certificate. A secret that is shown is
/// what counts, whatever the handshake showed.
///
/// # Errors
/// As above.
pub async fn by_header<'a>(
    public: &'a Public,
    peer: &Peer,
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<&'a ResourceServer, Error> {
    if headers.contains_key(name) {
        let shown = present::basic(headers, name);
        return known(&public.servers, shown.into_iter().flatten());
    }
    by_certificate(public, peer, None).await
}

/// `client_secret_basic` or `client_secret_post`.
fn by_secret<'a>(
    servers: &'a [ResourceServer],
    headers: &HeaderMap,
    form: &Form,
) -> Result<&'a ResourceServer, Error> {
    let posted = match (form.one("client_id")?, form.one("client_secret")?) {
        (Some(id), Some(secret)) => Some((id.to_owned(), Secret::from(secret.to_owned()))),
        _ => None,
    };
    let basic = present::basic(headers, &header::AUTHORIZATION);
    if basic.is_some() && posted.is_some() {
        return Err(refused());
    }
    known(servers, basic.into_iter().flatten().chain(posted))
}

fn known(
    servers: &[ResourceServer],
    shown: impl Iterator<Item = (String, Secret)>,
) -> Result<&ResourceServer, Error> {
    let mut shown = shown;
    let known = shown.find_map(|(id, secret)| {
        let server = servers.iter().find(|server| server.name.as_str() == id)?;
        let digest = server.secret.as_ref()?;
        digest.matches(secret.expose()).then_some(server)
    });
    known.ok_or_else(refused)
}

/// `tls_client_auth` (RFC 8705 §2.1): the certificate's SPIFFE ID is the one that the server is configured
/// with. §2 wants `client_id` beside it; what is given has to be its name.
async fn by_certificate<'a>(
    public: &'a Public,
    peer: &Peer,
    named: Option<&str>,
) -> Result<&'a ResourceServer, Error> {
    let leaf = peer.certificates().first().ok_or_else(refused)?;
    let workload = public.broker.workload(leaf).await.map_err(untold)?;
    let mut servers = public.servers.iter();
    let server = servers.find(|server| server.workload.as_ref() == Some(&workload));
    server
        .filter(|server| named.is_none_or(|name| name == server.name.as_str()))
        .ok_or_else(|| refused().with_internal(format!("{workload} is not that resource server")))
}

/// Why a certificate does not count is for the log.
fn untold(error: Error) -> Error {
    match (error.kind(), error.internal()) {
        (Kind::Unauthenticated, Some(why)) => refused().with_internal(why),
        _ => error,
    }
}

fn refused() -> Error {
    Error::new(
        Code::ClientInvalid,
        "only registered resource servers may ask: authenticate with id and secret, or with the certificate of a workload",
    )
}
