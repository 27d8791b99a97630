use super::*;
use crate::{artifact::ArtifactRule, env::EnvRule, exec::ExecRule, http::HttpRule, path::PathRule, secret::SecretSlot};

fn used(word: &str, subject: &str, rule: &str) -> Use {
    let effect = matches!(word, "write" | "exec");
    Use { word: word.to_owned(), subject: subject.to_owned(), rule: rule.to_owned(), effect, ..Use::default() }
}

/// What is suggested for rules of one word of one call: each rule's own verdict, as text.
fn suggested(grant: &Grant, uses: &[Use], varying: &[&str]) -> Vec<String> {
    let varying: Vec<String> = varying.iter().map(|&value| value.to_owned()).collect();
    let made = uses.iter().filter(|used| used.word == "write").map(|used| Path::new("/srv").join(&used.subject));
    let made = made.collect();
    let written = |word: Word, index: usize| match word {
        Word::Http => grant.http.get(index).map(|rule| rule.to_string()),
        _ => displayed(grant, word).get(index).cloned(),
    };
    let facts = Facts { base: Path::new("/srv"), written: &written, lies: &lies, made: &made };
    let shown =
        suggest(&[Call { grant, uses, varying: &varying }], &facts).into_iter().map(|rule| match rule.verdict {
            Verdict::Keep => "keep".to_owned(),
            Verdict::Drop => "drop".to_owned(),
            Verdict::Narrow(rules) => {
                rules.iter().map(|(word, text)| format!("{word} {text}")).collect::<Vec<_>>().join(", ")
            }
        });
    shown.collect()
}

/// A name with a dot is a file, `current` and what lies behind it a link, `gone` nothing.
fn lies(path: &Path) -> Lying {
    let shown = path.to_string_lossy();
    if shown.contains("current") || shown.contains("gone") {
        Lying::Other
    } else if path.extension().is_some() {
        Lying::File
    } else {
        Lying::Directory
    }
}

fn http(rules: &[&str], sent: &[(&str, usize)], varying: &[&str]) -> Vec<String> {
    let grant = Grant { http: rules.iter().map(|rule| HttpRule::parse(rule).unwrap()).collect(), ..Grant::default() };
    let uses: Vec<Use> = sent.iter().map(|(subject, rule)| used("http", subject, rules[*rule])).collect();
    assert_eq!(missing(&grant, &grant, &uses, Path::new("/srv")), None);
    suggested(&grant, &uses, varying)
}

#[test]
fn requests_are_narrowed_to_methods_and_paths() {
    for (rule, sent, wanted) in [
        ("GET k8s:/version", &["GET k8s:/version"][..], "keep"),
        ("GET k8s:/version", &[], "drop"),
        ("* k8s:/version", &["GET k8s:/version"], "http GET k8s:/version"),
        ("POST|GET k8s:/version", &["GET k8s:/version", "POST k8s:/version"], "keep"),
        ("GET k8s:/**", &["GET k8s:/"], "http GET k8s:/"),
        ("* k8s:/**", &["GET k8s:/a/b", "PATCH k8s:/a/b"], "http GET|PATCH k8s:/a/b"),
        ("* k8s:/**", &["GET k8s:/a", "PATCH k8s:/b?…"], "http GET k8s:/a, http PATCH k8s:/b"),
        ("GET k8s:/api/*/pods", &["GET k8s:/api/v1/pods"], "http GET k8s:/api/v1/pods"),
        ("GET k8s:/api/{v1,v2}/p*", &["GET k8s:/api/v2/pods"], "http GET k8s:/api/v2/pods"),
        ("GET https://a.example/**", &["GET https://a.example/x/"], "http GET https://a.example/x/"),
        ("GET https://a.example:8443/**", &["GET https://a.example:8443/x"], "http GET https://a.example:8443/x"),
        // A star in a path is only a star.
        ("GET k8s:/**", &["GET k8s:/a*b"], r"http GET k8s:/a\*b"),
        ("GET k8s:/**", &["GET k8s:/%7Bx%7D/%20"], "http GET k8s:/%7Bx%7D/%20"),
        // What is masked may be anything that the rule allowed.
        ("* k8s:/**", &["GET k8s:/[secret]/x"], "http GET k8s:/**"),
        ("GET k8s:/**", &["GET k8s:/[secret]/x", "GET k8s:/y"], "keep"),
    ] {
        let sent: Vec<_> = sent.iter().map(|&subject| (subject, 0)).collect();
        assert_eq!(http(&[rule], &sent, &[]), [wanted], "{rule} {sent:?}");
    }
}

