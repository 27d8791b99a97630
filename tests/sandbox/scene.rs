//! A pipeline of one step that calls the hostile guest, and what was seen when it ran.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use pipe_tests::{Deployment, Ended, guest};
use serde_json::Value;

use crate::Behaviour;

/// A deployment whose step "attempt" does one thing.
pub(crate) struct Scene {
    pub(crate) deployment: Deployment,
    behaviour: Behaviour,
    head: String,
    with: String,
    allow: BTreeMap<String, String>,
    timeout: &'static str,
    plugin: String,
}

impl Scene {
    /// Nothing granted, nothing there.
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        let (head, with) = (String::new(), String::new());
        let plugin = format!("{{ path = {:?} }}", guest::component("hostile"));
        Self { deployment: Deployment::new(), behaviour, head, with, allow: BTreeMap::new(), timeout: "60s", plugin }
    }

    /// Says what to do it to: `path`, `peer`, …
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        writeln!(self.with, "with.{key} = {}", quoted(value)).unwrap();
        self
    }

    /// The same, for a list.
    pub(crate) fn with_all(mut self, key: &str, values: &[&str]) -> Self {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        writeln!(self.with, "with.{key} = [{}]", values.join(", ")).unwrap();
        self
    }

    /// Grants by a line of the step: `allow.read = ["data"]`. Takes the place of an earlier line of the same word.
    pub(crate) fn allow(mut self, line: &str) -> Self {
        let (word, _) = line.split_once(" = ").unwrap();
        self.allow.insert(word.to_owned(), line.to_owned());
        self
    }

    /// Adds to the file what stands before its step.
    pub(crate) fn head(mut self, toml: &str) -> Self {
        writeln!(self.head, "{toml}").unwrap();
        self
    }

    pub(crate) fn timeout(mut self, timeout: &'static str) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.deployment = self.deployment.file(path, content);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.deployment = self.deployment.variable(name, value);
        self
    }

    /// Pins the guest to a content.
    pub(crate) fn pinned(mut self, sha256: &str) -> Self {
        self.plugin = format!("{{ path = {:?}, sha256 = \"{sha256}\" }}", guest::component("hostile"));
        self
    }

    /// The same folder and journal as an earlier scene.
    pub(crate) fn after(mut self, earlier: Self) -> Self {
        self.deployment = earlier.deployment;
        self
    }

    /// A SQLite database `clinic.db` with one empty table, as the peer `clinic`.
    pub(crate) fn database(self) -> Self {
        let path = self.deployment.at("clinic.db");
        rusqlite::Connection::open(path).unwrap().execute_batch("CREATE TABLE visits (who TEXT)").unwrap();
        self.head("[peers.clinic]\nurl = \"sqlite:clinic.db\"")
    }

    fn toml(&self) -> String {
        let plugin = &self.plugin;
        let lines: String = self.allow.values().map(|line| format!("{line}\n")).collect();
        format!(
            "name = \"clinic\"\nenvironments = [\"test\"]\n\n[plugins]\nhostile = {plugin}\n\n{}\n\
             [[step]]\nname = \"attempt\"\nstage = \"verify\"\nplugin = \"hostile\"\ntimeout = \"{}\"\n{lines}\
             with.behaviour = \"{}\"\n{}",
            self.head,
            self.timeout,
            self.behaviour.name(),
            self.with,
        )
    }

    /// Runs it, and makes sure that the journal still reads and its chain holds.
    #[track_caller]
    pub(crate) fn run(&self) -> Seen {
        let ended = self.start();
        assert_ne!(ended.code, 70, "the host itself failed: {ended}");
        let seen = Seen { ended, events: self.events() };
        crate::words::saw(&seen.events);
        self.journal_is_sound();
        seen
    }

    /// Runs it, where nothing may come of it but an error before the first step.
    #[track_caller]
    pub(crate) fn refused_at_start(&self) -> Ended {
        let ended = self.start();
        assert_eq!(ended.code, 3, "{ended}");
        ended
    }

    /// Asks the guest what the attempt would do. It tries it there and then, and nothing of the host's may come of that.
    #[track_caller]
    pub(crate) fn preview(&self) -> Previewed {
        let ended = self.pipe(&["plan", "pipeline.toml", "--env", "test", "--preview", "--output", "json"]);
        assert_eq!(ended.code, 0, "{ended}");
        let mut lines = ended.json();
        let mut previews = lines.pop().unwrap_or_default();
        assert_eq!(previews["schema"], "pipe.preview/v1", "{ended}");
        let id = previews["preview"].as_str().unwrap_or_default();
        let exported = self.deployment.run(&["log", "export", "--run", id]);
        assert_eq!(exported.code, 0, "{exported}");
        self.journal_is_sound();
        // Before the entries, a line says of what they are.
        let events = exported.json().into_iter().skip(1).map(|mut line| line["body"].take()).collect();
        Previewed { ended, said: previews["steps"][0].take(), events }
    }

    fn start(&self) -> Ended {
        self.pipe(&["run", "pipeline.toml", "--env", "test"])
    }

    /// Runs another command of `pipe` over the pipeline file.
    pub(crate) fn pipe(&self, arguments: &[&str]) -> Ended {
        self.write().run(arguments)
    }

    /// Writes the pipeline file, for tests that start `pipe` themselves.
    pub(crate) fn write(&self) -> &Deployment {
        std::fs::write(self.deployment.at("pipeline.toml"), self.toml()).unwrap();
        &self.deployment
    }

    fn events(&self) -> Vec<Value> {
        let shown = self.deployment.run(&["show", "last", "--output", "json"]);
        assert_eq!(shown.code, 0, "{shown}");
        shown.json().into_iter().map(|mut line| line["what"].take()).collect()
    }

    #[track_caller]
    fn journal_is_sound(&self) {
        for command in [&["history"][..], &["log", "verify"]] {
            let ended = self.deployment.run(command);
            assert_eq!(ended.code, 0, "{command:?}: {ended}");
        }
    }

    /// The attempt is refused, and says which line of the step would allow it; with that line it can be done.
    #[track_caller]
    pub(crate) fn refused_until(self, line: &str) -> Granted {
        let refused = self.run();
        assert_eq!(refused.ended.code, 4, "{}", refused.ended);
        assert_eq!(refused.failure()["kind"], "denied", "{}", refused.ended);
        let hints: Vec<&str> = refused.refusals().filter_map(|refusal| refusal["hint"].as_str()).collect();
        assert!(hints.contains(&line), "{hints:?}");
        assert!(refused.ended.stderr.contains(&format!("would allow it: {line}")), "{}", refused.ended);
        let granted = self.allow(line).run();
        assert_eq!(granted.ended.code, 0, "{}", granted.ended);
        Granted { refused, granted }
    }
}

