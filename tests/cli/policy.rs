//! Pipelines above a policy, kept in `above/` with the policy that they are above. None starts, and each error names both
//! lines: the pipeline's, and the one of the policy that speaks against it.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    process::Command,
};

use pipe_tests::{Deployment, guest, repository};

/// Every pipeline that is above the policy, by name.
fn cases() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/above");
    let names = fs::read_dir(folder).expect("tests/cli/above").map(|entry| entry.expect("a file").file_name());
    let names = names.filter_map(|name| name.to_string_lossy().strip_suffix(".toml").map(str::to_owned));
    let mut cases: Vec<String> = names.filter(|name| name != "policy").collect();
    cases.sort();
    assert!(cases.len() >= 15, "{cases:?}");
    cases
}

fn above() -> Deployment {
    Deployment::new().copy_of("tests/cli/above", ".")
}

#[test]
fn every_pipeline_above_the_policy_is_refused_with_both_lines() {
    let deployment = above();
    for case in cases() {
        let file = format!("{case}.toml");
        let ended = deployment.run(&["check", &file, "--policy", "policy.toml"]);
        assert_eq!(ended.code, 4, "{case}\n{ended}");
        assert_eq!(ended.stdout, "", "{case}: an error is no result");
        for error in ended.stderr.split("\n\n").filter(|part| part.starts_with("error")) {
            assert!(error.contains(&format!("{file}:")), "{case} names no line of the pipeline:\n{error}");
            let names = error.contains("::: policy.toml:") || error.contains("in policy.toml no block applies");
            assert!(names, "{case} names no line of the policy:\n{error}");
        }
        insta::with_settings!({ snapshot_path => "above", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(case.clone(), pipe_tests::normalise::normalise(ended.stderr.trim_end(), deployment.path()));
        });
        // It is the policy that is against it, and nothing else.
        let alone = deployment.run(&["check", &file]);
        assert_eq!(alone.code, 0, "{case} is wrong without a policy\n{alone}");
    }
}

#[test]
fn a_pipeline_above_the_policy_neither_plans_nor_starts() {
    let deployment = above();
    for case in cases() {
        let file = format!("{case}.toml");
        for command in ["plan", "run"] {
            let ended = deployment.run(&[command, &file, "--env", "production", "--policy", "policy.toml"]);
            assert_eq!(ended.code, 4, "{command} {case}\n{ended}");
            assert!(ended.stderr.contains("error[above-policy]"), "{command} {case}\n{ended}");
        }
        let history = deployment.run(&["history", "--output", "json"]);
        assert!(history.json().is_empty(), "{case} left a run behind\n{history}");
        assert!(!deployment.at("www").exists(), "{case} made a directory that it may not write");
    }
}

#[test]
fn both_lines_are_data_for_programs() {
    let deployment = above();
    let ended = deployment.run(&["check", "01-method.toml", "--policy", "policy.toml", "--output", "json"]);
    let error = ended.json().into_iter().find(|line| line["severity"] == "error").expect("an error");
    assert_eq!(error["code"], "above-policy", "{ended}");
    assert_eq!((&error["places"][0]["file"], &error["places"][0]["line"]), (&"01-method.toml".into(), &11.into()));
    assert_eq!((&error["places"][1]["file"], &error["places"][1]["line"]), (&"policy.toml".into(), &10.into()));
}

/// The example with the widest policy that says anything.
fn example(policy: &str) -> Deployment {
    Deployment::example().file("policy.toml", policy)
}

const ALL: &str = "[[allow]]\nany = [\"*\"]\n";

#[test]
fn a_pipeline_below_the_policy_runs_and_the_record_says_which_policy() {
    let deployment = example(ALL);
    let free = deployment.run(&["plan", "example.toml", "--env", "demo", "--output", "json"]);
    let bound =
        deployment.run(&["plan", "example.toml", "--env", "demo", "--output", "json", "--policy", "policy.toml"]);
    let digest = &bound.json()[0]["policies"][0];
    assert!(digest.as_str().is_some_and(|digest| digest.len() == 64), "{bound}");
    assert_eq!(free.json()[0].get("policies"), None, "{free}");

    let ended = deployment.run(&["run", "example.toml", "--env", "demo", "--policy", "policy.toml"]);
    assert_eq!(ended.code, 0, "{ended}");
    let log = deployment.run(&["log", "export"]);
    let started = log.stdout.lines().find(|line| line.contains("run-started")).expect("a beginning");
    assert!(started.contains(digest.as_str().expect("a digest")), "{started}");

    // Another policy is another plan.
    let deployment = deployment.file("policy.toml", format!("{ALL}# changed\n"));
    let again =
        deployment.run(&["plan", "example.toml", "--env", "demo", "--output", "json", "--policy", "policy.toml"]);
    assert_ne!(&again.json()[0]["policies"][0], digest);
}

