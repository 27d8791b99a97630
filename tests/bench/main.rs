//! What `pipe` costs, against what it replaces. Ratios from one run on one machine: nothing here passes or fails.
//!
//! ```sh
//! cargo bench -p pipe-cli --bench bench
//! ```

mod call;
mod decision;
mod process;
mod program;

use std::time::Duration;

/// How often everything is measured.
const ROUNDS: usize = 41;

/// One line of the table.
struct Row {
    what: String,
    target: &'static str,
    measured: String,
    met: Option<bool>,
}

#[expect(clippy::print_stdout, reason = "a bench prints")]
fn main() {
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let rows: Vec<Row> =
        [process::measure(), program::measure(), call::measure(), decision::measure()].into_iter().flatten().collect();
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or_default();
    println!("{:<width$}  {:<16} measured", "what", "target");
    for Row { what, target, measured, met } in rows {
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        println!("{what:<width$}  {target:<16} {measured} {verdict}");
    }
}

/// The value that `share` of all values do not exceed.
fn quantile(mut values: Vec<Duration>, share: f64) -> Duration {
    values.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((values.len() - 1) as f64 * share) as usize;
    values.get(index).copied().unwrap_or_default()
}
