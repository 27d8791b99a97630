//! What a preview may do with a step's grant: look. Nothing that could change anything, nothing through which more than a question
//! leaves the machine, and no secret that the guest would know.

use std::path::Path;

use super::{Grant, HttpRule, SlotTarget, SqlRule, Word};
use crate::{http::HttpTarget, sql::Access};

impl Grant {
    /// The grant cut down to reading, for a preview: requests with GET and HEAD, handshakes, databases and directories for reading
    /// alone, free space and variables. Of the secrets those that the host puts into such a request. No connections, since
    /// anything can be sent through one; no messages, programs or artifacts, and no plaintext of a secret.
    ///
    /// Whatever it allows, the whole grant allows: see [`Grant::includes`].
    #[must_use]
    pub fn reading(&self) -> Self {
        let http: Vec<HttpRule> = self.http.iter().filter_map(HttpRule::reading).collect();
        let mut sql: Vec<SqlRule> = Vec::new();
        for rule in &self.sql {
            let reading = SqlRule { access: Access::Read, peer: rule.peer.clone() };
            if !sql.contains(&reading) {
                sql.push(reading);
            }
        }
        let mut read = self.read.clone();
        read.extend(self.write.iter().filter(|rule| !self.read.contains(rule)).cloned());
        let is_asked =
            |peer: &str| http.iter().any(|rule| matches!(rule.target(), HttpTarget::Peer(name) if name == peer));
        let secrets = self.secrets.iter().filter(|slot| match &slot.to {
            SlotTarget::Peer(peer) => is_asked(peer),
            SlotTarget::Artifacts => false,
        });
        Self {
            secrets: secrets.cloned().collect(),
            http,
            tls: self.tls.clone(),
            sql,
            read,
            disk: self.disk.clone(),
            env: self.env.clone(),
            is_for_preview: true,
            ..Self::default()
        }
    }

    /// Takes away what would show a guest the source of a secret: variables by name, and paths that hold one of the files. Of a step
    /// that a secret is revealed to, other rules may cover its source.
    #[must_use]
    pub fn hiding(mut self, variables: &[&str], files: &[&Path]) -> Self {
        self.env.retain(|rule| !variables.contains(&rule.name()));
        self.read.retain(|rule| !files.iter().any(|file| rule.covers(file)));
        self
    }

