//! The preset for this broker's own JWT-SVIDs, shown back as evidence: a workload that already works in one
//! task asks for another. The SVID is for the broker alone (its audience says so), and is worth as much as
//! what it was made for: the verb reads the rows of that task, lineage and session, and the change that
//! follows rests on them.

use crate::attest::claims::text;
use crate::attest::oidc::{Preset, Reading};
use crate::domain::identity::{Identity, Selector, SpiffeId, TrustDomain};
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;
use crate::domain::standing::Shown;

/// The SVIDs of one trust domain.
pub struct OwnSvid {
    pub trust_domain: TrustDomain,
}

impl Preset for OwnSvid {
    fn read(&self, source: &SourceName, claims: Claims) -> Result<Reading, String> {
        let id: SpiffeId = text(&claims, SPIFFE_ID)?
            .parse()
            .map_err(|_| format!("`{SPIFFE_ID}` is not a SPIFFE ID"))?;
        if !self.trust_domain.holds(&id) {
            return Err(format!("`{SPIFFE_ID}` is of another trust domain"));
        }
        let shown = Shown {
            lineage: parsed(&claims, "lineage")?,
            credential: parsed(&claims, "svid_id")?,
        };
        let fixed = [(SPIFFE_ID.to_owned(), id.as_str().to_owned())];
        let identity = Identity::new(id, fixed.into());
        let selectors = Selector::all(source.as_str(), identity.fixed());
        Ok(Reading {
            identity,
            selectors,
            claims,
            records: Vec::new(),
            rests_on: Some(shown),
        })
    }
}

/// Where the claims lie in an SVID of `issuer`.
pub fn paths(issuer: &str) -> Vec<(String, Vec<String>)> {
    let task = format!("{issuer}/task");
    let led = [
        (SPIFFE_ID, vec!["sub"]),
        ("svid_id", vec!["jti"]),
        ("lineage", vec![task.as_str(), "lineage"]),
    ];
    led.map(|(name, path)| {
        let path = path.into_iter().map(str::to_owned);
        (name.to_owned(), path.collect())
    })
    .into()
}

fn parsed<T: std::str::FromStr>(claims: &Claims, name: &str) -> Result<T, String> {
    text(claims, name)?
        .parse()
        .map_err(|_| format!("`{name}` is not an id of this broker"))
}

pub(super) const SPIFFE_ID: &str = "spiffe_id";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl FnOnce(&mut Claims)) -> Result<Reading, String> {
        let mut claims: Claims = [
            ("spiffe_id", "spiffe://example.org/github/9/812345"),
            ("svid_id", "cred_018f2b3c4d5e7f60a1b2c3d4e5f60718"),
            ("lineage", "lin_018f2b3c4d5e7f60a1b2c3d4e5f60718"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        change(&mut claims);
        let preset = OwnSvid {
            trust_domain: "example.org".parse().unwrap(),
        };
        preset.read(&"own".parse().unwrap(), claims)
    }

    #[test]
    fn the_workload_is_the_one_that_the_svid_names_and_no_other() {
        let reading = read(|_| {}).unwrap();
        assert_eq!(
            reading.identity.id().as_str(),
            "spiffe://example.org/github/9/812345"
        );
        assert!(reading.rests_on.is_some());
    }

    #[test]
    fn another_trust_domain_or_an_svid_of_no_lineage_is_refused() {
        for (name, bad) in [
            ("spiffe_id", "spiffe://example.org.evil/github/9/812345"),
            ("spiffe_id", "spiffe://example.or/github/9/812345"),
            ("spiffe_id", "https://example.org/github"),
            ("svid_id", "lin_018f2b3c4d5e7f60a1b2c3d4e5f60718"),
            ("lineage", "1"),
        ] {
            let refused = read(|claims| drop(claims.insert(name.to_owned(), bad.to_owned())));
            assert!(refused.unwrap_err().contains(name), "{bad}");
        }
        for missing in ["spiffe_id", "svid_id", "lineage"] {
            read(|claims| drop(claims.remove(missing))).unwrap_err();
        }
    }
}
