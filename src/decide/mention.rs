//! What the loaded policies name. A group that no policy names cannot change a decision, nor can an
//! attribute that none reads, so neither is built for each request; most of the cost of a decision
//! would otherwise go into them.
//!
//! Entities are compared by their ids alone, and strict validation refuses to compare a context with
//! a record that lacks a required attribute, so what is left out cannot be missed either. Optional
//! attributes of the context do not have that protection and are never left out.

use std::collections::{HashMap, HashSet};

use cedar_policy::{EntityTypeName, EntityUid};
use serde_json::Value;

use crate::decide::load::Rule;

/// The entities that policies name, and every text in them, attribute names among it.
pub(super) struct Mentions {
    by_type: HashMap<EntityTypeName, Named>,
    texts: HashSet<String>,
}

/// The named entities of one type, by id.
#[derive(Default)]
pub(super) struct Named(HashMap<Box<str>, EntityUid>);

impl Mentions {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut by_type: HashMap<EntityTypeName, Named> = HashMap::new();
        let mut texts = HashSet::new();
        for rule in rules {
            for entity in rule.policy.entity_literals() {
                let named = by_type.entry(entity.type_name().clone()).or_default();
                named.0.insert(entity.id().unescaped().into(), entity);
            }
            collect_texts(&rule.form, &mut texts);
        }
        Self { by_type, texts }
    }

    /// The named entities of one type; taken once, at load.
    pub(super) fn take(&mut self, kind: &EntityTypeName) -> Named {
        self.by_type.remove(kind).unwrap_or_default()
    }

    /// Whether some policy may read an attribute of this name.
    pub(super) fn reads(&self, attribute: &str) -> bool {
        self.texts.contains(attribute)
    }
}

impl Named {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entity of this id, if a policy names it.
    pub(super) fn get(&self, id: &str) -> Option<EntityUid> {
        self.0.get(id).cloned()
    }
}

fn collect_texts(form: &Value, texts: &mut HashSet<String>) {
    let mut left = vec![form];
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) => {
                texts.insert(text.clone());
            }
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => {
                texts.extend(fields.keys().cloned());
                left.extend(fields.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
