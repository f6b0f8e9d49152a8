//! The authorization code flow of a native app (RFC 8252): a browser of this machine comes back to a port of
//! the loopback interface with a code that is worth nothing without this process's verifier (RFC 7636).

use std::io::IsTerminal as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::super::CliError;
use super::super::out::complain;
use super::super::text::plain;
use super::provider::{Provider, Token};
use crate::seams::Entropy;

/// What a redirect has to match.
struct Expected {
    state: String,
    issuer: String,
}

/// What a request to the loopback port turned out to be.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Code(String),
    /// The provider's own word that there will be none.
    Refused(String),
    /// Not the provider's answer: whoever it was, it ends nothing.
    Stranger,
}

pub(super) async fn run(provider: &Provider) -> Result<Token, CliError> {
    let local = |source| CliError::Io {
        what: "the browser cannot come back to this machine".to_owned(),
        source,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(local)?;
    let port = listener.local_addr().map_err(local)?.port();
    let redirect = format!("http://127.0.0.1:{port}{CALLBACK}");
    let entropy = provider.way.entropy.as_ref();
    let (state, nonce) = (random(entropy), random(entropy));
    let verifier = Zeroizing::new(random(entropy));
    let page = page(provider, &redirect, [&state, &nonce, &challenge(&verifier)])?;
    complain(&format!("open   {}", plain(&page))).ok();
    open(&page);
    let expected = Expected {
        state,
        issuer: provider.issuer.clone(),
    };
    let waited = time::timeout(PATIENCE, returned(&listener, &expected)).await;
    let code = waited.map_err(|_| {
        let what = "nobody came back from the provider in time: run `writ login` again";
        CliError::Login(what.to_owned())
    })??;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", provider.client_id.as_str()),
        ("code", code.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    Ok(provider.token(&form, Some(&nonce)).await?)
}

/// The page that asks the person (RFC 6749 §4.1.1, RFC 7636 §4.3, Core §3.1.2.1).
fn page(
    provider: &Provider,
    redirect: &str,
    [state, nonce, challenge]: [&str; 3],
) -> Result<String, CliError> {
    let mut url = Url::parse(provider.authorization()?)
        .map_err(|_| CliError::Broken("the provider's page is no URL".to_owned()))?;
    url.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", &provider.client_id),
        ("redirect_uri", redirect),
        ("scope", &provider.scope),
        ("state", state),
        ("nonce", nonce),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ]);
    Ok(url.into())
}

/// Waits for the provider's answer. Any process of this machine can knock: only what has the state counts.
async fn returned(listener: &TcpListener, expected: &Expected) -> Result<String, CliError> {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            time::sleep(PAUSE).await;
            continue;
        };
        let target = time::timeout(HEAD, target(&mut stream)).await;
        let came = match target {
            Ok(Some(target)) => judge(&target, expected),
            Ok(None) | Err(_) => Came::Stranger,
        };
        let (status, text) = match &came {
            Came::Code(_) => (
                "200 OK",
                "Writ has what it needs: go back to the terminal.\n",
            ),
            Came::Refused(_) => ("200 OK", "Nobody was logged in: go back to the terminal.\n"),
            Came::Stranger => (
                "400 Bad Request",
                "This is not the answer that is waited for.\n",
            ),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
        // A browser that does not wait for the page has brought the code all the same.
        time::timeout(HEAD, stream.write_all(answer.as_bytes()))
            .await
            .ok();
        match came {
            Came::Code(code) => return Ok(code),
            Came::Refused(why) => {
                return Err(CliError::Login(format!("the login was refused: {why}")));
            }
            Came::Stranger => {}
        }
    }
}

/// The target of a request's first line; the rest of it says nothing.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut some = [0; 1024];
        let read = stream.read(&mut some).await.ok()?;
        head.extend_from_slice(some.get(..read).filter(|some| !some.is_empty())?);
        if head.len() > LARGEST_HEAD {
            return None;
        }
    }
    let text = std::str::from_utf8(&head).ok()?;
    let mut first = text.lines().next()?.split(' ');
    (first.next() == Some("GET")).then_some(())?;
    first.next().map(str::to_owned)
}

fn judge(target: &str, expected: &Expected) -> Came {
    let Some((CALLBACK, query)) = target.split_once('?') else {
        return Came::Stranger;
    };
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    // A parameter that comes twice has two readings (RFC 6749 §3.1).
    let one = |name: &str| {
        let mut found = pairs.iter().filter(|(own, _)| own == name);
        let value = found.next().map(|(_, value)| value.as_ref());
        value.filter(|_| found.next().is_none())
    };
    let state = one("state").unwrap_or_default().as_bytes();
    if !bool::from(state.ct_eq(expected.state.as_bytes())) {
        return Came::Stranger;
    }
    // RFC 9207 §2.4: an answer in the name of another provider.
    if pairs
        .iter()
        .any(|(name, value)| name == "iss" && **value != *expected.issuer)
    {
        return Came::Refused("the answer is another provider's".to_owned());
    }
    if let Some(error) = one("error") {
        let text = one("error_description").unwrap_or(error);
        return Came::Refused(plain(text));
    }
    one("code").map_or(Came::Stranger, |code| Came::Code(code.to_owned()))
}

/// Opens the page where somebody sits at a terminal; it has been printed in any case.
fn open(page: &str) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let quiet = Stdio::null;
    Command::new("xdg-open")
        .arg(page)
        .stdin(quiet())
        .stdout(quiet())
        .stderr(quiet())
        .spawn()
        .ok();
}

/// 256 bits in base64url: a verifier of RFC 7636 §4.1.
fn random(entropy: &dyn Entropy) -> String {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(bytes.as_mut_slice());
    URL_SAFE_NO_PAD.encode(bytes.as_slice())
}

/// RFC 7636 §4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(
        &ring::digest::SHA256,
        verifier.as_bytes(),
    ))
}

const CALLBACK: &str = "/callback";
const PATIENCE: Duration = Duration::from_mins(5);
const HEAD: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);
const LARGEST_HEAD: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn came(target: &str) -> Came {
        let expected = Expected {
            state: "s-1".to_owned(),
            issuer: "https://idp.example".to_owned(),
        };
        judge(target, &expected)
    }

    #[test]
    fn the_challenge_is_the_one_of_the_standard() {
        // RFC 7636 appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn only_an_answer_with_the_state_ends_the_wait() {
        let code = Came::Code("c".to_owned());
        assert_eq!(came("/callback?code=c&state=s-1"), code);
        let own = "/callback?code=c&state=s-1&iss=https%3A%2F%2Fidp.example";
        assert_eq!(came(own), code);
        for stranger in [
            "/callback",
            "/callback?code=c",
            "/callback?code=c&state=",
            "/callback?code=c&state=s-2",
            "/callback?code=c&state=s-1&state=s-1",
            "/callback?code=c&code=d&state=s-1",
            "/callback?error=access_denied&state=s-2",
            "/other?code=c&state=s-1",
            "/favicon.ico",
        ] {
            assert_eq!(came(stranger), Came::Stranger, "{stranger}");
        }
        for refused in [
            "/callback?error=access_denied&state=s-1",
            "/callback?code=c&state=s-1&iss=https%3A%2F%2Fother.example",
            "/callback?code=c&state=s-1&iss=https%3A%2F%2Fidp.example&iss=x",
        ] {
            assert!(matches!(came(refused), Came::Refused(_)), "{refused}");
        }
    }
}
