//! How two grants compare: what one allows and the other does not.

use super::Grant;
use crate::{http::HttpRule, path::PathRule, word::Word};

impl Grant {
    /// Whether everything that `other` allows is allowed here.
    ///
    /// Never wrongly true. Each rule of `other` is held against one rule here, but for the methods of an `http` rule, which
    /// several rules may allow together.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        Word::ALL.into_iter().all(|word| other.beyond_of(word, self).next().is_none())
    }

    /// The rules here that `ceiling` does not include: the word, and the rule as it stands in the word's array.
    #[must_use]
    pub fn beyond(&self, ceiling: &Self) -> Vec<(Word, String)> {
        let of_word = |word| {
            let rules = self.rules(word);
            let beyond: Vec<_> = self.beyond_of(word, ceiling).filter_map(|index| rules.get(index).cloned()).collect();
            beyond.into_iter().map(move |rule| (word, rule))
        };
        Word::ALL.into_iter().flat_map(of_word).collect()
    }

    /// Which rules of a word `ceiling` does not include, by their place in the word's array.
    pub fn beyond_of<'g>(&'g self, word: Word, ceiling: &'g Self) -> Box<dyn Iterator<Item = usize> + 'g> {
        fn beyond<'g, R>(
            rules: &'g [R],
            wide: impl Iterator<Item = &'g R> + Clone + 'g,
            includes: impl Fn(&R, &R) -> bool + 'g,
        ) -> Box<dyn Iterator<Item = usize> + 'g> {
            let beyond =
                move |(index, rule): (usize, &R)| (!wide.clone().any(|wide| includes(wide, rule))).then_some(index);
            Box::new(rules.iter().enumerate().filter_map(beyond))
        }
        match word {
            Word::Http => {
                let beyond = |(index, rule)| (!includes_request(&ceiling.http, rule)).then_some(index);
                Box::new(self.http.iter().enumerate().filter_map(beyond))
            }
            Word::Tcp => beyond(&self.tcp, ceiling.tcp.iter(), crate::tcp::TcpRule::includes),
            Word::Tls => beyond(&self.tls, ceiling.tls.iter(), crate::tls::TlsRule::includes),
            Word::Sql => beyond(&self.sql, ceiling.sql.iter(), crate::sql::SqlRule::includes),
            Word::Mail => beyond(&self.mail, ceiling.mail.iter(), crate::mail::MailRule::includes),
            Word::Reveal => beyond(&self.reveal, ceiling.reveal.iter(), crate::reveal::RevealRule::includes),
            // Whoever may write may read.
            Word::Read => beyond(&self.read, ceiling.read.iter().chain(&ceiling.write), PathRule::includes),
            Word::Write => beyond(&self.write, ceiling.write.iter(), PathRule::includes),
            Word::Disk => beyond(&self.disk, ceiling.disk.iter(), PathRule::includes),
            Word::Env => beyond(&self.env, ceiling.env.iter(), crate::env::EnvRule::includes),
            Word::Secrets => beyond(&self.secrets, ceiling.secrets.iter(), crate::secret::SecretSlot::includes),
            Word::Exec => beyond(&self.exec, ceiling.exec.iter(), crate::exec::ExecRule::includes),
            Word::Artifacts => {
                beyond(&self.artifacts, ceiling.artifacts.iter(), crate::artifact::ArtifactRule::includes)
            }
        }
    }
}

/// Whether each method of `rule` is allowed by one of `wide`.
fn includes_request(wide: &[HttpRule], rule: &HttpRule) -> bool {
    let places: Vec<&HttpRule> = wide.iter().filter(|wide| wide.includes_place(rule)).collect();
    rule.methods().iter().all(|method| places.iter().any(|wide| wide.methods().contains(method)))
}
