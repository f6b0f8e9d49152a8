//! What somebody may have meant who wrote a name that nothing has.

/// The known name that is written most like this one, if any is written much like it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|known| (slips(name, known), known))
        .filter(|(slips, _)| *slips <= far)
        .min()
        .map(|(_, known)| known)
}

/// How many letters are to be put in, left out, changed, or exchanged with their neighbour (the distance of
/// Damerau and Levenshtein, each place touched once).
fn slips(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let changed = at(&last, j) + usize::from(a != b);
            let mut fewest = changed.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let crossed =
                i > 0 && j > 0 && other.get(j - 1) == Some(a) && one.get(i - 1) == Some(b);
            if crossed {
                fewest = fewest.min(at(&before, j - 1) + 1);
            }
            row.push(fewest);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = [
        "repository_id",
        "repository_owner_id",
        "ref",
        "ref_type",
        "profile",
    ];

    #[test]
    fn a_slip_of_the_pen_leads_to_what_was_meant() {
        for (written, meant) in [
            ("repositry_id", "repository_id"),
            ("repoistory_id", "repository_id"),
            ("repositories_id", "repository_id"),
            ("profil", "profile"),
            ("rfe", "ref"),
            ("ref_typ", "ref_type"),
        ] {
            assert_eq!(nearest(written, KNOWN), Some(meant), "{written}");
        }
    }

    #[test]
    fn what_is_like_nothing_leads_nowhere() {
        for written in ["", "team", "a", "xxxxxxxxxxxxxxxxxxxxxxxx"] {
            assert_eq!(nearest(written, KNOWN), None, "{written}");
        }
    }

    #[test]
    fn slips_are_counted_one_by_one() {
        for (one, other, count) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("ab", "ba", 1),
            ("abc", "adc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(slips(one, other), count, "{one} {other}");
        }
    }
}
