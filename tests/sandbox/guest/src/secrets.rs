//! Secrets in plaintext: asking for them, and saying them wherever something can be said.

use std::io::{self, Write as _};

use pipe_sdk::log::{self, Level};
use pipe_sdk::verify::Report;
use pipe_sdk::{Failure, Finding, checkpoint, output, secret};

use crate::done;

/// Shows the secret backwards, which nobody masks, as the proof that it was told.
pub(crate) fn reveal(name: &str) -> Result<Report, Failure> {
    done(secret::reveal(name)?.chars().rev().collect::<String>())
}

pub(crate) fn echo(name: &str) -> Result<Report, Failure> {
    let said = told(name)?;
    log::write(Level::Warning, &said, &[(&said, &said)]);
    log::progress(&said, 1, None);
    for mut stream in [Box::new(io::stdout()) as Box<dyn io::Write>, Box::new(io::stderr())] {
        stream.write_all(said.as_bytes())?;
        stream.flush()?;
    }
    // What a receipt holds is kept as it is; what is said of it is not.
    checkpoint::save("echo", b"nothing", &said)?;
    let finding = Finding::pass(said.as_str()).named(said.as_str()).with_observed(&said).with_expected(&said);
    Ok(Report { findings: vec![finding], outputs: vec![output("echo", said.as_str())] })
}

pub(crate) fn echo_and_fail(name: &str) -> Result<Report, Failure> {
    let said = told(name)?;
    Err(Failure::other(said.as_str()).with_findings(vec![Finding::fail(said.as_str()).named(said.as_str())]))
}

/// The secret, plain and in hexadecimal.
fn told(name: &str) -> Result<String, Failure> {
    let plain = secret::reveal(name)?;
    let digits: String = plain.bytes().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("it is {plain}, which is {digits}"))
}