    /// Why a preview may not do what would need a word that no preview has.
    pub(super) fn never_in_preview(&self, word: Word) -> Option<String> {
        let never = match word {
            Word::Tcp | Word::Mail | Word::Write | Word::Reveal | Word::Exec | Word::Artifacts => true,
            Word::Http | Word::Tls | Word::Sql | Word::Read | Word::Disk | Word::Env | Word::Secrets => false,
        };
        (self.is_for_preview && never).then(|| format!("a preview only reads, whatever `allow.{word}` says"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        artifact::ArtifactRule, env::EnvRule, exec::ExecRule, http::HttpRequest, mail::MailRequest, path::PathRequest,
        path::PathRule, reveal::RevealRule, secret::SecretSlot, tcp::TcpRule, tls::TlsRule,
    };

    fn paths(rules: &[&str]) -> Vec<PathRule> {
        rules.iter().map(|text| PathRule::new(*text, format!("/srv/{text}"))).collect()
    }

    fn slot(name: &str, to: &str) -> SecretSlot {
        SecretSlot::new(name, to, (to != "artifacts").then_some("X-Token"), None).unwrap()
    }

    /// A step that may do all kinds of things.
    fn whole() -> Grant {
        Grant {
            http: ["* k8s:/a", "POST prom:/q", "GET k8s:/b"].map(|text| HttpRule::parse(text).unwrap()).into(),
            tcp: vec![TcpRule::parse("db.prod:5432").unwrap()],
            tls: vec![TlsRule::parse("api").unwrap()],
            sql: ["read main", "write main", "write other"].map(|text| SqlRule::parse(text).unwrap()).into(),
            read: paths(&["in", "both"]),
            write: paths(&["out", "both"]),
            disk: paths(&["data"]),
            env: ["HOME", "TOKEN"].map(|text| EnvRule::parse(text).unwrap()).into(),
            secrets: vec![slot("key", "artifacts"), slot("a", "k8s"), slot("b", "prom")],
            exec: vec![ExecRule { program: "npm".to_owned(), ..ExecRule::default() }],
            artifacts: vec![ArtifactRule::Write, ArtifactRule::parse("read backup").unwrap()],
            reveal: vec![RevealRule::parse("token").unwrap()],
            ..Grant::default()
        }
    }

    #[test]
    fn a_preview_only_reads() {
        let reading = whole().reading();
        assert_eq!(
            reading.lines(),
            [
                r#"allow.http = ["GET|HEAD k8s:/a"]"#,
                r#"allow.http = ["GET k8s:/b"]"#,
                r#"allow.tls = ["api"]"#,
                r#"allow.sql = ["read main"]"#,
                r#"allow.sql = ["read other"]"#,
                r#"allow.read = ["in"]"#,
                r#"allow.read = ["both"]"#,
                r#"allow.read = ["out"]"#,
                r#"allow.disk = ["data"]"#,
                r#"allow.env = ["HOME"]"#,
                r#"allow.env = ["TOKEN"]"#,
                r#"allow.secrets = [{ name = "a", to = "k8s", header = "X-Token" }]"#,
            ]
        );
        assert_eq!(reading.reading(), reading);
        assert!(Grant::default().reading().lines().is_empty());
    }

    #[test]
    fn the_source_of_a_secret_is_hidden() {
        let files = [Path::new("/srv/both/token"), Path::new("/srv/elsewhere")];
        let hidden = whole().reading().hiding(&["TOKEN"], &files);
        let lines = hidden.lines();
        assert!(!lines.iter().any(|line| line.contains("both") || line.contains("TOKEN")), "{lines:?}");
        assert_eq!(lines.len(), whole().reading().lines().len() - 2);
    }

    #[test]
    fn a_refusal_says_that_it_is_a_preview_and_names_no_line() {
        let preview = whole().reading();
        let request = |method, url| HttpRequest::parse(method, url).unwrap();
        let path = |path| PathRequest { shown: path, resolved: Path::new(path) };
        let mail = MailRequest::parse("smtp", "a@x", ["b@y"]).unwrap();
        for (denial, line) in [
            (
                preview.http(&request("POST", "https://k8s.peer/a")).unwrap_err(),
                "http POST k8s:/a: a preview sends GET and HEAD alone, and no POST",
            ),
            (
                preview.http(&request("GET", "https://k8s.peer/c")).unwrap_err(),
                "http GET k8s:/c: no rule covers the path",
            ),
            (
                preview.sql("main", Access::Write).unwrap_err(),
                "sql write main: the peer `main` may be read only in a preview",
            ),
            (preview.sql("x", Access::Read).unwrap_err(), "sql read x: no rule names the peer `x`"),
            (
                preview.write(&path("/srv/out/x")).unwrap_err(),
                "write /srv/out/x: a preview only reads, whatever `allow.write` says",
            ),
            (
                preview.write_name(&path("/srv/out/x")).unwrap_err(),
                "write /srv/out/x: a preview only reads, whatever `allow.write` says",
            ),
            (preview.read(&path("/etc/x")).unwrap_err(), "read /etc/x: no rule covers it"),
            (preview.exec("npm", &[]).unwrap_err(), "exec npm: a preview only reads, whatever `allow.exec` says"),
            (preview.reveal("token").unwrap_err(), "reveal token: a preview only reads, whatever `allow.reveal` says"),
            (
                preview.artifact_write().unwrap_err(),
                "artifacts write: a preview only reads, whatever `allow.artifacts` says",
            ),
            (
                preview.mail(&mail).unwrap_err(),
                "mail a@x to b@y via smtp: a preview only reads, whatever `allow.mail` says",
            ),
            (preview.tcp_name("db.prod").unwrap_err(), "tcp db.prod: a preview only reads, whatever `allow.tcp` says"),
            (Grant::default().reading().env("HOME").unwrap_err(), "env HOME: the preview has no `allow.env`"),
        ] {
            assert_eq!(denial.to_string(), line);
            assert_eq!(denial.hint, None, "{line}");
        }
    }
}
