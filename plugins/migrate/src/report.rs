//! One step after the other, and what is reported of them.

use pipe_sdk::{Context, Failure, Finding, migrate::Report, output};

use crate::{
    apply::{Changed, SqlStep},
    database::Host,
    schema_verify,
    settings::Step,
};

/// Runs every step. Where there are several, each set of files is checked before the first one is touched.
pub(crate) fn run(context: &Context, steps: &[Step], host: &dyn Host) -> Result<Report, Failure> {
    if steps.len() > 1 {
        for step in steps {
            if let Step::SqlFiles(settings) = step {
                SqlStep::read(context, settings, host)?.check()?;
            }
        }
    }
    let mut findings = Vec::new();
    let mut changes = Vec::new();
    for step in steps {
        let result = match step {
            Step::SqlFiles(settings) => {
                SqlStep::read(context, settings, host).and_then(|step| step.apply()).map(|mut changed| {
                    let found = std::mem::take(&mut changed.findings);
                    changes.push((settings.peer.clone(), changed));
                    found
                })
            }
            Step::SchemaVerify(settings) => schema_verify::verify(settings, host),
        };
        match result {
            Ok(mut found) => findings.append(&mut found),
            Err(failure) => return Err(with_earlier(failure, findings)),
        }
    }
    Ok(report(changes, findings))
}

fn with_earlier(mut failure: Failure, mut earlier: Vec<Finding>) -> Failure {
    earlier.append(&mut failure.findings);
    failure.with_findings(earlier)
}

fn report(changes: Vec<(String, Changed)>, findings: Vec<Finding>) -> Report {
    let before = versions(&changes, |changed| changed.before.as_deref());
    let after = versions(&changes, |changed| changed.after.as_deref());
    let applied: Vec<String> = changes.into_iter().flat_map(|(_, changed)| changed.applied).collect();
    let mut outputs = vec![output("applied", applied.len().to_string())];
    outputs.extend(before.as_ref().map(|version| output("before", version)));
    outputs.extend(after.as_ref().map(|version| output("after", version)));
    Report { before, after, applied, findings, outputs }
}

/// The version of a single set of files; `main:007, audit:003` where there are several.
fn versions(changes: &[(String, Changed)], of: impl Fn(&Changed) -> Option<&str>) -> Option<String> {
    if let [(_, only)] = changes {
        return of(only).map(str::to_owned);
    }
    let versions: Vec<_> =
        changes.iter().filter_map(|(peer, changed)| of(changed).map(|version| format!("{peer}:{version}"))).collect();
    (!versions.is_empty()).then(|| versions.join(", "))
}
