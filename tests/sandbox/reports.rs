//! Reports and receipts that are none.

use crate::{Behaviour, Scene};

#[test]
pub(crate) fn a_report_of_100_megabytes() {
    Scene::new(Behaviour::ReportTooMuch).run().fails("trap", "too much data");
}

#[test]
pub(crate) fn findings_with_endless_names() {
    let seen = Scene::new(Behaviour::ReportLongNames).run();
    seen.fails("unmet", "3 of 3 checks failed");
    assert!(seen.failure()["message"].as_str().unwrap().len() < 5_000);
    assert!(seen.ended.stderr.len() < 50_000, "{}", seen.ended.stderr.len());
}

#[test]
pub(crate) fn a_report_of_nothing() {
    Scene::new(Behaviour::ReportNothing).run().fails("malformed-report", "nothing was checked");
}

#[test]
pub(crate) fn an_output_twice() {
    Scene::new(Behaviour::OutputTwice).run().fails("malformed-report", "output `version` is reported twice");
}

#[test]
pub(crate) fn an_output_without_a_proper_key() {
    for key in ["", "Version", "a b", "a\nb", "../x"] {
        Scene::new(Behaviour::OutputBadKey).with("text", key).run().fails("malformed-report", "output key");
    }
}

#[test]
pub(crate) fn an_output_that_is_too_large() {
    Scene::new(Behaviour::OutputTooLarge).run().fails("malformed-report", "65537 bytes: at most 65536");
}

#[test]
pub(crate) fn large_receipts() {
    let seen = Scene::new(Behaviour::SaveLargeReceipt).run();
    seen.fails("other", "a receipt of 2097152 bytes: at most 1048576");
    assert_eq!(seen.of("checkpoint-saved").count(), 0);
    Scene::new(Behaviour::SaveHugeReceipt).run().fails("trap", "too much data");
}

/// An undo gets them all, and the journal keeps them.
#[test]
pub(crate) fn forty_heavy_receipts() {
    let seen = Scene::new(Behaviour::SaveHeavyReceipts).run();
    seen.fails("unavailable", "the receipts of a step have at most 32.0 MiB, over all its attempts");
    assert_eq!(seen.of("checkpoint-saved").count(), 32);
}

#[test]
pub(crate) fn two_thousand_receipts() {
    let seen = Scene::new(Behaviour::SaveManyReceipts).run();
    seen.fails("other", "more than 1000 receipts in one call");
    assert_eq!(seen.of("checkpoint-saved").count(), 1_000);
}
