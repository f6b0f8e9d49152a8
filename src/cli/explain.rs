//! `writ explain`: why something was refused, for whoever was called at night because of it.

use clap::Args;

use super::CliError;
use super::client::{Admin, Call, segment};
use super::out::Out;
use super::text::{age, plain};
use crate::domain::identity::SpiffeId;
use crate::domain::position::{BadDenialId, DenialId};
use crate::domain::profile::Via;
use crate::surface::http::admin::denial_view::{EndedKind, Explanation, FactView, Verdict};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  writ explain dn-3-17")]
pub(super) struct ExplainArgs {
    /// The denial id that the caller was given
    #[arg(value_name = "DENIAL-ID", value_parser = id)]
    id: DenialId,
}

pub(super) async fn run(args: ExplainArgs, admin: &Admin, out: &mut Out) -> Result<(), CliError> {
    let path = format!("/api/v1/denials/{}", segment(&args.id.to_string()));
    let answer = admin.ask(Call::get(path)).await?;
    out.answer(&answer, |told: Explanation| trace(&told))
}

fn id(text: &str) -> Result<DenialId, BadDenialId> {
    text.parse()
}

pub(super) fn trace(told: &Explanation) -> Vec<String> {
    let verdict = match told.verdict {
        Verdict::Denied => "denied",
        Verdict::Undetermined => "undetermined (nothing was issued and nothing was revoked)",
    };
    let mut lines = vec![
        format!("{} {verdict}", told.id),
        format!("  {}: {}", told.code, plain(&told.detail)),
        String::new(),
    ];
    lines.extend(asked(told));
    lines.extend(decided(told));
    lines.push(String::new());
    lines.push("what was known".to_owned());
    if told.facts.is_empty() {
        lines.push("  no fact was looked at before it was decided".to_owned());
    }
    lines.extend(told.facts.iter().flat_map(fact));
    lines.push(String::new());
    lines.extend(outcome(told));
    lines
}

fn asked(told: &Explanation) -> Vec<String> {
    let subject = &told.subject;
    let mut lines = Lines::default();
    lines.say("at", Some(&told.at.to_string()));
    lines.say("asked to", Some(&told.verb));
    lines.say("by", subject.workload.as_ref().map(SpiffeId::as_str));
    if let Some(identity) = &told.identity {
        for (claim, value) in identity.fixed() {
            lines.say("", Some(&format!("{claim} = {value}")));
        }
    }
    let from = told.from.map(|address| address.to_string());
    lines.say("from", from.as_deref());
    let task = subject.task_name.as_ref().map(|name| match subject.task {
        Some(id) => format!("{name} ({id})"),
        None => format!("{name} (never opened)"),
    });
    lines.say("task", task.as_deref());
    let lineage = subject.lineage.map(|id| id.to_string());
    lines.say("lineage", lineage.as_deref());
    let session = subject.session.map(|id| id.to_string());
    lines.say("session", session.as_deref());
    let evidence = told.evidence.map(|digest| format!("SHA-256 {digest}"));
    lines.say("evidence", evidence.as_deref());
    lines.0
}

fn decided(told: &Explanation) -> Vec<String> {
    let mut lines = Lines::default();
    lines.say("field", told.field.as_deref());
    lines.say("required", told.required.as_deref());
    lines.say("observed", told.observed.as_deref());
    if !told.policies.is_empty() {
        lines.say("policies", Some(&told.policies.join(", ")));
    }
    lines.say("set", told.policy_set.as_deref());
    lines.say("inside", told.internal.as_deref());
    lines.0
}

fn fact(fact: &FactView) -> Vec<String> {
    let how = match fact.via {
        Via::IssuerProof => "proven by the evidence itself",
        Via::Pull => "read at the source",
    };
    let record = plain(&fact.record);
    let age = age(fact.age_ms);
    let mut lines = vec![format!("  {record}  {how}, {age} before")];
    if !fact.present {
        lines.push("    the source answered that there is no such record".to_owned());
    }
    let fields = fact.fields.iter();
    lines.extend(fields.map(|(k, v)| format!("    {} = {}", plain(k), plain(v))));
    lines
}

fn outcome(told: &Explanation) -> Vec<String> {
    let mut lines = Lines::default();
    for one in &told.ended {
        let what = match one.what {
            EndedKind::Task => "the task and everything under it",
            EndedKind::Lineage => "the lineage and everything that it was given",
            EndedKind::Session => "the session",
        };
        lines.say("ended", Some(&format!("{what} ({})", one.id)));
    }
    if told.ended.is_empty() {
        lines.say("ended", Some("nothing"));
    }
    lines.say("to mend", Some(&told.advice));
    lines.0
}

/// Lines of a label and a value.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn say(&mut self, label: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.push(format!("{label:<9} {}", plain(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = r#"{"id":"dn-3-17","at":"2026-03-01T10:00:00Z","verdict":"denied",
        "verb":"renew","code":"context_mismatch","field":"environment.protection_rules",
        "required":"3f2c","observed":"9a10","detail":"the environment is not what it was",
        "subject":{"task":"task_018f2b3c4d5e7f60a1b2c3d4e5f60718",
        "task_name":"github/812345/99001/1","workload":"spiffe://example.org/ci/812345"},
        "policies":["deploy"],"from":"203.0.113.7",
        "facts":[{"record":"github/environment/812345/production","via":"pull",
        "observed_at":"2026-03-01T09:59:58Z","age_ms":2000,"present":true,
        "fields":{"name":"prod\u001b[2J"}}],
        "ended":[{"what":"lineage","id":"lin_018f2b3c4d5e7f60a1b2c3d4e5f60718"}],
        "advice":"compare required with observed"}"#;

    #[test]
    fn a_denial_is_told_with_everything_that_decided_it() {
        let text = trace(&serde_json::from_str(TOLD).unwrap()).join("\n");
        for wanted in [
            "dn-3-17 denied",
            "asked to  renew",
            "from      203.0.113.7",
            "field     environment.protection_rules",
            "required  3f2c",
            "observed  9a10",
            "read at the source, 2.0 s before",
            "policies  deploy",
            "ended     the lineage and everything that it was given (lin_",
            "to mend   compare required with observed",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
    }

    #[test]
    fn a_facts_value_cannot_command_the_terminal() {
        let text = trace(&serde_json::from_str(TOLD).unwrap()).join("\n");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn an_undetermined_answer_says_that_nothing_was_revoked() {
        let told = TOLD.replace(r#""denied""#, r#""undetermined""#);
        let text = trace(&serde_json::from_str(&told).unwrap()).join("\n");
        assert!(text.contains("nothing was revoked"), "{text}");
    }
}