#[test]
fn a_value_that_varies_is_not_fixed() {
    let sent = [("GET k8s:/apps/1.4.0/status", 0)];
    assert_eq!(http(&["GET k8s:/**"], &sent, &["1.4.0"]), ["http GET k8s:/apps/*/status"]);
    assert_eq!(http(&["GET k8s:/apps/*/*"], &sent, &["1.4.0"]), ["http GET k8s:/apps/*/status"]);
    assert_eq!(http(&["GET k8s:/apps/1*/status"], &sent, &["1.4.0"]), ["keep"]);
    assert_eq!(http(&["GET k8s:/**"], &[("GET k8s:/v-1.4.0.tar", 0)], &["1.4.0"]), ["http GET k8s:/*"]);
    // A word in which it stands by chance is not it.
    assert_eq!(http(&["GET k8s:/**"], &[("GET k8s:/democracy", 0)], &["demo"]), ["http GET k8s:/democracy"]);
}

#[test]
fn many_paths_become_what_they_have_in_common() {
    let paths: Vec<String> = (0..20).map(|pod| format!("GET k8s:/api/pods/p{pod}/log")).collect();
    let sent: Vec<_> = paths.iter().map(|path| (path.as_str(), 0)).collect();
    assert_eq!(http(&["* k8s:/**"], &sent, &[]), ["http GET k8s:/api/pods/*/log"]);
    assert_eq!(http(&["GET k8s:/api/pods/p*/log"], &sent, &[]), ["keep"]);
    assert_eq!(http(&["GET k8s:/api/*/p*/log"], &sent, &[]), ["http GET k8s:/api/pods/p*/log"]);
    let few = &sent[..MOST_RULES];
    assert_eq!(http(&["* k8s:/**"], few, &[])[0].split(", ").count(), MOST_RULES);
    let deep: Vec<String> = (1..20).map(|depth| format!("GET k8s:{}", "/a".repeat(depth))).collect();
    let sent: Vec<_> = deep.iter().map(|path| (path.as_str(), 0)).collect();
    assert_eq!(http(&["* k8s:/**"], &sent, &[]), ["http GET k8s:/**"]);
    // An empty last segment is not what a star stands for.
    let slashes: Vec<String> =
        (0..20).map(|n| format!("GET k8s:/{n}{}", if n % 2 == 0 { "/" } else { "/x" })).collect();
    let sent: Vec<_> = slashes.iter().map(|path| (path.as_str(), 0)).collect();
    assert_eq!(http(&["* k8s:/**"], &sent, &[]), ["http GET k8s:/*/x, http GET k8s:/*/"]);
}

#[test]
fn each_rule_answers_for_its_own_uses() {
    let rules = ["GET k8s:/version", "* k8s:/**", "GET k8s:/version", "GET prom:/**"];
    let sent = [("GET k8s:/version", 0), ("POST k8s:/x", 1)];
    assert_eq!(http(&rules, &sent, &[]), ["keep", "http POST k8s:/x", "drop", "drop"]);
}

#[test]
fn references_stay_where_they_stand() {
    let grants = ["a", "b"].map(|key| Grant {
        http: vec![HttpRule::parse(&format!("* argocd:/v1/hms-{key}/*/**")).unwrap()],
        ..Grant::default()
    });
    let uses = ["a", "b"].map(|key| {
        let rule = format!("* argocd:/v1/hms-{key}/*/**");
        vec![used("http", &format!("GET argocd:/v1/hms-{key}/sync/now"), &rule)]
    });
    let written = |_: Word, _: usize| Some("* argocd:/v1/hms-${each.key}/*/**".to_owned());
    let made = BTreeSet::new();
    let facts = Facts { base: Path::new("/srv"), written: &written, lies: &lies, made: &made };
    let calls = [0, 1].map(|index| Call { grant: &grants[index], uses: &uses[index], varying: &[] });
    let [rule] = suggest(&calls, &facts).try_into().unwrap();
    let one = vec![(Word::Http, "GET argocd:/v1/hms-${each.key}/sync/now".to_owned())];
    assert_eq!((rule.verdict, rule.uses), (Verdict::Narrow(one), 2));
}

