//! A real browser: Chromium without a window, in a profile of its own, which is allowed no network.

use std::{fs, path::Path, process::Command, time::Duration};

/// What became of a page once it was loaded.
pub struct Loaded {
    /// The document, as the browser has it now.
    pub dom: String,
    /// What the browser said on its console.
    pub console: String,
}

/// Loads a file.
#[must_use]
pub fn load(file: &Path) -> Loaded {
    let profile = tempfile::tempdir().unwrap();
    let mut chromium = Command::new("timeout");
    chromium
        .args(["--kill-after=5", &Duration::from_secs(120).as_secs().to_string(), "chromium"])
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"])
        // Every name leads nowhere.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .args(["--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=2000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", file.canonicalize().unwrap().display()))
        .env("HOME", profile.path());
    let output = chromium.output().unwrap_or_else(|error| panic!("chromium cannot be started: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "chromium: {}\n{stderr}", output.status);
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(dom.contains("</html>"), "chromium shows no document\n{stderr}");
    let console = stderr.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n");
    Loaded { dom, console }
}

/// Loads a page after `script` was put at its end and its content security policy was taken away: what the script leaves in
/// the title is what it found out.
#[must_use]
pub fn ask(page: &str, script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asked.html");
    let page = without_policy(page).replacen("</body>", &format!("<script>{script}</script></body>"), 1);
    fs::write(&file, page).unwrap();
    let dom = load(&file).dom;
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    title.unwrap_or_default().to_owned()
}

/// The page without its content security policy.
#[must_use]
pub fn without_policy(page: &str) -> String {
    let start = page.find("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let end = start + page[start..].find('>').unwrap() + 1;
    format!("{}{}", &page[..start], &page[end..])
}
