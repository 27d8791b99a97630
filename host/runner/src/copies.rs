//! Copies of what a migration or release reads: made before the first step and used from then on, so that a run that is resumed
//! or undone a day later still has the scripts and the version that it began with.
//!
//! A tree of copies for each rule, in the state directory, and a manifest of what is in them that the journal names by its hash.
//! What a step of the run writes is not copied: it is not there yet. What is large is not copied either, and the manifest
//! says so.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use pipe_capability::grant::Grant;
use pipe_core::{
    digest::Digest,
    id::{RunId, StepId},
    stage::Stage,
};
use pipe_pipeline::Pipeline;
use serde::{Deserialize, Serialize};

use crate::pins::Pins;

/// The most bytes of all copies of a run.
const MOST_BYTES: u64 = 64 << 20;

/// The most files, directories and links of all copies of a run.
const MOST_ENTRIES: usize = 4_096;

/// What was copied, in the order of the paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) trees: Vec<Tree>,
}

/// What one rule named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    /// Where it was, canonical.
    pub(crate) path: PathBuf,
    /// What is in the copy, by its path from there; nothing where it was too large to be copied.
    pub(crate) entries: Option<BTreeMap<PathBuf, Entry>>,
}

/// A file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Entry {
    File(Digest),
    Directory,
    Link(PathBuf),
}

