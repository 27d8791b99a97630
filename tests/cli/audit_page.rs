//! The page of `pipe audit` in a real browser: it shows what the data says, and nothing in it runs or is fetched.

use std::fs;

use pipe_tests::{Deployment, browser};
use serde_json::Value;

use crate::audit::vendor;

/// A pipeline with a bit of everything, and text of its own that a browser would act upon.
const CLINIC: &str = r#"
name = "clinic"
environments = ["test"]

[inputs]
note = { default = "<script>document.title='ran'</script>" }

[secrets]
token.env = "CLINIC_TOKEN"

[peers]
api = { url = "https://api.clinic.example", bearer = "token", addresses = ["10.0.0.0/8"] }

[plugins]
vendor = { path = "plugin.wasm" }

[[step]]
name = "look"
stage = "verify"
plugin = "vendor"
allow.http = ["GET api:/**"]
allow.read = ["a<b>c</b>&quot;\u05e9\u05dc\u05d5\u05dd"]

[[step]]
name = "data"
stage = "backup"
allow.exec = [{ program = "pg_dump", argv = ["</code><img src=x onerror=\"document.title='ran'\">"] }]
allow.artifacts = ["write"]
with = { kind = "pg-dump", peer = "main", arguments = ["--format=custom"], encrypt = false }
"#;

const ARGUMENTS: [&str; 6] = ["audit", "clinic.toml", "--env", "test", "--fail-on", "never"];

fn clinic() -> Deployment {
    vendor('w', "", "").file("clinic.toml", CLINIC)
}

/// The page and the data.
fn audited(deployment: &Deployment) -> (String, Value) {
    let ended = deployment.run(&[&ARGUMENTS[..], &["--format", "html", "--out", "audit.html"]].concat());
    assert_eq!(ended.code, 0, "{ended}");
    let data = deployment.run(&[&ARGUMENTS[..], &["--format", "json"]].concat());
    let page = fs::read_to_string(deployment.at("audit.html")).expect("the page");
    (page, serde_json::from_str(&data.stdout).expect("JSON"))
}

#[test]
fn the_browser_shows_every_row_and_finding() {
    let deployment = clinic();
    let (page, data) = audited(&deployment);
    let loaded = browser::load(&deployment.at("audit.html"));
    for (index, call) in data["calls"].as_array().unwrap().iter().enumerate() {
        assert!(loaded.dom.contains(&format!("id=\"call-{index}\"")), "{call}");
        assert!(loaded.dom.contains(&format!("<span class=\"step\">{}</span>", call["step"].as_str().unwrap())));
        assert!(loaded.dom.contains(call["plugin"]["sha256"].as_str().unwrap()));
    }
    let seen = browser::ask(
        &page,
        "const n=s=>document.querySelectorAll(s).length;\
         document.title=[n('.finding'),n('.call'),n('tr.rule'),n('.finding.error'),n('.call[open]')].join()",
    );
    let (calls, findings) = (data["calls"].as_array().unwrap(), data["findings"].as_array().unwrap());
    let rules: usize = calls.iter().map(|call| call["rules"].as_array().unwrap().len()).sum();
    assert_eq!(seen, format!("{},{},{rules},{},2", findings.len(), calls.len(), data["counts"]["errors"]));
}

