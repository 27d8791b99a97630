//! Saying too much, and saying what a terminal would act upon.

use std::io::{self, Write as _};

use pipe_sdk::log::{self, Level};
use pipe_sdk::verify::Report;
use pipe_sdk::{Failure, env};

use crate::done;

pub(crate) fn log() -> Result<Report, Failure> {
    for line in 0..100_000 {
        log::info(format!("line {line}"));
    }
    done("said")
}

pub(crate) fn log_and_fail() -> Result<Report, Failure> {
    let long = "x".repeat(4_000);
    let keys: Vec<String> = (0..100).map(|number| format!("{number}{long}")).collect();
    let fields: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), long.as_str())).collect();
    for _ in 0..5_000 {
        log::write(Level::Error, &long, &fields);
    }
    Err(Failure::other("said too much"))
}

pub(crate) fn output() -> Result<Report, Failure> {
    let part = "x".repeat(1 << 20);
    for _ in 0..100 {
        io::stdout().write_all(part.as_bytes())?;
    }
    io::stdout().flush()?;
    done("said")
}

pub(crate) fn progress() -> Result<Report, Failure> {
    for done in 0..100_000 {
        log::progress("\u{1b}[2J", done, None);
    }
    done("said")
}

/// Asks for variables until it is refused in another way.
pub(crate) fn refusals() -> Result<Report, Failure> {
    for number in 0..100_000 {
        if let Err(error) = env::variable(&format!("VARIABLE_{number}"))
            && error.kind != pipe_sdk::ErrorKind::Denied
        {
            return Err(error.into());
        }
    }
    done("asked")
}

/// Reads a variable until it is refused.
pub(crate) fn uses(name: &str) -> Result<Report, Failure> {
    for _ in 0..10_000_000 {
        env::variable(name)?;
    }
    done("used")
}

pub(crate) fn say_in_log(text: &str) -> Result<Report, Failure> {
    log::write(Level::Warning, text, &[(text, text)]);
    done("said")
}

pub(crate) fn say_on_output(text: &str) -> Result<Report, Failure> {
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()?;
    io::stderr().write_all(text.as_bytes())?;
    done("said")
}
