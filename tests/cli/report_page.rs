//! The page of `pipe show` in a real browser: it shows what the data says, and nothing in it runs or is fetched.

use std::fs;

use pipe_tests::{Deployment, browser};
use serde_json::Value;

use crate::report::{resumed, rollback_failed, rolled_back, succeeded};

/// The page and the data.
fn page(deployment: &Deployment) -> (String, Value) {
    let ended = deployment.run(&["show", "last", "--format", "html", "--out", "report.html"]);
    assert_eq!(ended.code, 0, "{ended}");
    let data = deployment.run(&["show", "last", "--format", "json"]);
    let page = fs::read_to_string(deployment.at("report.html")).expect("the page");
    (page, serde_json::from_str(&data.stdout).expect("JSON"))
}

/// Keeps pages to be looked at where somebody asked for it.
fn keep(name: &str, page: &str) {
    if let Some(folder) = std::env::var_os("PIPE_TEST_PAGES") {
        fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), page).expect("written");
    }
}

#[test]
fn the_browser_shows_every_step_and_every_tick() {
    for (name, deployment) in [
        ("succeeded", succeeded()),
        ("rolled-back", rolled_back()),
        ("rollback-failed", rollback_failed()),
        ("resumed", resumed()),
    ] {
        let (page, data) = page(&deployment);
        keep(name, &page);
        let loaded = browser::load(&deployment.at("report.html"));
        assert_eq!(loaded.console, "", "{name}: the browser complains");
        let title = format!("{} in {}: ", data["pipeline"].as_str().unwrap(), data["environment"].as_str().unwrap());
        assert!(loaded.dom.contains(&format!("<title>{title}")), "{name}");
        let seen = browser::ask(
            &page,
            "const n=s=>document.querySelectorAll(s).length;\
             document.title=[n('#steps .step'),n('#checklist li'),n('#checklist li.good'),n('#decisions tbody tr'),\
             n('#rollback .step'),n('script')-1,n('a,link,img,iframe')].join()",
        );
        let number = |key: &str| data[key].as_array().map_or(0, Vec::len);
        let done = data["checklist"].as_array().unwrap().iter().filter(|item| item["tick"] == "done").count();
        let back = data["rollback"]["entries"].as_array().map_or(0, Vec::len);
        let wanted = [number("steps"), number("checklist"), done, number("people"), back, 0, 0];
        assert_eq!(seen, wanted.map(|number| number.to_string()).join(","), "{name}");
        let wide = "document.title=document.documentElement.scrollWidth<=document.documentElement.clientWidth";
        assert_eq!(browser::ask(&page, wide), "true", "{name} is wider than the window");
    }
}

#[test]
fn text_of_a_file_or_a_person_never_runs() {
    let trap = "<script>document.title='ran'</script>";
    let deployment =
        Deployment::example().edit("example.toml", "default = \"1.0.0\"", &format!("default = \"{trap}\""));
    let ended = deployment.run(&["run", "example.toml", "--env", "demo"]);
    assert!(matches!(ended.code, 0 | 1 | 3 | 5), "{ended}");
    let deployment = succeeded();
    let undone = deployment.run(&["rollback", "last", "--reason", &format!("{trap} \"><img src=x onerror=\"a\">")]);
    assert_eq!(undone.code, 5, "{undone}");
    let (page, _) = page(&deployment);
    let unprotected = browser::without_policy(&page);
    fs::write(deployment.at("unprotected.html"), &unprotected).unwrap();
    let loaded = browser::load(&deployment.at("unprotected.html"));
    assert!(loaded.dom.contains("<title>example in demo: rolled back, run "), "a script of the text ran");
    let tags = "const n=s=>document.querySelectorAll(s).length;document.title=[n('script')-1,n('img')].join()";
    assert_eq!(browser::ask(&page, tags), "0,0");
    let text = "document.title=document.body.innerText.includes('<scr'+'ipt>document.title=\\'ran\\'</scr'+'ipt>')";
    assert_eq!(browser::ask(&page, text), "true", "it is there to be read");
}

#[test]
fn it_is_dark_where_the_reader_is_and_whole_on_paper() {
    let (page, _) = page(&rolled_back());
    let style = page.split("<style>").nth(1).unwrap();
    assert!(style.contains("prefers-color-scheme:dark") && style.contains("@media print"));
    assert!(!style.contains("url(") && !style.contains("@import"), "the style sheet fetches something");
    // Every sign is told by a word too, and not by shape or colour alone.
    let signs = "document.title=[...document.querySelectorAll('.sign')].every(s=>s.querySelector('.unseen').textContent.length>2)";
    assert_eq!(browser::ask(&page, signs), "true");
}
