//! Texts from elsewhere on their way to a terminal. Names of branches and reasons are other people's:
//! none of them may move the cursor, change a colour or turn the direction of reading.

use std::fmt::Write as _;

/// The text with every character escaped that a terminal would act on.
pub(super) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            // Writing to a String does not fail.
            write!(safe, "{}", c.escape_unicode()).ok();
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A duration in a word, as precise as it is short.
pub(super) fn age(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}

/// Controls, and the invisible characters that reorder or hide text.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{061c}'
            | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_name_cannot_command_a_terminal() {
        assert_eq!(plain("main"), "main");
        assert_eq!(plain("größe/ünïcode"), "größe/ünïcode");
        assert_eq!(plain("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(plain("a\nwrit: done"), "a\\u{a}writ: done");
        for c in ['\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{7f}'] {
            assert!(!plain(&format!("x{c}y")).contains(c));
        }
    }

    #[test]
    fn an_age_is_short() {
        assert_eq!(age(12), "12 ms");
        assert_eq!(age(2_150), "2.1 s");
        assert_eq!(age(150_000), "2 min");
        assert_eq!(age(7_300_000), "2 h");
    }
}