#[test]
fn the_policy_may_be_named_by_a_variable_of_the_operator() {
    let deployment = above().variable("PIPE_POLICY", "policy.toml");
    let ended = deployment.run(&["check", "01-method.toml"]);
    assert_eq!(ended.code, 4, "{ended}");
}

#[test]
fn the_policy_of_the_hospital_holds_its_pipeline_and_no_other() {
    let policy = repository().join("pipelines/policies/hospital.toml");
    let policy = policy.to_str().expect("a path");
    let file = repository().join("pipelines/medical-system.toml");
    let arguments = ["check", file.to_str().expect("a path"), "--set", "version=1.2.3", "--policy", policy, "--env"];
    let ended = Deployment::new().run(&[&arguments[..], &["production"]].concat());
    assert_eq!(ended.code, 0, "{ended}");
    // Staging is another machine, of which the hospital's policy knows nothing.
    let staging = Deployment::new().run(&[&arguments[..], &["staging"]].concat());
    assert_eq!(staging.code, 4, "{staging}");
    let example = Deployment::example();
    let ended = example.run(&["check", "example.toml", "--policy", policy]);
    assert_eq!(ended.code, 4, "{ended}");
    // A host that the operator sets is still a host.
    let moved = ["production", "--set", "database_host=db.evil.example"];
    let ended = Deployment::new().run(&[&arguments[..], &moved].concat());
    assert_eq!(ended.code, 4, "{ended}");
    assert!(ended.stderr.contains("`database` is postgres://medical_user@db.evil.example/medical_db"), "{ended}");
}

