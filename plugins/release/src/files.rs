//! `kind = "files"`: copies, checks, and switches a link.

use std::{collections::BTreeMap, fs, path::Path};

use pipe_sdk::{Context, Failure, Finding, checkpoint, files, log, output, release::Report, units::count};
use serde::{Deserialize, Serialize};

use crate::{
    disk::{self, failed},
    layout::{self, Layout},
    manifest::Manifest,
    prune,
    settings::{Files, Permissions},
    tree::{Origin, Tree},
};

/// What undo must know of one act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Receipt {
    /// A release directory is about to be made.
    Create {
        /// Its name.
        version: String,
    },
    /// The link is about to be switched.
    Switch {
        /// Where it pointed, or nothing where it was not there.
        from: Option<String>,
        /// Where it will point.
        to: String,
    },
}

/// The record of the last switch, beside the link. It tells a retry what was live before its own first attempt.
#[derive(Debug, Serialize, Deserialize)]
struct Switch {
    run: String,
    step: String,
    from: Option<String>,
    to: String,
}

/// What the host does for a release. A trait, so that the rest runs in native tests.
pub(crate) trait Host {
    /// Permission bits of a file.
    fn mode(&self, path: &Path) -> Result<u32, Failure>;
    /// Saves a receipt.
    fn save(&self, key: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure>;
}

/// The host itself.
pub(crate) struct Pipe;

impl Host for Pipe {
    fn mode(&self, path: &Path) -> Result<u32, Failure> {
        Ok(files::stat(&path.to_string_lossy())?.mode)
    }

    fn save(&self, key: &str, receipt: &Receipt, summary: &str) -> Result<(), Failure> {
        checkpoint::save_json(key, receipt, summary)
    }
}

/// A release under way.
struct Publishing<'p> {
    settings: &'p Files,
    context: &'p Context,
    host: &'p dyn Host,
    layout: Layout,
    findings: Vec<Finding>,
}

/// Releases.
pub(crate) fn publish(context: &Context, settings: &Files, host: &dyn Host) -> Result<Report, Failure> {
    let layout = Layout::new(&settings.destination, &settings.version, &context.run_id)?;
    if layout::overlap(&settings.source, &settings.destination) {
        return Err(Failure::settings("source and destination must not lie in each other"));
    }
    let mut publishing = Publishing { settings, context, host, layout, findings: Vec::new() };
    let result = publishing.run();
    result.map_err(|failure| failure.with_findings(publishing.findings))
}

