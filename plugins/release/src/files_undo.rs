//! Takes a release of files back.

use std::fs;

use pipe_sdk::{Context, Failure, Finding, undo::Report};

use crate::{
    disk,
    files::{self, Receipt},
    layout::{self, Layout},
    manifest::Manifest,
    prune,
    settings::Files,
};

/// Takes back what the receipts say, newest first. Each act is looked for before anything is done about it.
pub(crate) fn undo(context: &Context, settings: &Files, receipts: Vec<Receipt>) -> Result<Report, Failure> {
    let layout = Layout::new(&settings.destination, &settings.version, &context.run_id)?;
    let mut report = Report::default();
    for receipt in receipts.into_iter().rev() {
        let result = match receipt {
            Receipt::Switch { from, to } => switch_back(&layout, from, &to, &mut report),
            Receipt::Create { version } => remove(&layout, context, &version, &mut report),
        };
        result.map_err(|failure| failure.with_findings(std::mem::take(&mut report.findings)))?;
    }
    Ok(report)
}

fn switch_back(layout: &Layout, from: Option<String>, to: &str, report: &mut Report) -> Result<(), Failure> {
    let current = disk::read_link(&layout.current())?;
    if current == from {
        report.findings.push(Finding::skip("shows what it did before the release").named("current"));
        return Ok(());
    }
    if current.as_deref() != Some(to) {
        let shown = current.as_deref().map_or("nothing", layout::shown);
        let message = format!("shows {shown}, which somebody else put there; left alone");
        report.findings.push(Finding::warn(message).named("current"));
        return Ok(());
    }
    match from {
        Some(from) => {
            let previous = layout.root().join(&from);
            if !fs::metadata(&previous).is_ok_and(|metadata| metadata.is_dir()) {
                let message = format!("cannot switch back to {from}: {} is no directory any more", previous.display());
                return Err(Failure::conflict(message));
            }
            files::point(layout, &from)?;
            report.undone.push(format!("switched back from {} to {}", layout::shown(to), layout::shown(&from)));
        }
        None => {
            disk::remove(&layout.current())?;
            disk::sync_names(layout.root());
            report.undone.push(format!("removed the link to {}: nothing was live before", layout::shown(to)));
        }
    }
    report.findings.push(Finding::pass("shows what it did before the release").named("current"));
    Ok(())
}

fn remove(layout: &Layout, context: &Context, version: &str, report: &mut Report) -> Result<(), Failure> {
    let name = format!("release {version}");
    disk::remove_tree(&layout.staging())?;
    disk::remove_tree(&layout.trash(version))?;
    let release = layout.releases().join(version);
    let ours = Manifest::read(&release)?.is_some_and(|manifest| manifest.made_by(&context.run_id, &context.step));
    if !ours {
        report.findings.push(Finding::skip("is not there, or not of this run").named(name));
        return Ok(());
    }
    let live = disk::read_link(&layout.current())?;
    if live.as_deref().map(layout::shown) == Some(version) {
        report.findings.push(Finding::warn("is still live; left alone").named(name));
        return Ok(());
    }
    prune::remove(layout, version)?;
    report.undone.push(format!("removed the release {version}"));
    Ok(())
}
