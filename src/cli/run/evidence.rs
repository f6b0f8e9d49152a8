//! Where a job's ID token comes from. Each platform has its way; what they differ in is whether the
//! caller chooses the audience, and whether there is a fresh one for every renewal.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, Method};
use serde::Deserialize;
use url::form_urlencoded;

use super::super::CliError;
use super::super::way::Way;
use super::failure::Failed;
use super::secrets::variable;
use crate::domain::secret::Secret;
use crate::outbound::{Content, Credential, Origin, Rules, Shown};

/// What was asked for with `--evidence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Auto,
    Github,
    Kubernetes,
    Variable(String),
    File(PathBuf),
    Stdin,
}

/// A way to ID tokens.
#[derive(Debug)]
pub(super) enum Source {
    /// The runner's own service, which signs a new token for whatever audience it is asked for.
    Github {
        url: String,
        token: Secret,
    },
    /// A variable that the platform set once.
    Variable {
        name: String,
        token: Secret,
    },
    /// A file that the platform keeps fresh.
    File(PathBuf),
    Stdin(Secret),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one of: auto, github, gitlab, kubernetes, env:NAME, file:PATH, stdin")]
pub(super) struct BadSource;

impl Wanted {
    /// Finds the source. `env` and `exists` are the process's own, or a test's.
    pub(super) fn find(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Result<Source, CliError> {
        match self {
            Self::Auto => detect(env, exists).ok_or_else(|| CliError::Usage(NOTHING.to_owned())),
            Self::Github => github(env).ok_or_else(|| CliError::Usage(NO_GITHUB.to_owned())),
            Self::Kubernetes => pod(exists).ok_or_else(|| CliError::Usage(NO_POD.to_owned())),
            Self::Variable(name) => from_variable(name, env)
                .ok_or_else(|| CliError::Usage(format!("the variable {name} is not set"))),
            Self::File(path) => Ok(Source::File(path.clone())),
            Self::Stdin => first_line(unbuffered()?).map(Source::Stdin),
        }
    }
}

impl Source {
    /// Whether the caller chooses what the token is for, so that it can name a key.
    pub(super) const fn takes_audience(&self) -> bool {
        matches!(self, Self::Github { .. })
    }

    /// Whether there will be another token later.
    pub(super) const fn is_renewed(&self) -> bool {
        match self {
            Self::Github { .. } | Self::File(_) => true,
            Self::Variable { .. } | Self::Stdin(_) => false,
        }
    }

    pub(super) fn told(&self) -> String {
        match self {
            Self::Github { .. } => "GitHub Actions (a new token for each request)".to_owned(),
            Self::Variable { name, .. } => format!("the variable {name} (one token per job)"),
            Self::File(path) => format!("the file {}", path.display()),
            Self::Stdin(_) => "standard input (one token)".to_owned(),
        }
    }

