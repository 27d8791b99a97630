//! A run that is bound to a plan: what people looked at is what runs, or nothing does.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use pipe_runner::Plan;
use serde_json::Value;

use crate::{arguments::Selection, exit::Exit, failure::Failure};

/// The largest plan file, in bytes.
const LARGEST: u64 = 64 << 20;

/// A plan as it was written.
pub(crate) struct Bound {
    path: PathBuf,
    plan: Value,
}

/// Reads a plan file.
///
/// # Errors
///
/// It cannot be read, or is no plan of this format.
pub(crate) fn read(path: &Path) -> Result<Bound, Failure> {
    let shown = path.display();
    let invalid = |what: String| Failure::new(Exit::Invalid, format!("{shown} is no plan: {what}"));
    let metadata = std::fs::metadata(path).map_err(|error| invalid(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(invalid(format!("it is not a regular file of at most {} MiB", LARGEST >> 20)));
    }
    let text = std::fs::read(path).map_err(|error| invalid(error.to_string()))?;
    let plan: Value = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
    match plan["schema"].as_str() {
        Some("pipe.plan/v1") => Ok(Bound { path: path.to_owned(), plan }),
        other => {
            let found = other.unwrap_or("none");
            Err(invalid(format!("its schema is `{found}`")).hint("`pipe plan FILE --out PLAN` writes one"))
        }
    }
}

impl Bound {
    /// What the operator chose, with what is left out taken from the plan.
    pub(crate) fn selection(&self, chosen: &Selection) -> Selection {
        let mut selection = chosen.clone();
        if selection.env.is_none() {
            // A file without environments has none to choose.
            let planned = self.plan["environment"].as_str().filter(|name| *name != pipe_pipeline::NO_ENVIRONMENT);
            selection.env = planned.map(str::to_owned);
        }
        for (name, value) in self.plan["inputs"].as_object().into_iter().flatten() {
            if !selection.set.iter().any(|(set, _)| set == name)
                && let Some(value) = value.as_str()
            {
                selection.set.push((name.clone(), value.to_owned()));
            }
        }
        selection
    }

    /// Refuses a run that would do anything else than the plan says.
    ///
    /// # Errors
    ///
    /// Something has changed since. Says what.
    pub(crate) fn hold(&self, plan: &Plan, selection: &Selection) -> Result<(), Failure> {
        let now = serde_json::to_value(plan).unwrap_or_default();
        if now == self.plan {
            return Ok(());
        }
        let drift = drift(&self.plan, &now);
        let message = format!("not what {} says: {}", self.path.display(), drift.join("; "));
        let file = selection.file.display();
        Err(Failure::new(Exit::Invalid, message).hint(format!(
            "`pipe plan {file} --out PLAN` plans it as it is now: look at the difference before it runs"
        )))
    }
}

/// What is different, in words.
fn drift(planned: &Value, now: &Value) -> Vec<String> {
    let keys: BTreeSet<&String> =
        [planned, now].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys()).collect();
    let mut drift = Vec::new();
    for key in keys.into_iter().filter(|key| planned[key.as_str()] != now[key.as_str()]) {
        match key.as_str() {
            "entries" => drift.extend(drift_of_entries(&planned["entries"], &now["entries"])),
            "pipeline_digest" => drift.push("the pipeline file has changed".to_owned()),
            "policies" => drift.push("the policies are others".to_owned()),
            "undo" => drift.push("the rollback is another".to_owned()),
            other => drift.push(format!("`{other}` was {} and is {}", planned[other], now[other])),
        }
    }
    drift
}

fn drift_of_entries(planned: &Value, now: &Value) -> Vec<String> {
    let by_name = |entries: &Value| -> BTreeMap<String, Value> {
        let entries = entries.as_array().into_iter().flatten();
        entries.map(|entry| (name(&entry["step"]), entry.clone())).collect()
    };
    let (planned, now) = (by_name(planned), by_name(now));
    let names: BTreeSet<&String> = planned.keys().chain(now.keys()).collect();
    let mut drift: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (planned.get(name), now.get(name)) {
            (Some(_), None) => Some(format!("step \"{name}\" is gone")),
            (None, Some(_)) => Some(format!("step \"{name}\" is new")),
            (Some(old), Some(new)) if old != new => {
                let changed = ["plugin", "grant", "settings_digest", "limits", "reversible", "reveals"]
                    .into_iter()
                    .filter(|key| old[key] != new[key])
                    .map(|key| key.trim_end_matches("_digest"));
                let changed: Vec<&str> = changed.collect();
                let what = if changed.is_empty() { "something".to_owned() } else { changed.join(" and ") };
                Some(format!("step \"{name}\": other {what}"))
            }
            _ => None,
        })
        .collect();
    if drift.is_empty() {
        drift.push("the steps stand in another order".to_owned());
    }
    drift
}

fn name(step: &Value) -> String {
    let name = step["name"].as_str().unwrap_or_default();
    step["instance"].as_str().map_or_else(|| name.to_owned(), |instance| format!("{name}[{instance}]"))
}
