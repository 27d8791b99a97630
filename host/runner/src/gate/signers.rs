//! Who has a role: OpenSSH's `allowed_signers`, read more strictly than `ssh-keygen` reads it. Here a line is one key of one
//! person, and what would be understood differently on another machine is refused.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use pipe_core::text::is_unprintable;
use ssh_key::{PublicKey, public::KeyData};

use super::signature::{NAMESPACE, fingerprint, unsuitable};

/// Longest signers file, in bytes.
pub const MAXIMUM_SIGNERS: usize = 64 << 10;

/// Those who have a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers(Vec<Signer>);

/// One key of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Who.
    pub principal: String,
    /// The key.
    pub key: KeyData,
    /// From when on it holds.
    pub valid_after: Option<Timestamp>,
    /// Until when.
    pub valid_before: Option<Timestamp>,
}

impl Signer {
    /// The key as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }

    /// Whether the key may be used at a moment.
    #[must_use]
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.valid_after.is_none_or(|after| at >= after) && self.valid_before.is_none_or(|before| at <= before)
    }
}

/// A signers file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if *line == 0 { String::new() } else { format!("line {line}: ") })]
pub struct BadSigners {
    /// Which line, from 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
    /// What would be right.
    pub hint: Option<&'static str>,
}

/// A problem without its line.
type Problem = (String, Option<&'static str>);

impl Signers {
    /// Reads the text of a signers file. Lines for other namespaces than ours are left out.
    ///
    /// # Errors
    ///
    /// A line cannot be used as it is, or nobody is left.
    pub fn read(text: &str) -> Result<Self, BadSigners> {
        let whole = |what: String| BadSigners { line: 0, what, hint: Some("`alice@example.org ssh-ed25519 AAAA…`") };
        if text.len() > MAXIMUM_SIGNERS {
            return Err(whole(format!("it has more than {} KiB", MAXIMUM_SIGNERS >> 10)));
        }
        let mut signers: Vec<Signer> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |(what, hint): Problem| BadSigners { line: index + 1, what, hint };
            let Some(signer) = signer(line).map_err(at)? else { continue };
            if let Some(known) = signers.iter().find(|known| known.key == signer.key) {
                let what = format!("the key of `{}` is also that of `{}`", known.principal, signer.principal);
                return Err(at((what, Some("a key stands once, for one person: else nobody could tell who signed"))));
            }
            signers.push(signer);
        }
        if signers.is_empty() {
            return Err(whole(format!("it names nobody who can sign for `{NAMESPACE}`")));
        }
        Ok(Self(signers))
    }

    /// Whose key it is.
    #[must_use]
    pub fn of_key(&self, key: &KeyData) -> Option<&Signer> {
        self.0.iter().find(|signer| signer.key == *key)
    }

    /// One after another, as in the file.
    pub fn iter(&self) -> impl Iterator<Item = &Signer> {
        self.0.iter()
    }

    /// The different people who could approve at this time what was asked for by these, each once.
    #[must_use]
    pub fn who_can(&self, at: Timestamp, requesters: &[String]) -> Vec<&str> {
        let may = |signer: &&Signer| {
            signer.holds_at(at) && !requesters.iter().any(|requester| may_be(&signer.principal, requester))
        };
        distinct(self.0.iter().filter(may))
    }
}

fn distinct<'s>(signers: impl Iterator<Item = &'s Signer>) -> Vec<&'s str> {
    let mut principals: Vec<&str> = Vec::new();
    for signer in signers {
        if !principals.iter().any(|known| same_person(known, &signer.principal)) {
            principals.push(&signer.principal);
        }
    }
    principals
}

