//! Reports and receipts that are none.

use pipe_sdk::verify::Report;
use pipe_sdk::{Failure, Finding, checkpoint, output};

use crate::done;

pub(crate) fn say_in_finding(text: &str) -> Result<Report, Failure> {
    let finding = Finding::pass(text).named(text).with_observed(text).with_expected(text);
    Ok(Report { findings: vec![finding], ..Report::default() })
}

pub(crate) fn say_in_output(text: &str) -> Result<Report, Failure> {
    outputs(&[("said", text)])
}

pub(crate) fn say_in_failure(text: &str) -> Result<Report, Failure> {
    let finding = Finding::fail(text).named(text);
    Err(Failure::other(text).with_findings(vec![finding]))
}

pub(crate) fn say_in_receipt(text: &str) -> Result<Report, Failure> {
    checkpoint::save(text, b"data", text)?;
    done("said")
}

pub(crate) fn too_much() -> Result<Report, Failure> {
    let message = "x".repeat(100_000);
    let findings = (0..1_000).map(|_| Finding::pass(message.as_str()).named("large")).collect();
    Ok(Report { findings, ..Report::default() })
}

pub(crate) fn long_names() -> Result<Report, Failure> {
    let name = "x".repeat(1_000_000);
    let findings = (0..3).map(|_| Finding::fail("no").named(name.as_str())).collect();
    Ok(Report { findings, ..Report::default() })
}

pub(crate) fn outputs(outputs: &[(&str, &str)]) -> Result<Report, Failure> {
    let outputs = outputs.iter().map(|(key, value)| output(*key, *value)).collect();
    Ok(Report { outputs, ..done("reported")? })
}

pub(crate) fn save(count: usize, bytes: usize) -> Result<Report, Failure> {
    let data = vec![7; bytes];
    for number in 0..count {
        checkpoint::save(&format!("receipt-{number}"), &data, "a receipt")?;
    }
    done("saved")
}
