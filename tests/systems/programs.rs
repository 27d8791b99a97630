//! Programs that tests start themselves.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// Runs a program to its end, with `input` on its standard input, and returns its standard output.
#[track_caller]
pub(crate) fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let shown = format!("{command:?}");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let ended = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that stops reading says why on standard error.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    assert!(ended.status.success(), "{shown}: {}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}

/// The same, as text.
#[track_caller]
pub(crate) fn text(command: &mut Command) -> String {
    String::from_utf8(output(command, b"")).unwrap()
}

/// Letters and digits that nobody can guess.
pub(crate) fn random(length: usize) -> String {
    use std::io::Read as _;
    let mut bytes = vec![0; length];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    bytes.into_iter().map(|byte| char::from(letters[usize::from(byte) % letters.len()])).collect()
}
