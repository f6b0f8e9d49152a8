//! `--dry-run`: who this job is and what would be asked. The broker is not asked: a surface that says
//! which claim fails without issuing anything would tell everybody its policy.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::super::CliError;
use super::super::out::Out;
use super::super::text::plain;
use super::super::way::Way;
use super::args::RunArgs;
use super::evidence::Source;
use crate::domain::secret::Secret;

/// Fetches an ID token, and shows what it says.
pub(super) async fn show(
    args: &RunArgs,
    source: &Source,
    audience: &str,
    way: &Way,
    out: &mut Out,
) -> Result<(), CliError> {
    let token = source.token(audience, way).await?;
    let claims = claims(&token).ok_or_else(|| {
        CliError::Unsound(
            "what the source gave is not an ID token: no claims can be read".to_owned(),
        )
    })?;
    if out.is_json() {
        let document = json!({
            "issuer": args.issuer.as_str(),
            "evidence": source.told(),
            "audience": audience,
            "claims": claims,
            "profile": args.profile.as_ref().map(ToString::to_string),
            "audiences": listed(&args.audience, |a| a.as_str()),
            "scopes": listed(&args.scope, |s| s.as_str()),
            "secrets": secrets(args),
        });
        return out.line(&document.to_string());
    }
    out.lines(&told(args, source, audience, &claims))
}

fn told(
    args: &RunArgs,
    source: &Source,
    audience: &str,
    claims: &Map<String, Value>,
) -> Vec<String> {
    let or = |list: Vec<&str>, none: &str| {
        if list.is_empty() {
            none.to_owned()
        } else {
            list.join(" ")
        }
    };
    let profile = args
        .profile
        .as_ref()
        .map_or("chosen by the broker", |p| p.as_str());
    let mut lines = vec![
        format!("broker     {}", args.issuer.as_str()),
        format!("evidence   {}", source.told()),
        format!("for        {audience}"),
        format!("profile    {profile}"),
        format!(
            "audiences  {}",
            or(
                listed(&args.audience, |a| a.as_str()),
                "chosen by the broker"
            )
        ),
        format!(
            "scopes     {}",
            or(listed(&args.scope, |s| s.as_str()), "all that are granted")
        ),
        format!("secrets    {}", or(secrets(args), "none")),
        "identity   what the ID token says, unverified:".to_owned(),
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
    lines.push("nothing was asked of the broker, and nothing was issued".to_owned());
    lines
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
