//! Where an enforcement point stands: what its registration says of it, and what a grant may demand. It is never
//! taken from an address, and never from what the enforcement point says of itself in a question.

use std::collections::BTreeMap;

use crate::domain::action::Resource;

/// What is said of a place, by name: its region, its environment. Empty for who stands nowhere in particular.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place(BTreeMap<String, String>);

impl Place {
    /// Each by its plain name.
    pub fn new(said: impl IntoIterator<Item = (String, String)>) -> Self {
        let said = said.into_iter();
        Self(
            said.map(|(name, text)| (format!("{LED_BY}{name}"), text))
                .collect(),
        )
    }

    /// Puts what is known of the place where a resource is asked about among what is said of the resource, over
    /// whatever was said of it.
    pub fn mark(&self, resource: &mut Resource) {
        resource.properties.retain(|name, _| !is_of_place(name));
        let known = self.0.iter();
        let known = known.map(|(name, text)| (name.clone(), text.clone()));
        resource.properties.extend(known);
    }
}

/// Whether a property says where a resource is asked about.
pub fn is_of_place(property: &str) -> bool {
    property.starts_with(LED_BY)
}

const LED_BY: &str = "place.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_place_in_a_question_counts_for_nothing() {
        let said = [
            ("place.region", "eu-1"),
            ("place.host", "h"),
            ("account", "AC-9"),
        ];
        let said = said.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let mut resource = Resource {
            kind: "order".parse().unwrap(),
            id: "7".parse().unwrap(),
            properties: said.into(),
        };
        Place::new([("region".to_owned(), "us-1".to_owned())]).mark(&mut resource);
        let known: Vec<_> = resource.properties.iter().collect();
        let known: Vec<_> = known
            .iter()
            .map(|(n, t)| (n.as_str(), t.as_str()))
            .collect();
        assert_eq!(known, [("account", "AC-9"), ("place.region", "us-1")]);
    }
}
