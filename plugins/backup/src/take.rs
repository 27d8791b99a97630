//! Stores, reads back, reports.

use std::{collections::BTreeSet, fs, path::Path, time::Instant};

use pipe_sdk::{
    Error, Failure, Finding, Output,
    artifact::{self, Stored, Storing, Verification},
    backup::Report,
    files, log, output,
    process::Command,
    units::{Bytes, count},
};

use crate::{
    command,
    settings::{Archive, Item, PgDump, VerifyArchive, VerifyDump},
};

/// What the host does for a backup. A trait, so that the rest runs in native tests.
pub(crate) trait Host {
    /// Stores a directory.
    fn archive(&self, directory: &str, storing: &Storing) -> Result<Stored, Error>;
    /// Stores what a program writes.
    fn capture(&self, producer: &Command, storing: &Storing) -> Result<Stored, Error>;
    /// Reads an archive back.
    fn verify_archive(&self, digest: &str) -> Result<Verification, Error>;
    /// Reads an artifact back through a program.
    fn verify_with(&self, digest: &str, verifier: &Command) -> Result<Verification, Error>;
}

/// The host itself.
pub(crate) struct Pipe;

impl Host for Pipe {
    fn archive(&self, directory: &str, storing: &Storing) -> Result<Stored, Error> {
        artifact::archive(directory, storing)
    }

    fn capture(&self, producer: &Command, storing: &Storing) -> Result<Stored, Error> {
        artifact::capture(producer, storing)
    }

    fn verify_archive(&self, digest: &str) -> Result<Verification, Error> {
        artifact::verify_archive(digest)
    }

    fn verify_with(&self, digest: &str, verifier: &Command) -> Result<Verification, Error> {
        artifact::verify_with(digest, verifier)
    }
}

/// An item whose settings make sense.
pub(crate) struct Planned<'i> {
    pub(crate) name: String,
    pub(crate) source: Source<'i>,
}

/// What is stored.
pub(crate) enum Source<'i> {
    Directory(&'i Archive),
    Dump { dump: &'i PgDump, producer: Command, verifier: Command },
}

/// Takes every backup, in order.
pub(crate) fn take(items: &[Item], host: &dyn Host) -> Result<Report, Failure> {
    let planned = plan(items)?;
    let mut report = Report::default();
    for (index, item) in planned.iter().enumerate() {
        let suffix = if planned.len() > 1 { format!("-{}", index + 1) } else { String::new() };
        if let Err(failure) = item.take(host, &suffix, &mut report) {
            let findings = std::mem::take(&mut report.findings);
            return Err(failure.within(&item.name).with_findings(findings));
        }
    }
    if planned.len() > 1 {
        report.outputs.push(output("count", planned.len().to_string()));
    }
    Ok(report)
}

/// What every item stores, and under which name.
pub(crate) fn plan(items: &[Item]) -> Result<Vec<Planned<'_>>, Failure> {
    let planned = items.iter().map(planned).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = planned.iter().find(|item| !names.insert(item.name.as_str())) {
        return Err(Failure::settings(format!("two artifacts would have the name {}; give them names", twice.name)));
    }
    Ok(planned)
}

fn planned(item: &Item) -> Result<Planned<'_>, Failure> {
    match item {
        Item::Archive(archive) => Ok(Planned { name: archive_name(archive)?, source: Source::Directory(archive) }),
        Item::PgDump(dump) => {
            let name = dump.name.clone().unwrap_or_else(|| format!("{}.dump", dump.peer));
            let (producer, verifier) = (command::producer(dump)?, command::verifier(dump)?);
            Ok(Planned { name, source: Source::Dump { dump, producer, verifier } })
        }
    }
}

/// The last part of the directory.
fn archive_name(archive: &Archive) -> Result<String, Failure> {
    if let Some(name) = &archive.name {
        return Ok(name.clone());
    }
    let last = Path::new(&archive.directory).file_name().and_then(|name| name.to_str());
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    match last.map(|last| last.trim_start_matches('.').chars().map(plain).collect::<String>()) {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(Failure::settings(format!(
            "{} has no last part to name the archive after; set `name`",
            archive.directory
        ))),
    }
}

