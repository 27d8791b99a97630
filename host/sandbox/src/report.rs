//! What a report may be: its texts clean, its size bounded, its artifacts those that the call stored.

use std::collections::{BTreeMap, HashSet};

use pipe_core::{
    digest::Digest,
    redact::Redactor,
    report::{Failure, FailureKind, Finding, FindingStatus, StageReport},
    stage::Stage,
};

use crate::{bindings::types, limits::REPORT_BYTES, lines::clean};

/// Holds a report against what a report may be. `stage` is nothing for the report of an undo.
pub(crate) fn checked(
    report: StageReport,
    stage: Option<Stage>,
    stored: &HashSet<Digest>,
    redactor: &Redactor,
) -> Result<StageReport, Failure> {
    if matches!(stage, Some(Stage::Precheck | Stage::Verify)) && report.findings.is_empty() {
        return Err(malformed("the report holds no finding: nothing was checked".to_owned()));
    }
    if let Some(unknown) = report.artifacts.iter().find(|digest| !stored.contains(digest)) {
        return Err(malformed(format!("the report names the artifact {unknown}, which this call did not store")));
    }
    let report = redacted(report, redactor);
    let size = encoded_bytes(&report);
    if size > REPORT_BYTES {
        return Err(malformed(format!("the report has {size} bytes; at most {REPORT_BYTES} are kept")));
    }
    let failed: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| finding.status == FindingStatus::Fail)
        .map(|finding| finding.name.as_str())
        .collect();
    // A channel that was not told does not fail a notification that others received.
    if failed.is_empty() || stage == Some(Stage::Notify) {
        return Ok(report);
    }
    let message = format!("{} of {} checks failed: {}", failed.len(), report.findings.len(), failed.join(", "));
    let message = clean(redactor, &message);
    Err(Failure { kind: FailureKind::Unmet, message, retryable: true, findings: report.findings, hint: None })
}

/// A stage's own failure, as clean as its report would be, and without the findings that are too many.
pub(crate) fn checked_failure(failure: Failure, redactor: &Redactor) -> Failure {
    let mut kept = Vec::new();
    let mut left = REPORT_BYTES;
    for finding in failure.findings {
        let finding = cleaned(finding, redactor);
        let size = encoded_bytes(&finding);
        if size > left {
            break;
        }
        left -= size;
        kept.push(finding);
    }
    Failure { message: clean(redactor, &failure.message), findings: kept, ..failure }
}

fn redacted(report: StageReport, redactor: &Redactor) -> StageReport {
    let line = |text: String| clean(redactor, &text);
    StageReport {
        sealed: BTreeMap::new(),
        findings: report.findings.into_iter().map(|finding| cleaned(finding, redactor)).collect(),
        // An output may have several lines: it is never printed as it is.
        outputs: report.outputs.into_iter().map(|(key, value)| (key, redactor.redact(&value).into_owned())).collect(),
        artifacts: report.artifacts,
        before: report.before.map(line),
        after: report.after.map(line),
        done: report.done.into_iter().map(line).collect(),
    }
}

fn cleaned(finding: Finding, redactor: &Redactor) -> Finding {
    let line = |text: String| clean(redactor, &text);
    Finding {
        name: line(finding.name),
        message: line(finding.message),
        observed: finding.observed.map(line),
        expected: finding.expected.map(line),
        ..finding
    }
}

/// Size as the journal would keep it. What cannot be encoded is too large.
fn encoded_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

pub(crate) fn findings(findings: Vec<types::Finding>) -> Vec<Finding> {
    findings.into_iter().map(finding).collect()
}

fn finding(finding: types::Finding) -> Finding {
    let status = match finding.status {
        types::Status::Pass => FindingStatus::Pass,
        types::Status::Warn => FindingStatus::Warn,
        types::Status::Fail => FindingStatus::Fail,
        types::Status::Skip => FindingStatus::Skip,
    };
    Finding {
        name: finding.name,
        status,
        message: finding.message,
        observed: finding.observed,
        expected: finding.expected,
        duration_ms: finding.duration_ms,
    }
}

pub(crate) fn wit_finding(finding: Finding) -> types::Finding {
    let status = match finding.status {
        FindingStatus::Pass => types::Status::Pass,
        FindingStatus::Warn => types::Status::Warn,
        FindingStatus::Fail => types::Status::Fail,
        FindingStatus::Skip => types::Status::Skip,
    };
    types::Finding {
        name: finding.name,
        status,
        message: finding.message,
        observed: finding.observed,
        expected: finding.expected,
        duration_ms: finding.duration_ms,
    }
}

pub(crate) fn failure(failure: types::Failure) -> Failure {
    let kind = match failure.kind {
        types::FailureKind::Settings => FailureKind::Settings,
        types::FailureKind::Denied => FailureKind::Denied,
        types::FailureKind::Unavailable => FailureKind::Unavailable,
        types::FailureKind::TimedOut => FailureKind::TimedOut,
        types::FailureKind::Conflict => FailureKind::Conflict,
        types::FailureKind::Unmet => FailureKind::Unmet,
        types::FailureKind::Other => FailureKind::Other,
    };
    Failure {
        kind,
        message: failure.message,
        retryable: failure.retryable,
        findings: findings(failure.findings),
        hint: None,
    }
}

pub(crate) fn outputs(outputs: Vec<types::Output>) -> Result<BTreeMap<String, String>, Failure> {
    const LARGEST: usize = 64 << 10;
    let mut map = BTreeMap::new();
    for output in outputs {
        let well_formed = !output.key.is_empty()
            && output.key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !well_formed {
            return Err(malformed(format!("output key {:?}: lower case, digits and `-` only", output.key)));
        }
        if output.value.len() > LARGEST {
            return Err(malformed(format!(
                "output `{}` has {} bytes: at most {LARGEST}",
                output.key,
                output.value.len()
            )));
        }
        if let Some(_earlier) = map.insert(output.key.clone(), output.value) {
            return Err(malformed(format!("output `{}` is reported twice", output.key)));
        }
    }
    Ok(map)
}

pub(crate) fn digests(texts: &[String]) -> Result<Vec<Digest>, Failure> {
    if texts.is_empty() {
        return Err(malformed("the report names no artifact: nothing was saved".to_owned()));
    }
    texts
        .iter()
        .map(|text| text.parse().map_err(|error: pipe_core::digest::NotADigest| malformed(error.to_string())))
        .collect()
}

fn malformed(message: String) -> Failure {
    Failure { kind: FailureKind::MalformedReport, message, retryable: false, findings: Vec::new(), hint: None }
}
