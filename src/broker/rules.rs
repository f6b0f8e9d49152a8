//! What is decided by: the profiles and the policies, one set that is replaced as a whole. A verb takes the set
//! that is in force and goes its whole way with it; a change that was decided by another set than the ledger
//! holds to is refused there, and is decided again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::broker::profiles::Profiles;
use crate::decide::engine::PolicySet;
use crate::domain::grant::Audience;
use crate::domain::key::Digest;
use crate::domain::name::ProfileName;
use crate::domain::profile::TaskProfile;

/// One set of profiles and policies.
pub struct Rules {
    pub profiles: Profiles,
    pub policies: PolicySet,
    profile_marks: BTreeMap<ProfileName, Digest>,
}

/// A profile, and the policies that decide inside it.
#[derive(Clone, Copy)]
pub struct Under<'a> {
    pub profile: &'a TaskProfile,
    pub policies: &'a PolicySet,
}

/// The rules that are in force.
pub struct InForce {
    rules: ArcSwap<Rules>,
    /// What the ledger holds every change to.
    ledger: Arc<ArcSwap<Digest>>,
    /// One replaces them at a time.
    pub(in crate::broker) turn: tokio::sync::Mutex<()>,
}

impl Rules {
    /// `marks` tell each profile from what it was before. The policies are then known by them too: what was
    /// decided under another profile was decided by another set.
    pub fn new(
        profiles: Vec<TaskProfile>,
        marks: BTreeMap<ProfileName, Digest>,
        policies: PolicySet,
        own: &Audience,
    ) -> Self {
        Self {
            profiles: Profiles::new(profiles, own),
            policies: policies.beside(terms(&marks)),
            profile_marks: marks,
        }
    }

    /// Which rules these are.
    pub const fn digest(&self) -> Digest {
        self.policies.digest()
    }

    pub(in crate::broker) const fn profile_marks(&self) -> &BTreeMap<ProfileName, Digest> {
        &self.profile_marks
    }

    pub fn under(&self, profile: &ProfileName) -> Option<Under<'_>> {
        Some(Under {
            profile: self.profiles.named(profile)?,
            policies: &self.policies,
        })
    }
}

impl InForce {
    pub fn new(rules: Rules, ledger: Arc<ArcSwap<Digest>>) -> Self {
        ledger.store(Arc::new(rules.digest()));
        Self {
            rules: ArcSwap::from_pointee(rules),
            ledger,
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// The set to decide by, from the first look at a profile to the answer.
    pub fn now(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Whether these are still the ones.
    pub(in crate::broker) fn are(&self, rules: &Rules) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.rules.load()), rules)
    }

    /// From here on nothing is admitted that was decided by the rules before.
    pub(in crate::broker) fn replace(&self, rules: Rules) {
        self.ledger.store(Arc::new(rules.digest()));
        self.rules.store(Arc::new(rules));
    }
}

/// By what all profiles together are told from what they were.
pub fn terms(marks: &BTreeMap<ProfileName, Digest>) -> Digest {
    let parts: Vec<&[u8]> = marks
        .iter()
        .flat_map(|(name, mark)| [name.as_str().as_bytes(), mark.as_bytes().as_slice()])
        .collect();
    Digest::of(&parts)
}
