//! The configuration: one file in, checked settings for every stage out, or everything that is wrong
//! with it. What must stay true: an unknown key, a contradiction or a rule that loosens a promise is
//! a refusal to start, and a problem never repeats a secret. No other module reads the file.

mod acts;
mod api;
mod binding;
mod check;
mod conditions;
mod desk;
mod dev;
mod files;
mod findings;
mod grants;
mod lifetimes;
mod listen;
mod mapping;
mod marks;
mod opening;
mod operators;
mod problem;
mod production;
mod profile;
pub mod propose;
mod proxies;
mod raw;
mod resource_server;
mod scope;
mod shape;
mod source;
mod svid;
mod telemetry;
mod templates;
#[cfg(test)]
mod tests;
mod tls;

use std::path::Path;
use std::time::Duration;

pub use dev::{Dev, DevCi, dev_text};
pub use marks::Marks;
pub use problem::{Problem, Rule};
pub use production::{Ci, Production, production_text};

use crate::attest::settings::{IssuerSettings, OperatorSettings};
use crate::broker::settings::{BrokerSettings, KeyLocation, PolicyTexts};
use crate::context::desk::DeskSettings;
use crate::context::settings::SourceSettings;
use crate::store::settings::StoreSettings;
use crate::surface::settings::{ListenSettings, OperatorListener, ResourceServer};
use crate::telemetry::settings::TraceSettings;
use findings::Findings;

/// The settings of every stage, checked against each other.
#[derive(Debug)]
pub struct Config {
    pub broker: BrokerSettings,
    pub policies: PolicyTexts,
    pub issuers: Vec<IssuerSettings>,
    pub sources: Vec<SourceSettings>,
    pub desks: Vec<DeskSettings>,
    pub listen: ListenSettings,
    /// Operators who are elsewhere, and where they come in.
    pub operators: Option<(OperatorListener, OperatorSettings)>,
    pub resource_servers: Vec<ResourceServer>,
    pub store: StoreSettings,
    pub keys: KeyLocation,
    /// The age at which keys whose public halves are published are replaced.
    pub rotate_after: Duration,
    /// Where traces go; without it there are none.
    pub traces: Option<TraceSettings>,
    /// By what this configuration is told from another.
    pub marks: Marks,
    warnings: Vec<Problem>,
}

impl Config {
    /// What the file may say but had better not.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The configuration of a broker that one developer runs for themselves: see [`dev_text`].
    pub fn for_dev(dev: &Dev) -> Result<Self, Vec<Problem>> {
        parse("(dev)", &dev_text(dev), &dev.data)
    }
}

/// Reads a configuration file and the files that it names. Relative paths lie below its directory.
///
/// # Errors
/// Every problem that was found, in the order of the file.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let name = path.display().to_string();
    // The broker's files are found again when it has another working directory, as in what is printed.
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base_dir = whole.parent().unwrap_or(Path::new("."));
    match files::whole(path) {
        Ok(text) => parse(&name, &text, base_dir),
        Err(error) => {
            let mut findings = Findings::new(&name, "", base_dir);
            findings.refuse(0..0, Rule::Unreadable, error.to_string());
            Err(findings.into_parts().0)
        }
    }
}

/// Reads a text that somebody named: a regular file, or a link to one, of at most a mebibyte.
///
/// # Errors
/// It is not there, not readable, not a file, too large, or not text.
pub fn read_text(path: &Path) -> std::io::Result<String> {
    files::whole(path)
}

/// Judges the text of a configuration file; `name` is what its problems are reported under.
///
/// # Errors
/// Every problem that was found, in the order of the file.
pub fn parse(name: &str, text: &str, base_dir: &Path) -> Result<Config, Vec<Problem>> {
    let mut findings = Findings::new(name, text, base_dir);
    let checked = shape::read(text, &mut findings).and_then(|raw| check::file(&raw, &mut findings));
    let files = findings.take_files();
    let (problems, warnings) = findings.into_parts();
    match checked {
        Some(config) if problems.is_empty() => Ok(Config {
            warnings,
            marks: Marks::new(text, files),
            ..config
        }),
        Some(_) | None => Err(problems),
    }
}
