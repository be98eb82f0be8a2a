//! Variables that turn something on or off.

use super::errors::{Problem, Problems};
use super::variables::{Environment, Variable};

/// Reads a switch; none if it is not set. A word that is neither yes nor no is a problem.
pub(super) fn read(
    env: Environment<'_>,
    variable: Variable,
    problems: &mut Problems,
) -> Option<bool> {
    let word = env.get(variable)?;
    let switch = parse(&word);
    if switch.is_none() {
        problems.of(variable, Problem::Switch);
    }
    switch
}

/// Parses the words that people use for yes and no.
pub(super) fn parse(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_has_the_words_that_people_write() {
        for (word, switch) in [
            ("true", Some(true)),
            ("True", Some(true)),
            ("1", Some(true)),
            ("yes", Some(true)),
            ("false", Some(false)),
            ("0", Some(false)),
            ("NO", Some(false)),
            ("off", None),
            ("2", None),
        ] {
            assert_eq!(parse(word), switch, "{word}");
        }
    }
}
