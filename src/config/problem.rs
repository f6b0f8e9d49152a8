//! What is wrong with a configuration: where, which rule, and what would mend it. A problem never
//! repeats a value that could be a secret.

use std::fmt;

/// One thing that is wrong, or unwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    pub rule: Rule,
    pub what: String,
    pub mend: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, line, column, ..
        } = self;
        write!(f, "{file}:{line}:{column}: {}: {}", self.rule, self.what)?;
        write!(f, "\n  mend: {}", self.mend)
    }
}

macro_rules! rules {
    ($($name:ident = $code:literal: $mend:literal,)*) => {
        /// A rule that a configuration can break. Its code is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!("`", $code, "`")] $name,)*
        }

        impl Rule {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code that is printed and documented.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// What to do about it.
            pub const fn mend(self) -> &'static str {
                match self {
                    $(Self::$name => $mend,)*
                }
            }
        }
    };
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

rules! {
    // The file.
    Unreadable = "unreadable": "name a regular file that the broker's user can read and that is not larger than its limit",
    Syntax = "syntax": "write it as TOML 1.0",
    UnknownKey = "unknown_key": "remove the key, or spell it as the reference does",
    Shape = "shape": "give the key, with a value of the type that the reference names",
    Missing = "missing": "give the key",

    // Values.
    Name = "name": "use 1 to 63 characters of a-z 0-9 . _ - and start with a letter or digit",
    Duplicate = "duplicate": "give each its own name",
    Value = "value": "use one of the values that the reference names",
    EmptyList = "empty_list": "name at least one",
    OutOfRange = "out_of_range": "choose a value inside the range",
    Url = "url": "write one absolute URL in normal form: https, lower-case host, no pattern, query, fragment or trailing slash",
    Contradiction = "contradiction": "remove one of the two",

    // Listeners.
    PlainHttpExposed = "plain_http_exposed": "give `certificate` and `key`, or `issued_for`, or listen on a loopback address",
    IssuerScheme = "issuer_scheme": "use an https issuer; http only on loopback and without a certificate",

    CertificateWithoutTls = "certificate_without_tls": "give `[listen]` a certificate, or the server a `secret_sha256`",

    IssuerNotNamed = "issuer_not_named": "name the issuer's host as well: that is whom clients ask",

    // Operators who are elsewhere.
    OperatorsIssuerShared = "operators_issuer_shared": "use another provider, or a realm of its own, for people: whoever can have a job's token made must not command",
    OperatorByName = "operator_by_name": "name people by `sub` and groups by their ids: names and e-mail addresses are given away and taken",

    // Secret files.
    SecretMode = "secret_mode": "chmod 0600 the file, or 0640 with the broker's group",
    SecretOwner = "secret_owner": "chown the file to root or to the user that runs the broker",
    SecretWeak = "secret_weak": "generate it: at least 16 characters of randomness",

    // JWT-SVIDs.
    RsaKey = "rsa_key": "make it by `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`",
    RsaWithoutKey = "rsa_without_key": "give `rsa_key_files`: the broker makes no RSA keys itself",
    SvidIssuerShared = "svid_issuer_shared": "leave the key out, or name a URL of its own",

    PlainHttpCollector = "plain_http_collector": "use https, or an agent of the collector on a loopback address",

    // Sources.
    PlainHttpSource = "plain_http_source": "use https; plain http only to loopback while every listener is on loopback",
    AudienceEmpty = "audience_empty": "name the audience that callers must ask their tokens for, or leave the key out to use the broker's issuer",
    AudienceShared = "audience_shared": "use an audience that only this broker takes; leave the key out to use its issuer",
    AlgorithmSymmetric = "algorithm_symmetric": "name asymmetric algorithms only: RS256, PS256, ES256, ES384, EdDSA, ...",
    NetworkTooWide = "network_too_wide": "name the networks that the service really lives in; never link-local",
    HooksUnsupported = "hooks_unsupported": "remove `webhook_secret_files`: this vendor sends no webhooks",
    MappingIncomplete = "mapping_incomplete": "give a `[source.claims.NAME]` table for at least one id",
    PullUnsupported = "pull_unsupported": "remove `api`: this vendor's state cannot be read",
    SourceAmbiguous = "source_ambiguous": "keep one source for this issuer",

    // What a profile matches.
    SourceUnknown = "source_unknown": "name a configured source",
    MatchWithoutId = "match_without_id": "match `repository_id` or `repository_owner_id` (GitLab: `project_id`, `namespace_id`; Kubernetes: `serviceaccount_uid`): names can be given away and taken",
    MatchOnSubject = "match_on_subject": "match the claims that `sub` is made of: ids, `environment`, `job_workflow_ref`",
    MatchOnToken = "match_on_token": "remove it: the broker judges this claim itself",
    MatchPattern = "match_pattern": "list each value in full; values are compared, not matched",
    ClaimUnknown = "claim_unknown": "use a claim that this vendor's tokens carry",
    IdNotNumber = "id_not_number": "use the id, which is a number, or on Kubernetes a uid, not the name",
    WorkflowNotPinned = "workflow_not_pinned": "write owner/repo/path@refs/heads/branch, @refs/tags/tag or @ and 40 hexadecimal digits",

    // How it names tasks and instances.
    Template = "template": "use text and {claim} placeholders of ids and single words, joined by /",
    TemplateAmbiguous = "template_ambiguous": "put at most one placeholder between two slashes",
    TaskWithoutRun = "task_without_run": "name the task by the run and its attempt, as in {run_id}/{run_attempt}: a second attempt is another task",
    TaskScopeImpossible = "task_scope_impossible": "leave `task_scope` out, or say `run`: where nothing names a job, the run is the task (for `oidc`, map a claim that is = \"instance\" and another that is = \"run\")",
    InstanceNotUnique = "instance_not_unique": "name the instance by the job's own id: {check_run_id} (GitLab: {job_id}; Kubernetes: {pod_uid})",

    // Which case it is for.
    OpensWhenMissing = "opens_when_missing": "tie a field of the case to an id that evidence proves, as in opens_when = { assignee = \"agent_id\" }",
    OpensWhenClaim = "opens_when_claim": "name a claim that is an id: whoever can come to have the claim could open the case",
    OpensWhenWriters = "opens_when_writers": "say in the desk's field who can write it, as in writable_by = []: sources by name, services by audience",
    OpensWhenWritable = "opens_when_writable": "use a field that such a workload cannot write, or take the right to write it away at the desk and then from `writable_by`",
    CaseUnbound = "case_unbound": "give `case_of` and a binding of the record `case` with a required `status` together",

    // What it binds to.
    BindingField = "binding_field": "use a field that this record has",
    BindingValue = "binding_value": "require a value that the field can have and that does not end the task",
    BindingEmpty = "binding_empty": "require or pin at least one field",
    BindingUnseen = "binding_unseen": "observe it by `pull`, or leave the field out",
    BindingWithoutClaim = "binding_without_claim": "match `environment` too: evidence without it names no environment record",
    ViaWithoutApi = "via_without_api": "give the source an `api`, or leave `pull` out",
    ProofOnce = "proof_once": "leave `issuer-proof` out: this vendor mints one token per job, so it proves nothing later",
    MaxAge = "max_age": "choose from 1s to 5m",

    // What it grants.
    GrantEmpty = "grant_empty": "grant an audience, a secret or an SVID, or remove the grant",
    ActsIncomplete = "acts_incomplete": "give the grant actions (`reads`, `writes`), a `[[profile.grant.NAME.resource]]` that they are for, and in `audiences` the services that ask",
    UsesMixed = "uses_mixed": "put the writes that are counted into a grant of their own",
    ActTwice = "act_twice": "list an action under `writes` alone if it changes anything",
    ResourceUnbound = "resource_unbound": "bind the profile to the record, and name one of its fields",
    ProfileWithoutGrant = "profile_without_grant": "give the profile a grant, or remove it",
    SecretsWithoutBinding = "secrets_without_binding": "bind the profile to the job or the run, so that the grant ends with it",
    SecretsForAnyWorkflow = "secrets_for_any_workflow": "match `job_workflow_ref`, or `environment` together with the repository's own id (Kubernetes: `serviceaccount_uid`)",
    SecretsForUnmerged = "secrets_for_unmerged": "grant secrets in a profile of their own, which does not allow `pull-request`",

    // For how long.
    Lifetime = "lifetime": "tokens and leases live from 1s to 15m, certificates at most 1h, tasks at most 24h, those of a case at most 30d",
    LifetimeOrder = "lifetime_order": "keep token_ttl <= session_ttl <= deadline",
    SenderImpossible = "sender_impossible": "use `sender = \"optional\"`: a session can still be bound to a key that the job shows",
    RenewalUnwatched = "renewal_unwatched": "leave `renewal` out: the workload shows another SVID, which is judged with what it rests on",
    RenewalImpossible = "renewal_impossible": "use `renewal = \"handle\"`: this vendor mints one token per job",

    // Unwise, but not refused.
    AudienceUnused = "audience_unused": "grant the audience in a profile, or remove it here",
    AnyWorkflow = "any_workflow": "match `environment`, `job_workflow_ref` or `ref` as well",
    OwnSecretGranted = "own_secret_granted": "grant a path elsewhere",
    TokenSecretPlace = "token_secret_place": "keep the token below writ/, where no profile can grant it: writ secret put writ/NAME",
    ApiWithoutToken = "api_without_token": "give `token_file` or `token_secret`: without it the vendor answers few requests, and none about private repositories",
    EnvironmentUnbound = "environment_unbound": "bind the profile to the `environment` record and pin its `protection_rules`",
    LeaseOutlivesToken = "lease_outlives_token": "keep lease_ttl <= token_ttl: a lease ends with the token it was read with",
    NothingGranted = "nothing_granted": "configure a source, a profile, and the shipped or your own policies",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_each_says_what_to_do() {
        let codes: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.code()).collect();
        assert_eq!(codes.len(), Rule::ALL.len());
        assert!(Rule::ALL.iter().all(|rule| !rule.mend().is_empty()));
    }
}
