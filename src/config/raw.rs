//! The file as it is written: every key that exists, and its type. Nothing is judged here. The
//! reference in `docs/` names each of these keys.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

pub(super) type Text = Spanned<String>;

/// A string, or a list of strings.
#[derive(Debug, Default)]
pub(super) struct OneOrMany(pub(super) Vec<String>);

pub(super) type Texts = Spanned<OneOrMany>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFile {
    pub(super) trust_domain: Option<Text>,
    pub(super) issuer: Option<Text>,
    #[serde(default)]
    pub(super) policies: Vec<Text>,
    pub(super) shipped_policies: Option<bool>,
    pub(super) listen: Option<Spanned<RawListen>>,
    pub(super) operators: Option<Spanned<RawOperators>>,
    pub(super) store: Option<RawStore>,
    pub(super) keys: Option<Spanned<RawKeys>>,
    pub(super) svid: Option<Spanned<RawSvid>>,
    pub(super) telemetry: Option<RawTelemetry>,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) source: Vec<Spanned<RawSource>>,
    #[serde(default)]
    pub(super) desk: Vec<Spanned<RawDesk>>,
    #[serde(default)]
    pub(super) resource_server: Vec<RawResourceServer>,
    #[serde(default)]
    pub(super) profile: Vec<Spanned<RawProfile>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawListen {
    pub(super) address: Text,
    pub(super) certificate: Option<Text>,
    pub(super) key: Option<Text>,
    pub(super) issued_for: Option<Spanned<Vec<Text>>>,
    pub(super) proxies: Option<Spanned<Vec<Text>>>,
    pub(super) client_address: Option<Text>,
    pub(super) metrics: Option<Text>,
    pub(super) admin_socket: Option<Text>,
    pub(super) admin_uids: Option<Spanned<Vec<u32>>>,
    pub(super) drain: Option<Text>,
    pub(super) max_connections: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOperators {
    pub(super) address: Text,
    pub(super) certificate: Option<Text>,
    pub(super) key: Option<Text>,
    pub(super) issued_for: Option<Spanned<Vec<Text>>>,
    pub(super) proxies: Option<Spanned<Vec<Text>>>,
    pub(super) client_address: Option<Text>,
    pub(super) issuer: Text,
    pub(super) client_id: Text,
    pub(super) scopes: Option<Spanned<Vec<Text>>>,
    pub(super) algorithms: Option<Spanned<Vec<Text>>>,
    pub(super) max_token_age: Option<Text>,
    pub(super) groups_claim: Option<Text>,
    #[serde(default)]
    pub(super) role: BTreeMap<Text, Spanned<RawRole>>,
    #[serde(default)]
    pub(super) allowed_networks: Vec<Text>,
    pub(super) ca_file: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRole {
    #[serde(default)]
    pub(super) subjects: Vec<Text>,
    #[serde(default)]
    pub(super) groups: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    pub(super) sqlite: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeys {
    pub(super) file: Option<Text>,
    pub(super) descriptor: Option<Spanned<u32>>,
    pub(super) rotate_after: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSvid {
    pub(super) issuer: Option<Text>,
    pub(super) publish_ahead: Option<Text>,
    #[serde(default)]
    pub(super) rsa_key_files: Vec<Text>,
    #[serde(default)]
    pub(super) rs256_audiences: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTelemetry {
    pub(super) endpoint: Text,
    pub(super) sampling: Option<Spanned<f64>>,
    pub(super) token_file: Option<Text>,
    pub(super) token_header: Option<Text>,
    #[serde(default)]
    pub(super) allowed_networks: Vec<Text>,
    pub(super) ca_file: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) staleness: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    pub(super) name: Text,
    pub(super) preset: Text,
    pub(super) issuer: Text,
    pub(super) audience: Option<Text>,
    pub(super) algorithms: Option<Spanned<Vec<Text>>>,
    pub(super) max_token_age: Option<Text>,
    pub(super) api: Option<Spanned<RawApi>>,
    #[serde(default)]
    pub(super) claims: BTreeMap<Text, Spanned<RawClaim>>,
    #[serde(default)]
    pub(super) webhook_secret_files: Vec<Text>,
    #[serde(default)]
    pub(super) allowed_networks: Vec<Text>,
    pub(super) ca_file: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApi {
    pub(super) url: Text,
    pub(super) token_file: Option<Text>,
    pub(super) token_secret: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClaim {
    pub(super) at: Option<Text>,
    pub(super) is: Texts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDesk {
    pub(super) name: Text,
    pub(super) api: Spanned<RawDeskApi>,
    pub(super) case: RawCase,
    pub(super) webhook: Option<RawDeskWebhook>,
    #[serde(default)]
    pub(super) allowed_networks: Vec<Text>,
    pub(super) ca_file: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDeskApi {
    pub(super) url: Text,
    pub(super) token_file: Option<Text>,
    pub(super) token_secret: Option<Text>,
    pub(super) token_scheme: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDeskWebhook {
    pub(super) secret_files: Spanned<Vec<Text>>,
    pub(super) case: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCase {
    pub(super) path: Text,
    pub(super) id: Text,
    #[serde(default)]
    pub(super) id_prefixes: Vec<Text>,
    pub(super) version: Option<Text>,
    pub(super) status: Spanned<RawStatus>,
    #[serde(default)]
    pub(super) field: BTreeMap<Text, RawField>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStatus {
    pub(super) at: Text,
    pub(super) open: Vec<Text>,
    #[serde(default)]
    pub(super) pending: Vec<Text>,
    #[serde(default)]
    pub(super) closed: Vec<Text>,
    #[serde(default, rename = "final")]
    pub(super) last: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawField {
    pub(super) at: Text,
    pub(super) writable_by: Option<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawResourceServer {
    pub(super) name: Text,
    pub(super) audiences: Spanned<Vec<Text>>,
    pub(super) secret_sha256: Option<Text>,
    pub(super) spiffe_id: Option<Text>,
    #[serde(default)]
    pub(super) place: BTreeMap<Text, Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfile {
    pub(super) name: Text,
    pub(super) source: Text,
    #[serde(rename = "match")]
    pub(super) matches: Spanned<BTreeMap<Text, Texts>>,
    pub(super) task: Option<Text>,
    pub(super) task_scope: Option<Text>,
    pub(super) case_of: Option<Text>,
    pub(super) opens_when: Option<Spanned<BTreeMap<Text, Text>>>,
    pub(super) instance: Text,
    pub(super) deadline: Option<Text>,
    pub(super) token_ttl: Option<Text>,
    pub(super) lease_ttl: Option<Text>,
    pub(super) certificate_ttl: Option<Text>,
    pub(super) permit_ttl: Option<Text>,
    pub(super) session_ttl: Option<Text>,
    pub(super) renewal: Option<Text>,
    pub(super) sender: Option<Text>,
    pub(super) evidence_uses: Option<Spanned<u32>>,
    pub(super) reads_recorded: Option<Text>,
    pub(super) approvals: Option<Spanned<u32>>,
    pub(super) approval_ttl: Option<Text>,
    #[serde(default)]
    pub(super) allow: Vec<Text>,
    #[serde(default)]
    pub(super) binding: Vec<Spanned<RawBinding>>,
    #[serde(default)]
    pub(super) grant: BTreeMap<Text, Spanned<RawGrant>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBinding {
    pub(super) record: Text,
    #[serde(default)]
    pub(super) require: BTreeMap<Text, Texts>,
    #[serde(default)]
    pub(super) pin: Vec<Text>,
    pub(super) max_age: Text,
    pub(super) via: Spanned<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrant {
    #[serde(default)]
    pub(super) audiences: Vec<Text>,
    #[serde(default)]
    pub(super) scopes: Vec<Text>,
    #[serde(default)]
    pub(super) secrets: Vec<Text>,
    #[serde(default)]
    pub(super) jwt_svids: Vec<Text>,
    #[serde(default)]
    pub(super) x509_svid: bool,
    #[serde(default)]
    pub(super) reads: Vec<Text>,
    #[serde(default)]
    pub(super) writes: Vec<Text>,
    #[serde(default)]
    pub(super) resource: Vec<Spanned<RawResource>>,
    pub(super) uses: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawResource {
    #[serde(rename = "type")]
    pub(super) kind: Text,
    pub(super) id: Option<Text>,
    #[serde(default)]
    pub(super) properties: BTreeMap<Text, Text>,
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = seq.next_element()? {
                    all.push(text);
                }
                Ok(OneOrMany(all))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
pub(super) mod fields {
    //! The keys of the raw structs, asked of serde itself.

    use serde::de::value::Error;
    use serde::de::{Error as _, Visitor};
    use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

    use super::*;

    struct Ask<'a>(&'a mut Vec<&'static str>);

    impl<'de> Deserializer<'de> for Ask<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("only structs are asked"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            self.0.extend(fields);
            Err(Error::custom("asked"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    fn of<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
        let mut found = Vec::new();
        assert!(T::deserialize(Ask(&mut found)).is_err());
        assert!(!found.is_empty());
        found
    }

    /// Every key, with the table that it stands in.
    pub(in crate::config) fn all() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![
            ("top level", of::<RawFile>()),
            ("[listen]", of::<RawListen>()),
            ("[operators]", of::<RawOperators>()),
            ("[operators.role.NAME]", of::<RawRole>()),
            ("[store]", of::<RawStore>()),
            ("[keys]", of::<RawKeys>()),
            ("[svid]", of::<RawSvid>()),
            ("[telemetry]", of::<RawTelemetry>()),
            ("[limits]", of::<RawLimits>()),
            ("[[source]]", of::<RawSource>()),
            ("[source.api]", of::<RawApi>()),
            ("[source.claims.NAME]", of::<RawClaim>()),
            ("[[desk]]", of::<RawDesk>()),
            ("[desk.api]", of::<RawDeskApi>()),
            ("[desk.case]", of::<RawCase>()),
            ("[desk.case.status]", of::<RawStatus>()),
            ("[desk.case.field.NAME]", of::<RawField>()),
            ("[desk.webhook]", of::<RawDeskWebhook>()),
            ("[[resource_server]]", of::<RawResourceServer>()),
            ("[[profile]]", of::<RawProfile>()),
            ("[[profile.binding]]", of::<RawBinding>()),
            ("[profile.grant.NAME]", of::<RawGrant>()),
            ("[[profile.grant.NAME.resource]]", of::<RawResource>()),
        ]
    }
}
