//! What a process usually has without asking for it.

use std::env;
use std::io::Read as _;

use pipe_sdk::http::{Request, peer};
use pipe_sdk::log;
use pipe_sdk::verify::Report;
use pipe_sdk::{Failure, files};

use crate::done;

type Attempt = Result<Report, Failure>;

pub(crate) fn arguments() -> Attempt {
    done(env::args().collect::<Vec<_>>().join(" "))
}

pub(crate) fn standard_input() -> Attempt {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| files::explain("standard input", &error))?;
    done(text)
}

/// `header` is `name: value`.
pub(crate) fn send_header(name: &str, header: &str) -> Attempt {
    let (header, value) = header.split_once(": ").ok_or_else(|| Failure::settings("a header and its value"))?;
    let response = Request::get(peer(name, "/")).header(header, value).send()?;
    done(format!("{} {}", response.status, response.text()))
}

pub(crate) fn read_header(name: &str, header: &str) -> Attempt {
    let response = Request::get(peer(name, "/")).send()?;
    done(format!("{} {}", response.header(header).unwrap_or_default(), response.text()))
}

pub(crate) fn say_in_progress(text: &str) -> Attempt {
    log::progress(text, 1, Some(2));
    done("said")
}
