//! What `kind = "files"` would do: read as publishing reads, and nothing written.

use pipe_sdk::{
    Context, Failure,
    units::{Bytes, count},
};

use crate::{
    disk,
    files::{Host, Publishing, same_release},
    layout, prune,
    settings::Files,
};

/// What would be copied, what the link would show, and what would be removed.
pub(crate) fn preview(context: &Context, settings: &Files, host: &dyn Host) -> Result<Vec<String>, Failure> {
    let mut publishing = Publishing::new(context, settings, host)?;
    let source = publishing.source()?;
    let (layout, version) = (&publishing.layout, &settings.version);
    let release = layout.release();
    let mut lines = Vec::new();
    if disk::exists(&release)? {
        let manifest = same_release(&release, &source)?;
        lines.push(format!("use {}, which holds the same since run {}", release.display(), manifest.run));
    } else {
        let files = count(source.files.len(), "file", "files");
        lines.push(format!("copy {files}, {}, to {}", Bytes(source.bytes()), release.display()));
    }

    let (current, target) = (layout.current(), layout.target());
    let before = disk::read_link(&current)?;
    let shown = current.display();
    lines.push(match &before {
        Some(before) if *before == target => format!("leave {shown}, which shows {version} already"),
        Some(before) => format!("switch {shown} from {} to {version}", layout::shown(before)),
        None => format!("make {shown}, which would show {version}; nothing is live there now"),
    });
    if disk::exists(&layout.releases())? {
        let keep = usize::try_from(settings.keep).unwrap_or(usize::MAX);
        // Of a release that is not there yet, the name is not among those that are too many.
        let old = prune::old(layout, before.as_deref(), Some(&target), keep)?;
        lines.extend(old.iter().map(|version| format!("remove the old release {version}")));
    }
    Ok(lines)
}
