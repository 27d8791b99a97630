//! Holds the grant of a step against the blocks that apply to it.

use std::{collections::BTreeSet, path::Path};

use super::{
    Against, ArtifactCeiling, Block, Ceiling, Excess, Outside, Part, PathCeiling, PeerSeen, Place, StepSeen,
    endpoint::{EndpointCeiling, tcp_place, tls_place},
    rules::SecretUse,
};
use crate::{
    artifact::ArtifactRule,
    exec::ExecRule,
    http::{HttpRule, HttpTarget},
    mail::MailRule,
    path::PathRule,
    reveal::RevealRule,
    secret::SlotTarget,
    sql::SqlRule,
    tcp::TcpRule,
    tls::{TlsRule, TlsTarget},
    word::Word,
};

impl Ceiling {
    /// Everything of a step that is not allowed, in the order of the words, and then what is required and does not hold.
    #[must_use]
    pub fn excesses(&self, step: &StepSeen<'_>, outside: &Outside) -> Vec<Excess> {
        let applies = |(_, block): &(usize, &Block)| block.applies(step, outside);
        let blocks = self.allow.iter().enumerate().filter(applies).collect();
        let mut found = Judge { blocks, step, outside }.excesses();
        found.extend(self.require.breaches(step, outside));
        found
    }
}

/// The blocks that apply to a step.
struct Judge<'a> {
    blocks: Vec<(usize, &'a Block)>,
    step: &'a StepSeen<'a>,
    outside: &'a Outside,
}

/// The rule of a block that comes nearest to allowing something: its place among the rules of the word, and what it lacks.
type Nearest = Option<(usize, String)>;