/// The same attempt, without and with its grant.
pub(crate) struct Granted {
    pub(crate) refused: Seen,
    pub(crate) granted: Seen,
}

/// What was shown of the guest's preview, and what the journal holds of it.
pub(crate) struct Previewed {
    pub(crate) ended: Ended,
    pub(crate) said: Value,
    pub(crate) events: Vec<Value>,
}

impl Previewed {
    /// It could be done: what the guest saw, line by line.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<&str> {
        assert_eq!(self.said["said"], "would", "{}", self.said);
        self.said["lines"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// It could not be done, and that is all that came of it.
    #[track_caller]
    pub(crate) fn fails(&self, kind: &str, words: &str) {
        assert_eq!(self.said["said"], "unknown", "{}", self.said);
        assert_eq!(self.said["failure"]["kind"], kind, "{}", self.said);
        let message = self.said["failure"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{message}");
    }

    /// It was refused since it is a preview: that is told, it is in the record, and no line of the file would change it.
    #[track_caller]
    pub(crate) fn is_refused(&self, word: &str, why: &str) {
        self.fails("denied", "");
        let told = self.said["refused"].as_array().map_or(&[][..], Vec::as_slice);
        let found = told.iter().find(|refusal| refusal["word"] == word);
        let found = found.unwrap_or_else(|| panic!("no refusal of `{word}`: {}", self.said));
        assert!(found["reason"].as_str().unwrap_or_default().contains(why), "{found}");
        assert!(told.iter().all(|refusal| refusal["hint"].is_null()), "{}", self.said);
        let recorded: Vec<&Value> = self.of("denied").map(|what| &what["refusal"]).collect();
        assert!(told.iter().all(|refusal| recorded.contains(&refusal)), "{recorded:?}");
        assert!(self.of("used").all(|what| what["use"]["effect"] == false), "{:?}", self.events);
    }

    /// All events of a kind.
    pub(crate) fn of<'s>(&'s self, event: &'s str) -> impl Iterator<Item = &'s Value> {
        self.events.iter().filter(move |what| what["event"] == event)
    }
}

/// What a run showed, and what its journal holds.
pub(crate) struct Seen {
    pub(crate) ended: Ended,
    pub(crate) events: Vec<Value>,
}

impl Seen {
    /// All events of a kind: `denied`, `logged`.
    pub(crate) fn of<'s>(&'s self, event: &'s str) -> impl Iterator<Item = &'s Value> {
        self.events.iter().filter(move |what| what["event"] == event)
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = &Value> {
        self.of("denied").map(|what| &what["refusal"])
    }

    /// Messages of log lines.
    pub(crate) fn logged(&self) -> Vec<&str> {
        self.of("logged").filter_map(|what| what["message"].as_str()).collect()
    }

    /// The end of the step "attempt".
    pub(crate) fn finished(&self) -> &Value {
        self.of("step-finished").last().unwrap()
    }

    /// Why it failed.
    pub(crate) fn failure(&self) -> &Value {
        &self.finished()["failure"]
    }

    /// What the guest saw, where it could do it.
    pub(crate) fn observed(&self) -> &str {
        self.finished()["report"]["findings"][0]["observed"].as_str().unwrap_or_default()
    }

    /// The step failed in this way, and for a reason that holds these words.
    #[track_caller]
    pub(crate) fn fails(&self, kind: &str, words: &str) {
        assert_eq!(self.ended.code, if kind == "denied" { 4 } else { 1 }, "{}", self.ended);
        assert_eq!(self.failure()["kind"], kind, "{}", self.ended);
        let message = self.failure()["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }

    /// It was refused, and no line would have allowed it.
    #[track_caller]
    pub(crate) fn refused_for_ever(&self) {
        self.fails("denied", "");
        assert!(self.refusals().all(|refusal| refusal["hint"].is_null()), "{}", self.ended);
    }
}

/// A string of TOML, whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\');
    let characters = text.chars().map(|c| if plain(c) { c.to_string() } else { format!("\\U{:08X}", u32::from(c)) });
    format!("\"{}\"", characters.collect::<String>())
}

/// What a file holds, or nothing where there is none.
pub(crate) fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