#[test]
fn a_database_that_was_only_read_is_granted_for_reading() {
    for (rule, subjects, wanted) in [
        ("write main", &["read main: open", "read main: SELECT 1"][..], "sql read main"),
        ("write main", &["read main: open", "write main: open"], "keep"),
        ("write main", &[], "drop"),
        ("read main", &["read main: open"], "keep"),
    ] {
        let grant = Grant { sql: vec![SqlRule::parse(rule).unwrap()], ..Grant::default() };
        let uses: Vec<Use> = subjects.iter().map(|subject| used("sql", subject, rule)).collect();
        assert_eq!(suggested(&grant, &uses, &[]), [wanted], "{rule} {subjects:?}");
    }
}

/// What is suggested for one rule: uses are `r path` and `w path`.
fn path(word: Word, rule: &str, uses: &[&str], varying: &[&str]) -> String {
    let rules = vec![PathRule::new(rule, Path::new("/srv").join(rule))];
    let grant = match word {
        Word::Read => Grant { read: rules, ..Grant::default() },
        Word::Write => Grant { write: rules, ..Grant::default() },
        _ => Grant { disk: rules, ..Grant::default() },
    };
    let word_of = |letter: &str| match letter {
        "r" => "read",
        "w" => "write",
        _ => "disk",
    };
    let uses: Vec<Use> = uses.iter().map(|text| used(word_of(&text[..1]), &text[2..], rule)).collect();
    assert_eq!(missing(&grant, &grant, &uses, Path::new("/srv")), None);
    suggested(&grant, &uses, varying).join("; ")
}

#[test]
fn directories_are_narrowed_to_what_was_looked_at() {
    for (rule, uses, wanted) in [
        ("app", &["r app"][..], "keep"),
        ("app", &["r app/"], "keep"),
        ("app", &["r app/x/index.html"], "read app/x/index.html"),
        ("app", &["r ./app/x/index.html"], "read app/x/index.html"),
        ("app", &["r app/x", "r app/x/a.html", "r app/y/b.html"], "read app/x, read app/y/b.html"),
        ("app/", &["r app/x"], "read app/x"),
        (".", &["r app/x"], "read app/x"),
        ("/etc", &["r /etc/ssl/ca.pem"], "read /etc/ssl/ca.pem"),
        // Not there, or not certain to be there next time.
        ("app", &["r app/x/gone.html"], "read app/x"),
        ("app", &["r app/gone"], "keep"),
        ("app", &["r app/current/index.html"], "keep"),
        ("app", &["r app/x/1.4.0/index.html"], "read app/x"),
        // Where a link leads is not what was granted.
        ("app", &["r /mnt/app/index.html"], "keep"),
        ("app", &["r app/../other"], "keep"),
        ("app", &[], "drop"),
        // The two characters of a reference.
        ("app", &["r app/${x}.html"], "read app/$${x}.html"),
    ] {
        assert_eq!(path(Word::Read, rule, uses, &["1.4.0"]), wanted, "{rule} {uses:?}");
    }
}

