//! What an operator holds in the hand at night: a token that leaked, an id from a log, the page of a
//! run. One text may be read in several ways, and each reading is tried.

use url::Url;

use crate::domain::identity::SpiffeId;
use crate::domain::ids::{CredentialId, LineageId, ReservationId, SessionId, TaskId};
use crate::domain::name::TaskName;
use crate::domain::position::DenialId;
use crate::domain::x509::Serial;

/// A text that is no secret, as one thing that it may be. Tokens and handles are recognised before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clue {
    Task(TaskId),
    Lineage(LineageId),
    Session(SessionId),
    /// A credential's id: the `jti` of a token, the id of a lease.
    Credential(CredentialId),
    /// A permit, whatever became of it.
    Permit(ReservationId),
    /// A certificate's number.
    Serial(Serial),
    Denial(DenialId),
    /// A claim and its value: `repository_id=812345`.
    Claim(String, String),
    /// The page of a run or of a job.
    Page(RunPage),
    Name(TaskName),
    Workload(SpiffeId),
    /// Anything else: a number, a repository's name, a commit, a secret's path.
    Word(String),
}

/// What the address of a run's page tells: numbers that the CI system does not use again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPage {
    /// The claim that names the run, and its value.
    pub run: Option<(&'static str, String)>,
    /// Which attempt of it.
    pub attempt: Option<String>,
    /// The job, as instances are named.
    pub job: Option<String>,
}

impl Clue {
    /// The reading of a text; of two that are possible the more exact one.
    pub fn read(text: &str) -> Self {
        if text.contains("://") && !text.starts_with("spiffe://") {
            return RunPage::read(text).map_or_else(|| Self::Word(text.to_owned()), Self::Page);
        }
        let id = text
            .parse()
            .map(Self::Task)
            .or_else(|_| text.parse().map(Self::Lineage))
            .or_else(|_| text.parse().map(Self::Session))
            .or_else(|_| text.parse().map(Self::Credential))
            .or_else(|_| text.parse().map(Self::Permit));
        if let Ok(id) = id {
            return id;
        }
        if let Ok(serial) = text.parse() {
            return Self::Serial(serial);
        }
        if let Ok(denial) = text.parse() {
            return Self::Denial(denial);
        }
        if let Ok(id) = text.parse() {
            return Self::Workload(id);
        }
        if let Some((claim, value)) = text.split_once('=')
            && is_claim(claim)
            && !value.is_empty()
        {
            return Self::Claim(claim.to_owned(), value.to_owned());
        }
        text.parse()
            .map_or_else(|_| Self::Word(text.to_owned()), Self::Name)
    }
}

impl RunPage {
    /// The run that a page of GitHub or GitLab is about, on whatever host.
    pub fn read(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        if !matches!(url.scheme(), "https" | "http") {
            return None;
        }
        let segments: Vec<&str> = url.path().split('/').filter(|s| !s.is_empty()).collect();
        let (after, gitlab) = match segments.iter().position(|s| *s == "-") {
            Some(at) => (segments.get(at + 1..)?, true),
            None => (segments.get(2..)?, false),
        };
        match (gitlab, after) {
            (false, ["actions", "runs", run, rest @ ..]) => Some(Self {
                run: Some(("run_id", number(run)?)),
                attempt: following(rest, "attempts"),
                job: following(rest, "job"),
            }),
            (true, ["pipelines", pipeline, ..]) => Some(Self {
                run: Some(("pipeline_id", number(pipeline)?)),
                attempt: None,
                job: None,
            }),
            (true, ["jobs", job, ..]) => Some(Self {
                run: None,
                attempt: None,
                job: Some(number(job)?),
            }),
            (true | false, _) => None,
        }
    }
}

fn following(segments: &[&str], word: &str) -> Option<String> {
    let at = segments.iter().position(|segment| *segment == word)?;
    number(segments.get(at + 1)?)
}

fn number(text: &str) -> Option<String> {
    let plain = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.to_owned())
}

fn is_claim(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Option<(String, Option<String>, Option<String>)> {
        let page = RunPage::read(text)?;
        let run = page
            .run
            .map_or_else(String::new, |(claim, n)| format!("{claim}={n}"));
        Some((run, page.attempt, page.job))
    }

    #[test]
    fn the_page_of_a_run_is_read_on_any_host() {
        let some = |text: &str| Some(text.to_owned());
        for (url, run, attempt, job) in [
            (
                "https://github.com/octo/app/actions/runs/99001",
                "run_id=99001",
                None,
                None,
            ),
            (
                "https://ghes.corp:8443/o/a/actions/runs/7/attempts/2#summary-1",
                "run_id=7",
                some("2"),
                None,
            ),
            (
                "https://github.com/octo/app/actions/runs/7/job/55?pr=3",
                "run_id=7",
                None,
                some("55"),
            ),
            (
                "https://gitlab.com/group/sub/app/-/pipelines/574",
                "pipeline_id=574",
                None,
                None,
            ),
            ("https://gitlab.corp/g/a/-/jobs/321", "", None, some("321")),
        ] {
            assert_eq!(page(url), Some((run.to_owned(), attempt, job)), "{url}");
        }
    }

    #[test]
    fn another_page_is_no_run() {
        for url in [
            "https://github.com/octo/app",
            "https://github.com/octo/app/actions/runs/",
            "https://github.com/octo/app/actions/runs/1e9",
            "https://github.com/octo/app/actions/runs/../../x",
            "https://gitlab.com/group/app/-/jobs",
            "ftp://github.com/octo/app/actions/runs/1",
            "https://",
        ] {
            assert_eq!(page(url), None, "{url}");
        }
    }

    #[test]
    fn each_id_is_what_its_prefix_says() {
        let hex = "018f2b3c4d5e7f60a1b2c3d4e5f60718";
        assert!(matches!(Clue::read(&format!("task_{hex}")), Clue::Task(_)));
        assert!(matches!(
            Clue::read(&format!("lin_{hex}")),
            Clue::Lineage(_)
        ));
        assert!(matches!(
            Clue::read(&format!("ses_{hex}")),
            Clue::Session(_)
        ));
        assert!(matches!(
            Clue::read(&format!("cred_{hex}")),
            Clue::Credential(_)
        ));
        assert!(matches!(
            Clue::read(&format!("permit_{hex}")),
            Clue::Permit(_)
        ));
        assert!(matches!(Clue::read("dn-3-17"), Clue::Denial(_)));
        let serial = format!("serial=4{}", &hex[1..].to_uppercase());
        assert!(matches!(Clue::read(&serial), Clue::Serial(_)));
        assert!(matches!(
            Clue::read("repository_id=812345"),
            Clue::Claim(..)
        ));
        assert!(matches!(Clue::read("spiffe://a/b"), Clue::Workload(_)));
        assert!(matches!(Clue::read("github/812345/99001/1"), Clue::Name(_)));
        assert!(matches!(Clue::read("812345"), Clue::Word(_)));
        assert!(matches!(Clue::read("Octo/App"), Clue::Word(_)));
    }
}