    /// The token of now, for this audience where the source lets one choose.
    pub(super) async fn token(&self, audience: &str, way: &Way) -> Result<Secret, Failed> {
        match self {
            Self::Github { url, token } => ask_github(url, token, audience, way).await,
            Self::Variable { token, .. } | Self::Stdin(token) => Ok(token.clone()),
            Self::File(path) => {
                let read = std::fs::read(path).map_err(|source| {
                    let what = format!("the ID token in {} cannot be read", path.display());
                    Failed::Local(CliError::Io { what, source })
                })?;
                trimmed(&Secret::new(read))
                    .ok_or_else(|| Failed::NoEvidence(format!("{} is empty", path.display())))
            }
        }
    }
}

impl FromStr for Wanted {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        match text.split_once(':') {
            None => match text {
                "auto" => Ok(Self::Auto),
                "github" => Ok(Self::Github),
                "gitlab" => Ok(Self::Variable(GITLAB.to_owned())),
                "kubernetes" => Ok(Self::Kubernetes),
                "stdin" => Ok(Self::Stdin),
                _ => Err(BadSource),
            },
            Some(("env", name)) => variable(name).map(Self::Variable).map_err(|_| BadSource),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(_) => Err(BadSource),
        }
    }
}

/// What the surroundings offer. Only what was put there for this purpose counts: a Kubernetes pod's
/// own service account token is for its API server, and is shown to nobody else.
fn detect(env: &dyn Fn(&str) -> Option<String>, exists: &dyn Fn(&Path) -> bool) -> Option<Source> {
    github(env)
        .or_else(|| from_variable(GITLAB, env))
        .or_else(|| pod(exists))
}

fn github(env: &dyn Fn(&str) -> Option<String>) -> Option<Source> {
    let url = env("ACTIONS_ID_TOKEN_REQUEST_URL")?;
    let token = Secret::from(env("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?);
    Some(Source::Github { url, token })
}

fn pod(exists: &dyn Fn(&Path) -> bool) -> Option<Source> {
    let path = Path::new(KUBERNETES);
    exists(path).then(|| Source::File(path.to_owned()))
}

fn from_variable(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<Source> {
    let token = trimmed(&Secret::from(env(name)?))?;
    let name = name.to_owned();
    Some(Source::Variable { name, token })
}

/// Standard input without a buffer in between, which would keep what is the command's.
fn unbuffered() -> Result<File, CliError> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned();
    descriptor.map(File::from).map_err(|source| CliError::Io {
        what: "standard input cannot be read".to_owned(),
        source,
    })
}

/// The first line and not a byte more: what stands behind it is the command's.
fn first_line(mut from: impl Read) -> Result<Secret, CliError> {
    let mut line = zeroize::Zeroizing::new(Vec::with_capacity(LONGEST_TOKEN));
    let mut byte = [0];
    while line.len() < LONGEST_TOKEN {
        let n = from.read(&mut byte).map_err(|source| CliError::Io {
            what: "standard input cannot be read".to_owned(),
            source,
        })?;
        if n == 0 || byte == *b"\n" {
            break;
        }
        line.extend_from_slice(&byte);
    }
    trimmed(&Secret::from(line)).ok_or_else(|| {
        CliError::Usage("standard input has no ID token in its first line".to_owned())
    })
}

fn trimmed(secret: &Secret) -> Option<Secret> {
    let text = secret.expose_str()?.trim();
    (!text.is_empty()).then(|| Secret::from(text.to_owned()))
}

/// GitHub's documented request: the URL has a query already, and takes `audience` beside it.
async fn ask_github(
    url: &str,
    token: &Secret,
    audience: &str,
    way: &Way,
) -> Result<Secret, Failed> {
    #[derive(Deserialize)]
    struct Answer {
        value: String,
    }
    let unusable = |why: String| {
        Failed::Local(CliError::Usage(format!(
            "ACTIONS_ID_TOKEN_REQUEST_URL is unusable: {why}"
        )))
    };
    let (origin, path) = Origin::split(url).map_err(|error| unusable(error.to_string()))?;
    let audience: String = form_urlencoded::byte_serialize(audience.as_bytes()).collect();
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}audience={audience}");
    let credential = Credential::bearer(token).map_err(|error| unusable(error.to_string()))?;
    let rules = Rules {
        shown: Shown::This(credential),
        content: Content::Any,
        ..Rules::json()
    };
    let peer = way.peer(origin, rules).map_err(Failed::Local)?;
    let answer = peer
        .ask(
            Method::GET,
            &path,
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]),
            bytes::Bytes::new(),
            way.soon(),
        )
        .await
        .map_err(|error| Failed::unanswered("the CI system", &error))?;
    let status = answer.status.as_u16();
    match status {
        200..300 => {
            let answer: Answer = answer
                .json()
                .map_err(|error| Failed::unanswered("the CI system", &error))?;
            Ok(Secret::from(answer.value))
        }
        408 | 429 | 500.. => {
            let what = format!("the CI system gave no ID token (status {status})");
            Err(Failed::unknown(what))
        }
        _ => Err(Failed::NoEvidence(format!(
            "the CI system gives this job no ID token (status {status})"
        ))),
    }
}

