//! The hint of a refusal is a line to paste. Pasted one after another they lead to a run that passes, whatever is there yet.

use pipe_tests::{Deployment, Ended};

/// More than any of these steps has words.
const MOST_PASTES: usize = 6;

/// Runs a pipeline of one step that is granted nothing, and pastes what the last refusal says until the run passes. What was
/// pasted, and the last run.
fn paste_until_it_runs(deployment: Deployment, with: &str, stage: &str) -> (Deployment, Vec<String>, Ended) {
    let mut lines: Vec<String> = Vec::new();
    loop {
        let allow = lines.join("\n");
        let pipeline =
            format!("name = \"shop\"\n\n[[step]]\nname = \"it\"\nstage = \"{stage}\"\n{allow}\nwith = {with}\n");
        std::fs::write(deployment.at("shop.toml"), pipeline).expect("the pipeline");
        let ended = deployment.run(&["run", "shop.toml"]);
        if ended.code == 0 {
            return (deployment, lines, ended);
        }
        // Refused; or undone, where a receipt had been saved by then.
        assert!([4, 5].contains(&ended.code), "what was pasted leads nowhere: {lines:?}\n{ended}");
        assert!(lines.len() < MOST_PASTES, "and so on: {lines:?}\n{ended}");
        let shown = deployment.run(&["show", "last", "--output", "json"]).json();
        let denied = shown.iter().filter(|line| line["what"]["event"] == "denied");
        let hint = denied.filter_map(|line| line["what"]["refusal"]["hint"].as_str()).next_back();
        let line = hint.unwrap_or_else(|| panic!("no line to paste\n{ended}")).to_owned();
        assert!(ended.stderr.contains(&line), "the operator is not told {line}\n{ended}");
        let (word, _) = line.split_once(" = ").expect("a line");
        // A line holds all rules of its word: it takes the place of the one before.
        lines.retain(|known| !known.starts_with(&format!("{word} = ")));
        assert!(!lines.contains(&line), "pasted, and refused again: {line}\n{ended}");
        lines.push(line);
    }
}

const FILES: &str = "{ kind = \"files\", source = \"app\", destination = \"live/www\", version = \"1.0.0\" }";

#[test]
fn a_release_where_nothing_is_yet() {
    let deployment = Deployment::new().file("app/index.html", "<h1>shop</h1>\n").folder("live");
    let (deployment, lines, _) = paste_until_it_runs(deployment, FILES, "release");
    assert!(deployment.at("live/www/current/index.html").exists(), "{lines:?}");
    assert!(lines.contains(&"allow.write = [\"live/www\"]".to_owned()), "{lines:?}");
}

#[test]
fn a_release_into_a_directory_that_is_there() {
    let deployment = Deployment::new().file("app/index.html", "<h1>shop</h1>\n").folder("live/www");
    let (deployment, lines, _) = paste_until_it_runs(deployment, FILES, "release");
    assert!(deployment.at("live/www/current/index.html").exists(), "{lines:?}");
}

#[test]
fn a_history_that_has_no_entry_yet() {
    let with = "{ kind = \"history\", path = \"live/history/deployments.md\", format = \"markdown\", version = \"1\" }";
    for deployment in
        [Deployment::new().folder("live/history"), Deployment::new().file("live/history/deployments.md", "")]
    {
        let (deployment, lines, ended) = paste_until_it_runs(deployment, with, "notify");
        assert!(deployment.at("live/history/deployments.md").exists(), "{lines:?}\n{ended}");
    }
}

#[test]
fn a_backup_and_a_check() {
    let archive = "{ kind = \"archive\", directory = \"data\", encrypt = false }";
    paste_until_it_runs(Deployment::new().file("data/a.txt", "a"), archive, "backup");
    let file = "{ check = [{ kind = \"file\", path = \"data/a.txt\" }] }";
    paste_until_it_runs(Deployment::new().file("data/a.txt", "a"), file, "verify");
}
