//! Where a listener's certificate comes from: two files, or the broker itself.

use std::collections::BTreeSet;

use toml::Spanned;

use super::findings::Findings;
use super::problem::Rule;
use super::raw::Text;
use crate::domain::host::Host;
use crate::surface::settings::{TlsPaths, TlsSource};

/// The keys of one listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawTls<'a> {
    pub(super) certificate: Option<&'a Text>,
    pub(super) key: Option<&'a Text>,
    pub(super) issued_for: Option<&'a Spanned<Vec<Text>>>,
}

impl RawTls<'_> {
    /// Whether anything is said of a certificate.
    pub(super) const fn is_given(&self) -> bool {
        self.certificate.is_some() || self.key.is_some() || self.issued_for.is_some()
    }

    /// One whole source, or none.
    pub(super) fn check(&self, findings: &mut Findings<'_>) -> Option<TlsSource> {
        if let Some(hosts) = self.issued_for {
            if self.certificate.is_some() || self.key.is_some() {
                let what = "a certificate is named, and one is to be issued";
                findings.refuse(hosts.span(), Rule::Contradiction, what);
            }
            return hosts_of(hosts, findings).map(TlsSource::Issued);
        }
        pair(self.certificate, self.key, findings).map(TlsSource::Files)
    }
}

fn hosts_of(list: &Spanned<Vec<Text>>, findings: &mut Findings<'_>) -> Option<Vec<Host>> {
    let mut hosts = BTreeSet::new();
    for text in list.get_ref() {
        if let Some(host) = findings.parsed::<Host>(text, Rule::Value)
            && !hosts.insert(host)
        {
            findings.refuse(text.span(), Rule::Duplicate, "the host is named twice");
        }
    }
    if list.get_ref().is_empty() {
        let what = "the certificate is for nobody";
        findings.refuse(list.span(), Rule::EmptyList, what);
    }
    (!hosts.is_empty()).then(|| hosts.into_iter().collect())
}

/// Both halves, or none.
fn pair(
    certificate: Option<&Text>,
    key: Option<&Text>,
    findings: &mut Findings<'_>,
) -> Option<TlsPaths> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsPaths {
            certificate: findings.path(certificate),
            key: findings.path(key),
        }),
        (None, None) => None,
        (Some(given), None) => {
            findings.refuse(given.span(), Rule::Missing, "`key` is missing beside it");
            None
        }
        (None, Some(given)) => {
            let what = "`certificate` is missing beside it";
            findings.refuse(given.span(), Rule::Missing, what);
            None
        }
    }
}