/// What a GitLab job names its token under `id_tokens:`, unless it says otherwise.
const GITLAB: &str = "WRIT_ID_TOKEN";
/// Where a pod mounts a projected token for the broker, unless it says otherwise.
const KUBERNETES: &str = "/var/run/secrets/writ/token";
/// More than the broker takes.
const LONGEST_TOKEN: usize = 64 * 1024;

const NOTHING: &str = "\
no ID token was found: not GitHub's (ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN), not GitLab's \
(WRIT_ID_TOKEN), not Kubernetes' (/var/run/secrets/writ/token)
  to mend: give a GitHub job `permissions: id-token: write`, declare `id_tokens: WRIT_ID_TOKEN` in \
a GitLab job, mount a projected token into the pod, or name the place with --evidence";

const NO_GITHUB: &str = "\
ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are not both set
  to mend: give the job `permissions: id-token: write`";

const NO_POD: &str = "\
there is no token in /var/run/secrets/writ/token
  to mend: mount a projected serviceAccountToken for the broker's audience there, or name another \
place with --evidence file:PATH";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(set: &[(&str, &str)], file: bool) -> Option<Source> {
        let env = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Wanted::Auto.find(&env, &|_| file).ok()
    }

    const URL: (&str, &str) = ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://ci.example/t?v=1");
    const TOKEN: (&str, &str) = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-canary");
    const GITLAB_TOKEN: (&str, &str) = (GITLAB, "a.b.c\n");

    #[test]
    fn each_platform_is_found_by_what_it_offers() {
        let github = found(&[URL, TOKEN, GITLAB_TOKEN], true).unwrap();
        assert!(matches!(github, Source::Github { .. }) && github.takes_audience());
        let gitlab = found(&[GITLAB_TOKEN], true).unwrap();
        assert!(matches!(gitlab, Source::Variable { .. }) && !gitlab.is_renewed());
        let kubernetes = found(&[], true).unwrap();
        assert!(matches!(&kubernetes, Source::File(path) if path == Path::new(KUBERNETES)));
        assert!(kubernetes.is_renewed());
    }

    #[test]
    fn half_of_what_a_platform_offers_is_nothing() {
        assert!(found(&[], false).is_none());
        assert!(found(&[URL], false).is_none());
        assert!(found(&[TOKEN, (GITLAB, " \n")], false).is_none());
    }

    #[test]
    fn a_platform_that_is_named_and_offers_nothing_is_told_with_its_mend() {
        for (wanted, mend) in [
            (Wanted::Github, "id-token: write"),
            (Wanted::Kubernetes, "serviceAccountToken"),
        ] {
            let Err(CliError::Usage(text)) = wanted.find(&|_| None, &|_| false) else {
                panic!("{wanted:?}");
            };
            assert!(text.contains("to mend: ") && text.contains(mend), "{text}");
        }
        let mounted = Wanted::Kubernetes.find(&|_| None, &|_| true).unwrap();
        assert!(matches!(&mounted, Source::File(path) if path == Path::new(KUBERNETES)));
    }

    #[test]
    fn a_source_shows_no_token() {
        let github = found(&[URL, TOKEN], false).unwrap();
        let text = format!("{github:?} {}", github.told());
        assert!(!text.contains("canary"), "{text}");
    }

    #[test]
    fn a_place_is_named_in_one_of_the_known_ways() {
        let wanted = |text: &str| text.parse::<Wanted>();
        assert_eq!(
            wanted("env:MY_TOKEN"),
            Ok(Wanted::Variable("MY_TOKEN".to_owned()))
        );
        assert_eq!(wanted("file:/a:b"), Ok(Wanted::File(PathBuf::from("/a:b"))));
        for bad in ["", "circleci", "env:", "env:A-B", "file:", "stdin:x"] {
            assert_eq!(wanted(bad), Err(BadSource), "{bad}");
        }
    }

    #[test]
    fn only_the_first_line_of_standard_input_is_taken() {
        let mut input = b"a.b.c\r\nthe command's".as_slice();
        let token = first_line(&mut input).unwrap();
        assert_eq!(token.expose_str(), Some("a.b.c"));
        assert_eq!(input, b"the command's");
        let none = first_line(b"\nx".as_slice());
        assert!(matches!(none, Err(CliError::Usage(_))));
    }
}
