//! One decision: whether a grant of a dozen rules covers a request that its last rule allows.

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use pipe_capability::{
    grant::Grant,
    http::{HttpRequest, HttpRule},
    path::{PathRequest, PathRule},
    sql::{Access, SqlRule},
};

use crate::{Row, quantile};

const DECISIONS: usize = 20_000;
/// Decided at once, since one decision is hardly longer than a look at the clock.
const BATCH: u32 = 8;

pub(crate) fn measure() -> Vec<Row> {
    let rule =
        |index: usize| HttpRule::parse(&format!("GET|POST peer{index}:/api/{{v1,v2}}/*/x-*/**")).expect("a rule");
    let grant = Grant {
        http: (0..12).map(rule).collect(),
        sql: (0..12).map(|index| SqlRule::parse(&format!("write peer{index}")).expect("a rule")).collect(),
        read: (0..12).map(|index| PathRule::new("x", format!("/srv/hms/peer{index}"))).collect(),
        ..Grant::default()
    };
    let http = HttpRequest::parse("POST", "https://peer11.peer/api/v2/namespaces/x-hms/a/b/c?q=1").expect("a request");
    let read = PathRequest { shown: "x", resolved: Path::new("/srv/hms/peer11/a/b.sql") };
    vec![
        row("http", || black_box(&grant).http(black_box(&http)).is_ok()),
        row("read", || black_box(&grant).read(black_box(&read)).is_ok()),
        row("sql", || black_box(&grant).sql(black_box("peer11"), Access::Write).is_ok()),
    ]
}

fn row(word: &str, decide: impl Fn() -> bool) -> Row {
    assert!(decide(), "{word} is denied");
    let batch = |_| {
        let began = Instant::now();
        for _ in 0..BATCH {
            black_box(decide());
        }
        began.elapsed() / BATCH
    };
    let taken: Vec<Duration> = (0..DECISIONS).map(batch).collect();
    let p99 = quantile(taken.clone(), 0.99);
    Row {
        what: format!("a decision about {word}, twelve rules"),
        target: "<= 1 us p99",
        measured: format!("p50 {} ns, p99 {} ns", quantile(taken, 0.5).as_nanos(), p99.as_nanos()),
        met: Some(p99 <= Duration::from_micros(1)),
    }
}