impl Publishing<'_> {
    fn run(&mut self) -> Result<Report, Failure> {
        let source = self.source()?;
        // Before anything is looked at there: a release that may not write is told so, and not that it may not look.
        disk::make_writable(self.layout.root())?;
        let before = disk::read_link(&self.layout.current())?;
        self.prepare(&source)?;
        let previous = self.switch(before)?;
        let keep = usize::try_from(self.settings.keep).unwrap_or(usize::MAX);
        self.findings.push(prune::prune(&self.layout, previous.as_deref(), keep));

        let shown = previous.as_deref().map(|target| layout::shown(target).to_owned());
        let mut outputs = vec![
            output("version", &self.settings.version),
            output("path", self.layout.release().to_string_lossy()),
            output("files", source.files.len().to_string()),
            output("bytes", source.bytes().to_string()),
        ];
        outputs.extend(shown.as_deref().map(|version| output("previous", version)));
        let findings = std::mem::take(&mut self.findings);
        Ok(Report { previous: shown, current: self.settings.version.clone(), findings, outputs })
    }

    /// Reads the source, and refuses one that cannot be released.
    fn source(&mut self) -> Result<Tree, Failure> {
        let root = Path::new(&self.settings.source);
        let tree = Tree::scan(root, Origin::Source)?;
        if tree.files.is_empty() {
            return Err(Failure::unmet(format!("{} holds no file", self.settings.source)));
        }
        if self.settings.permissions == Permissions::Refuse {
            self.permissions(root, &tree)?;
        }
        Ok(tree)
    }

    fn permissions(&mut self, root: &Path, tree: &Tree) -> Result<(), Failure> {
        for path in tree.files.keys() {
            let mode = self.host.mode(&root.join(path))?;
            if let Some(why) = lost(mode) {
                return Err(Failure::unmet(format!(
                    "{path} {why} (mode {mode:04o}), and a copy cannot keep permission bits: change them in the source, \
                     or set permissions = \"lose\""
                )));
            }
        }
        self.findings.push(Finding::pass("no file depends on permission bits").named("permissions"));
        Ok(())
    }

    /// Makes the release directory, or finds it with the same content.
    fn prepare(&mut self, source: &Tree) -> Result<(), Failure> {
        let release = self.layout.release();
        let version = &self.settings.version;
        if !disk::exists(&release)? {
            self.create(source)?;
            let files = count(source.files.len(), "file", "files");
            let message = format!("{files} copied and read back, {}", count(source.bytes(), "byte", "bytes"));
            self.findings.push(Finding::pass(message).named(format!("release {version}")));
            return Ok(());
        }
        let shown = release.display();
        let manifest = Manifest::read(&release)?
            .ok_or_else(|| Failure::conflict(format!("{shown} is there, but pipe did not make it")))?;
        if let Some(difference) = source.difference(&manifest.content) {
            return Err(Failure::conflict(format!(
                "{shown} is there with other content ({difference}); new content needs a new version"
            )));
        }
        if let Some(difference) = Tree::scan(&release, Origin::Release)?.difference(source) {
            return Err(Failure::conflict(format!("{shown} was changed after its release: {difference}")));
        }
        let message = format!("the same content is there since run {}; it was read again", manifest.run);
        self.findings.push(Finding::pass(message).named(format!("release {version}")));
        Ok(())
    }

    fn create(&self, source: &Tree) -> Result<(), Failure> {
        let (release, staging) = (self.layout.release(), self.layout.staging());
        let version = &self.settings.version;
        let summary = format!("rm -r {}", in_shell(&release));
        self.host.save(&format!("create {version}"), &Receipt::Create { version: version.clone() }, &summary)?;

        let releases = self.layout.releases();
        fs::create_dir_all(&releases).map_err(failed(&releases))?;
        disk::remove_tree(&staging)?;
        copy(Path::new(&self.settings.source), source, &staging)?;
        if let Some(difference) = Tree::scan(&staging, Origin::Release)?.difference(source) {
            return Err(Failure::conflict(format!("the copy is not the source: {difference}")));
        }
        let manifest = Manifest {
            format: 1,
            version: version.clone(),
            run: self.context.run_id.clone(),
            step: self.context.step.clone(),
            created_unix_ms: self.context.started_unix_ms,
            content: source.clone(),
        };
        manifest.write(&staging)?;
        disk::sync_names(&staging);
        fs::rename(&staging, &release).map_err(failed(&release))?;
        disk::sync_names(&releases);
        Ok(())
    }

    /// Switches the link, unless it shows the release already. Returns where it pointed before this run.
    fn switch(&mut self, before: Option<String>) -> Result<Option<String>, Failure> {
        let target = self.layout.target();
        let version = &self.settings.version;
        if before.as_ref() == Some(&target) {
            let previous = self.before_this_run()?.unwrap_or(before);
            self.findings.push(Finding::pass(format!("shows {version} already")).named("current"));
            return Ok(previous);
        }
        let current = self.layout.current();
        let summary = match &before {
            Some(before) => format!("ln -sfn {} {}", in_shell(Path::new(before)), in_shell(&current)),
            None => format!("rm {}", in_shell(&current)),
        };
        let receipt = Receipt::Switch { from: before.clone(), to: target.clone() };
        self.host.save(&format!("switch to {version}"), &receipt, &summary)?;
        self.remember(before.clone(), target.clone())?;
        point(&self.layout, &target)?;

        // Through the link, as users come.
        let seen = Manifest::read(&current)?.map(|manifest| manifest.version);
        if seen.as_ref() != Some(version) {
            return Err(Failure::unmet(format!("{} does not show {version} after the switch", current.display())));
        }
        let from = before.as_deref().map_or("nothing", layout::shown);
        self.findings.push(Finding::pass(format!("switched from {from} to {version}")).named("current"));
        Ok(before)
    }

    fn remember(&self, from: Option<String>, to: String) -> Result<(), Failure> {
        let switch = Switch { run: self.context.run_id.clone(), step: self.context.step.clone(), from, to };
        let bytes = serde_json::to_vec(&switch).map_err(|error| Failure::other(error.to_string()))?;
        disk::replace(&self.layout.switch(), &self.layout.next_switch(), &bytes)
    }

    /// What an earlier attempt of this step found before it switched.
    fn before_this_run(&self) -> Result<Option<Option<String>>, Failure> {
        let path = self.layout.switch();
        if !disk::exists(&path)? {
            return Ok(None);
        }
        let bytes = files::read(&path.to_string_lossy(), 64 << 10)?;
        let switch = serde_json::from_slice::<Switch>(&bytes).ok();
        let ours = |switch: &Switch| {
            switch.run == self.context.run_id && switch.step == self.context.step && switch.to == self.layout.target()
        };
        Ok(switch.filter(ours).map(|switch| switch.from))
    }
}

/// A path as one word of a POSIX shell: summaries of receipts are commands for the person who must go on by hand.
fn in_shell(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What a copy would lose of a file's permission bits.
fn lost(mode: u32) -> Option<&'static str> {
    if mode & 0o111 != 0 {
        return Some("is executable");
    }
    (mode & 0o004 == 0).then_some("is not readable by everyone")
}

/// Lets the link `current` point somewhere else, in one step: there is no moment without it.
pub(crate) fn point(layout: &Layout, target: &str) -> Result<(), Failure> {
    let (current, next) = (layout.current(), layout.next());
    disk::remove(&next)?;
    disk::link(target, &next)?;
    fs::rename(&next, &current).map_err(failed(&current))?;
    disk::sync_names(layout.root());
    Ok(())
}

/// Copies everything that was found in the source, and nothing else.
fn copy(from: &Path, tree: &Tree, to: &Path) -> Result<(), Failure> {
    fs::create_dir(to).map_err(failed(to))?;
    for path in &tree.directories {
        let directory = to.join(path);
        fs::create_dir(&directory).map_err(failed(&directory))?;
    }
    let total = tree.bytes();
    let mut done = 0;
    for (path, entry) in &tree.files {
        disk::copy(&from.join(path), &to.join(path))?;
        done += entry.bytes;
        log::progress("copying", done, Some(total));
    }
    for (path, target) in &tree.links {
        disk::link(target, &to.join(path))?;
    }
    for path in tree.directories.iter().rev() {
        disk::sync_names(&to.join(path));
    }
    Ok(())
}

/// The releases in a directory, by name: those that hold a manifest which says so itself.
pub(crate) fn releases(layout: &Layout) -> Result<BTreeMap<String, Manifest>, Failure> {
    let root = layout.releases();
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&root).map_err(failed(&root))? {
        let entry = entry.map_err(failed(&root))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = entry.path();
        let is_directory = fs::symlink_metadata(&path).map_err(failed(&path))?.is_dir();
        if !is_directory || !layout::is_version(&name) {
            continue;
        }
        if let Some(manifest) = Manifest::read(&path)?.filter(|manifest| manifest.version == name) {
            found.insert(name, manifest);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
