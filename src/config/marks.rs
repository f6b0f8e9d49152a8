//! By what one configuration is told from another: what may be replaced while a broker runs, and what may not.
//! Digests are kept and no values, since some of them are secrets.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::domain::key::Digest;
use crate::domain::name::ProfileName;

/// What a configuration says, each part by a digest over it. Comments and the order of keys are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    pub profiles: BTreeMap<ProfileName, Digest>,
    /// Every other section by its name.
    fixed: BTreeMap<String, Digest>,
    /// Secrets and certificates: by what they are called there, the line that calls them so, and the content.
    files: BTreeMap<Digest, (usize, Digest)>,
}

impl Marks {
    pub(super) fn new(text: &str, files: BTreeMap<Digest, (usize, Digest)>) -> Self {
        let table: Table = text.parse().unwrap_or_default();
        let mut marks = Self {
            files,
            ..Self::default()
        };
        for (key, value) in &table {
            match key.as_str() {
                "profile" => marks.profiles = profiles(value),
                // These are policies, which are told from one another by themselves.
                "policies" | "shipped_policies" => {}
                fixed => {
                    marks.fixed.insert(fixed.to_owned(), mark(value));
                }
            }
        }
        marks
    }

    /// What differs and takes effect by a restart alone, each by its name.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let all = self.fixed.keys().chain(other.fixed.keys());
        let differs = |key: &&String| self.fixed.get(*key) != other.fixed.get(*key);
        let mut found: Vec<_> = all.filter(differs).map(|key| format!("`{key}`")).collect();
        found.sort_unstable();
        found.dedup();
        // Where the names differ, a section does, which is told already.
        let files = other.files.iter().filter(|(name, (_, content))| {
            let before = self.files.get(*name);
            before.is_some_and(|(_, before)| before != content)
        });
        found.extend(files.map(|(_, (line, _))| format!("the file that line {line} names")));
        found
    }
}

fn profiles(value: &Value) -> BTreeMap<ProfileName, Digest> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|profile| {
        let name = profile.get("name")?.as_str()?.parse().ok()?;
        Some((name, mark(profile)))
    })
    .collect()
}

fn mark(value: &Value) -> Digest {
    Digest::of(&[value.to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "issuer = \"https://a\"\npolicies = [\"x\"]\n[limits]\nstaleness = \"5s\"\n[[profile]]\nname = \"deploy\"\nallow = []\n";

    fn marks(text: &str) -> Marks {
        Marks::new(text, BTreeMap::new())
    }

    #[test]
    fn form_and_order_are_no_difference() {
        let other = "# said otherwise\n[[profile]]\nallow = []\nname = 'deploy'\n";
        let other =
            format!("policies = []\nissuer = 'https://a'\nlimits.staleness = '5s'\n{other}");
        assert_eq!(marks(ONE), marks(&other));
    }

    #[test]
    fn a_profile_that_changes_is_another_and_any_other_section_is_told_by_name() {
        let changed = marks(&ONE.replace("allow = []", "allow = ['self-hosted']"));
        assert_ne!(marks(ONE).profiles, changed.profiles);
        assert_eq!(marks(ONE).differing(&changed), [""; 0]);
        let changed = marks(&ONE.replace("5s", "6s").replace("https://a", "https://b"));
        assert_eq!(marks(ONE).differing(&changed), ["`issuer`", "`limits`"]);
        let added = marks(&format!("{ONE}[listen]\n"));
        assert_eq!(marks(ONE).differing(&added), ["`listen`"]);
        assert_eq!(added.differing(&marks(ONE)), ["`listen`"]);
    }

    #[test]
    fn a_file_that_holds_something_else_is_told_by_its_line_and_not_by_its_name() {
        let of = |line, content: &[u8]| {
            let files = [(Digest::of(&[b"name"]), (line, Digest::of(&[content])))];
            Marks::new(ONE, files.into())
        };
        assert_eq!(of(3, b"a").differing(&of(9, b"a")), [""; 0]);
        assert_eq!(
            of(3, b"a").differing(&of(9, b"b")),
            ["the file that line 9 names"]
        );
    }
}