impl Judge<'_> {
    fn excesses(&self) -> Vec<Excess> {
        let grant = self.step.grant;
        let mut found = Vec::new();
        for word in Word::ALL {
            match word {
                Word::Http => found.extend(grant.http.iter().enumerate().filter_map(|(at, rule)| self.http(at, rule))),
                Word::Tcp => found.extend(grant.tcp.iter().enumerate().filter_map(|(at, rule)| self.tcp(at, rule))),
                Word::Tls => found.extend(grant.tls.iter().enumerate().filter_map(|(at, rule)| self.tls(at, rule))),
                Word::Sql => found.extend(grant.sql.iter().enumerate().filter_map(|(at, rule)| self.sql(at, rule))),
                Word::Mail => found.extend(grant.mail.iter().enumerate().filter_map(|(at, rule)| self.mail(at, rule))),
                Word::Reveal => {
                    found.extend(grant.reveal.iter().enumerate().filter_map(|(at, rule)| self.reveal(at, rule)));
                }
                Word::Read => found.extend(self.paths(word, &grant.read, |block| [&block.read, &block.write])),
                Word::Write => found.extend(self.paths(word, &grant.write, |block| [&block.write, &[]])),
                Word::Disk => found.extend(self.paths(word, &grant.disk, |block| [&block.disk, &[]])),
                Word::Env => found.extend(grant.env.iter().enumerate().filter_map(|(at, rule)| {
                    let allows = |block: &Block| block.env.iter().any(|names| names.includes(rule.name()));
                    self.unless(word, Part::Rule(word, at), String::new(), allows, |_| None)
                })),
                Word::Secrets => found.extend(self.secrets()),
                Word::Exec => found.extend(grant.exec.iter().enumerate().filter_map(|(at, rule)| self.exec(at, rule))),
                Word::Artifacts => found.extend(grant.artifacts.iter().enumerate().filter_map(|(at, rule)| {
                    let needed = match rule {
                        ArtifactRule::Write => ArtifactCeiling::Write,
                        ArtifactRule::Read(_) => ArtifactCeiling::Read,
                    };
                    let allows = |block: &Block| block.artifacts.contains(&needed);
                    self.unless(word, Part::Rule(word, at), String::new(), allows, |_| None)
                })),
            }
        }
        found
    }

    /// An excess, unless one of the blocks allows it.
    fn unless(
        &self,
        word: Word,
        at: Part,
        means: String,
        allows: impl Fn(&Block) -> bool,
        nearest: impl Fn(&Block) -> Nearest,
    ) -> Option<Excess> {
        if self.blocks.iter().any(|(_, block)| block.any.contains(&word) || allows(block)) {
            return None;
        }
        let near = self.blocks.iter().find_map(|(index, block)| {
            let (rule, why) = nearest(block)?;
            Some((Against::Rule(*index, word, rule), why))
        });
        let listed = || {
            let (index, _) = self.blocks.iter().find(|(_, block)| block.rules(word) > 0)?;
            Some((Against::Word(*index, word), "nothing here allows it".to_owned()))
        };
        let silent = || {
            let (index, _) = self.blocks.first()?;
            Some((Against::Block(*index), format!("no block that applies has `{word}`, this one neither")))
        };
        let nothing = || (Against::NoBlock, "no block applies to this step".to_owned());
        let (against, why) = near.or_else(listed).or_else(silent).unwrap_or_else(nothing);
        Some(Excess { at, against, means, why })
    }

    /// A peer that nobody knows leads nowhere, and no ceiling allows that.
    fn unknown(&self, at: Part, name: &str) -> Excess {
        let means = format!("nothing is known of the peer `{name}`");
        Excess { at, against: Against::NoBlock, means, why: "what is not known is not allowed".to_owned() }
    }

    fn http(&self, at: usize, rule: &HttpRule) -> Option<Excess> {
        let part = Part::Rule(Word::Http, at);
        let (place, hidden, means) = match rule.target() {
            HttpTarget::Peer(name) => {
                let Some(peer) = self.outside.peer(name) else { return Some(self.unknown(part, name)) };
                let before = if peer.hides_path { ", and a secret stands before its paths" } else { "" };
                (peer.place.clone(), peer.hides_path, format!("`{name}` is {}{before}", peer.place))
            }
            HttpTarget::Origin { scheme, host, port } => (
                Place::Net {
                    scheme: scheme.to_string(),
                    user: None,
                    host: host.to_string(),
                    port: Some(*port),
                    database: None,
                    addresses: rule.addresses.clone(),
                },
                false,
                String::new(),
            ),
        };
        rule.methods().iter().find_map(|method| {
            let allows = |block: &Block| block.http.iter().any(|allowed| allowed.allows(rule, method, &place, hidden));
            let nearest = |block: &Block| {
                let find = |there: &dyn Fn(&super::HttpCeiling) -> bool| block.http.iter().position(there);
                let path = find(&|allowed| allowed.allows_path(rule, &place, hidden));
                let there = || find(&|allowed| allowed.place.includes(&place));
                let named = || find(&|allowed| allowed.place.names(&place));
                path.map(|index| (index, format!("it does not allow {method}")))
                    .or_else(|| Some((there()?, "it does not allow this path".to_owned())))
                    .or_else(|| Some((named()?, "it does not allow these addresses".to_owned())))
            };
            self.unless(Word::Http, part, means.clone(), allows, nearest)
        })
    }

    fn tcp(&self, at: usize, rule: &TcpRule) -> Option<Excess> {
        self.endpoint(Word::Tcp, at, &tcp_place(rule), String::new(), |block| &block.tcp)
    }

    fn tls(&self, at: usize, rule: &TlsRule) -> Option<Excess> {
        let (peer, means) = match rule.target() {
            TlsTarget::Peer(name) => match self.outside.peer(name) {
                Some(peer) => (Some(&peer.place), format!("`{name}` is {}", peer.place)),
                None => return Some(self.unknown(Part::Rule(Word::Tls, at), name)),
            },
            TlsTarget::Host(_) => (None, String::new()),
        };
        match tls_place(rule, peer) {
            Some(place) => self.endpoint(Word::Tls, at, &place, means, |block| &block.tls),
            None => Some(self.unknown(Part::Rule(Word::Tls, at), &rule.target().to_string())),
        }
    }

    fn endpoint(
        &self,
        word: Word,
        at: usize,
        place: &Place,
        means: String,
        list: fn(&Block) -> &[EndpointCeiling],
    ) -> Option<Excess> {
        let allows = |block: &Block| list(block).iter().any(|allowed| allowed.place.includes(place));
        let nearest = |block: &Block| {
            let named = list(block).iter().position(|allowed| allowed.place.names(place))?;
            Some((named, "it does not allow these addresses".to_owned()))
        };
        self.unless(word, Part::Rule(word, at), means, allows, nearest)
    }

    fn sql(&self, at: usize, rule: &SqlRule) -> Option<Excess> {
        let part = Part::Rule(Word::Sql, at);
        let Some(PeerSeen { place, .. }) = self.outside.peer(&rule.peer) else {
            return Some(self.unknown(part, &rule.peer));
        };
        let allows = |block: &Block| block.sql.iter().any(|allowed| allowed.allows(rule, place));
        let nearest = |block: &Block| {
            let there = block.sql.iter().position(|allowed| allowed.place.includes(place));
            let named = || block.sql.iter().position(|allowed| allowed.place.names(place));
            there
                .map(|index| (index, "it allows reading alone".to_owned()))
                .or_else(|| Some((named()?, "it does not allow these addresses".to_owned())))
        };
        self.unless(Word::Sql, part, format!("`{}` is {place}", rule.peer), allows, nearest)
    }

    fn mail(&self, at: usize, rule: &MailRule) -> Option<Excess> {
        let part = Part::Rule(Word::Mail, at);
        let Some(PeerSeen { place, .. }) = self.outside.peer(&rule.peer) else {
            return Some(self.unknown(part, &rule.peer));
        };
        let allows = |block: &Block| block.mail.iter().any(|allowed| allowed.forbids(rule, place).is_none());
        let nearest = |block: &Block| {
            let (index, allowed) = block.mail.iter().enumerate().find(|(_, allowed)| allowed.place.names(place))?;
            Some((index, allowed.forbids(rule, place)?))
        };
        self.unless(Word::Mail, part, format!("`{}` is {place}", rule.peer), allows, nearest)
    }

    fn reveal(&self, at: usize, rule: &RevealRule) -> Option<Excess> {
        let part = Part::Rule(Word::Reveal, at);
        let Some(origin) = self.outside.secrets.get(rule.name()) else {
            return Some(unknown_secret(part, rule.name()));
        };
        let allows = |block: &Block| block.reveal.iter().any(|source| source.is(origin, self.outside));
        self.unless(Word::Reveal, part, format!("the plugin is told the secret {origin}"), allows, |_| None)
    }

    fn paths<'b>(
        &'b self,
        word: Word,
        rules: &'b [PathRule],
        lists: fn(&Block) -> [&[PathCeiling]; 2],
    ) -> impl Iterator<Item = Excess> + 'b {
        rules.iter().enumerate().filter_map(move |(at, rule)| {
            let holds =
                |block: &Block| lists(block).into_iter().flatten().any(|held| held.holds(&rule.resolved, self.outside));
            let plain = Path::new(&rule.written) == rule.resolved;
            let means = if plain { String::new() } else { format!("this is {}", rule.resolved.display()) };
            self.unless(word, Part::Rule(word, at), means, holds, |_| None)
        })
    }

    fn exec(&self, at: usize, rule: &ExecRule) -> Option<Excess> {
        let place = rule.peer.as_ref().and_then(|name| self.outside.peer(name)).map(|peer| &peer.place);
        let forbids = |allowed: &super::ExecCeiling| allowed.forbids(rule, place, self.outside);
        let allows = |block: &Block| block.exec.iter().any(|allowed| forbids(allowed).is_none());
        let nearest = |block: &Block| {
            let (index, allowed) = block.exec.iter().enumerate().find(|(_, allowed)| allowed.names(&rule.program))?;
            Some((index, forbids(allowed)?))
        };
        let means = match (&rule.peer, place) {
            (Some(name), Some(place)) => format!("`{name}` is {place}"),
            _ => String::new(),
        };
        self.unless(Word::Exec, Part::Rule(Word::Exec, at), means, allows, nearest)
    }

    /// Every way that a secret may take out of the host: slots, logins of the peers that the step reaches, variables of
    /// programs.
    fn secrets(&self) -> Vec<Excess> {
        let grant = self.step.grant;
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let mut check = |part: Part, name: &str, to: SecretUse<'_>, whereto: String| {
            if seen.insert((name.to_owned(), whereto.clone())) {
                found.extend(self.secret(part, name, to, &whereto));
            }
        };
        for (at, slot) in grant.secrets.iter().enumerate() {
            let part = Part::Rule(Word::Secrets, at);
            match &slot.to {
                SlotTarget::Artifacts => check(part, &slot.name, SecretUse::Artifacts, "artifacts".to_owned()),
                SlotTarget::Peer(peer) => {
                    if let Some(PeerSeen { place, .. }) = self.outside.peer(peer) {
                        check(part, &slot.name, SecretUse::Peer(place), place.to_string());
                    }
                }
            }
        }
        for (part, peer) in self.reached() {
            for login in &peer.logins {
                check(part, login, SecretUse::Peer(&peer.place), peer.place.to_string());
            }
        }
        for (at, rule) in grant.tls.iter().enumerate() {
            if let TlsTarget::Peer(name) = rule.target()
                && let Some(PeerSeen { place, client_key: Some(key), .. }) = self.outside.peer(name)
            {
                check(Part::Rule(Word::Tls, at), key, SecretUse::Peer(place), place.to_string());
            }
        }
        for (at, rule) in grant.exec.iter().enumerate() {
            for secret in rule.secret_env.values().chain(rule.secret_file.values()) {
                check(Part::Rule(Word::Exec, at), secret, SecretUse::Programs, "programs".to_owned());
            }
        }
        found
    }

    /// The peers that the step may reach, each with the rule that says so.
    fn reached(&self) -> impl Iterator<Item = (Part, &PeerSeen)> {
        let grant = self.step.grant;
        let http = grant.http.iter().enumerate().filter_map(|(at, rule)| match rule.target() {
            HttpTarget::Peer(name) => Some((Part::Rule(Word::Http, at), name)),
            HttpTarget::Origin { .. } => None,
        });
        let sql = grant.sql.iter().enumerate().map(|(at, rule)| (Part::Rule(Word::Sql, at), &rule.peer));
        let mail = grant.mail.iter().enumerate().map(|(at, rule)| (Part::Rule(Word::Mail, at), &rule.peer));
        let exec = grant.exec.iter().enumerate();
        let exec = exec.filter_map(|(at, rule)| Some((Part::Rule(Word::Exec, at), rule.peer.as_ref()?)));
        http.chain(sql).chain(mail).chain(exec).filter_map(|(part, name)| Some((part, self.outside.peer(name)?)))
    }

    fn secret(&self, part: Part, name: &str, to: SecretUse<'_>, whereto: &str) -> Option<Excess> {
        let Some(origin) = self.outside.secrets.get(name) else { return Some(unknown_secret(part, name)) };
        let allows = |block: &Block| block.secrets.iter().any(|allowed| allowed.allows(origin, to, self.outside));
        let nearest = |block: &Block| {
            let index = block.secrets.iter().position(|allowed| allowed.is_from(origin, self.outside))?;
            Some((index, "it may go elsewhere, not there".to_owned()))
        };
        let means = format!("the secret {origin} goes to {whereto}");
        self.unless(Word::Secrets, part, means, allows, nearest)
    }
}

/// A secret that nobody knows comes from nowhere, and no ceiling allows that.
fn unknown_secret(at: Part, name: &str) -> Excess {
    let means = format!("nothing is known of the secret `{name}`");
    Excess { at, against: Against::NoBlock, means, why: "what is not known is not allowed".to_owned() }
}