/// Why there is no copy, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It cannot be made.
    #[error("cannot copy {path} into the state directory: {source}")]
    Unmade {
        /// What was to be copied.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was copied.
    #[error("the copy of {path} that this run was begun with is not what it was: {what}")]
    Changed {
        /// What was copied.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Copies what the migrations and releases of a pipeline read.
pub(crate) fn make(
    folder: &Path,
    pipeline: &Pipeline,
    grants: &BTreeMap<StepId, Arc<Grant>>,
) -> Result<Manifest, CopyError> {
    let mut left = Budget { bytes: MOST_BYTES, entries: MOST_ENTRIES };
    let mut trees = Vec::new();
    for (number, path) in wanted(pipeline, grants).into_iter().enumerate() {
        let failed = |source| CopyError::Unmade { path: path.clone(), source };
        let entries = left.measure(&path).map_err(failed)?;
        let entries = match entries {
            false => None,
            true => {
                let mut copy = Copying { to: folder.join(number.to_string()), entries: BTreeMap::new() };
                DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
                copy.entry(&path, Path::new("")).map_err(failed)?;
                Some(copy.entries)
            }
        };
        trees.push(Tree { path, entries });
    }
    if folder.exists() {
        // The names of the copies. Their content was synced as it was written.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| CopyError::Unmade { path: folder.to_owned(), source })?;
    }
    Ok(Manifest { trees })
}

impl Manifest {
    /// Where the copy of each path is.
    pub(crate) fn places(&self, folder: &Path) -> BTreeMap<PathBuf, PathBuf> {
        let copied = self.trees.iter().enumerate().filter(|(_, tree)| tree.entries.is_some());
        copied.map(|(number, tree)| (tree.path.clone(), folder.join(number.to_string()))).collect()
    }

    /// What was too large to be copied: what is there now is used.
    pub(crate) fn too_large(&self) -> impl Iterator<Item = &Path> {
        self.trees.iter().filter(|tree| tree.entries.is_none()).map(|tree| tree.path.as_path())
    }

    /// Holds every copy against what was copied: nothing changed, nothing gone, and nothing that was put beside it.
    pub(crate) fn check(&self, folder: &Path) -> Result<(), CopyError> {
        for (number, tree) in self.trees.iter().enumerate() {
            let Some(entries) = &tree.entries else { continue };
            let root = folder.join(number.to_string());
            for (below, entry) in entries {
                let found = Entry::of(&join(&root, below));
                if found.as_ref().ok() != Some(entry) {
                    let what = found.err().map_or_else(|| "it was changed".to_owned(), |error| error.to_string());
                    let what = format!("{}: {what}", below.display());
                    return Err(CopyError::Changed { path: tree.path.clone(), what });
                }
                if *entry == Entry::Directory
                    && let Some(added) = added(&join(&root, below), below, entries)
                {
                    let what = format!("{}: it was not there", added.display());
                    return Err(CopyError::Changed { path: tree.path.clone(), what });
                }
            }
        }
        Ok(())
    }
}

/// What lies in a directory and was not copied. One that cannot be listed holds nothing that could be read either.
fn added(directory: &Path, below: &Path, entries: &BTreeMap<PathBuf, Entry>) -> Option<PathBuf> {
    let listed = fs::read_dir(directory).ok()?;
    listed.filter_map(Result::ok).map(|child| below.join(child.file_name())).find(|child| !entries.contains_key(child))
}

/// Removes what a manifest says was copied, and nothing that lies beside it.
///
/// # Errors
///
/// It cannot be removed. What is gone already is none.
pub fn remove(state: &Path, run: &RunId, pins: &Pins, manifest: &Digest) -> io::Result<()> {
    let folder = state.join("copies").join(run.as_str());
    let text = pins.read("the manifest of the copies", manifest).map_err(io::Error::other)?;
    let manifest: Manifest = serde_json::from_slice(&text)?;
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    for (number, tree) in manifest.trees.iter().enumerate() {
        let root = folder.join(number.to_string());
        let entries: Vec<_> = tree.entries.iter().flatten().map(|(below, entry)| (join(&root, below), entry)).collect();
        // Whoever may not write in a directory may not write in its copy.
        for (path, _) in entries.iter().filter(|(_, entry)| matches!(entry, Entry::Directory)) {
            gone(fs::set_permissions(path, Permissions::from_mode(0o700)))?;
        }
        for (path, entry) in entries.iter().rev() {
            match entry {
                // It stays where something else lies in it.
                Entry::Directory => drop(fs::remove_dir(path)),
                Entry::File(_) | Entry::Link(_) => gone(fs::remove_file(path))?,
            }
        }
    }
    drop(fs::remove_dir(folder));
    Ok(())
}

/// What migrations and releases read and nothing of the run writes, each once, and nothing that lies in another.
fn wanted(pipeline: &Pipeline, grants: &BTreeMap<StepId, Arc<Grant>>) -> Vec<PathBuf> {
    let written: Vec<&PathBuf> = grants
        .values()
        .flat_map(|grant| grant.write.iter().chain(grant.exec.iter().flat_map(|rule| &rule.write)))
        .map(|rule| &rule.resolved)
        .collect();
    let is_written = |path: &Path| written.iter().any(|written| path.starts_with(written) || written.starts_with(path));
    let steps = pipeline.steps.iter().filter(|step| matches!(step.stage, Stage::Migrate | Stage::Release));
    let rules = steps.filter_map(|step| grants.get(&step.id)).flat_map(|grant| &grant.read);
    let mut paths: Vec<PathBuf> = rules.map(|rule| rule.resolved.clone()).filter(|path| !is_written(path)).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// What may still be copied.
struct Budget {
    bytes: u64,
    entries: usize,
}

impl Budget {
    /// Whether all that is at a path may still be copied; if so, it is taken from what is left.
    fn measure(&mut self, path: &Path) -> io::Result<bool> {
        let (bytes, entries) = (self.bytes, self.entries);
        let fits = self.take(path)?;
        if !fits {
            (self.bytes, self.entries) = (bytes, entries);
        }
        Ok(fits)
    }

    fn take(&mut self, path: &Path) -> io::Result<bool> {
        let metadata = fs::symlink_metadata(path)?;
        let size = if metadata.is_file() { metadata.len() } else { 0 };
        let (Some(bytes), Some(entries)) = (self.bytes.checked_sub(size), self.entries.checked_sub(1)) else {
            return Ok(false);
        };
        (self.bytes, self.entries) = (bytes, entries);
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                if !self.take(&entry?.path())? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// A copy on its way.
struct Copying {
    to: PathBuf,
    entries: BTreeMap<PathBuf, Entry>,
}

impl Copying {
    fn entry(&mut self, from: &Path, below: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(from)?;
        let to = join(&self.to, below);
        if metadata.is_dir() {
            DirBuilder::new().mode(0o700).create(&to)?;
            let mut names = fs::read_dir(from)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
            names.sort();
            for name in names {
                self.entry(&from.join(&name), &below.join(&name))?;
            }
            File::open(&to)?.sync_all()?;
        } else if metadata.is_symlink() {
            symlink(fs::read_link(from)?, &to)?;
        } else if metadata.is_file() {
            copy_file(from, &to, metadata.len())?;
        } else {
            // A socket or device holds nothing that could be copied, and nobody may open it.
            return Ok(());
        }
        own(&to, &metadata)?;
        self.entries.insert(below.to_owned(), Entry::of(&to)?);
        Ok(())
    }
}

/// Copies no more than was measured: a file that grows meanwhile is cut.
fn copy_file(from: &Path, to: &Path, length: u64) -> io::Result<()> {
    let mut copy = File::create_new(to)?;
    io::copy(&mut File::open(from)?.take(length), &mut copy)?;
    copy.sync_all()
}

/// Attributes that a release may look at. Another owner can only be given by root.
fn own(path: &Path, metadata: &Metadata) -> io::Result<()> {
    if metadata.is_symlink() {
        return Ok(());
    }
    match chown(path, Some(metadata.uid()), Some(metadata.gid())) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    fs::set_permissions(path, Permissions::from_mode(metadata.mode() & 0o7777))
}

impl Entry {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(if metadata.is_dir() {
            Self::Directory
        } else if metadata.is_symlink() {
            Self::Link(fs::read_link(path)?)
        } else {
            let mut bytes = Vec::new();
            File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
            Self::File(Digest::of(&bytes))
        })
    }
}

/// `below` may be empty, and a slash at the end would ask for a directory.
fn join(root: &Path, below: &Path) -> PathBuf {
    if below == Path::new("") { root.to_owned() } else { root.join(below) }
}
