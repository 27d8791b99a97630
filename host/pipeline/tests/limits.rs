//! Limits: of a step before those of its check, of the file, and of pipe itself.

use std::{collections::BTreeMap, sync::Arc};

use pipe_core::{
    diagnostic::SourceFile,
    limits::{Limit, Limits},
};
use pipe_pipeline::{RunFacts, Selection, check, parse};

const FILE: &str = r#"
name = "clinic"

[limits]
memory = "64MiB"
bytes_in = "1.5GiB"

[[check]]
name = "error rate"
limits = { memory = "32MiB", handles = 7 }

[[step]]
name = "silent"
stage = "verify"

[[step]]
name = "checked"
check = "error rate"
limits.handles = 9

[[step]]
name = "large"
stage = "backup"
limits = { artifact = "100GiB", memory = "1GiB" }

[[notify]]
on = ["failed"]
limits.log_lines = 5
"#;

#[test]
fn the_nearest_line_counts() {
    let file = Arc::new(SourceFile { path: "/srv/clinic/pipeline.toml".into(), text: FILE.to_owned() });
    let selection = Selection {
        environment: None,
        inputs: BTreeMap::new(),
        previous: BTreeMap::new(),
        run: RunFacts {
            id: "20261123021500-9f3c1a".parse().unwrap(),
            started: "2026-11-23T02:15:00Z".parse().unwrap(),
        },
    };
    let pipeline = check(&parse(&file).unwrap(), &selection).unwrap().pipeline;
    let of_file = Limits::default().with(Limit::Memory, 64 << 20).with(Limit::BytesIn, 3 << 29);
    let limits: Vec<Limits> = pipeline.calls().map(|step| step.limits).collect();
    assert_eq!(
        limits,
        [
            of_file,
            of_file.with(Limit::Memory, 32 << 20).with(Limit::Handles, 9),
            of_file.with(Limit::Memory, 1 << 30).with(Limit::Artifact, 100 << 30),
            of_file.with(Limit::LogLines, 5),
        ]
    );
}
