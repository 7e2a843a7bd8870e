//! "Did you mean": the candidate that somebody who mistyped a word most likely meant.

/// Words longer than this have no suggestion: they are not mistyped names.
const LONGEST_WORD: usize = 64;

/// The candidate nearest to a mistyped word, if one is near: the same but for case, `-`, `_` and
/// blanks, or with a few letters wrong, missing, added or swapped (one in a word of three or four
/// letters, two up to eight, three above). The first of several that are equally near.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = bare(word);
    let length = plain.chars().count();
    let allowed = match length {
        0 => return None,
        1..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        9..=LONGEST_WORD => 3,
        _ => return None,
    };
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = bare(candidate);
            if other.chars().count().abs_diff(length) > allowed {
                return None;
            }
            let distance = strsim::osa_distance(&plain, &other);
            (distance <= allowed).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn bare(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}
