use std::cell::RefCell;

use super::*;

/// A world with one version in it, and programs that show and change it.
#[derive(Default)]
struct World {
    live: RefCell<String>,
    ran: RefCell<Vec<String>>,
    saved: RefCell<Vec<(Receipt, String)>>,
    broken: bool,
}

impl World {
    fn with(live: &str) -> Self {
        Self { live: RefCell::new(live.to_owned()), ..Self::default() }
    }

    fn receipts(&self) -> Vec<Receipt> {
        self.saved.borrow().iter().map(|(receipt, _)| receipt.clone()).collect()
    }
}

impl Host for World {
    fn run(&self, command: &Command, each: &mut dyn FnMut(Channel, &[u8])) -> Result<Exit, Error> {
        self.ran.borrow_mut().push(line(command.program(), command.arguments()));
        match (command.program(), command.arguments()) {
            ("show", []) => each(Channel::Output, format!("{}\n", self.live.borrow()).as_bytes()),
            ("set", [_]) if self.broken => {
                each(Channel::Output, b"starting\n");
                each(Channel::ErrorOutput, b"no such image\nsee the log\n");
                return Ok(Exit::Code(3));
            }
            ("set", [version]) => self.live.replace(version.clone()).truncate(0),
            _ => return Ok(Exit::Signal(9)),
        }
        Ok(Exit::Code(0))
    }

    fn save(&self, _: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure> {
        self.saved.borrow_mut().push((receipt.clone(), summary.to_owned()));
        Ok(())
    }
}

fn argv(text: &str) -> Argv {
    let mut words = text.split(' ').map(str::to_owned);
    Argv { program: words.next().unwrap_or_default(), arguments: words.collect() }
}

fn settings() -> Program {
    Program {
        version: "2".to_owned(),
        publish: argv("set 2"),
        undo: Some(argv("set {previous}")),
        current: Some(argv("show")),
        expect: Expect::Version,
    }
}

fn context() -> Context {
    Context {
        run_id: "20261123000000-abcdef".to_owned(),
        pipeline: "p".to_owned(),
        environment: "e".to_owned(),
        step: "release".to_owned(),
        instance: None,
        attempt: 1,
        idempotency_key: "k".to_owned(),
        deadline_unix_ms: 0,
        started_unix_ms: 0,
        settings: String::new(),
    }
}

#[test]
fn releases_and_goes_back() {
    let world = World::with("1");
    let report = publish(&context(), &settings(), &world).unwrap();
    assert_eq!((report.previous.as_deref(), report.current.as_str()), (Some("1"), "2"));
    assert_eq!(world.saved.borrow()[0].1, "set 1");
    assert_eq!(*world.ran.borrow(), ["show", "set 2", "show"]);

    let report = undo(&settings(), &world.receipts(), &world).unwrap();
    assert_eq!(report.undone, ["ran set 1 to go back from 2 to 1"]);
    assert_eq!(*world.live.borrow(), "1");
    assert!(undo(&settings(), &world.receipts(), &world).unwrap().undone.is_empty());
}

#[test]
fn the_receipt_of_the_first_attempt_counts() {
    let world = World::with("1");
    publish(&context(), &settings(), &world).unwrap();
    publish(&Context { attempt: 2, ..context() }, &settings(), &world).unwrap();
    assert_eq!(world.saved.borrow()[1].0.previous.as_deref(), Some("2"));
    undo(&settings(), &world.receipts(), &world).unwrap();
    assert_eq!(*world.live.borrow(), "1");
}

#[test]
fn a_program_that_fails_says_its_last_words() {
    let world = World { broken: true, ..World::with("1") };
    let failure = publish(&context(), &settings(), &world).unwrap_err();
    assert_eq!(failure.message, "set exited with 3: no such image / see the log");
    assert!(failure.retryable && !failure.findings.is_empty());
}

#[test]
fn a_program_that_did_nothing_is_found_out() {
    let world = World::with("1");
    let mut settings = Program { publish: argv("show"), ..settings() };
    let failure = publish(&context(), &settings, &world).unwrap_err();
    assert_eq!(failure.message, "1 is live after the release, not 2");
    settings.expect = Expect::Any;
    assert_eq!(publish(&context(), &settings, &world).unwrap().current, "1");
}

#[test]
fn the_first_release_of_all_cannot_go_back_to_anything() {
    let world = World::with("");
    let report = publish(&context(), &settings(), &world).unwrap();
    assert_eq!(report.previous, None);
    assert_eq!(world.saved.borrow()[0].1, "take 2 back by hand");
    let failure = undo(&settings(), &world.receipts(), &world).unwrap_err();
    assert!(failure.message.contains("nothing was live before it"), "{}", failure.message);
}

#[test]
fn without_undo_it_says_so() {
    let world = World::with("1");
    let settings = Program { undo: None, current: None, ..settings() };
    let report = publish(&context(), &settings, &world).unwrap();
    assert!(report.findings.iter().any(|finding| finding.message.contains("cannot be taken back")));
    assert_eq!(report.previous, None);
    let failure = undo(&settings, &world.receipts(), &world).unwrap_err();
    assert_eq!(failure.message, "2 cannot be taken back: the step has no `undo`");
    assert!(undo(&settings, &[], &world).unwrap().undone.is_empty());
}

#[test]
fn previous_needs_current() {
    let world = World::with("1");
    let failure = publish(&context(), &Program { current: None, ..settings() }, &world).unwrap_err();
    assert!(failure.message.contains("needs `current`"));
    assert!(world.ran.borrow().is_empty() && world.saved.borrow().is_empty());
}

#[test]
fn what_current_may_print() {
    let parse = |text: &str| parse_live(text.as_bytes());
    assert_eq!(parse(" 1.4.2 \n"), Ok(Some("1.4.2".to_owned())));
    assert_eq!(parse("\n"), Ok(None));
    assert!(parse("1\n2").is_err() && parse("--all").is_err() && parse("1\u{1b}[0m").is_err());
    assert!(parse(&"1".repeat(5000)).is_err() && parse_live(&[0xff]).is_err());
}

#[test]
fn previous_is_put_in_wherever_it_stands() {
    let undo = argv("deploy --to={previous} x{previous}{previous}");
    assert_eq!(substituted(&undo, Some("1 a")).unwrap(), ["deploy", "--to=1 a", "x1 a1 a"]);
    assert_eq!(substituted(&undo, None), None);
    assert_eq!(substituted(&argv("down all"), None).unwrap(), ["down", "all"]);
    assert_eq!(line("a", &["b c".to_owned(), "it's".to_owned(), String::new()]), r"a 'b c' 'it'\''s' ''");
}
