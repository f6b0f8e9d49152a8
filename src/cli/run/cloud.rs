//! Clouds that take an OIDC token in place of keys of their own. For each there is a JWT-SVID in a file,
//! fresh for as long as the command runs, and the variables by which the cloud's SDKs find it.

use std::ffi::OsString;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::CliError;
use super::child::Environment;
use super::client::Token;
use super::failure::Failed;
use super::files::Place;
use super::session::Session;
use crate::domain::grant::Audience;
use crate::domain::secret::Secret;

/// What was asked for with `--cloud`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cloud {
    Aws {
        role: String,
    },
    Gcp {
        /// `projects/N/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
        provider: String,
        /// Acted as where an API takes no federated identity.
        account: Option<String>,
    },
    Azure {
        tenant: String,
        client: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadCloud {
    #[error("write aws=ROLE_ARN, gcp=PROVIDER[,SERVICE_ACCOUNT] or azure=TENANT/CLIENT")]
    Form,
    #[error("a role is written as arn:aws:iam::123456789012:role/NAME")]
    Role,
    #[error(
        "a provider is written as projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME"
    )]
    Provider,
    #[error("a service account is written as NAME@PROJECT.iam.gserviceaccount.com")]
    Account,
    #[error("tenant and client are ids, such as 8d1f6f0c-0c5e-4a51-9a8b-1f2e7c1d5d1f")]
    Azure,
}

/// Puts a new token of each cloud in the place of the one before.
pub(super) async fn refresh(
    clouds: &[Cloud],
    session: &Session,
    by: &Token,
    place: &Place,
) -> Result<(), Failed> {
    for cloud in clouds {
        let svid = session.client.svid(&cloud.audience()?, &by.value).await?;
        if let Cloud::Azure { .. } = cloud
            && algorithm(&svid).as_deref() != Some("RS256")
        {
            return Err(Failed::Local(CliError::Usage(NOT_RS256.to_owned())));
        }
        let written = place.write(cloud.file(), svid.expose());
        written.map_err(Failed::Local)?;
    }
    Ok(())
}

impl Cloud {
    /// What the command finds in its environment.
    pub(super) fn environment(&self, place: &Place, task: &str) -> Result<Environment, CliError> {
        let token = place.path(self.file());
        let values: Vec<OsString> = match self {
            Self::Aws { role } => vec![role.into(), token.into(), session_name(task).into()],
            Self::Gcp { provider, account } => {
                let file = json!({
                    "type": "external_account",
                    "audience": format!("//iam.googleapis.com/{provider}"),
                    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                    "token_url": "https://sts.googleapis.com/v1/token",
                    "credential_source": { "file": token, "format": { "type": "text" } },
                    "service_account_impersonation_url": account.as_ref().map(|account| format!(
                        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
                    )),
                });
                place.write(GCP_FILE, without_nulls(file).to_string().as_bytes())?;
                let file = OsString::from(place.path(GCP_FILE));
                vec![file.clone(), file]
            }
            Self::Azure { tenant, client } => {
                let authority = std::env::var_os(AZURE_HOST);
                let authority = authority.unwrap_or_else(|| AZURE_AUTHORITY.into());
                vec![tenant.into(), client.into(), token.into(), authority]
            }
        };
        let names = self.variables().iter().map(|name| (*name).to_owned());
        Ok(names.zip(values).collect())
    }