/// Whether two principals are one person: mail addresses do not differ by their capitals.
pub(super) fn same_person(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether a principal may be whoever is known by another name: what stands before `@` is the same.
pub(super) fn may_be(principal: &str, name: &str) -> bool {
    let local = |text: &str| text.split('@').next().unwrap_or_default().to_ascii_lowercase();
    local(principal) == local(name)
}

/// A line, or nothing where it is for another namespace.
fn signer(line: &str) -> Result<Option<Signer>, Problem> {
    let (principal, rest) = word(line)?;
    let principal = principal.trim_matches('"');
    if principal.contains([',', '*', '?', '!']) {
        let hint = "give every person lines of their own, with one name: approvals are counted by people";
        return Err((format!("`{}` is not the name of one person", shown(principal)), Some(hint)));
    }
    if principal.is_empty() || principal.len() > 200 || principal.contains(is_unprintable) || principal.contains(' ') {
        return Err(("it begins with no name".to_owned(), Some("`alice@example.org ssh-ed25519 AAAA…`")));
    }
    let mut rest = rest.trim_start();
    let mut namespaces = None;
    let (mut valid_after, mut valid_before) = (None, None);
    if !is_key_type(rest) {
        let (options, key) = word(rest)?;
        rest = key.trim_start();
        for option in split(options) {
            let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            let value = value.map(|value| value.strip_prefix('"').and_then(|value| value.strip_suffix('"')));
            match (name.to_ascii_lowercase().as_str(), value) {
                ("cert-authority", _) => {
                    let hint = "name the key of each person; certificates cannot approve";
                    return Err(("it is a certificate authority".to_owned(), Some(hint)));
                }
                ("namespaces", Some(Some(value))) => namespaces = Some(value),
                ("valid-after", Some(Some(value))) => valid_after = Some(moment(value)?),
                ("valid-before", Some(Some(value))) => valid_before = Some(moment(value)?),
                ("namespaces" | "valid-after" | "valid-before", _) => {
                    return Err((format!("`{name}` has no value in double quotes"), None));
                }
                _ => return Err((format!("unknown option `{}`", shown(name)), None)),
            }
        }
    }
    let key = PublicKey::from_openssh(rest).map_err(|error| (format!("it holds no public key: {error}"), None))?;
    if !namespaces.is_none_or(is_ours) {
        return Ok(None);
    }
    if let Some(why) = unsuitable(key.key_data()) {
        return Err((why, Some("Ed25519, ECDSA P-256 and P-384, RSA and security keys can")));
    }
    Ok(Some(Signer { principal: principal.to_owned(), key: key.key_data().clone(), valid_after, valid_before }))
}

/// Up to the first white space that is not between double quotes, and the rest.
fn word(line: &str) -> Result<(&str, &str), Problem> {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Ok((&line[..at], &line[at + 1..])),
            _ => {}
        }
    }
    Err(("it holds no key".to_owned(), Some("`alice@example.org ssh-ed25519 AAAA…`")))
}

/// At the commas that are not between double quotes.
fn split(options: &str) -> Vec<&str> {
    let mut quoted = false;
    let apart = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    options.split(apart).collect()
}

fn is_key_type(text: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| text.starts_with(start))
}

/// Whether a list of patterns holds our namespace. One that is excluded is, wherever it stands.
fn is_ours(patterns: &str) -> bool {
    let hit = |pattern: &str| matches(pattern.as_bytes(), NAMESPACE.as_bytes());
    let excluded = patterns.split(',').filter_map(|pattern| pattern.strip_prefix('!')).any(hit);
    !excluded && patterns.split(',').any(hit)
}

/// `*` for any characters, `?` for one. Takes no longer than both are long, multiplied.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where the last `*` stands, and how far it has taken the text.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, t) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`.
fn moment(text: &str) -> Result<Timestamp, Problem> {
    let Some(digits) = text.strip_suffix(['Z', 'z']) else {
        let hint = "write it in UTC, with `Z` at the end: 20270101Z";
        return Err((format!("`{}` is a local time, which differs from machine to machine", shown(text)), Some(hint)));
    };
    let sound = digits.bytes().all(|b| b.is_ascii_digit());
    let time = match digits.len() {
        8 if sound => Date::strptime("%Y%m%d", digits).map(|date| date.at(0, 0, 0, 0)).ok(),
        12 if sound => DateTime::strptime("%Y%m%d%H%M", digits).ok(),
        14 if sound => DateTime::strptime("%Y%m%d%H%M%S", digits).ok(),
        _ => None,
    };
    let zoned = time.and_then(|time| time.to_zoned(TimeZone::UTC).ok());
    zoned.map(|zoned| zoned.timestamp()).ok_or_else(|| (format!("`{}` is no time", shown(text)), Some("20270101Z")))
}

