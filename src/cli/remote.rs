//! A broker that is elsewhere: its operators' listener, over TLS under the system's authorities or those that
//! were named at the login, with the token that `writ login` left.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::CliError;
use super::login::store::Logins;
use crate::domain::secret::Secret;
use crate::domain::url::BaseUrl;
use crate::outbound::tls;
use crate::seams::{Clock, SystemClock};

/// A connection, secured or on this machine.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// What a request is made with.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// Nothing: for what everybody may ask.
    Nothing,
    /// A token that was just given out.
    Token(Secret),
    /// What the last login left.
    Login,
}

/// The way to it.
#[derive(Debug)]
pub(super) struct Remote {
    server: BaseUrl,
    shown: Shown,
    ca_file: Option<PathBuf>,
}

/// A connection, and the token that goes over it.
pub(super) struct Opened {
    pub(super) wire: Box<dyn Wire>,
    pub(super) token: Option<Secret>,
    pub(super) host: String,
}

impl Remote {
    /// `ca_file` counts for requests that no login stands behind.
    pub(super) const fn new(server: BaseUrl, shown: Shown, ca_file: Option<PathBuf>) -> Self {
        Self {
            server,
            shown,
            ca_file,
        }
    }

    /// Finds the token and connects, in this order: nobody is called for what would be refused.
    pub(super) async fn open(&self) -> Result<Opened, CliError> {
        let (token, ca_file) = match &self.shown {
            Shown::Nothing => (None, self.ca_file.clone()),
            Shown::Token(token) => (Some(token.clone()), self.ca_file.clone()),
            Shown::Login => {
                let login = Logins::of_this_user()?.standing(&self.server, SystemClock.now())?;
                (Some(login.token), login.ca_file)
            }
        };
        let (wire, host) = time::timeout(CONNECT, self.connect(ca_file.as_deref()))
            .await
            .unwrap_or_else(|_| Err(self.unreachable("nothing came in time")))?;
        Ok(Opened { wire, token, host })
    }

    async fn connect(&self, ca_file: Option<&Path>) -> Result<(Box<dyn Wire>, String), CliError> {
        let unusable = || CliError::Usage(format!("{} is not a server", self.server.as_str()));
        let url = Url::parse(self.server.as_str()).map_err(|_| unusable())?;
        let host = url.host().ok_or_else(unusable)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(unusable)?;
        let name = match &host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let stream = TcpStream::connect((name.as_str(), port)).await;
        let stream = stream.map_err(|error| self.unreachable(&error.to_string()))?;
        let authority = url.authority().to_owned();
        if !self.server.is_https() {
            return Ok((Box::new(stream), authority));
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let config = tls::for_one_connection(ca_file, &clock)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        let name = ServerName::try_from(name).map_err(|_| unusable())?;
        let secured = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let secured = secured.await.map_err(|error| self.untrusted(&error))?;
        Ok((Box::new(secured), authority))
    }

    fn unreachable(&self, why: &str) -> CliError {
        let server = self.server.as_str();
        CliError::Unanswered(format!("the broker cannot be reached at {server}: {why}"))
    }

    fn untrusted(&self, error: &io::Error) -> CliError {
        let server = self.server.as_str();
        CliError::Unanswered(format!(
            "the broker at {server} cannot be trusted: {error}\n  to mend: \
             `writ login --ca-file FILE` takes the authority that signed its certificate"
        ))
    }
}

/// A server as an argument: `https`, or plain `http` to this machine.
pub(super) fn server(text: &str) -> Result<BaseUrl, String> {
    let url: BaseUrl = text
        .parse()
        .map_err(|e: crate::domain::url::BadUrl| e.to_string())?;
    if !url.is_https() && !url.is_loopback() {
        return Err("a token does not cross the network in plain HTTP: use https".to_owned());
    }
    if Url::parse(url.as_str()).is_ok_and(|url| url.path() != "/") {
        return Err("the operators' listener has no path".to_owned());
    }
    Ok(url)
}

const CONNECT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_to_one_place_and_not_in_the_clear() {
        for good in ["https://writ.example:8444", "http://127.0.0.1:8444"] {
            assert_eq!(server(good).unwrap().as_str(), good);
        }
        for bad in [
            "http://writ.example:8444",
            "https://writ.example/api",
            "https://user:pw@writ.example",
            "https://*.example",
            "writ.example",
        ] {
            let refused = server(bad).unwrap_err();
            assert!(!refused.is_empty(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = format!("http://{}", gone.local_addr().unwrap());
        drop(gone);
        let remote = Remote::new(server(&at).unwrap(), Shown::Nothing, None);
        let Err(error) = remote.open().await else {
            panic!("it was reached");
        };
        assert!(error.to_string().contains(&at), "{error}");
    }
}
