//! `pipe prune`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use pipe_core::{
    digest::Digest, event::EventKind, id::RunId, redact::Redactor, units::ByteSize, units::format_duration,
};
use pipe_effects::artifact::{is_there, remove, strangers};
use pipe_journal::{Durability, Journal, Ownership, Reader, RunFilter, StoredEvent};
use pipe_pipeline::{Document, NO_ENVIRONMENT, Retention};
use pipe_runner::{
    Pins, remove_copies,
    retention::{self, Now, Stored, Verdict},
};

use super::{loading, open, ownership};
use crate::{
    exit::Exit,
    failure::Failure,
    places,
    printer::{CAREFUL, Printer, QUIET, count, styled, visible},
};

/// Remove the artifacts that the `[retention]` of a pipeline file no longer keeps
///
/// Only what the journal says was stored is ever removed: what else lies among the artifacts is named, and stays. Of every
/// step the newest verified ones stay however old they are, and everything of a run that can still go on or be undone. Each
/// removal is in the record before it happens. The record itself, `journal.db`, is never pruned.
#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The environment: one of `environments` in the file; there is no default
    #[arg(short, long, value_name = "NAME")]
    env: Option<String>,

    /// Say what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// A run, newest first, with what decides about its artifacts.
struct Past {
    run: RunId,
    events: Vec<StoredEvent>,
    needed: bool,
}

/// Copies that no run needs any more.
struct Unneeded {
    /// By content.
    pins: BTreeSet<Digest>,
    /// What was copied for a run alone, with its manifest.
    trees: Vec<(RunId, Digest)>,
}

impl Unneeded {
    fn is_empty(&self) -> bool {
        self.pins.is_empty() && self.trees.is_empty()
    }
}

/// What is to go.
struct Pruning<'p> {
    pipeline: &'p str,
    environment: &'p str,
    state: &'p Path,
    /// Nothing where nothing is to be removed.
    owned: Option<Arc<Ownership>>,
    retention: Retention,
    dry_run: bool,
    printer: Printer,
}

/// Prunes.
pub(crate) async fn prune(
    arguments: &PruneArguments,
    state: Option<&Path>,
    verbose: bool,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let document = loading::document(&arguments.file)?;
    let environment = environment(&document, arguments.env.as_deref())?;
    let retention = document.retention().ok_or_else(|| {
        Failure::new(Exit::Invalid, format!("{} does not say how long artifacts are kept", arguments.file.display()))
            .hint("[retention] with artifacts = \"90d\" and keep_min = 3")
    })?;
    let state = places::state(state, document.state().as_deref())?;
    // Nothing is there to be locked, or made, where nothing was ever run.
    drop(Reader::open(&state)?);
    // No run of its own: what it writes down belongs to the runs that made the artifacts.
    let owned = match arguments.dry_run {
        true => None,
        false => Some(ownership::take(&state, document.name(), &environment, None)?),
    };
    let (pipeline, dry_run) = (document.name(), arguments.dry_run);
    let environment = &environment;
    let pruning = Pruning { pipeline, environment, state: &state, owned, retention, dry_run, printer };
    pruning.prune(verbose, redactor).await
}

/// The environment that was chosen.
fn environment(document: &Document, chosen: Option<&str>) -> Result<String, Failure> {
    let known: Vec<&str> = document.environments().collect();
    match chosen {
        Some(chosen) if known.contains(&chosen) => Ok(chosen.to_owned()),
        None if known.is_empty() => Ok(NO_ENVIRONMENT.to_owned()),
        _ => {
            let message = match chosen {
                Some(chosen) => format!("there is no environment `{chosen}`"),
                None => "no environment is chosen, and there is no default".to_owned(),
            };
            let names: Vec<String> = known.iter().map(|name| format!("`--env {name}`")).collect();
            let hint = if names.is_empty() { "the file has no `environments`".to_owned() } else { names.join(" or ") };
            Err(Failure::new(Exit::Usage, message).hint(hint))
        }
    }
}

