//! `writ config`: what a start would say, without starting.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::CliError;
use super::out::Out;
use crate::config::{self, Config, Problem};
use crate::decide::engine::PolicySet;
use crate::decide::lint::Names;
use crate::decide::load::{PolicyError, PolicySource};
use crate::surface::settings::TlsSource;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say everything that is wrong with a configuration and its policies, and how to mend it
    #[command(after_help = "Example:\n  writ config check /etc/writ/writ.toml")]
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file
    file: PathBuf,
}

pub(super) fn run(command: ConfigCommand, out: &mut Out) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check(args) => check(&args.file, out),
    }
}

/// The configuration, or every problem of it in one error.
pub(super) fn load(file: &Path) -> Result<Config, CliError> {
    config::load(file).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        CliError::Unsound(format!(
            "{}\n{} cannot be run",
            lines.join("\n"),
            file.display()
        ))
    })
}

fn check(file: &Path, out: &mut Out) -> Result<(), CliError> {
    let checked = config::load(file);
    let policies = checked.as_ref().ok().map(policies);
    let problems = checked.as_ref().err().map_or(&[][..], Vec::as_slice);
    let warnings = checked.as_ref().map_or(&[][..], Config::warnings);
    let broken = policies.and_then(Result::err);
    if out.is_json() {
        let policy = broken.as_ref().map(ToString::to_string);
        out.line(&document(problems, warnings, policy.as_deref()).to_string())?;
    } else {
        let mut lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.extend(broken.as_ref().map(ToString::to_string));
        lines.extend(warnings.iter().map(|problem| format!("warning: {problem}")));
        if let (Ok(config), None) = (&checked, &broken) {
            lines.extend(summary(config));
        }
        out.lines(&lines)?;
    }
    match problems.len() + usize::from(broken.is_some()) {
        0 => Ok(()),
        1 => Err(unsound(file, "has a problem")),
        n => Err(unsound(file, &format!("has {n} problems"))),
    }
}

/// Compiles the policies as the broker would.
pub(super) fn policies(config: &Config) -> Result<PolicySet, PolicyError> {
    PolicySet::load(&policy_sources(config))
}

/// The policies that a broker of this configuration would load.
pub(super) fn policy_sources(config: &Config) -> Vec<PolicySource> {
    let shipped = config.policies.shipped.then(PolicySource::shipped);
    let own = config.policies.own.iter().map(|policy| PolicySource {
        name: policy.name.clone(),
        text: policy.text.clone(),
    });
    shipped.into_iter().chain(own).collect()
}

/// What policies can name of this configuration.
pub(super) fn names(config: &Config) -> Names {
    let profiles = &config.broker.profiles;
    let grants = profiles.iter().flat_map(|profile| profile.grants.keys());
    Names {
        profiles: profiles.iter().map(|p| p.name.to_string()).collect(),
        grants: grants.map(ToString::to_string).collect(),
        sources: config.issuers.iter().map(|i| i.name.to_string()).collect(),
    }
}

fn summary(config: &Config) -> Vec<String> {
    let broker = &config.broker;
    let names: Vec<_> = broker.profiles.iter().map(|p| p.name.as_str()).collect();
    let sources: Vec<_> = config.sources.iter().map(|s| s.name.as_str()).collect();
    let servers: Vec<_> = config
        .resource_servers
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    let admin = config.listen.admin.as_ref();
    vec![
        "sound".to_owned(),
        format!("issuer            {}", broker.issuer),
        format!("trust domain      {}", broker.trust_domain.as_str()),
        format!(
            "listens on        {}{}",
            config.listen.address,
            match &config.listen.tls {
                Some(TlsSource::Files(_)) => " (TLS)",
                Some(TlsSource::Issued(_)) => " (TLS, by a certificate of its own)",
                None => " (plain, this machine only)",
            }
        ),
        format!(
            "admin socket      {}",
            admin.map_or_else(
                || "none".to_owned(),
                |admin| admin.path.display().to_string()
            )
        ),
        format!("sources           {}", listed(&sources)),
        format!("profiles          {}", listed(&names)),
        format!("resource servers  {}", listed(&servers)),
    ]
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

fn document(problems: &[Problem], warnings: &[Problem], policy: Option<&str>) -> Value {
    let all = |problems: &[Problem]| problems.iter().map(problem).collect::<Vec<_>>();
    json!({
        "sound": problems.is_empty() && policy.is_none(),
        "problems": all(problems),
        "policies": policy,
        "warnings": all(warnings),
    })
}

fn problem(problem: &Problem) -> Value {
    json!({
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "rule": problem.rule.code(),
        "what": problem.what,
        "mend": problem.mend,
    })
}

fn unsound(file: &Path, what: &str) -> CliError {
    CliError::Unsound(format!("{} {what}", file.display()))
}