impl Planned<'_> {
    fn take(&self, host: &dyn Host, suffix: &str, report: &mut Report) -> Result<(), Failure> {
        let started = Instant::now();
        log::info(format!("storing {}", self.name));
        let stored = self.store(host)?;
        report.findings.push(self.stored(&stored).took(started.elapsed()));
        report.artifacts.push(stored.digest.clone());
        report.outputs.extend(outputs(&self.name, &stored, suffix));
        if stored.content_bytes == 0 {
            return Err(Failure::unmet("the backup is empty"));
        }

        let started = Instant::now();
        log::info(format!("reading {} back", self.name));
        let read = self.verify(host, &stored.digest).map_err(|error| Failure::from(error).within("verification"))?;
        if read.content_bytes != stored.content_bytes {
            return Err(Failure::unmet(format!(
                "verification read {} bytes of the {} that were stored",
                read.content_bytes, stored.content_bytes
            )));
        }
        report.findings.push(self.verified(&read).took(started.elapsed()));
        Ok(())
    }

    fn store(&self, host: &dyn Host) -> Result<Stored, Failure> {
        match &self.source {
            Source::Directory(archive) => {
                not_empty(&archive.directory)?;
                Ok(host.archive(&archive.directory, &self.storing(archive.encrypt.secret()))?)
            }
            Source::Dump { dump, producer, .. } => Ok(host.capture(producer, &self.storing(dump.encrypt.secret()))?),
        }
    }

    fn storing(&self, secret: Option<&str>) -> Storing {
        Storing { name: self.name.clone(), encrypt_with: secret.map(str::to_owned) }
    }

    fn verify(&self, host: &dyn Host, digest: &str) -> Result<Verification, Error> {
        match &self.source {
            Source::Directory(archive) => match archive.verify {
                VerifyArchive::Listing => host.verify_archive(digest),
            },
            Source::Dump { verifier, .. } => host.verify_with(digest, verifier),
        }
    }

    fn stored(&self, stored: &Stored) -> Finding {
        let source = match &self.source {
            Source::Directory(archive) => archive.directory.clone(),
            Source::Dump { dump, producer, .. } => format!("{} of {}", producer.program(), dump.peer),
        };
        let sizes = format!("{source}: {} stored as {}", Bytes(stored.content_bytes), Bytes(stored.bytes));
        let finding = if stored.encrypted {
            Finding::pass(format!("{sizes}, encrypted"))
        } else {
            Finding::warn(format!("{sizes}, not encrypted"))
        };
        finding.named(format!("backup {}", self.name)).with_observed(format!("sha256 {}", stored.digest))
    }

    fn verified(&self, read: &Verification) -> Finding {
        let message = match &self.source {
            Source::Directory(_) => {
                let entries = count(read.entries, "entry", "entries");
                format!("listed to the end: {entries}, {}", Bytes(read.content_bytes))
            }
            Source::Dump { dump, verifier, .. } => match &dump.verify {
                VerifyDump::Read => format!(
                    "{} read {} to the end; nothing was restored",
                    verifier.program(),
                    Bytes(read.content_bytes)
                ),
                VerifyDump::Restore(_) => {
                    format!("{} restored {} into the scratch database", verifier.program(), Bytes(read.content_bytes))
                }
            },
        };
        Finding::pass(message).named(format!("verification of {}", self.name)).with_observed(&read.method)
    }
}

/// An empty directory is most often one that is not mounted.
pub(crate) fn not_empty(directory: &str) -> Result<(), Failure> {
    let mut entries = fs::read_dir(directory).map_err(|error| files::explain(directory, &error))?;
    match entries.next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(files::explain(directory, &error)),
        None => Err(Failure::unmet(format!("{directory} is empty: is it mounted?"))),
    }
}

fn outputs(name: &str, stored: &Stored, suffix: &str) -> Vec<Output> {
    [
        ("name", name.to_owned()),
        ("digest", stored.digest.clone()),
        ("location", stored.location.clone()),
        ("bytes", stored.bytes.to_string()),
        ("content-bytes", stored.content_bytes.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| output(format!("{key}{suffix}"), value))
    .collect()
}

#[cfg(test)]
mod tests;