#[test]
fn many_files_become_their_directory() {
    let files: Vec<String> = (0..9).map(|number| format!("r app/x/{number}.html")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    assert_eq!(path(Word::Read, "app", &files, &[]), "read app/x");
    assert_eq!(path(Word::Read, "app", &files[..8], &[]).split(", ").count(), 8);
    let folders: Vec<String> = (0..9).map(|number| format!("r app/{number}/x.html")).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    assert_eq!(path(Word::Read, "app", &folders, &[]), "keep");
}

#[test]
fn what_is_written_is_narrowed_to_directories() {
    for (uses, wanted) in [
        (&["w live"][..], "keep"),
        (&["r live"], "read live"),
        (&["r live/x.html"], "read live/x.html"),
        (&["w live/x.html"], "keep"),
        // Made where it is missing, but not what lies in it.
        (&["w live/www", "w live/www/x.html"], "write live/www"),
        (&["w live/www", "w live/www/a", "w live/www/a/x.html"], "write live/www"),
        (&["w live/www/a/x.html", "r live/www/a/y.html", "r live/b/z.html"], "write live/www/a, read live/b/z.html"),
        (&["w live/www/1.4.0/x.html"], "write live/www"),
        (&["w live/gone"], "keep"),
        (&[], "drop"),
    ] {
        assert_eq!(path(Word::Write, "live", uses, &["1.4.0"]), wanted, "{uses:?}");
    }
}

#[test]
fn what_the_run_made_itself_may_not_be_there_before_it() {
    let read = vec![PathRule::new("live", "/srv/live")];
    let write = vec![PathRule::new("other", "/srv/other")];
    let grant = Grant { read, write, ..Grant::default() };
    let uses = [used("read", "live/www/x.html", "live"), used("write", "live/www/x.html", "other")];
    // The write names a rule that does not hold it: nothing is made of that.
    assert_eq!(suggested(&grant, &uses, &[]), ["read live/www", "keep"]);
}

#[test]
fn free_space_is_asked_of_a_place() {
    assert_eq!(path(Word::Disk, "data", &["d data/db"], &[]), "disk data/db");
    assert_eq!(path(Word::Disk, "data", &["d data/x.db"], &[]), "keep");
    assert_eq!(path(Word::Disk, "data", &["d data"], &[]), "keep");
}

#[test]
fn the_other_words_are_kept_or_dropped() {
    let exec = |program: &str| ExecRule { program: program.to_owned(), ..ExecRule::default() };
    let slots = ["a", "b"].map(|name| SecretSlot::new(name, "artifacts", None, None).unwrap());
    let grant = Grant {
        env: ["USED", "UNUSED"].map(|name| EnvRule::parse(name).unwrap()).into(),
        secrets: slots.clone().into(),
        exec: ["pg_dump", "rm"].map(exec).into(),
        artifacts: ["write", "read backup"].map(|text| ArtifactRule::parse(text).unwrap()).into(),
        ..Grant::default()
    };
    let dump = grant.exec[0].to_string();
    let uses = [
        used("env", "USED", "USED"),
        used("exec", "pg_dump", &dump),
        used("secrets", "b to artifacts", &slots[1].to_string()),
        used("secrets", "db of pg_dump", &dump),
        used("artifacts", "read 12ab x", "an artifact of the step's own"),
    ];
    assert_eq!(suggested(&grant, &uses, &[]), ["keep", "drop", "drop", "keep", "keep", "drop", "drop", "drop"]);
}

#[test]
fn a_use_of_an_unknown_rule_keeps_the_word() {
    let grant = Grant { env: vec![EnvRule::parse("A").unwrap()], ..Grant::default() };
    assert_eq!(suggested(&grant, &[used("env", "B", "B")], &[]), ["keep"]);
    // A word of a later version is not one of these rules.
    assert_eq!(suggested(&grant, &[used("quantum", "B", "B")], &[]), ["drop"]);
    let grant = Grant { write: vec![PathRule::new("live", "/srv/live")], ..Grant::default() };
    assert_eq!(suggested(&grant, &[used("read", "x", "other")], &[]), ["keep"]);
}

#[test]
fn without_a_call_there_is_nothing_to_say() {
    let facts = Facts { base: Path::new("/"), written: &|_, _| None, lies: &lies, made: &BTreeSet::new() };
    assert_eq!(suggest(&[], &facts), []);
}

#[test]
fn what_a_grant_misses_is_the_first_use_that_it_does_not_cover() {
    let granted = Grant {
        http: vec![HttpRule::parse("* k8s:/**").unwrap()],
        sql: vec![SqlRule::parse("write main").unwrap()],
        env: vec![EnvRule::parse("A").unwrap()],
        write: vec![PathRule::new("live", "/srv/live")],
        ..Grant::default()
    };
    for (one, narrow) in [
        (used("http", "GET k8s:/a", "* k8s:/**"), Grant { http: Vec::new(), ..granted.clone() }),
        (
            used("http", "POST k8s:/[secret]", "* k8s:/**"),
            Grant { http: vec![HttpRule::parse("GET k8s:/**").unwrap()], ..granted.clone() },
        ),
        (
            used("sql", "write main: open", "write main"),
            Grant { sql: vec![SqlRule::parse("read main").unwrap()], ..granted.clone() },
        ),
        (used("env", "A", "A"), Grant { env: Vec::new(), ..granted.clone() }),
        (used("read", "live/x", "live"), Grant { write: Vec::new(), ..granted.clone() }),
        (
            used("write", "live/x", "live"),
            Grant { write: vec![PathRule::new("live/y", "/srv/live/y")], ..granted.clone() },
        ),
    ] {
        let uses = [one];
        assert_eq!(missing(&granted, &granted, &uses, Path::new("/srv")), None);
        assert_eq!(missing(&granted, &narrow, &uses, Path::new("/srv")), Some(&uses[0]));
    }
}
