//! What varies from run to run, replaced by its name: folders, runs, hashes, times.

use std::path::Path;

/// Replaces folders, run names, digests, durations, sizes of artifacts, dates and times.
#[must_use]
pub fn normalise(text: &str, folder: &Path) -> String {
    let mut normal = text.replace(&folder.display().to_string(), "[folder]");
    if let Ok(canonical) = folder.canonicalize() {
        normal = normal.replace(&canonical.display().to_string(), "[folder]");
    }
    let lines: Vec<String> = normal.lines().map(|line| words(line).trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Replaces word by word, where a word is letters, digits, `.`, `:` and `-`.
fn words(line: &str) -> String {
    let mut normal = String::new();
    let mut word = String::new();
    for character in line.chars().chain(['\n']) {
        if character.is_ascii_alphanumeric() || matches!(character, '.' | ':' | '-') {
            word.push(character);
        } else {
            normal.push_str(name_of(&word));
            word.clear();
            if character != '\n' {
                normal.push(character);
            }
        }
    }
    normal
}

fn name_of(word: &str) -> &str {
    let core = word.trim_end_matches([':', '.']);
    if is_run(core) {
        "[run]"
    } else if core.len() == 64 && core.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        "[sha256]"
    } else if is_duration(core) {
        if core.len() == word.len() { "[time]" } else { "[time]:" }
    } else {
        word
    }
}

fn is_run(word: &str) -> bool {
    word.split_once('-').is_some_and(|(second, tail)| {
        second.len() == 14
            && second.bytes().all(|byte| byte.is_ascii_digit())
            && tail.len() == 6
            && tail.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_duration(word: &str) -> bool {
    let number = word.strip_suffix("ms").or_else(|| word.strip_suffix('s'));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'm'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_replaced() {
        let folder = Path::new("/tmp/x");
        assert_eq!(
            normalise("run 20261123021500-9f3c1a in /tmp/x/a took 12ms, or 1.4s, or 2m05s", folder),
            "run [run] in [folder]/a took [time], or [time], or [time]"
        );
        assert_eq!(normalise("steps 30 words", folder), "steps 30 words");
    }
}
