//! `--dry-run`: who this job is, which profiles are for it, what each of them does not take, and what the
//! broker would answer. Nothing is issued.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::CliError;
use super::super::error::Refused;
use super::super::out::Out;
use super::super::text::plain;
use super::args::RunArgs;
use super::client::{Ask, Client};
use super::evidence::Source;
use crate::domain::secret::Secret;

/// What the broker says of evidence that it took.
#[derive(Debug, Deserialize)]
pub(super) struct Preview {
    spiffe_id: String,
    profiles: Vec<Candidate>,
    outcome: String,
    profile: Option<String>,
    task: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    expires_at: Option<String>,
    code: Option<String>,
    detail: Option<String>,
    field: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    name: String,
    failed: Vec<FailedClaim>,
}

#[derive(Debug, Deserialize)]
struct FailedClaim {
    claim: String,
    shown: Option<String>,
}

/// Fetches an ID token, shows what it says, and what the broker would make of it. Ends as the exchange
/// would.
pub(super) async fn show(
    args: &RunArgs,
    source: &Source,
    client: &Client,
    audience: &str,
    ask: &Ask,
    out: &mut Out,
) -> Result<(), CliError> {
    let token = source.token(audience, &client.way).await?;
    let claims = claims(&token).ok_or_else(|| {
        CliError::Unsound(
            "what the source gave is not an ID token: no claims can be read".to_owned(),
        )
    })?;
    let asked = client.preview(&token, ask).await;
    let preview = asked.as_ref().ok();
    let read: Option<Preview> = preview.and_then(|told| serde_json::from_value(told.clone()).ok());
    if out.is_json() {
        out.line(&document(args, source, audience, &claims, preview).to_string())?;
    } else {
        let mut lines = told(args, source, audience, &claims);
        lines.extend(read.iter().flat_map(judged));
        lines.push("nothing was issued".to_owned());
        out.lines(&lines)?;
    }
    asked?;
    outcome(read)
}

/// How the command ends: as the exchange would have.
fn outcome(preview: Option<Preview>) -> Result<(), CliError> {
    let misread = || CliError::Broken("its answer is not one to a dry run".to_owned());
    let preview = preview.ok_or_else(misread)?;
    let why = Refused {
        status: 403,
        title: None,
        detail: preview.detail.as_deref().map(plain),
        code: preview.code.as_deref().map(plain),
        field: preview.field.as_deref().map(plain),
        denial_id: None,
        retry_after: None,
    };
    match preview.outcome.as_str() {
        "permitted" => Ok(()),
        "denied" => Err(CliError::Refused(Box::new(why))),
        "undetermined" => Err(CliError::Unanswered(
            Refused { status: 503, ..why }.to_string(),
        )),
        _ => Err(misread()),
    }
}

fn document(
    args: &RunArgs,
    source: &Source,
    audience: &str,
    claims: &Map<String, Value>,
    preview: Option<&Value>,
) -> Value {
    json!({
        "issuer": args.issuer.as_str(),
        "evidence": source.told(),
        "audience": audience,
        "claims": claims,
        "profile": args.profile.as_ref().map(ToString::to_string),
        "case": args.case.as_ref().map(ToString::to_string),
        "audiences": listed(&args.audience, |a| a.as_str()),
        "scopes": listed(&args.scope, |s| s.as_str()),
        "secrets": secrets(args),
        "broker": preview,
    })
}