impl Pruning<'_> {
    async fn prune(&self, verbose: bool, redactor: Redactor) -> Result<Exit, Failure> {
        let now = Now::read();
        let reader = Reader::open(self.state)?;
        let past = self.past(&reader)?;
        let mut stored = Vec::new();
        for one in &past {
            let folder = self.folder(&one.run);
            let there = |artifact: &_| is_there(&folder, artifact);
            stored.extend(retention::manifest(&one.run, &one.events, &now, one.needed, there));
        }
        let verdicts = retention::decide(self.retention, &stored);
        let copies = self.copies(&reader, &past, &now)?;
        drop(reader);
        self.say_of_strangers(&past, &stored)?;
        let judged: Vec<(&Stored, Verdict)> = stored.iter().zip(verdicts).collect();
        for (one, verdict) in &judged {
            self.say(one, *verdict, verbose);
        }
        let going: Vec<&Stored> =
            judged.iter().filter(|(_, verdict)| *verdict == Verdict::Goes).map(|(one, _)| *one).collect();
        let failed = self.remove(&going, past.first(), &copies, redactor).await?;
        self.sum_up(&judged, copies.pins.len() + copies.trees.len());
        Ok(if failed == 0 { Exit::Succeeded } else { Exit::Internal })
    }

    /// The runs of the pipeline in the environment. The newest can still be undone, however it ended.
    fn past(&self, reader: &Reader) -> Result<Vec<Past>, Failure> {
        let filter = RunFilter {
            pipeline: Some(self.pipeline.to_owned()),
            environment: Some(self.environment.to_owned()),
            limit: None,
        };
        let runs = reader.runs(&filter)?;
        let past = runs.into_iter().enumerate().map(|(index, run)| {
            let events = reader.events(&run.run)?;
            // One whose end a later version wrote is none of this version's business.
            let needed = index == 0 || open::is_open(&run);
            Ok(Past { run: run.run, events, needed })
        });
        past.collect()
    }

    fn folder(&self, run: &RunId) -> PathBuf {
        self.state.join("artifacts").join(run.as_str())
    }

    /// Copies of what runs were begun with that no run needs any more: those of this pipeline's old runs here, unless any other
    /// run was begun with the same.
    fn copies(&self, reader: &Reader, past: &[Past], now: &Now) -> Result<Unneeded, Failure> {
        let over = |one: &&Past| !one.needed && retention::run_age(&one.events, now) >= self.retention.artifacts;
        let old: Vec<&Past> = past.iter().filter(over).collect();
        let gone: BTreeSet<&RunId> = old.iter().map(|one| &one.run).collect();
        let (mut unneeded, mut needed) = (BTreeSet::new(), BTreeSet::new());
        for run in reader.runs(&RunFilter::default())? {
            let copies = retention::copies(&reader.events(&run.run)?);
            if gone.contains(&run.run) { &mut unneeded } else { &mut needed }.extend(copies);
        }
        let pins = Pins::of(self.state);
        let known = unneeded.union(&needed).copied().collect();
        for stranger in pins.strangers(&known)? {
            self.printer
                .warning(&format!("{} is in no run's record, and stays", visible(&stranger.display().to_string())));
        }
        let manifest = |one: &&Past| Some((one.run.clone(), retention::copied(&one.events)?));
        let trees = old.iter().filter_map(manifest);
        let trees =
            trees.filter(|(run, digest)| pins.may_go(digest) && self.state.join("copies").join(run.as_str()).exists());
        let trees = trees.collect();
        let pins = unneeded.difference(&needed).copied().filter(|copy| pins.may_go(copy)).collect();
        Ok(Unneeded { pins, trees })
    }

    /// What lies among the artifacts and is in no record.
    fn say_of_strangers(&self, past: &[Past], stored: &[Stored]) -> Result<(), Failure> {
        for one in past {
            let folder = self.folder(&one.run);
            let known = stored.iter().filter(|known| known.run == one.run).map(|known| &known.artifact);
            for name in strangers(&folder, known)? {
                let path = folder.join(name).display().to_string();
                self.printer.warning(&format!("{} is in no run's record, and stays", visible(&path)));
            }
        }
        Ok(())
    }

    /// Removes them, each after it is written down. Says how many could not be removed.
    async fn remove(
        &self,
        going: &[&Stored],
        newest: Option<&Past>,
        copies: &Unneeded,
        redactor: Redactor,
    ) -> Result<usize, Failure> {
        if going.is_empty() && copies.is_empty() {
            return Ok(0);
        }
        let Some(owned) = &self.owned else { return Ok(0) };
        let journal = Journal::open_owned(Arc::clone(owned), redactor)?;
        let (actor, mut failed) = (loading::actor(), 0);
        let reason = format!("older than {}", format_duration(self.retention.artifacts));
        for one in going {
            let event = EventKind::ArtifactPruned {
                step: one.step.clone(),
                digest: one.artifact.digest,
                name: one.artifact.name.clone(),
                actor: actor.clone(),
                reason: reason.clone(),
                found: one.there,
            };
            journal.append(&one.run, vec![event], Durability::Durable).await?;
            let folder = self.folder(&one.run);
            owned.check()?;
            if let Err(error) = remove(&folder, &one.artifact) {
                failed += 1;
                let name = visible(&one.artifact.location);
                self.printer
                    .error(&format!("cannot remove {name}: {error}"), Some("the next `pipe prune` tries again"));
            }
            // Where it was the last one. What else lies there keeps it.
            let _ = std::fs::remove_dir(folder);
        }
        if let Some(newest) = newest.filter(|_| !copies.is_empty()) {
            let runs = copies.trees.iter().map(|(run, _)| run.clone()).collect();
            let pins = copies.pins.iter().copied().collect();
            let event = EventKind::CopiesPruned { copies: pins, runs, actor, reason };
            journal.append(&newest.run, vec![event], Durability::Durable).await?;
            let pins = Pins::of(self.state);
            for (run, manifest) in &copies.trees {
                if let Err(error) = remove_copies(self.state, run, &pins, manifest) {
                    failed += 1;
                    self.printer.error(&format!("cannot remove what was copied for run {run}: {error}"), None);
                }
            }
            for copy in &copies.pins {
                if let Err(error) = pins.remove("what an old run was begun with", copy) {
                    failed += 1;
                    self.printer.error(&error.to_string(), None);
                }
            }
        }
        journal.close().await?;
        Ok(failed)
    }

    fn say(&self, one: &Stored, verdict: Verdict, verbose: bool) {
        let what = match (verdict, self.dry_run, one.there) {
            (Verdict::Goes, true, true) => "would go",
            (Verdict::Goes, false, true) => "goes",
            (Verdict::Goes, _, false) => "gone already",
            (Verdict::Missing, ..) => "missing",
            (Verdict::Gone, ..) => "pruned before",
            (Verdict::Needed, ..) => "stays: its run can go on or be undone",
            (Verdict::Young, ..) => "stays: not old enough",
            (Verdict::OneOfTheNewest, ..) => "stays: one of the newest verified",
        };
        let word = match verdict {
            Verdict::Goes => "goes",
            Verdict::Missing => "missing",
            Verdict::Gone => "gone",
            Verdict::Needed => "needed",
            Verdict::Young => "young",
            Verdict::OneOfTheNewest => "newest",
        };
        if self.printer.json() {
            self.printer.value(&serde_json::json!({
                "schema": "pipe.prune/v1", "run": one.run, "step": one.step.to_string(), "artifact": one.artifact.name,
                "digest": one.artifact.digest, "location": one.artifact.location, "bytes": one.artifact.bytes,
                "verified": one.verified, "there": one.there, "age_s": one.age.as_secs(), "verdict": word,
                "dry_run": self.dry_run,
            }));
            return;
        }
        let worth = matches!(verdict, Verdict::Goes | Verdict::Missing);
        if !worth && !verbose {
            return;
        }
        let line = format!(
            "{}  {} of {} ({})  {what}",
            one.run,
            visible(&one.artifact.name),
            visible(&one.step.to_string()),
            ByteSize(one.artifact.bytes),
        );
        self.printer.result(&if worth { styled(CAREFUL, &line) } else { styled(QUIET, &line) });
    }

    fn sum_up(&self, judged: &[(&Stored, Verdict)], copies: usize) {
        if self.printer.json() {
            return;
        }
        let of = |wanted: Verdict| judged.iter().filter(|(_, verdict)| *verdict == wanted).count();
        let bytes = judged.iter().filter(|(one, verdict)| *verdict == Verdict::Goes && one.there);
        let bytes: u64 = bytes.map(|(one, _)| one.artifact.bytes).sum();
        let verb = if self.dry_run { "would go" } else { "pruned" };
        let mut stay = Vec::new();
        for (verdict, why) in [
            (Verdict::Young, "not old enough"),
            (Verdict::OneOfTheNewest, "among the newest verified"),
            (Verdict::Needed, "of a run that can go on or be undone"),
        ] {
            match of(verdict) {
                0 => {}
                number => stay.push(format!("{number} {why}")),
            }
        }
        let stay = if stay.is_empty() { "nothing stays".to_owned() } else { format!("stays: {}", stay.join(", ")) };
        let copies = match copies {
            0 => String::new(),
            number => format!(
                " and {} of what runs were begun with",
                if number == 1 { "1 copy".to_owned() } else { format!("{number} copies") }
            ),
        };
        self.printer.result(&format!(
            "{} ({}){copies} {verb}; {stay}",
            count(of(Verdict::Goes), "artifact"),
            ByteSize(bytes)
        ));
    }
}
