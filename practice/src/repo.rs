//! A repository and its environments. An environment keeps its id while its rules are edited;
//! deleting and making it again gives another id under the same name.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::error::WorldError;
use crate::spec::{NewRepo, Rules, SubjectForm, Visibility};

/// Gives each number once.
#[derive(Clone)]
pub(crate) struct Counter(u64);

impl Counter {
    pub(crate) fn from(first: u64) -> Self {
        Self(first)
    }

    pub(crate) fn take(&mut self) -> u64 {
        let taken = self.0;
        self.0 += 1;
        taken
    }
}

pub(crate) struct Environment {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) rules: Rules,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

pub(crate) struct Repo {
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) owner_id: u64,
    pub(crate) name: String,
    pub(crate) subject: SubjectForm,
    pub(crate) visibility: Visibility,
    pub(crate) default_branch: String,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) run_numbers: Counter,
    environments: BTreeMap<String, Environment>,
    workflows: BTreeMap<String, u64>,
}

impl Repo {
    pub(crate) fn new(new: NewRepo, owner_id: u64, id: u64, now: OffsetDateTime) -> Self {
        Self {
            id,
            owner: new.owner,
            owner_id,
            name: new.name,
            subject: new.subject,
            visibility: new.visibility,
            default_branch: new.default_branch,
            properties: new.properties,
            created_at: now,
            run_numbers: Counter::from(1),
            environments: BTreeMap::new(),
            workflows: BTreeMap::new(),
        }
    }

    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(crate) fn visibility(&self) -> &'static str {
        match self.visibility {
            Visibility::Public => "public",
            Visibility::Private => "private",
            Visibility::Internal => "internal",
        }
    }

    /// The environment of that name; names are compared without regard to case.
    pub(crate) fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments.get(&name.to_lowercase())
    }

    pub(crate) fn create_environment(
        &mut self,
        name: &str,
        rules: Rules,
        replace: bool,
        ids: &mut Counter,
        now: OffsetDateTime,
    ) -> Result<u64, WorldError> {
        match (self.environment(name), replace) {
            (Some(_), false) => {
                return Err(WorldError::Exists {
                    kind: "environment",
                    name: name.to_owned(),
                });
            }
            (None, true) => return Err(WorldError::unknown("environment", name)),
            (Some(_), true) | (None, false) => {}
        }
        if self.environments.len() >= MAX_ENVIRONMENTS {
            return Err(WorldError::Full {
                kind: "environments",
                limit: MAX_ENVIRONMENTS,
            });
        }
        let id = ids.take();
        let name = name.to_owned();
        let made = Environment {
            id,
            rules,
            created_at: now,
            updated_at: now,
            name,
        };
        self.environments.insert(made.name.to_lowercase(), made);
        Ok(id)
    }

    /// A job that names an environment which does not exist makes it, unprotected.
    pub(crate) fn ensure_environment(
        &mut self,
        name: &str,
        ids: &mut Counter,
        now: OffsetDateTime,
    ) {
        self.environments
            .entry(name.to_lowercase())
            .or_insert_with(|| Environment {
                id: ids.take(),
                name: name.to_owned(),
                rules: Rules::default(),
                created_at: now,
                updated_at: now,
            });
    }

    /// Replaces the rules; the environment stays the same one.
    pub(crate) fn edit_environment(
        &mut self,
        name: &str,
        rules: Rules,
        now: OffsetDateTime,
    ) -> Result<u64, WorldError> {
        let environment = self
            .environments
            .get_mut(&name.to_lowercase())
            .ok_or_else(|| WorldError::unknown("environment", name))?;
        environment.rules = rules;
        environment.updated_at = now;
        Ok(environment.id)
    }

    pub(crate) fn delete_environment(&mut self, name: &str) -> Result<u64, WorldError> {
        self.environments
            .remove(&name.to_lowercase())
            .map(|environment| environment.id)
            .ok_or_else(|| WorldError::unknown("environment", name))
    }

    pub(crate) fn workflow_id(&mut self, path: &str, ids: &mut Counter) -> u64 {
        *self
            .workflows
            .entry(path.to_owned())
            .or_insert_with(|| ids.take())
    }
}

const MAX_ENVIRONMENTS: usize = 1_000;