fn told(
    args: &RunArgs,
    source: &Source,
    audience: &str,
    claims: &Map<String, Value>,
) -> Vec<String> {
    let profile = args
        .profile
        .as_ref()
        .map_or("chosen by the broker", |p| p.as_str());
    let audiences = listed(&args.audience, |a| a.as_str());
    let scopes = listed(&args.scope, |s| s.as_str());
    let case = args.case.as_ref();
    let mut lines = vec![
        format!("broker     {}", args.issuer.as_str()),
        format!("evidence   {}", source.told()),
        format!("for        {audience}"),
        format!("profile    {profile}"),
        format!("case       {}", case.map_or("none", |case| case.as_str())),
        format!("audiences  {}", or(&audiences, "chosen by the broker")),
        format!("scopes     {}", or(&scopes, "all that are granted")),
        format!("secrets    {}", or(&secrets(args), "none")),
        "claims     what the ID token says:".to_owned(),
    ];
    for (name, value) in claims {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        lines.push(format!("  {} = {}", plain(name), plain(&text)));
    }
    if !is_for(claims, audience) {
        lines.push(format!(
            "note: its `aud` is not {audience}, so the broker will not take it"
        ));
    }
    lines
}

/// What the broker said.
fn judged(preview: &Preview) -> Vec<String> {
    let mut lines = vec![format!("identity   {}", plain(&preview.spiffe_id))];
    for candidate in &preview.profiles {
        let name = plain(&candidate.name);
        if candidate.failed.is_empty() {
            lines.push(format!("candidate  {name}: takes this ID token"));
            continue;
        }
        lines.push(format!("candidate  {name}: does not take"));
        for failed in &candidate.failed {
            let shown = failed.shown.as_deref().map_or("(absent)".to_owned(), plain);
            lines.push(format!("  {} = {shown}", plain(&failed.claim)));
        }
    }
    if preview.profiles.is_empty() {
        lines.push("candidate  none names an id of this job".to_owned());
    }
    if preview.outcome == "permitted" {
        let given = |text: &Option<String>| text.as_deref().map(plain).unwrap_or_default();
        lines.push(format!(
            "outcome    permitted: a token under {} of {} until {}",
            given(&preview.task),
            given(&preview.profile),
            given(&preview.expires_at),
        ));
        let plain_all = |texts: &[String]| texts.iter().map(|t| plain(t)).collect::<Vec<_>>();
        let (audiences, scopes) = (plain_all(&preview.audiences), plain_all(&preview.scopes));
        lines.push(format!("  for {}", audiences.join(" ")));
        lines.push(format!("  with {}", or(&scopes, "no scopes")));
    }
    lines
}

fn or(list: &[impl AsRef<str>], none: &str) -> String {
    if list.is_empty() {
        return none.to_owned();
    }
    let list: Vec<_> = list.iter().map(AsRef::as_ref).collect();
    list.join(" ")
}

fn listed<T>(items: &[T], text: impl Fn(&T) -> &str) -> Vec<&str> {
    items.iter().map(text).collect()
}

fn secrets(args: &RunArgs) -> Vec<&str> {
    let all = args.secret.iter().chain(&args.secret_env);
    all.map(|secret| secret.path.as_str()).collect()
}

/// The payload of a compact JWS (RFC 7515 §7.1), believed by nobody.
pub(super) fn claims(token: &Secret) -> Option<Map<String, Value>> {
    let payload = token.expose_str()?.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Whether `aud` names it (RFC 7519 §4.1.3: one text, or a list).
pub(super) fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one == audience),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(claims: &Value) -> Option<Map<String, Value>> {
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        super::claims(&Secret::from(format!("head.{payload}.signature")))
    }

    #[test]
    fn a_token_for_somebody_else_is_seen_before_the_broker_says_so() {
        let own = "https://writ.example";
        for (aud, fits) in [
            (json!(own), true),
            (json!(["https://a.example", own]), true),
            (json!("https://writ.example/jkt/x"), false),
            (json!([]), false),
            (json!(7), false),
        ] {
            assert_eq!(
                is_for(&of(&json!({ "aud": aud })).unwrap(), own),
                fits,
                "{aud}"
            );
        }
        assert!(!is_for(&Map::new(), own));
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        for text in ["", "one", "a.b.c", "a.e30"] {
            let claims = claims(&Secret::from(text.to_owned()));
            assert_eq!(claims.is_some(), text == "a.e30", "{text}");
        }
        assert_eq!(of(&json!(["no", "object"])), None);
    }
}
