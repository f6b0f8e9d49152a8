//! `writ login` against a real OpenID Provider that somebody else wrote: `oidc-provider` of npm, with a browser
//! that is driven over HTTP.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::{CLIENT, address, configure};
use crate::peers::TLS;
use crate::support::foreign::Foreign;
use crate::support::process::{Ground, Said, Server, until, within, writ};

/// The provider, and the people before their browsers.
struct People(Foreign);

struct Place {
    ground: Ground,
    people: People,
    server: Server,
}

impl People {
    async fn start() -> Self {
        Self(Foreign::node("people.mjs", &[CLIENT]).await)
    }

    /// One person does one thing in a browser, to its end.
    async fn act(&mut self, act: &str, what: &str, person: &str) {
        let status = self.0.order(&format!("{act} {what} {person}")).await;
        assert_eq!(status, "200", "{act} {what}");
    }
}

impl Place {
    async fn new() -> Self {
        let people = People::start().await;
        let ground = Ground::with_scheme("https", TLS).await;
        configure(&ground, &people.0.told, "RS256");
        let server = ground.start().await;
        Self {
            ground,
            people,
            server,
        }
    }

    /// A command as somebody elsewhere types it: with a home of their own, and no socket.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = writ();
        command
            .args(args)
            .env("WRIT_ADMIN_URL", address(&self.ground))
            .env("XDG_STATE_HOME", self.ground.dir().join("state"))
            .env_remove("SSL_CERT_FILE")
            .current_dir(self.ground.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn writ(&self, args: &[&str]) -> Said {
        let output = within(self.command(args).output()).await.unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Logs in; what is shown on the terminal as `open` or `enter` is done in a browser.
    async fn login(&mut self, flags: &[&str], word: &str, act: &str, person: &str) -> Said {
        let mut args = vec!["login", "--ca-file", "ca.pem"];
        args.extend(flags);
        let mut child = self.command(&args).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let what = loop {
            let line = within(told.next_line()).await.unwrap();
            let line = line.expect("a page or a code");
            if let Some(what) = line.strip_prefix(word) {
                break what.trim().to_owned();
            }
        };
        self.people.act(act, &what, person).await;
        let mut rest = String::new();
        let mut told = told.into_inner();
        within(told.read_to_string(&mut rest)).await.unwrap();
        let output = within(child.wait_with_output()).await.unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: rest,
        }
    }

    /// The files of the logins, with their contents.
    fn kept(&self) -> Vec<(PathBuf, String)> {
        let Ok(files) = fs::read_dir(self.ground.dir().join("state/writ")) else {
            return Vec::new();
        };
        let paths = files.map(|file| file.unwrap().path());
        paths
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect()
    }
}

#[tokio::test]
async fn a_code_entered_elsewhere_logs_in_and_every_command_goes_over_tls_until_logout() {
    let mut place = Place::new().await;
    let before = place.writ(&["task", "list"]).await;
    assert_eq!(before.code, Some(3), "{before:?}");
    assert!(before.err.contains("not logged in"), "{before:?}");
    assert!(before.err.contains("writ login --server"), "{before:?}");

    let said = place.login(&[], "enter", "enter", "olga").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let name = format!("oidc:{}#olga", place.people.0.told);
    assert!(said.out.contains(&name), "{said:?}");
    assert!(said.out.contains("roles     operator"), "{said:?}");

    let [(path, text)] = &place.kept()[..] else {
        panic!("{:?}", place.kept());
    };
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let kept: serde_json::Value = serde_json::from_str(text).unwrap();
    let token = kept["token"].as_str().unwrap();
    assert!(!said.out.contains(token) && !said.err.contains(token));

    place.ground.put_secret("ci/prod/key", "kept").await;
    let listed = place.writ(&["secret", "list"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let who = place.writ(&["whoami"]).await;
    assert!(who.out.contains(&name), "{who:?}");
    assert!(who.out.contains("until     20"), "{who:?}");
    // The export streams; it begins once something is signed.
    let export = async || {
        let said = place.writ(&["audit", "export"]).await;
        said.code == Some(0) && said.out.lines().count() > 1
    };
    until(export).await;
    let small = place.writ(&["secret", "delete", "ci/prod/key"]).await;
    assert_eq!(small.code, Some(3), "{small:?}");
    assert!(small.err.contains("takes the role admin"), "{small:?}");
    assert!(small.err.contains("role_required"), "{small:?}");
    let listed = place.writ(&["secret", "list"]).await;
    assert!(listed.out.contains("ci/prod/key"), "{listed:?}");

    let out = place.writ(&["logout"]).await;
    assert_eq!(out.code, Some(0), "{out:?}");
    assert_eq!(place.kept(), []);
    let after = place.writ(&["task", "list"]).await;
    assert_eq!(after.code, Some(3), "{after:?}");
    let log = place.server.stop().await;
    assert!(!log.contains(token));
}

#[tokio::test]
async fn a_browser_comes_back_to_this_machine_with_a_code_for_this_process_alone() {
    let mut place = Place::new().await;
    let said = place.login(&["--browser"], "open", "visit", "vera").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("roles     viewer"), "{said:?}");
    let listed = place.writ(&["secret", "list"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    place.server.stop().await;
}

#[tokio::test]
async fn whoever_says_no_or_has_no_role_is_not_logged_in() {
    let mut place = Place::new().await;
    let denied = place.login(&[], "enter", "deny", "olga").await;
    assert_eq!(denied.code, Some(3), "{denied:?}");
    assert!(denied.err.contains("the login was refused"), "{denied:?}");
    let stranger = place.login(&["--browser"], "open", "visit", "nemo").await;
    assert_eq!(stranger.code, Some(3), "{stranger:?}");
    assert!(stranger.err.contains("operator_required"), "{stranger:?}");
    assert_eq!(place.kept(), []);
    place.server.stop().await;
}

#[tokio::test]
async fn a_login_that_is_over_or_a_server_that_nobody_vouches_for_sends_no_token() {
    let mut place = Place::new().await;
    let said = place.login(&["--browser"], "open", "visit", "olga").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let (path, text) = place.kept().remove(0);
    let mut kept: serde_json::Value = serde_json::from_str(&text).unwrap();
    kept["expires"] = 1.into();
    fs::write(&path, kept.to_string()).unwrap();
    let over = place.writ(&["task", "list"]).await;
    assert_eq!(over.code, Some(3), "{over:?}");
    assert!(over.err.contains("is over"), "{over:?}");

    fs::write(&path, &text).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()]);
    place.ground.write("ca.pem", &other.unwrap().cert.pem());
    let untrusted = place.writ(&["task", "list"]).await;
    assert_eq!(untrusted.code, Some(2), "{untrusted:?}");
    assert!(untrusted.err.contains("cannot be trusted"), "{untrusted:?}");
    place.server.stop().await;
}
