//! Reaching for what a grant may or may not cover.

use std::fs;

use pipe_sdk::artifact::{self, Storing};
use pipe_sdk::http::{Method, Request, peer};
use pipe_sdk::mail::{self, Message};
use pipe_sdk::process::Command;
use pipe_sdk::sql::Connection;
use pipe_sdk::verify::Report;
use pipe_sdk::{Failure, disk, env, files, run};

use crate::done;

type Attempt = Result<Report, Failure>;

pub(crate) fn read_file(path: &str) -> Attempt {
    done(files::read_text(path, 1 << 20)?)
}

pub(crate) fn list_directory(path: &str) -> Attempt {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| files::explain(path, &error))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    done(names.join(" "))
}

pub(crate) fn stat_file(path: &str) -> Attempt {
    done(format!("{:o}", files::stat(path)?.mode))
}

pub(crate) fn write_file(path: &str) -> Attempt {
    fs::write(path, "hostile")?;
    done("written")
}

pub(crate) fn truncate_file(path: &str) -> Attempt {
    fs::OpenOptions::new().write(true).truncate(true).open(path)?;
    done("empty")
}

pub(crate) fn remove_file(path: &str) -> Attempt {
    fs::remove_file(path)?;
    done("removed")
}

pub(crate) fn rename_file(path: &str, to: &str) -> Attempt {
    fs::rename(path, to)?;
    done("renamed")
}

pub(crate) fn link_file(path: &str, to: &str) -> Attempt {
    fs::hard_link(path, to)?;
    done("linked")
}

pub(crate) fn request(method: &str, name: &str, path: &str, body: &str) -> Attempt {
    let methods = [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete];
    let method = methods.into_iter().find(|known| known.as_str() == method);
    let method = method.ok_or_else(|| Failure::settings("no such method"))?;
    let url = if path.contains("://") { path.to_owned() } else { peer(name, path) };
    let request = Request::new(method, url);
    let response = if body.is_empty() { request.send()? } else { request.body(body).send()? };
    done(format!("{} {}", response.status, response.text()))
}

pub(crate) fn read_database(peer: &str) -> Attempt {
    done(format!("{:?}", Connection::read(peer)?.query("SELECT who FROM visits", &[])?))
}

pub(crate) fn send_mail(peer: &str, from: &str, to: &[String], subject: &str) -> Attempt {
    done(mail::send(peer, &Message::new(from, to, subject, "hostile"))?.answer)
}

pub(crate) fn write_database(peer: &str) -> Attempt {
    let connection = Connection::write(peer)?;
    connection.query("INSERT INTO visits VALUES ('hostile')", &[])?;
    done("written")
}

pub(crate) fn write_through_reading(peer: &str) -> Attempt {
    let connection = Connection::read(peer)?;
    connection.query("INSERT INTO visits VALUES ('hostile')", &[])?;
    done("written")
}

pub(crate) fn read_statement(peer: &str, statement: &str) -> Attempt {
    done(Connection::read(peer)?.query(statement, &[])?.rows.len())
}

pub(crate) fn write_statement(peer: &str, statement: &str) -> Attempt {
    done(Connection::write(peer)?.query(statement, &[])?.affected)
}

pub(crate) fn send_script(peer: &str, script: &str) -> Attempt {
    Connection::write(peer)?.script(script)?;
    done("written")
}

/// The time that was left before and after half a second, in milliseconds.
pub(crate) fn ask_time() -> Attempt {
    let before = run::remaining();
    std::thread::sleep(std::time::Duration::from_millis(500));
    done(format!("{} {}", before.as_millis(), run::remaining().as_millis()))
}

pub(crate) fn run_program(argv: &[String]) -> Attempt {
    let output = Command::from_argv(argv)?.run(4096)?.success(&argv[0])?;
    done(output.text())
}

pub(crate) fn read_variable(name: &str) -> Attempt {
    done(env::variable(name)?.unwrap_or_default())
}

pub(crate) fn list_variables() -> Attempt {
    let mut names: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    names.sort();
    done(names.join(" "))
}

pub(crate) fn ask_disk(path: &str) -> Attempt {
    done(disk::free(path)?.total > 0)
}

pub(crate) fn store_artifact(directory: &str, key: &str) -> Attempt {
    let encrypt_with = (!key.is_empty()).then(|| key.to_owned());
    let stored = artifact::archive(directory, &Storing { name: "loot".into(), encrypt_with })?;
    done(if stored.encrypted { "encrypted" } else { "plain" })
}

pub(crate) fn read_artifact(digest: &str) -> Attempt {
    done(artifact::verify_archive(digest)?.entries)
}