#[test]
fn a_link_beside_the_pipeline_counts_as_what_it_leads_to() {
    let pipeline = "
name = \"shop\"
environments = [\"production\"]

[[step]]
name = \"check\"
stage = \"verify\"
allow.read = [\"database\"]
with.check = [{ kind = \"file\", path = \"database/passwd\" }]
";
    let deployment = Deployment::new().file("shop.toml", pipeline).file("policy.toml", "[[allow]]\nread = [\".\"]\n");
    let arguments = ["shop.toml", "--env", "production", "--policy", "policy.toml"];
    symlink("/etc", deployment.at("database")).expect("a link");
    for command in ["check", "plan", "run"] {
        let ended = deployment.run(&[&[command], &arguments[..]].concat());
        assert_eq!(ended.code, 4, "{command}\n{ended}");
        assert!(ended.stderr.contains("this is /etc"), "{command}\n{ended}");
    }
    // And one in a path of the policy is not followed: it may belong to whom the policy is about.
    let policy = format!("[[allow]]\nread = [\"{}\"]\n", deployment.at("database").display());
    let deployment = deployment.file("policy.toml", policy);
    assert_eq!(deployment.run(&[&["check"], &arguments[..]].concat()).code, 4);
    let deployment = deployment.file("policy.toml", "[[allow]]\nread = [\"/etc\"]\n");
    assert_eq!(deployment.run(&[&["check"], &arguments[..]].concat()).code, 0);
}

#[test]
fn a_plugin_counts_by_its_content_and_not_by_its_name() {
    let bytes = fs::read(guest::component("hostile")).expect("a component");
    let deployment = Deployment::new().file("plugin.wasm", &bytes);
    let inspected = deployment.run(&["inspect", "plugin.wasm", "--output", "json"]);
    let digest = inspected.json()[0]["sha256"].as_str().expect("a digest").to_owned();
    let other = "ab".repeat(32);
    let pipeline = |pin: &str| {
        format!(
            "name = \"shop\"\nenvironments = [\"production\"]\n\n[plugins]\nacme-verify = {{ path = \"plugin.wasm\"{pin} }}\n\n\
             [[step]]\nname = \"check\"\nstage = \"verify\"\nplugin = \"acme-verify\"\nwith = {{ behaviour = \"read-file\" }}\n"
        )
    };
    let policy = |digest: &str, require: &str| {
        format!(
            "[plugins]\nacme-verify.sha256 = \"{digest}\"\n\n[[allow]]\nplugins = [\"acme-verify\"]\nenv = [\"*\"]\n{require}"
        )
    };
    let pinned = format!(", sha256 = \"{digest}\"");
    let require = "[require]\npinned_plugins = true\n";
    for (pin, of, require, code) in
        [("", &digest, "", 0), ("", &digest, require, 4), (pinned.as_str(), &digest, require, 0), ("", &other, "", 0)]
    {
        let deployment_file = deployment.at("shop.toml");
        fs::write(deployment_file, pipeline(pin)).expect("a pipeline");
        fs::write(deployment.at("policy.toml"), policy(of, require)).expect("a policy");
        let ended = deployment.run(&["check", "shop.toml", "--policy", "policy.toml"]);
        assert_eq!(ended.code, code, "{pin} {of} {require}\n{ended}");
    }
    // The plugin that was not reviewed may do nothing: it asks for nothing above, and here for one variable.
    let granted = format!("{}allow.env = [\"HOME\"]\n", pipeline(""));
    fs::write(deployment.at("shop.toml"), granted).expect("a pipeline");
    for (of, code) in [(&digest, 0), (&other, 4)] {
        fs::write(deployment.at("policy.toml"), policy(of, "")).expect("a policy");
        let ended = deployment.run(&["check", "shop.toml", "--policy", "policy.toml"]);
        assert_eq!(ended.code, code, "{of}\n{ended}");
    }
}

const ENCRYPTED: &str = "\n[require]\nencrypted_backup_before_migrate = true\n";

#[test]
fn a_migration_behind_a_backup_in_the_clear_is_refused_before_anything_starts() {
    let deployment = example(&format!("{ALL}{ENCRYPTED}"));
    for command in ["check", "plan", "run"] {
        let ended = deployment.run(&[command, "example.toml", "--env", "demo", "--policy", "policy.toml"]);
        assert_eq!(ended.code, 4, "{command}\n{ended}");
        let both = ["--> example.toml:31:8", "::: policy.toml:5:1", "the backup step `backup` on line 23"];
        assert!(both.iter().all(|place| ended.stderr.contains(place)), "{command}\n{ended}");
    }
    assert!(!deployment.at("example/live/app.db").exists(), "the migration ran");
    assert!(deployment.run(&["history", "--output", "json"]).json().is_empty(), "there was a run");

    let audit = ["audit", "example.toml", "--env", "demo", "--policy", "policy.toml", "--format", "json"];
    let ended = deployment.run(&audit);
    assert_eq!(ended.code, 9, "{ended}");
    let audited: serde_json::Value = serde_json::from_str(&ended.stdout).expect("a report");
    let above = audited["findings"].as_array().expect("findings").iter().find(|one| one["check"] == "above-policy");
    let above = above.unwrap_or_else(|| panic!("no finding\n{ended}"));
    assert_eq!((&above["severity"], &above["place"]["line"]), (&"error".into(), &31.into()), "{above}");
    let message = above["message"].as_str().expect("a message");
    assert!(message.contains("policy.toml:5") && message.contains("on line 23"), "{message}");
}

#[test]
fn a_migration_behind_a_backup_that_nothing_restores_is_refused_before_anything_starts() {
    let restored = format!("{ALL}\n[require]\nrestored_backup_before_migrate = true\n");
    let arguments = ["example.toml", "--env", "demo", "--policy", "policy.toml"];
    for (edit, why) in [
        ("", "may restore nothing: no rule of its `allow.exec` lets `pg_restore` fill a database"),
        // Read to its end, that is: a program that may restore is not one that does.
        (
            "\nallow.exec = [{ program = \"pg_restore\", argv = [\"--dbname=scratch\"] }]",
            "restores nothing: its settings do not say how",
        ),
        ("\nallow.exec = [{ program = \"pg_restore\", argv = [\"--file=/dev/null\"] }]", "may restore nothing"),
    ] {
        let deployment =
            example(&restored).edit("example.toml", "stage = \"backup\"", &format!("stage = \"backup\"{edit}"));
        for command in ["check", "plan", "run", "audit"] {
            let ended = deployment.run(&[&[command], &arguments[..]].concat());
            assert_eq!(ended.code, if command == "audit" { 9 } else { 4 }, "{command}\n{ended}");
            // Texts of an audit are wrapped.
            let told = [ended.stdout.as_str(), ended.stderr.as_str()].concat();
            let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(told.contains("the backup step `backup` on line ") && told.contains(why), "{command}\n{ended}");
        }
        assert!(!deployment.at("example/live/app.db").exists(), "the migration ran");
    }
}

/// A pipeline whose lock is in a database.
const LOCKED: &str = r#"
name = "shop"
environments = ["production"]
lock = { peer = "shared" }

[peers]
shared = { url = "postgres://pipe@db.hms.internal/locks", addresses = ["10.0.0.0/8"] }

[[step]]
name = "look"
stage = "verify"
allow.read = ["data"]
with.check = [{ kind = "file", path = "data/x" }]
"#;

/// A policy whose migrations may write to a database on this host, and nothing else to any.
fn writing_to(host: &str) -> String {
    format!(
        r#"
[peers]
locks = {{ url = "postgres://pipe@{host}/locks", addresses = ["10.0.0.0/8"] }}

[[allow]]
stages = ["migrate"]
sql = ["write locks"]

[[allow]]
stages = ["verify"]
any = ["read"]
"#
    )
}

#[test]
fn the_database_of_the_lock_is_one_that_the_policy_knows() {
    for (host, code) in [("db.hms.internal", 0), ("other.hms.internal", 4)] {
        let deployment =
            Deployment::new().file("policy.toml", writing_to(host)).folder("data").file("shop.toml", LOCKED);
        for command in ["check", "plan"] {
            let ended = deployment.run(&[command, "shop.toml", "--env", "production", "--policy", "policy.toml"]);
            assert_eq!(ended.code, code, "{command} {host}\n{ended}");
            let says = "error[above-policy]: the lock is above the policy: no stage may write to `shared`";
            assert_eq!(ended.stderr.contains(says), code == 4, "{ended}");
        }
    }
}

/// The example with an encrypted backup by `plugin`, and what its settings say.
fn encrypting(plugin: &str, encrypt: &str) -> Deployment {
    let line = "allow.artifacts = [\"write\"]\n# There is no secret in this example. A real pipeline names one: encrypt = \"backup\"\n";
    let slot = "allow.artifacts = [\"write\"]\nallow.secrets = [{ name = \"key\", to = \"artifacts\" }]\n";
    example(&format!("{ALL}{ENCRYPTED}"))
        .secret_file("key.age", format!("{IDENTITY}\n"))
        .edit("example.toml", "[peers]", "[secrets]\nkey.file = \"key.age\"\n\n[peers]")
        .edit("example.toml", "stage = \"backup\"", &format!("stage = \"backup\"\n{plugin}"))
        .edit("example.toml", line, slot)
        .edit("example.toml", "encrypt = false", &format!("encrypt = {encrypt}"))
}

/// An age identity, made for this test.
const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

#[test]
fn a_migration_behind_an_encrypted_backup_runs() {
    for encrypt in ["\"key\"", "\"${inputs.key}\""] {
        let deployment =
            encrypting("", encrypt).edit("example.toml", "[inputs]", "[inputs]\nkey = { default = \"key\" }");
        let ended = deployment.run(&["run", "example.toml", "--env", "demo", "--policy", "policy.toml"]);
        assert_eq!(ended.code, 0, "{encrypt}\n{ended}");
    }
    // A name that no slot lets into artifacts is no encryption.
    let deployment = encrypting("", "\"other\"");
    let ended = deployment.run(&["check", "example.toml", "--policy", "policy.toml"]);
    assert_eq!(ended.code, 4, "{ended}");
    assert!(ended.stderr.contains("names `other`, and `allow.secrets` does not let it go to artifacts"), "{ended}");
}

#[test]
fn a_vendors_backup_that_does_not_say_which_setting_encrypts_is_held_to_what_it_stored() {
    // The standard plugin, as a vendor would write it who has not read the contract to its end.
    let mut plugin = fs::read(guest::component("hostile").with_file_name("backup.wasm")).expect("the standard backup");
    let (mark, other) = (b"x-pipe-encrypts", b"x-acme-whatever");
    let at = plugin.windows(mark.len()).position(|window| window == mark).expect("the keyword");
    plugin[at..at + mark.len()].copy_from_slice(other);
    let deployment = |encrypt: &str| {
        encrypting("plugin = \"acme\"", encrypt).file("acme.wasm", &plugin).edit(
            "example.toml",
            "[peers]",
            "[plugins]\nacme = { path = \"acme.wasm\" }\n\n[peers]",
        )
    };
    let arguments = ["example.toml", "--env", "demo", "--policy", "policy.toml"];
    for (encrypt, code) in [("\"key\"", 0), ("false", 4)] {
        let deployment = deployment(encrypt);
        assert_eq!(deployment.run(&[&["check"], &arguments[..]].concat()).code, 0, "nobody can know");
        let ended = deployment.run(&[&["run"], &arguments[..]].concat());
        assert_eq!(ended.code, code, "{encrypt}\n{ended}");
        let told = ended.stderr.contains("the policy requires a backup of this run that is encrypted and verified");
        assert_eq!(told, code == 4, "{encrypt}\n{ended}");
        assert_eq!(deployment.at("example/live/app.db").exists(), code == 0, "{encrypt}: whether the migration ran");
    }
}

#[test]
fn no_grant_may_write_the_policy() {
    for policy in ["rules/policy.toml", "link.toml"] {
        let deployment = example("").file("rules/policy.toml", ALL).folder("links");
        symlink(deployment.at("rules/policy.toml"), deployment.at("link.toml")).expect("a link");
        let folder = if policy == "link.toml" { "." } else { "rules" };
        let deployment = deployment.edit(
            "example.toml",
            "allow.write = [\"example/live/www\"]",
            &format!("allow.write = [\"example/live/www\", \"{folder}\"]"),
        );
        let ended = deployment.run(&["run", "example.toml", "--env", "demo", "--policy", policy]);
        assert_eq!(ended.code, 3, "{policy}\n{ended}");
        assert!(ended.stderr.contains("grant-refused"), "{policy}\n{ended}");
    }
}

/// Runs `pipe` where `/etc` also holds what the deployment's folder `system` holds, in a mount namespace of its own.
fn with_system_policy(deployment: &Deployment, arguments: &[&str]) -> (i32, String) {
    let pipe = pipe_tests::pipe().to_str().expect("a path");
    let mount = "mount -t overlay -o \"lowerdir=/etc,upperdir=$0/system,workdir=$0/work\" overlay /etc && exec \"$@\"";
    fs::create_dir_all(deployment.at("work")).expect("a folder");
    let ordinary = deployment.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", mount]).arg(deployment.path()).arg(pipe).args(arguments);
    command.current_dir(deployment.path()).env_clear();
    command.envs(ordinary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("unshare");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_systems_own_policy_applies_whatever_the_operator_says() {
    let root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    assert!(root, "only root can put something into /etc without leaving it there");
    let strict = "[[allow]]\nread = [\".\"]\n";
    let deployment = example(ALL).file("system/pipe/policy.toml", strict);
    for arguments in [
        &["check", "example.toml"][..],
        &["check", "example.toml", "--policy", "policy.toml"],
        &["run", "example.toml", "--env", "demo", "--policy", "policy.toml"],
    ] {
        let (code, stderr) = with_system_policy(&deployment, arguments);
        assert_eq!(code, 4, "{arguments:?}\n{stderr}");
        assert!(stderr.contains("/etc/pipe/policy.toml"), "{stderr}");
    }
    // The two add up: what one of them forbids is forbidden.
    let deployment = deployment.file("system/pipe/policy.toml", ALL).file("policy.toml", strict);
    let (code, stderr) = with_system_policy(&deployment, &["check", "example.toml", "--policy", "policy.toml"]);
    assert_eq!(code, 4, "{stderr}");
    assert_eq!(with_system_policy(&deployment, &["check", "example.toml"]).0, 0);
    // One that cannot be understood is not one that is not there.
    let deployment = deployment.file("system/pipe/policy.toml", "[[alow]]\n");
    let (code, stderr) = with_system_policy(&deployment, &["check", "example.toml"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("did you mean `allow`?"), "{stderr}");
    fs::remove_file(deployment.at("system/pipe/policy.toml")).expect("a policy");
    symlink("nowhere", deployment.at("system/pipe/policy.toml")).expect("a link");
    let (code, stderr) = with_system_policy(&deployment, &["check", "example.toml"]);
    assert_eq!(code, 3, "a link that leads nowhere\n{stderr}");
}

#[test]
fn a_policy_that_is_wrong_is_refused_at_its_place() {
    let peers =
        "[peers]\nkube = { url = \"https://kube.example\" }\nmain = { url = \"postgres://main.example/hms\" }\n";
    for (text, message, advice) in [
        ("", "there is no `[[allow]]`, so that nothing would be allowed", "`any = [\"*\"]`"),
        ("[require]\nhttps_only = true\n", "there is no `[[allow]]`", "`any = [\"*\"]`"),
        ("[[allow]]\nhtpp = []\n", "unknown key `htpp`", "did you mean `http`?"),
        ("[[allow]]\nany = [\"htp\"]\n", "there is no word `htp`", "did you mean `http`?"),
        ("[[allow]]\nstages = [\"verfy\"]\n", "there is no stage `verfy`", "did you mean `verify`?"),
        ("[[allow]]\nplugins = [\"acme\"]\n", "this policy has no plugin `acme`", "a name proves nothing"),
        ("[[allow]]\nhttp = [\"GET kub:/\"]\n", "this policy has no peer `kub`", "did you mean `kube`?"),
        ("[[allow]]\nhttp = [\"GET main:/\"]\n", "`main` is a peer of another kind", ""),
        ("[[allow]]\nsql = [\"read kube\"]\n", "`kube` is a peer of another kind", ""),
        ("[[allow]]\nhttp = [\"GET https://a.*/\"]\n", "a `*` within the name of a host", "`*.example.com`"),
        ("[[allow]]\nhttp = [\"GTE https://a/\"]\n", "`GTE` is not a method", "GET, HEAD"),
        (
            "[[allow]]\nhttp = [{ rule = \"GET kube:/\", addresses = [\"10.0.0.0/8\"] }]\n",
            "a peer has addresses of its own",
            "",
        ),
        ("[[allow]]\nread = [\"srv\"]\n", "this path begins nowhere", "`./`"),
        ("[[allow]]\nread = [\"/srv/**\"]\n", "a path of a ceiling is a plain one", "everything in it"),
        ("[[allow]]\nsecrets = [{ name = \"db\", to = \"main\" }]\n", "unknown key `name`", "`env`"),
        ("[[allow]]\nsecrets = [{ to = \"main\" }]\n", "it says not where the secret comes from", "names of secrets"),
        ("[[allow]]\nexec = [\"pg_dump\"]\n", "expected a table, found a string", ""),
        ("[[allow]]\nartifacts = [\"read backup\"]\n", "neither `write` nor `read`", "the pipeline's own"),
        ("[[allow]]\nany = [\"*\"]\n[require]\nreveals = true\n", "unknown key `reveals`", "did you mean `reveal`?"),
        (
            "[[allow]]\nany = [\"*\"]\n[require]\nunconfined_programs = \"allow\"\n",
            "`unconfined_programs` cannot be `allow`",
            "`refuse`, `report`",
        ),
        ("[[allow]]\nmail = [{ peer = \"main\" }]\n", "`main` is a peer of another kind", ""),
        ("[[allow]]\nreveal = [\"db\"]\n", "expected a table, found a string", ""),
        ("[[allow]]\nexec = [{ program = \"x\", ports = [0, 70000] }]\n", "this is no port", ""),
        ("[[allow]]\nany = [\"*\"]\n[require]\nhttps_only = \"yes\"\n", "expected true or false, found a string", ""),
    ] {
        let deployment = example(&format!("{peers}{text}"));
        let ended = deployment.run(&["check", "example.toml", "--policy", "policy.toml"]);
        assert_eq!(ended.code, 3, "{text}\n{ended}");
        assert!(ended.stderr.contains("--> policy.toml:"), "{text}\n{ended}");
        assert!(ended.stderr.contains(message) && ended.stderr.contains(advice), "{text}\n{ended}");
    }
    let missing = Deployment::example().run(&["check", "example.toml", "--policy", "nowhere.toml"]);
    assert_eq!(missing.code, 3, "{missing}");
    assert!(missing.stderr.contains("there is no file `nowhere.toml`"), "{missing}");
}
