//! A collector that reads what it gets by OpenTelemetry's own definitions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::{KEY, telemetry};
use crate::support::broker::secret_file;
use crate::support::foreign::Foreign;
use crate::support::process::Ground;

pub(crate) struct Collector {
    foreign: Foreign,
    endpoint: String,
    kept: PathBuf,
}

/// A span as the collector understood it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) took: u64,
    pub(crate) failed: bool,
    pub(crate) attributes: BTreeMap<String, Value>,
}

impl Collector {
    /// A collector, and a broker's ground that sends its traces there.
    pub(crate) async fn beside(ground: &Ground, sampling: &str) -> Self {
        let kept = ground.dir().join("kept");
        let args = [kept.to_str().unwrap(), KEY];
        let foreign = Foreign::python("python", "collector.py", &args).await;
        let told: Value = serde_json::from_str(&foreign.told).unwrap();
        let endpoint = told["endpoint"].as_str().unwrap().to_owned();
        secret_file(ground.dir(), "collector", KEY);
        let text = ground.read("writ.toml") + &telemetry(&endpoint, sampling);
        ground.write("writ.toml", &text);
        Self {
            foreign,
            endpoint,
            kept,
        }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The next span that it gets.
    pub(crate) async fn span(&mut self) -> Span {
        serde_json::from_str(&self.foreign.line().await).unwrap()
    }

    /// All spans of one trace, up to the first one: that of the request, which ends last.
    pub(crate) async fn request(&mut self, name: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        loop {
            let span = self.span().await;
            let done = span.kind == "SPAN_KIND_SERVER";
            let wanted = span.name == name;
            spans.push(span);
            if done && wanted {
                let trace = spans[spans.len() - 1].trace.clone();
                spans.retain(|span| span.trace == trace);
                return spans;
            }
        }
    }

    /// Everything that came, as it came.
    pub(crate) fn kept(&self) -> Vec<u8> {
        std::fs::read(&self.kept).unwrap_or_default()
    }
}

impl Span {
    #[track_caller]
    pub(crate) fn text(&self, key: &str) -> &str {
        let value = self.attributes.get(key).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }
}
