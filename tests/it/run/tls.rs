//! The broker as it stands in production: over TLS.

use std::process::Stdio;

use writ_practice::{StartJob, StartRun};

use crate::peers::{TLS, certify};
use crate::support::broker::{ENVIRONMENT, REPO};
use crate::support::process::{Ground, within, writ};

#[tokio::test]
async fn an_authority_that_the_system_does_not_know_is_trusted_only_where_it_is_named() {
    let ground = Ground::with_scheme("https", TLS).await;
    certify(&ground);
    let server = ground.start().await;
    let job = StartJob::new("deploy").in_environment(ENVIRONMENT);
    let spec = StartRun::new(REPO, vec![job]);
    let run = ground.site().start_run(spec).await.unwrap();
    for (authorities, code) in [("ca.pem", Some(0)), ("other.pem", Some(2))] {
        // Somebody else's certificate, which vouches for nobody here.
        let other = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()]);
        ground.write("other.pem", &other.unwrap().cert.pem());
        let output = writ()
            .args(["run", "--profile", "deploy", "--wait", "0s", "--", "touch"])
            .arg(format!("ran-{authorities}"))
            .env("WRIT_ISSUER", &ground.issuer)
            .env("SSL_CERT_FILE", ground.dir().join(authorities))
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", &run.jobs[0].token_url)
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &run.jobs[0].request_token)
            .current_dir(ground.dir())
            .stdin(Stdio::null())
            .output();
        let output = within(output).await.unwrap();
        assert_eq!(output.status.code(), code, "{output:?}");
        let ran = ground.dir().join(format!("ran-{authorities}"));
        assert_eq!(ran.exists(), code == Some(0));
    }
    server.stop().await;
}
