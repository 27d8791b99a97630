//! What varies from run to run and from machine to machine, replaced by its name: folders, runs, hashes, times, sizes.

use std::path::Path;

/// The units of sizes, as `pipe` prints them.
const SIZE_UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// Replaces folders, run names, digests, durations, sizes, the actor, dates and times of day.
#[must_use]
pub fn normalise(text: &str, folder: &Path) -> String {
    let mut normal = text.replace(&folder.display().to_string(), "[folder]");
    if let Ok(canonical) = folder.canonicalize() {
        normal = normal.replace(&canonical.display().to_string(), "[folder]");
    }
    let lines: Vec<String> = normal.lines().map(|line| actor(&sizes(&words(line))).trim_end().to_owned()).collect();
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
            normal.push_str(&name_of(&word));
            word.clear();
            if character != '\n' {
                normal.push(character);
            }
        }
    }
    normal
}

fn name_of(word: &str) -> String {
    let core = word.trim_end_matches([':', '.']);
    let end = &word[core.len()..];
    let name = if is_run(core) {
        "[run]"
    } else if is_digest(core, 64) {
        "[sha256]"
    } else if is_digest(core, 12) {
        "[digest]"
    } else if is_time_of_day(core) {
        "[clock]"
    } else if is_date(core) {
        "[date]"
    } else if core.split_once('T').is_some_and(|(date, time)| is_date(date) && time.ends_with('Z')) {
        "[at]"
    } else if is_duration(core) {
        "[time]"
    } else if let Some((digest, name)) = core.split_once('-')
        && is_digest(digest, 16)
    {
        return format!("[digest]-{name}{end}");
    } else {
        return word.to_owned();
    };
    format!("{name}{end}")
}

/// `142 B` becomes `[size]`.
fn sizes(line: &str) -> String {
    let parts: Vec<&str> = line.split(' ').collect();
    let mut normal: Vec<String> = Vec::new();
    let mut index = 0;
    while let Some(part) = parts.get(index) {
        let number = part.trim_start_matches('(');
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let next = parts.get(index + 1).copied().unwrap_or_default();
        let unit = next.trim_end_matches([',', ')', '.', ';']);
        if is_number && SIZE_UNITS.contains(&unit) {
            let (open, close) = (&part[..part.len() - number.len()], &next[unit.len()..]);
            normal.push(format!("{open}[size]{close}"));
            index += 2;
        } else {
            normal.push((*part).to_owned());
            index += 1;
        }
    }
    normal.join(" ")
}

/// `by root@machine` becomes `by [actor]`.
fn actor(line: &str) -> String {
    match line.rsplit_once(" by ") {
        Some((before, actor)) if actor.contains('@') && !actor.contains(' ') => format!("{before} by [actor]"),
        _ => line.to_owned(),
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

fn is_digest(word: &str, length: usize) -> bool {
    word.len() == length
        && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        && word.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_time_of_day(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    parts.len() == 3 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_date(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let digits =
        |(part, length): (&&str, usize)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().zip([4, 2, 2]).all(digits)
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
            normalise("run 20261123021500-9f3c1a in /tmp/x/a took 12ms, or 1.4s: or 2m05s", folder),
            "run [run] in [folder]/a took [time], or [time]: or [time]"
        );
        assert_eq!(normalise("steps 30 words", folder), "steps 30 words");
        assert_eq!(normalise("03:40:41 by root@vm", folder), "[clock] by [actor]");
        assert_eq!(normalise("2026-11-27 12:00:01, \"2026-11-27T12:00:01.5Z\"", folder), "[date] [clock], \"[at]\"");
        assert_eq!(
            normalise("d3a6915be90e7b83-data.tar (142 B, encrypted), 2.0 KiB", folder),
            "[digest]-data.tar ([size], encrypted), [size]"
        );
    }
}
