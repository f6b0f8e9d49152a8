//! Any other issuer of ID tokens, by the mapping that its source gives: which claims are ids, which
//! name the run and the instance, which are fixed for the job. Nothing is read that is not mapped, and
//! no value is ever taken apart.

use crate::attest::claims::{text, workload};
use crate::attest::oidc::{Preset, Reading};
use crate::attest::preset::{self, ClaimNature};
use crate::attest::vocabulary::Vocabulary;
use crate::domain::identity::{TrustDomain, escape_segment};
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;

/// One issuer under one trust domain.
pub struct Generic {
    trust_domain: TrustDomain,
    ids: Vec<String>,
    /// What cannot differ between two tokens of one job, as the mapping declares it.
    fixed: Vec<String>,
}

impl Generic {
    pub fn new(trust_domain: TrustDomain, words: &Vocabulary) -> Self {
        let named = |nature| words.of_nature(nature).map(str::to_owned);
        Self {
            trust_domain,
            ids: named(ClaimNature::Id).collect(),
            fixed: words.identifying().into_iter().map(str::to_owned).collect(),
        }
    }
}

impl Preset for Generic {
    fn read(&self, source: &SourceName, claims: Claims) -> Result<Reading, String> {
        let mut ids = Vec::new();
        for name in &self.ids {
            let value = text(&claims, name)?;
            if !preset::Preset::Oidc.is_id(value) {
                return Err(format!("`{name}` is not an id"));
            }
            ids.push(escape_segment(value));
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let fixed: Vec<&str> = self.fixed.iter().map(String::as_str).collect();
        let (identity, selectors) = workload(&self.trust_domain, source, &ids, &claims, &fixed)?;
        Ok(Reading {
            identity,
            selectors,
            claims,
            records: Vec::new(),
            rests_on: None,
        })
    }
}
