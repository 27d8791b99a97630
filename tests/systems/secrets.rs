//! Secrets, and the search for them: in files, in what was printed, and on the command lines of running programs.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// What must not be found, in every form in which it may travel.
#[derive(Clone)]
pub(crate) struct Needles {
    names: Vec<String>,
    search: AhoCorasick,
}

impl Needles {
    /// `secrets` by name.
    pub(crate) fn new<'s>(secrets: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        let (mut names, mut texts) = (Vec::new(), Vec::new());
        for (name, value) in secrets {
            for (form, text) in forms(value) {
                names.push(format!("{name}, {form}"));
                texts.push(text);
            }
        }
        Self { names, search: AhoCorasick::new(texts).unwrap() }
    }

    /// Which of them are in `haystack`.
    pub(crate) fn find(&self, haystack: &[u8]) -> BTreeSet<&str> {
        self.search
            .find_overlapping_iter(haystack)
            .map(|found| self.names[found.pattern().as_usize()].as_str())
            .collect()
    }

    /// Stops the test where one of them is in `haystack`.
    #[track_caller]
    pub(crate) fn refuse(&self, place: &str, haystack: &[u8]) {
        let found = self.find(haystack);
        assert!(found.is_empty(), "{place} holds {found:?}");
    }

    /// Looks through every file below a folder, and counts them.
    #[track_caller]
    pub(crate) fn refuse_below(&self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                files += self.refuse_below(&path);
            } else if kind.is_file() {
                self.refuse(&path.display().to_string(), &fs::read(&path).unwrap());
                files += 1;
            }
        }
        files
    }
}

fn forms(value: &str) -> Vec<(&'static str, String)> {
    let bytes = value.as_bytes();
    let percent = |keep: fn(u8) -> bool| -> String {
        bytes.iter().map(|&b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    let json = serde_json::to_string(value).unwrap();
    let mut forms = vec![
        ("plain", value.to_owned()),
        ("hexadecimal", hex::encode(bytes)),
        ("upper hexadecimal", hex::encode_upper(bytes)),
        ("percent-encoded", percent(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))),
        ("percent-encoded but for slashes", percent(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b))),
        ("JSON", json[1..json.len() - 1].to_owned()),
    ];
    for shift in 0..3 {
        // The characters at either end depend on the neighbours.
        let shifted = [&vec![0; shift], bytes].concat();
        let whole = shifted.len() / 3 * 4;
        let from = [0, 2, 3][shift];
        forms.push(("base64", STANDARD.encode(&shifted)[from..whole].to_owned()));
        forms.push(("base64url", URL_SAFE.encode(&shifted)[from..whole].to_owned()));
    }
    forms
}

/// Looks at every process of the machine, again and again, until it is told to stop.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// What holds a secret, and which.
    pub(crate) leaks: BTreeSet<String>,
    /// Names of the programs that were seen running.
    pub(crate) programs: BTreeSet<String>,
    /// How often all processes were looked at.
    pub(crate) rounds: u32,
}

impl Watch {
    /// Begins to look. `state` is looked through too, as it is while it is being written.
    pub(crate) fn begin(needles: Needles, state: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (stop, state) = (Arc::clone(&stop), state.to_owned());
            move || {
                let mut seen = Seen::default();
                while !stop.load(Ordering::Relaxed) {
                    seen.look_at_processes(&needles);
                    seen.look_at_files(&needles, &state);
                    seen.rounds += 1;
                    thread::sleep(Duration::from_micros(500));
                }
                seen
            }
        });
        Self { stop, thread }
    }

    pub(crate) fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Seen {
    fn look_at_processes(&mut self, needles: &Needles) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            if !entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
                continue;
            }
            // It may have ended in between.
            let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
            let shown = String::from_utf8_lossy(&line).replace('\0', " ");
            self.leaks
                .extend(needles.find(&line).into_iter().map(|found| format!("{found} in the arguments: {shown}")));
            // The operator's own variables are there for `pipe run`, and for nobody below it.
            if !shown.contains("pipe run ") {
                let variables = fs::read(entry.path().join("environ")).unwrap_or_default();
                let found = needles.find(&variables);
                self.leaks.extend(found.into_iter().map(|found| format!("{found} in the variables of {shown}")));
            }
            let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            self.programs.insert(String::from_utf8_lossy(name).into_owned());
        }
    }

    fn look_at_files(&mut self, needles: &Needles, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // Written once and large: a look at them takes so long that programs come and go unseen. They are looked through at the end.
            if ["pins", "copies", "reserve"].iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if entry.path().is_dir() {
                self.look_at_files(needles, &entry.path());
            } else if let Ok(content) = fs::read(entry.path()) {
                for found in needles.find(&content) {
                    self.leaks.insert(format!("{found} in {}", entry.path().display()));
                }
            }
        }
    }
}

#[test]
fn every_form_is_found() {
    let needles = Needles::new([("password", "p@ss/w\"rd-1234")]);
    for text in [
        "x p@ss/w\"rd-1234 y".to_owned(),
        format!("x{}", hex::encode("p@ss/w\"rd-1234")),
        "p%40ss%2Fw%22rd-1234".to_owned(),
        r#"{"a":"p@ss/w\"rd-1234"}"#.to_owned(),
        STANDARD.encode("p@ss/w\"rd-1234"),
        STANDARD.encode("user:p@ss/w\"rd-1234"),
        URL_SAFE.encode("a:p@ss/w\"rd-1234!"),
        STANDARD.encode("p@ss/w\"rd-1234 and more"),
    ] {
        assert!(!needles.find(text.as_bytes()).is_empty(), "{text}");
    }
    assert!(needles.find(b"p@ss/w\"rd-123").is_empty());
}

#[test]
fn a_secret_among_arguments_or_variables_is_seen() {
    let (argument, variable) = (crate::programs::random(24), crate::programs::random(24));
    let needles = Needles::new([("argument", argument.as_str()), ("variable", variable.as_str())]);
    let nothing = tempfile::tempdir().unwrap();
    let watch = Watch::begin(needles, nothing.path());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "sleep 0.2", "--", &argument]).env("HIDDEN", &variable);
    assert!(command.status().unwrap().success());
    let seen = watch.end();
    assert!(seen.programs.contains("sleep"));
    for found in ["argument, plain in the arguments: sh -c", "variable, plain in the variables of sh -c"] {
        assert!(seen.leaks.iter().any(|leak| leak.starts_with(found)), "{found}: {:?}", seen.leaks);
    }
}
