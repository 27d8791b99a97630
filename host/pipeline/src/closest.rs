//! "Did you mean".

/// The candidate that `word` is most likely a misspelling of, or nothing where none is near.
pub(crate) fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Comparing is quadratic, and nobody misspells a text of this length by a letter.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .take(1_000)
        .filter(|candidate| candidate.len() <= 64)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            let length = word.chars().count().max(candidate.chars().count());
            *distance <= (length / 3).max(1) && *distance < length
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_nothing() {
        let words = ["timeout", "retry", "stage", "name", "in"];
        assert_eq!(closest("timout", words), Some("timeout"));
        assert_eq!(closest("Stage", words), Some("stage"));
        assert_eq!(closest("nmae", words), Some("name"));
        assert_eq!(closest("irreversible", words), None);
        assert_eq!(closest("x", words), None);
    }
}
