//! The audit as SARIF 2.1.0: for whatever shows findings beside the lines that they are about.

use std::path::Path;

use pipe_runner::{Audit, CheckText, Finding, Severity};
use serde_json::{Value, json};

use super::{visible, whom};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The report.
pub(super) fn report(audit: &Audit) -> Value {
    let file = uri(&audit.file);
    let results: Vec<Value> = audit.findings.iter().map(|finding| result(audit, finding, &file)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "pipe",
                "semanticVersion": audit.pipe_version,
                "rules": audit.checks.iter().map(rule).collect::<Vec<_>>(),
            }},
            // Findings of one pipeline in one environment replace those of the last time, and no others.
            "automationDetails": { "id": format!("pipe audit/{}/{}/", audit.pipeline, audit.environment) },
            "invocations": [{ "executionSuccessful": true, "endTimeUtc": audit.made.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() }],
            "artifacts": [{ "location": { "uri": file }, "hashes": { "sha-256": audit.file_digest } }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(check: &CheckText) -> Value {
    // By these numbers, GitHub sorts into high, medium and low.
    let security_severity = match check.severity {
        Severity::Error => "8.0",
        Severity::Warning => "5.0",
        Severity::Note => "2.0",
    };
    json!({
        "id": check.id,
        "shortDescription": { "text": check.title },
        "fullDescription": { "text": check.help },
        "help": { "text": check.help },
        "defaultConfiguration": { "level": check.severity.word() },
        "properties": { "tags": ["security", "capabilities"], "security-severity": security_severity },
    })
}

fn result(audit: &Audit, finding: &Finding, file: &str) -> Value {
    let place = finding.place;
    let who = whom(finding, |name| format!("\"{}\"", visible(name)));
    let hint = finding.hint.as_ref().map_or_else(String::new, |hint| format!(". Hint: {}", visible(hint)));
    // `[text](address)` would be a link.
    let text = format!("{who}: {}{hint}", visible(&finding.message)).replace("](", "\\](");
    let named = finding.peer.iter().map(|peer| ("peer", peer)).chain(finding.steps.iter().map(|step| ("step", step)));
    let logical: Vec<Value> = named
        .map(|(kind, name)| json!({ "name": visible(name), "kind": kind, "fullyQualifiedName": format!("{kind}/{}", visible(name)) }))
        .collect();
    json!({
        "ruleId": finding.check,
        "ruleIndex": audit.checks.iter().position(|check| check.id == finding.check).map_or(-1, |at| i64::try_from(at).unwrap_or(-1)),
        "level": finding.severity.word(),
        "message": { "text": text },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": file, "index": 0 },
                "region": {
                    "startLine": place.line, "startColumn": place.column,
                    "endLine": place.end_line, "endColumn": place.end_column,
                },
            },
            "logicalLocations": logical,
        }],
        "partialFingerprints": { "pipeAudit/v1": finding.fingerprint },
    })
}

/// The file as a URI: relative where it is named so or lies below the working directory, since that is how code scanning
/// finds it.
fn uri(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let below = file.strip_prefix(&here).unwrap_or(file);
    let mut uri = if below.is_absolute() { "file://".to_owned() } else { String::new() };
    for byte in below.strip_prefix("./").unwrap_or(below).as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_relative_where_they_can_be() {
        let here = std::env::current_dir().unwrap();
        for (file, shown) in [
            (Path::new("a/b c.toml"), "a/b%20c.toml".to_owned()),
            (Path::new("./a.toml"), "a.toml".to_owned()),
            (&here.join("x/y.toml"), "x/y.toml".to_owned()),
            (Path::new("/elsewhere/ä#.toml"), "file:///elsewhere/%C3%A4%23.toml".to_owned()),
        ] {
            assert_eq!(uri(file), shown);
        }
    }
}
