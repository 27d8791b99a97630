//! Whatever stands in a pipeline file, reading it ends, and every problem has a place that can be shown.

#![no_main]

use std::{collections::BTreeMap, sync::Arc};

use libfuzzer_sys::fuzz_target;
use pipe_core::diagnostic::{Diagnostic, SourceFile};
use pipe_pipeline::{RunFacts, Selection, check, check_against_plugins, parse};

fuzz_target!(|text: &str| {
    let file = Arc::new(SourceFile { path: "/srv/x/pipeline.toml".into(), text: text.to_owned() });
    let document = match parse(&file) {
        Ok(document) => document,
        Err(problems) => return assert_places(&problems),
    };
    let environments: Vec<String> = document.environments().map(str::to_owned).collect();
    for environment in environments.into_iter().map(Some).chain([None]).take(3) {
        let selection = Selection {
            environment,
            inputs: BTreeMap::from([("version".to_owned(), "2.5.0".to_owned())]),
            previous: BTreeMap::new(),
            run: RunFacts {
                id: "20261123021500-9f3c1a".parse().expect("an id"),
                started: "2026-11-23T02:15:00Z".parse().expect("a time"),
            },
        };
        match check(&document, &selection) {
            Ok(checked) => {
                assert_places(&checked.warnings);
                assert_places(&check_against_plugins(&checked.pipeline, &BTreeMap::new()));
                for step in checked.pipeline.calls() {
                    // What is granted can be written down again.
                    assert!(step.grant.lines().iter().all(|line| line.starts_with("allow.")));
                }
            }
            Err(problems) => assert_places(&problems),
        }
    }
});

fn assert_places(problems: &[Diagnostic]) {
    for label in problems.iter().flat_map(|problem| &problem.labels) {
        assert!(label.file.text.get(label.span.clone()).is_some(), "{:?}", label.span);
    }
}