    /// The names of the variables that are set.
    pub(super) const fn variables(&self) -> &'static [&'static str] {
        match self {
            Self::Aws { .. } => AWS,
            Self::Gcp { .. } => GCP,
            Self::Azure { .. } => AZURE,
        }
    }

    /// Refuses an environment in which the SDKs would silently use something else.
    pub(super) fn check(&self, is_set: &dyn Fn(&str) -> bool) -> Result<(), CliError> {
        let instead: &[&str] = match self {
            Self::Aws { .. } => &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"],
            Self::Gcp { .. } => &[],
            Self::Azure { .. } => &["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"],
        };
        match instead.iter().find(|name| is_set(name)) {
            None => Ok(()),
            Some(name) => Err(CliError::Usage(format!(
                "{name} is set, and the cloud's SDKs would use it instead\n  to mend: unset it for this command"
            ))),
        }
    }

    /// Whom the token is for, as each cloud's own guide says.
    fn audience(&self) -> Result<Audience, Failed> {
        let text = match self {
            Self::Aws { .. } => "sts.amazonaws.com".to_owned(),
            Self::Gcp { provider, .. } => format!("https://iam.googleapis.com/{provider}"),
            Self::Azure { .. } => "api://AzureADTokenExchange".to_owned(),
        };
        let why = |_| {
            Failed::Local(CliError::Usage(
                "the cloud's audience is too long".to_owned(),
            ))
        };
        text.parse().map_err(why)
    }

    const fn file(&self) -> &'static str {
        match self {
            Self::Aws { .. } => "aws-token",
            Self::Gcp { .. } => "gcp-token",
            Self::Azure { .. } => "azure-token",
        }
    }
}

impl FromStr for Cloud {
    type Err = BadCloud;

    fn from_str(text: &str) -> Result<Self, BadCloud> {
        match text.split_once('=').ok_or(BadCloud::Form)? {
            ("aws", role) if is_role(role) => Ok(Self::Aws {
                role: role.to_owned(),
            }),
            ("aws", _) => Err(BadCloud::Role),
            ("gcp", who) => {
                let (provider, account) = match who.split_once(',') {
                    Some((provider, account)) => (provider, Some(account)),
                    None => (who, None),
                };
                if !is_provider(provider) {
                    return Err(BadCloud::Provider);
                }
                if !account.is_none_or(is_account) {
                    return Err(BadCloud::Account);
                }
                Ok(Self::Gcp {
                    provider: provider.to_owned(),
                    account: account.map(str::to_owned),
                })
            }
            ("azure", who) => {
                let (tenant, client) = who.split_once('/').ok_or(BadCloud::Azure)?;
                if [tenant, client]
                    .iter()
                    .any(|id| uuid::Uuid::try_parse(id).is_err())
                {
                    return Err(BadCloud::Azure);
                }
                let (tenant, client) = (tenant.to_owned(), client.to_owned());
                Ok(Self::Azure { tenant, client })
            }
            _ => Err(BadCloud::Form),
        }
    }
}

fn is_role(text: &str) -> bool {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let [arn, partition, iam, region, account, role] = parts.as_slice() else {
        return false;
    };
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let name = role
        .strip_prefix("role/")
        .is_some_and(|name| is_plain(name, "/+=,.@_-"));
    (*arn, *iam, *region) == ("arn", "iam", "") && partition.starts_with("aws") && digits && name
}

fn is_provider(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    let [p, number, l, global, pools, pool, providers, name] = parts.as_slice() else {
        return false;
    };
    (*p, *l, *global) == ("projects", "locations", "global")
        && (*pools, *providers) == ("workloadIdentityPools", "providers")
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && is_plain(pool, "-")
        && is_plain(name, "-")
}

fn is_account(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, project)| {
        is_plain(name, "-") && is_plain(project, ".-") && project.ends_with(".gserviceaccount.com")
    })
}