/// A text of the file as a message can bear it.
fn shown(text: &str) -> String {
    text.chars().take(60).map(|c| if is_unprintable(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGSjN5HMGOY/dNdCVaTM80BYLSTk6cUYQ4Hxo6Ps8UWS";
    const BOB: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO4kYRCLa2QHSUZYgVhuLcc+THltxrf1QFPSOQVrnT8H";

    fn refused(text: &str) -> String {
        Signers::read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_line_is_a_person_and_a_key() {
        let text = format!(
            "# the ward\n\nalice@example.org {ALICE} alice's laptop\n\
             \"bob@example.org\" namespaces=\"git,pipe-*\",valid-before=\"20270101Z\" {BOB}\n"
        );
        let signers = Signers::read(&text).unwrap();
        assert_eq!(signers.who_can(Timestamp::now(), &[]), ["alice@example.org", "bob@example.org"]);
        let bob = &signers.0[1];
        assert_eq!(bob.valid_before, Some("2027-01-01T00:00:00Z".parse().unwrap()));
        assert!(bob.holds_at("2026-12-31T23:59:59Z".parse().unwrap()));
        assert!(!bob.holds_at("2027-01-01T00:00:01Z".parse().unwrap()));
        assert_eq!(signers.of_key(&bob.key).unwrap().principal, "bob@example.org");
    }

    #[test]
    fn keys_for_other_namespaces_do_not_approve() {
        for namespaces in ["git", "pipe-approval@v2", "!pipe-approval@v1,*", "*,!pipe-*", "pipe", "?ipe"] {
            let text = format!("a@x {ALICE}\nb@x namespaces=\"{namespaces}\" {BOB}");
            assert_eq!(Signers::read(&text).unwrap().who_can(Timestamp::now(), &[]), ["a@x"], "{namespaces}");
        }
        for namespaces in ["pipe-approval@v1", "git,pipe-approval@v1", "*", "pipe-*", "pipe-approval@v?", "**1"] {
            let text = format!("a@x {ALICE}\nb@x NAMESPACES=\"{namespaces}\" {BOB}");
            assert_eq!(Signers::read(&text).unwrap().who_can(Timestamp::now(), &[]), ["a@x", "b@x"], "{namespaces}");
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        for (line, why) in [
            (format!("*@example.org {ALICE}"), "is not the name of one person"),
            (format!("a@x,b@x {ALICE}"), "is not the name of one person"),
            (format!("a@x {ALICE}\nb@x {ALICE}"), "line 2: the key of `a@x` is also that of `b@x`"),
            (format!("a@x {ALICE}\na@x {ALICE}"), "line 2: the key of"),
            (format!("a@x cert-authority {ALICE}"), "certificate authority"),
            (format!("a@x valid-after=\"20260101\" {ALICE}"), "local time"),
            (format!("a@x valid-after=20260101Z {ALICE}"), "double quotes"),
            (format!("a@x valid-after=\"20261399Z\" {ALICE}"), "is no time"),
            (format!("a@x verify-required {ALICE}"), "unknown option"),
            ("a@x".to_owned(), "holds no key"),
            (format!("a@x \"{ALICE}"), "holds no key"),
            ("a@x ssh-ed25519 AAAA".to_owned(), "holds no public key"),
            (format!("a@x namespaces=\"git\" {ALICE}"), "names nobody"),
            (String::new(), "names nobody"),
            ("#".repeat(MAXIMUM_SIGNERS + 1), "more than 64 KiB"),
        ] {
            let found = refused(&line);
            assert!(found.contains(why), "{line}: {found}");
        }
    }

    #[test]
    fn one_person_has_many_spellings() {
        assert!(may_be("alice@example.org", "Alice@build01"));
        assert!(may_be("alice@example.org", "alice"));
        assert!(!may_be("alice@example.org", "alicia@example.org"));
        assert!(same_person("A@x", "a@X") && !same_person("a@x", "a@y"));
    }
}
