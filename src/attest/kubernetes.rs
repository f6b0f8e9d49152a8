//! The preset for Kubernetes: projected service-account tokens that are bound to a pod. A service
//! account is known by its uid, since a namespace or an account can be deleted and made again under
//! its name; the pod is the instance. `sub` repeats the names and is not read.

use crate::attest::claims::{related, text, uid, workload};
use crate::attest::oidc::{Preset, Reading};
use crate::domain::context::RecordKind;
use crate::domain::identity::TrustDomain;
use crate::domain::name::SourceName;
use crate::domain::profile::Claims;

/// One cluster under one trust domain.
pub struct Kubernetes {
    pub trust_domain: TrustDomain,
}

impl Preset for Kubernetes {
    fn read(&self, source: &SourceName, claims: Claims) -> Result<Reading, String> {
        let account = uid(&claims, "serviceaccount_uid")?;
        let (identity, selectors) =
            workload(&self.trust_domain, source, &[account], &claims, &FIXED)?;
        let pod = related(
            source,
            RecordKind::Job,
            uid(&claims, "pod_uid")?.to_owned(),
            &[
                ("namespace", text(&claims, "namespace")?),
                ("pod", text(&claims, "pod_name")?),
            ],
        );
        Ok(Reading {
            identity,
            selectors,
            claims,
            records: vec![pod],
            rests_on: None,
        })
    }
}

/// Where the claims lie in a token ("Service account private claims" in the cluster's documentation).
/// Those about the node are what the kubelet said, and nobody checked them.
pub const CLAIMS: [(&str, &[&str]); 7] = [
    ("namespace", &["kubernetes.io", "namespace"]),
    ("pod_name", &["kubernetes.io", "pod", "name"]),
    ("pod_uid", &["kubernetes.io", "pod", "uid"]),
    (
        "serviceaccount_name",
        &["kubernetes.io", "serviceaccount", "name"],
    ),
    (
        "serviceaccount_uid",
        &["kubernetes.io", "serviceaccount", "uid"],
    ),
    ("node_name", &["kubernetes.io", "node", "name"]),
    ("node_uid", &["kubernetes.io", "node", "uid"]),
];

/// Claims that cannot differ between two tokens of one pod.
pub(super) const FIXED: [&str; 3] = ["namespace", "serviceaccount_name", "serviceaccount_uid"];

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798";
    const POD: &str = "eb40a7ef-0b14-4f1f-9a4c-2a0f3a0e5a90";

    fn read(change: impl FnOnce(&mut Claims)) -> Result<Reading, String> {
        let mut claims: Claims = [
            ("namespace", "shop"),
            ("serviceaccount_name", "deployer"),
            ("serviceaccount_uid", ACCOUNT),
            ("pod_name", "deployer-0"),
            ("pod_uid", POD),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        change(&mut claims);
        let preset = Kubernetes {
            trust_domain: "example.org".parse().unwrap(),
        };
        preset.read(&"cluster".parse().unwrap(), claims)
    }

    #[test]
    fn an_account_is_known_by_its_uid_and_the_pod_is_no_part_of_it() {
        let reading = read(|_| {}).unwrap();
        let id = format!("spiffe://example.org/cluster/{ACCOUNT}");
        assert_eq!(reading.identity.id().as_str(), id);
        let other = read(|claims| {
            let pod = POD.replace('e', "f");
            claims.insert("pod_uid".to_owned(), pod);
        });
        assert_eq!(reading.identity, other.unwrap().identity);
        assert_eq!(
            reading.records[0].key.to_string(),
            format!("cluster/job/{POD}")
        );
    }

    #[test]
    fn a_token_that_is_bound_to_no_pod_is_refused() {
        for missing in ["pod_uid", "pod_name", "namespace", "serviceaccount_uid"] {
            let refused = read(|claims| drop(claims.remove(missing)));
            assert!(refused.unwrap_err().contains(missing));
        }
        for bad in [
            "",
            "deployer",
            "14EE3FA4-A7E2-420F-9F9A-DBC4507C3798",
            "1/2",
        ] {
            let refused = read(|claims| {
                claims.insert("serviceaccount_uid".to_owned(), bad.to_owned());
            });
            assert!(refused.is_err(), "{bad:?}");
        }
    }
}
