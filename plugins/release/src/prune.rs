//! Removes old releases. Last of all, and never a reason to fail: the new release is live by then.

use std::fs;

use pipe_sdk::{Failure, Finding, log};

use crate::{
    disk::{self, failed},
    files,
    layout::{self, Layout},
    manifest::Manifest,
};

/// Removes what is neither current nor previous nor among the `keep` youngest, and what an earlier removal left.
pub(crate) fn prune(layout: &Layout, previous: Option<&str>, keep: usize) -> Finding {
    let started = std::time::Instant::now();
    let finding = match remove_old(layout, previous, keep) {
        Ok(removed) if removed.is_empty() => Finding::pass("nothing to remove"),
        Ok(removed) => Finding::pass(format!("removed {}", removed.join(", "))),
        Err(failure) => Finding::warn(format!("not all could be removed: {}", failure.message)),
    };
    finding.named("old releases").took(started.elapsed())
}

fn remove_old(layout: &Layout, previous: Option<&str>, keep: usize) -> Result<Vec<String>, Failure> {
    let current = disk::read_link(&layout.current())?;
    let old = old(layout, previous, current.as_deref(), keep)?;
    for version in &old {
        log::info(format!("removing the old release {version}"));
        remove(layout, version)?;
    }
    empty_trash(layout)?;
    Ok(old)
}

/// What is too many where the link shows `current` and showed `previous` before: oldest first.
pub(crate) fn old(
    layout: &Layout,
    previous: Option<&str>,
    current: Option<&str>,
    keep: usize,
) -> Result<Vec<String>, Failure> {
    let protected: Vec<&str> = previous.into_iter().chain(current).map(layout::shown).collect();
    let mut old: Vec<_> = files::releases(layout)?.into_iter().collect();
    old.retain(|(version, _)| !protected.contains(&version.as_str()));
    Ok(beyond(old, keep))
}

/// The versions that are too many, oldest first.
fn beyond(mut releases: Vec<(String, Manifest)>, keep: usize) -> Vec<String> {
    releases.sort_by_key(|(_, manifest)| std::cmp::Reverse(manifest.created_unix_ms));
    let mut old: Vec<_> = releases.into_iter().skip(keep).map(|(version, _)| version).collect();
    old.reverse();
    old
}

/// Removes a release. It first loses its name: half a release never looks like one.
pub(crate) fn remove(layout: &Layout, version: &str) -> Result<(), Failure> {
    let release = layout.releases().join(version);
    let trash = layout.trash(version);
    disk::remove_tree(&trash)?;
    fs::rename(&release, &trash).map_err(failed(&release))?;
    disk::remove_tree(&trash)
}

fn empty_trash(layout: &Layout) -> Result<(), Failure> {
    let root = layout.releases();
    for entry in fs::read_dir(&root).map_err(failed(&root))? {
        let entry = entry.map_err(failed(&root))?;
        if entry.file_name().to_str().is_some_and(layout::is_trash) {
            disk::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}
