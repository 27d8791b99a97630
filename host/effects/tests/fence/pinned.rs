//! A program whose content the rule fixes: what was checked is what runs.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::{exec::ExecRule, path::PathRule};
use pipe_core::digest::Digest;
use pipe_effects::{error::ErrorKind, process::Exit, session::Session};

use super::Fenced;
use crate::place::{command, exec_grant, exec_rule, run};

/// A copy of a program of the system, and a rule for it while it is that copy.
fn pinned_rule(fenced: &Fenced, of: &str) -> (PathBuf, ExecRule) {
    let path = fenced.at("program");
    fs::copy(of, &path).unwrap();
    let sha256 = Some(Digest::of(&fs::read(&path).unwrap()));
    let rule = ExecRule { sha256, ..exec_rule(path.to_str().unwrap(), &["**"]) };
    (path, rule)
}

fn pinned(fenced: &Fenced, of: &str) -> (PathBuf, Arc<Session>) {
    let (path, rule) = pinned_rule(fenced, of);
    (path, fenced.place.session(exec_grant(vec![rule])))
}

#[test]
fn a_program_that_is_replaced_after_it_was_read_does_not_run() {
    let fenced = Fenced::new();
    let (path, session) = pinned(&fenced, "/usr/bin/true");
    let start = || fenced.block_on(run(&session, command(path.to_str().unwrap(), &[])));
    assert_eq!(start().unwrap().exit, Exit::Code(0));
    fs::remove_file(&path).unwrap();
    fs::copy("/usr/bin/false", &path).unwrap();
    let error = start().err().unwrap();
    assert!(error.kind == ErrorKind::Denied && error.message.contains("sha256"), "{}", error.message);
}

#[test]
pub(crate) fn what_was_checked_runs_although_its_file_changes_before_the_start() {
    fn overwrite(path: &Path) {
        let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
        file.write_all(&fs::read("/usr/bin/false").unwrap()).unwrap();
    }
    fn replace(path: &Path) {
        fs::remove_file(path).unwrap();
        fs::copy("/usr/bin/false", path).unwrap();
    }
    fn move_away(path: &Path) {
        fs::rename(path, path.with_extension("elsewhere")).unwrap();
        fs::copy("/usr/bin/false", path).unwrap();
    }
    for change in [overwrite as fn(&Path), replace, move_away] {
        let fenced = Fenced::new();
        let (path, session) = pinned(&fenced, "/usr/bin/echo");
        // Once the use is written down, it was checked and has not begun.
        let changed = path.clone();
        fenced.place.ledger.when_used(move || change(&changed));
        let ran = fenced.block_on(run(&session, command(path.to_str().unwrap(), &["what", "was", "checked"]))).unwrap();
        assert_eq!((ran.exit, ran.output.as_str()), (Exit::Code(0), "what was checked\n"), "{}", ran.errors);
        assert_ne!(fs::read(&path).unwrap(), fs::read("/usr/bin/echo").unwrap());
    }
}

#[test]
pub(crate) fn it_finds_itself_where_it_lies() {
    // With a socket it runs in a root of its own.
    for socket in [false, true] {
        let fenced = Fenced::new();
        let (path, rule) = pinned_rule(&fenced, "/usr/bin/readlink");
        let socket = socket.then(|| PathRule::new("none.sock", fenced.at("none.sock")));
        let rule = ExecRule { sockets: socket.into_iter().collect(), ..rule };
        let session = fenced.place.session(exec_grant(vec![rule]));
        let path = path.to_str().unwrap();
        let ran = fenced.block_on(run(&session, command(path, &["/proc/self/exe"]))).unwrap();
        assert_eq!(ran.output.trim_end(), path, "{}", ran.errors);
    }
}

#[test]
fn a_script_is_refused() {
    let fenced = Fenced::new();
    let path = fenced.at("program");
    fs::copy("/usr/bin/true", &path).unwrap();
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let sha256 = Some(Digest::of(b"#!/bin/sh\n"));
    let rule = ExecRule { sha256, ..exec_rule(path.to_str().unwrap(), &[]) };
    let session = fenced.place.session(exec_grant(vec![rule]));
    let error = fenced.block_on(run(&session, command(path.to_str().unwrap(), &[]))).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("is a script, and its sha256 says nothing"), "{}", error.message);
}