fn is_plain(text: &str, more: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

/// The name of the session in AWS's trail: 2 to 64 of `[\w+=,.@-]`. A long name keeps its end, which
/// tells runs apart.
fn session_name(task: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let name: String = format!("writ-{task}")
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    let start = name.len().saturating_sub(LONGEST_NAME);
    name.get(start..).unwrap_or_default().to_owned()
}

/// The `alg` of a token's header, believed by nobody.
fn algorithm(token: &Secret) -> Option<String> {
    let header = token.expose_str()?.split('.').next()?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    header.get("alg")?.as_str().map(str::to_owned)
}

fn without_nulls(mut document: Value) -> Value {
    if let Value::Object(members) = &mut document {
        members.retain(|_, value| !value.is_null());
    }
    document
}

const AWS: &[&str] = &[
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
];
/// The second is what `gcloud` itself reads.
const GCP: &[&str] = &[
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
];
const AZURE: &[&str] = &[
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    AZURE_HOST,
];
const AZURE_HOST: &str = "AZURE_AUTHORITY_HOST";
const AZURE_AUTHORITY: &str = "https://login.microsoftonline.com/";
const GCP_FILE: &str = "gcp.json";
const LONGEST_NAME: usize = 64;

const NOT_RS256: &str = "\
Azure takes tokens signed RS256 only, and the broker signs this one with another algorithm
  to mend: name an RSA key and the audience api://AzureADTokenExchange in the broker's `[svid]`";

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "aws=arn:aws:iam::123456789012:role/ci/deploy";
    const PROVIDER: &str =
        "gcp=projects/7/locations/global/workloadIdentityPools/ci/providers/writ";
    const AZURE_APP: &str =
        "azure=8d1f6f0c-0c5e-4a51-9a8b-1f2e7c1d5d1f/00000000-0c5e-4a51-9a8b-1f2e7c1d5d1f";

    #[test]
    fn each_cloud_is_asked_for_by_its_own_kind_of_name() {
        let audience = |text: &str| {
            let cloud: Cloud = text.parse().unwrap();
            cloud.audience().unwrap().as_str().to_owned()
        };
        assert_eq!(audience(ROLE), "sts.amazonaws.com");
        assert_eq!(
            audience(PROVIDER),
            "https://iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/ci/providers/writ"
        );
        assert_eq!(audience(AZURE_APP), "api://AzureADTokenExchange");
        let acting = format!("{PROVIDER},ci@app.iam.gserviceaccount.com");
        let Cloud::Gcp { account, .. } = acting.parse().unwrap() else {
            panic!("{acting}");
        };
        assert_eq!(account.as_deref(), Some("ci@app.iam.gserviceaccount.com"));
    }

    #[test]
    fn what_names_nobody_is_refused_before_anything_is_asked() {
        for (text, why) in [
            ("aws", BadCloud::Form),
            ("oci=x", BadCloud::Form),
            ("aws=deploy", BadCloud::Role),
            ("aws=arn:aws:iam::1:role/deploy", BadCloud::Role),
            ("aws=arn:aws:iam::123456789012:user/deploy", BadCloud::Role),
            ("aws=arn:aws:iam::123456789012:role/a b", BadCloud::Role),
            (
                "gcp=projects/app/locations/global/workloadIdentityPools/a/providers/b",
                BadCloud::Provider,
            ),
            (
                "gcp=projects/7/locations/global/workloadIdentityPools/a/providers/b/../c",
                BadCloud::Provider,
            ),
            (
                "gcp=projects/7/locations/global/workloadIdentityPools/a/providers/b,x@evil.example",
                BadCloud::Account,
            ),
            ("azure=common/app", BadCloud::Azure),
            (
                "azure=8d1f6f0c-0c5e-4a51-9a8b-1f2e7c1d5d1f",
                BadCloud::Azure,
            ),
        ] {
            assert_eq!(text.parse::<Cloud>(), Err(why), "{text}");
        }
    }

    #[test]
    fn keys_that_an_sdk_would_prefer_are_no_surprise_later() {
        for (cloud, name) in [
            (ROLE, "AWS_ACCESS_KEY_ID"),
            (ROLE, "AWS_PROFILE"),
            (AZURE_APP, "AZURE_CLIENT_SECRET"),
        ] {
            let cloud: Cloud = cloud.parse().unwrap();
            cloud.check(&|_| false).unwrap();
            let refused = cloud.check(&|set| set == name).unwrap_err();
            assert!(refused.to_string().starts_with(name), "{refused}");
        }
    }

    #[test]
    fn a_sessions_name_is_one_that_aws_takes_and_tells_runs_apart() {
        assert_eq!(
            session_name("github/812345/99/1"),
            "writ-github-812345-99-1"
        );
        let (one, other) = ("github/".to_owned() + &"9".repeat(70), "x/ä".to_owned());
        let one = session_name(&format!("{one}/1"));
        assert_eq!((one.len(), one.ends_with("9-1")), (64, true));
        assert_eq!(session_name(&other), "writ-x--");
    }
}
