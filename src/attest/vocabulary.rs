//! What the claims of one source are good for: the table of its vendor, or the mapping that its
//! configuration gives.

use crate::attest::preset::{ClaimNature, Preset};
use crate::attest::{github, gitlab, kubernetes, svid};

/// The claims that a source's evidence is read for.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    pub preset: Preset,
    claims: Vec<(String, ClaimNature)>,
    /// Where the claims lie in a token, if not under their own names: a claim's name, and the members
    /// that lead to it.
    pub paths: Vec<(String, Vec<String>)>,
}

/// A claim as it is configured: where it lies, and all that it is good for.
#[derive(Debug, Clone)]
pub struct Mapped {
    pub name: String,
    pub path: Vec<String>,
    pub natures: Vec<ClaimNature>,
}

impl Vocabulary {
    /// What is known of the vendor.
    pub fn of(preset: Preset) -> Self {
        let claims = preset.claims().iter();
        let paths = preset.paths().iter();
        let owned = |path: &[&str]| path.iter().map(|name| (*name).to_owned()).collect();
        Self {
            preset,
            claims: claims
                .map(|(n, nature)| ((*n).to_owned(), *nature))
                .collect(),
            paths: paths
                .map(|(n, path)| ((*n).to_owned(), owned(path)))
                .collect(),
        }
    }

    /// What the configuration says of an issuer that is known by nothing else.
    pub fn mapped(claims: &[Mapped]) -> Self {
        let natures = claims
            .iter()
            .flat_map(|claim| claim.natures.iter().map(|n| (claim.name.clone(), *n)));
        let own = Self::of(Preset::Oidc);
        Self {
            preset: Preset::Oidc,
            claims: natures.chain(own.claims).collect(),
            paths: claims
                .iter()
                .map(|claim| (claim.name.clone(), claim.path.clone()))
                .collect(),
        }
    }

    /// What a claim is good for first of all; `None` when the source's tokens have no such claim.
    pub fn nature(&self, claim: &str) -> Option<ClaimNature> {
        let found = self.claims.iter().find(|(name, _)| *name == claim);
        found.map(|(_, nature)| *nature)
    }

    /// The claims of one nature.
    pub fn of_nature(&self, nature: ClaimNature) -> impl Iterator<Item = &str> {
        let claims = self.claims.iter();
        claims
            .filter(move |(_, n)| *n == nature)
            .map(|(name, _)| name.as_str())
    }

    /// The claims that identities are made of: what cannot differ between two tokens of one job.
    pub fn identifying(&self) -> Vec<&str> {
        match self.preset {
            Preset::GithubActions => github::FIXED.into(),
            Preset::GitlabCi => gitlab::FIXED.into(),
            Preset::Kubernetes => kubernetes::FIXED.into(),
            Preset::JwtSvid => vec![svid::SPIFFE_ID],
            Preset::Oidc => [ClaimNature::Id, ClaimNature::Label, ClaimNature::Text]
                .into_iter()
                .flat_map(|nature| self.of_nature(nature))
                .collect(),
        }
    }

    /// Whether a claim has this nature. A pod is both the run and the one instance in it.
    pub fn is(&self, claim: &str, nature: ClaimNature) -> bool {
        self.of_nature(nature).any(|name| name == claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::preset::ClaimNature::{Id, Instance, Label, Run, Token};

    #[test]
    fn every_vendor_has_what_a_task_is_named_by() {
        let vendors = Preset::ALL.into_iter();
        let vendors = vendors.filter(|p| !matches!(p, Preset::JwtSvid | Preset::Oidc));
        for words in vendors.map(Vocabulary::of) {
            let preset = words.preset;
            for nature in [Id, Run, Instance] {
                let found = words.of_nature(nature).count();
                assert!(found > 0, "{} has no {nature:?}", preset.as_str());
            }
            let unmerged = preset.unmerged().map(|(claim, _)| words.nature(claim));
            assert!(unmerged.is_none_or(|nature| nature == Some(Label)));
            let known = |claim: &&str| words.nature(claim).is_some();
            let sets = preset.one_workflow().iter();
            assert!(sets.into_iter().all(|set| set.iter().all(known)));
            assert!(preset.paths().iter().all(|(claim, _)| known(claim)));
            assert!(words.identifying().iter().all(known));
        }
    }

    #[test]
    fn a_subject_is_never_an_id() {
        for preset in Preset::ALL {
            assert_eq!(Vocabulary::of(preset).nature("sub"), Some(Token));
        }
    }
}