#[test]
fn text_of_a_vendor_or_a_file_never_runs() {
    let deployment = clinic();
    let (page, _) = audited(&deployment);
    let loaded = browser::load(&deployment.at("audit.html"));
    let title = "<title>clinic in test: capability audit</title>";
    assert!(loaded.dom.contains(title), "{}", loaded.dom);
    // Not thanks to the policy alone: the same page without it.
    let unprotected = browser::without_policy(&page);
    fs::write(deployment.at("unprotected.html"), &unprotected).unwrap();
    assert!(browser::load(&deployment.at("unprotected.html")).dom.contains(title), "a script of the text ran");
    let tags = "const n=s=>document.querySelectorAll(s).length;document.title=[n('script')-1,n('img'),n('[onerror]'),\
                n('iframe,object,embed,link,base'),n('a:not([href^=\"#\"])')].join()";
    assert_eq!(browser::ask(&page, tags), "0,0,0,0,0");
    // The text is there all the same, to be read.
    let text = "document.title=document.body.innerText.includes('<scr'+'ipt>document.title=\\'ran\\'</scr'+'ipt>')";
    assert_eq!(browser::ask(&page, text), "true");
    // And the trap works: let out of its text, it runs.
    let sprung = unprotected.replacen(
        "&lt;script&gt;document.title=&#39;ran&#39;&lt;/script&gt;",
        "<script>document.title='ran'</script>",
        1,
    );
    assert_ne!(sprung, unprotected);
    fs::write(deployment.at("sprung.html"), sprung).unwrap();
    assert!(browser::load(&deployment.at("sprung.html")).dom.contains("<title>ran</title>"));
}

#[test]
fn the_policy_lets_the_style_sheet_in_and_nothing_else() {
    let deployment = clinic();
    let (page, _) = audited(&deployment);
    assert_eq!(browser::load(&deployment.at("audit.html")).console, "", "the browser has nothing to complain of");
    let style = &page[page.find("<style>").unwrap()..page.find("</style>").unwrap()];
    assert!(!style.contains("url(") && !style.contains("@import"), "the style sheet fetches something");
    for (name, changed) in [
        ("another style", page.replacen("<style>", "<style>p{color:red}", 1)),
        ("a script", page.replacen("</body>", "<script>document.title='ran'</script></body>", 1)),
        ("an image", page.replacen("</body>", "<img src=\"https://evil.example/x\"></body>", 1)),
    ] {
        fs::write(deployment.at("changed.html"), changed).unwrap();
        let loaded = browser::load(&deployment.at("changed.html"));
        assert!(loaded.console.contains("Content Security Policy"), "{name} was let in: {}", loaded.console);
        assert!(!loaded.dom.contains("<title>ran</title>"), "{name}");
    }
}

#[test]
fn the_filters_show_what_they_say() {
    let (page, data) = audited(&clinic());
    let shown =
        "const shown=s=>[...document.querySelectorAll(s)].filter(e=>getComputedStyle(e).display!='none').length;";
    let findings = data["findings"].as_array().unwrap();
    let count = |keep: &dyn Fn(&Value) -> bool| findings.iter().filter(|one| keep(one)).count().to_string();
    for (click, keep) in [
        ("", &(|_: &Value| true) as &dyn Fn(&Value) -> bool),
        ("document.getElementById('show-note').click();", &|one: &Value| one["severity"] != "note"),
        ("document.getElementById('show-warning').click();", &|one: &Value| one["severity"] != "warning"),
        ("document.getElementById('show-error').click();", &|one: &Value| one["severity"] != "error"),
        ("document.getElementById('word-exec').click();", &|one: &Value| one["word"] == "exec"),
        ("document.getElementById('word-http').click();", &|one: &Value| one["word"] == "http"),
    ] {
        let seen = browser::ask(&page, &format!("{click}{shown}document.title=shown('.finding')"));
        assert_eq!(seen, count(keep), "{click}");
    }
    let calls = "document.getElementById('word-exec').click();";
    assert_eq!(browser::ask(&page, &format!("{calls}{shown}document.title=shown('.call')")), "1");
}

#[test]
fn it_is_dark_where_the_reader_is_and_whole_on_paper() {
    let (page, _) = audited(&clinic());
    let style = page.split("<style>").nth(1).unwrap();
    assert!(style.contains("prefers-color-scheme:dark") && style.contains("@media print"));
    // Nothing is wider than the window, but for tables that scroll by themselves.
    let wide = "document.title=document.documentElement.scrollWidth<=document.documentElement.clientWidth";
    assert_eq!(browser::ask(&page, wide), "true");
    // Every severity is told by a word and a shape, and not by colour alone.
    let marks = "document.title=[...document.querySelectorAll('.mark')].every(m=>/^[■▲●] (error|warning|note)$/.test(m.innerText))";
    assert_eq!(browser::ask(&page, marks), "true");
}
