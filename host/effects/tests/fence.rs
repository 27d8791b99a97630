//! A program that tries to leave its fence: what it was not granted it does not reach, what it was granted it does.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "fence/bounds.rs"]
mod bounds;
#[path = "fence/pinned.rs"]
mod pinned;
#[path = "support/place.rs"]
mod place;
#[path = "support/recording_ledger.rs"]
mod recording_ledger;

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::{PermissionsExt as _, symlink},
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pipe_capability::{exec::ExecRule, grant::Grant, path::PathRule};
use pipe_effects::{
    error::ErrorKind,
    path::{OwnPlaces, canonical_grant},
    process::Exit,
    session::Session,
    world::World,
};

use crate::place::{Place, Ran, add_secret, alive, command, eventually, exec_grant, exec_rule, mark, run, shell};

/// The program, where everybody may run it.
fn program() -> PathBuf {
    place::supervisor().with_file_name("hostile_program")
}

/// A place in which the program may run by a rule.
struct Fenced {
    place: Place,
    rule: ExecRule,
}

impl Fenced {
    fn new() -> Self {
        let rule = exec_rule(program().to_str().unwrap(), &["**"]);
        Self { place: Place::new(), rule }
    }

    fn granting(change: impl FnOnce(&mut ExecRule, &Path)) -> Self {
        let mut fenced = Self::new();
        change(&mut fenced.rule, &fenced.place.base);
        fenced
    }

    fn at(&self, path: &str) -> PathBuf {
        self.place.base.join(path)
    }

    fn session(&self) -> Arc<Session> {
        let grant = canonical_grant(exec_grant(vec![self.rule.clone()]), &self.place.base, OwnPlaces::default());
        self.place.session(grant.unwrap())
    }

    async fn try_to(&self, attempt: &[&str]) -> String {
        let ran = run(&self.session(), command(&self.rule.program, attempt)).await.unwrap();
        assert_eq!((ran.exit, ran.errors.as_str()), (Exit::Code(0), ""), "{attempt:?}");
        ran.output.trim_end().to_owned()
    }

    #[track_caller]
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(future)
    }

    #[track_caller]
    fn refuses(&self, attempt: &[&str]) {
        let said = self.block_on(self.try_to(attempt));
        assert!(said.starts_with("refused ") && !said.contains("invalid input"), "{attempt:?}: {said}");
    }

    #[track_caller]
    fn allows(&self, attempt: &[&str]) -> String {
        let said = self.block_on(self.try_to(attempt));
        said.strip_prefix("done").unwrap_or_else(|| panic!("{attempt:?}: {said}")).trim_start().to_owned()
    }
}

fn path_rule(base: &Path, name: &str) -> PathRule {
    PathRule::new(name, base.join(name))
}

#[test]
fn files_that_were_not_granted_are_not_read() {
    let fenced = Fenced::new();
    fs::write(fenced.at("open.txt"), "x").unwrap();
    let state = fenced.place.artifacts.join("other");
    fs::write(&state, "an artifact").unwrap();
    for path in ["/etc/shadow", fenced.at("open.txt").to_str().unwrap(), state.to_str().unwrap()] {
        fenced.refuses(&["read", path]);
    }
    for directory in ["/root", "/home", "/etc", "/var", "/tmp", "/sys", fenced.place.base.to_str().unwrap()] {
        fenced.refuses(&["list", directory]);
    }
}

#[test]
fn what_every_program_needs_is_there() {
    let fenced = Fenced::new();
    for path in ["/etc/passwd", "/etc/nsswitch.conf", "/proc/self/status", "/dev/null"] {
        fenced.allows(&["read", path]);
    }
    fenced.allows(&["list", "/usr/lib"]);
    fenced.allows(&["append", "/dev/null"]);
    fenced.allows(&["pair"]);
    assert_eq!(fenced.allows(&["input"]), "");
    let ran = fenced.block_on(async {
        let session = fenced.place.session(exec_grant(vec![exec_rule("sh", &["-c", "*"])]));
        run(
            &session,
            shell(
                "awk 'BEGIN { print 6 * 7 }' && getent hosts localhost && date +%Z && head -c 4 /dev/urandom | wc -c",
            ),
        )
        .await
    });
    let Ran { output, errors, exit } = ran.unwrap();
    assert_eq!((exit, errors.as_str()), (Exit::Code(0), ""), "{output}");
    assert!(output.starts_with("42\n") && output.ends_with("\n4\n"), "{output}");
}

#[test]
fn what_was_granted_for_reading_is_read_and_run_and_no_more() {
    let fenced = Fenced::granting(|rule, base| {
        fs::create_dir(base.join("conf")).unwrap();
        fs::write(base.join("conf/a.toml"), "a = 1").unwrap();
        fs::write(base.join("single.txt"), "alone").unwrap();
        fs::copy("/usr/bin/true", base.join("conf/true")).unwrap();
        rule.read = vec![path_rule(base, "conf"), path_rule(base, "single.txt")];
    });
    let (file, single) = (fenced.at("conf/a.toml"), fenced.at("single.txt"));
    let (file, single) = (file.to_str().unwrap(), single.to_str().unwrap());
    assert_eq!(fenced.allows(&["read", file]), "a = 1");
    // Where it starts is the folder of the pipeline file.
    assert_eq!(fenced.allows(&["read", "conf/a.toml"]), "a = 1");
    assert_eq!(fenced.allows(&["read", single]), "alone");
    assert_eq!(fenced.block_on(fenced.try_to(&["run", fenced.at("conf/true").to_str().unwrap()])), "");
    for attempt in [
        &["write", file][..],
        &["write", "conf/new"],
        &["append", file],
        &["truncate", file],
        &["remove", file],
        &["chmod", file],
        &["chown", file],
        &["rename", file, "conf/b.toml"],
        &["rename", file, "b.toml"],
        &["write", single],
        &["read", "conf/../other"],
    ] {
        fenced.refuses(attempt);
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "a = 1");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn what_was_granted_for_writing_is_written_and_nothing_beside_it() {
    let fenced = Fenced::granting(|rule, base| {
        fs::create_dir_all(base.join("out/deep")).unwrap();
        fs::create_dir(base.join("other")).unwrap();
        fs::write(base.join("other/kept"), "kept").unwrap();
        fs::write(base.join("log"), "").unwrap();
        rule.write = vec![path_rule(base, "out"), path_rule(base, "log")];
    });
    let (inside, outside) = (fenced.at("out/deep/new"), fenced.at("other/kept"));
    let (inside, outside) = (inside.to_str().unwrap(), outside.to_str().unwrap());
    fenced.allows(&["write", inside]);
    let said = fenced.place.ledger.records().uses[0].fence.clone().unwrap();
    assert!(!said.contains("without"), "{said}");
    fenced.allows(&["write", "out/relative"]);
    fenced.allows(&["chmod", inside]);
    fenced.allows(&["rename", inside, "out/moved"]);
    fenced.allows(&["append", "log"]);
    assert_eq!(fs::read_to_string(fenced.at("out/moved")).unwrap(), "written");
    for attempt in [
        &["write", outside][..],
        &["write", "new"],
        &["write", "/tmp/pipe-fence-test"],
        &["write", "/usr/pipe-fence-test"],
        &["remove", outside],
        &["remove", "log"],
        &["chmod", outside],
        &["chown", outside],
        &["link", outside, "out/hard"],
        &["rename", outside, "out/stolen"],
        &["rename", "out/moved", "other/moved"],
        &["read-through-link", "/etc/shadow", "out/link"],
        &["device", "out/disk"],
        &["run", fenced.at("out/moved").to_str().unwrap()],
    ] {
        fenced.refuses(attempt);
    }
    assert_eq!(fs::read_to_string(outside).unwrap(), "kept");
    assert_eq!(fs::metadata(outside).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn attributes_of_files_outside_do_not_change() {
    let fenced = Fenced::new();
    let secret = fenced.at("secret");
    fs::write(&secret, "").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    for attempt in ["chmod", "chown"] {
        fenced.refuses(&[attempt, secret.to_str().unwrap()]);
        fenced.refuses(&[attempt, "/etc/shadow"]);
    }
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_rule_that_names_where_it_starts_lets_it_read_there() {
    let fenced = Fenced::granting(|rule, base| {
        fs::create_dir(base.join("app")).unwrap();
        fs::write(base.join("app/package.json"), "{}").unwrap();
        rule.cwd = Some("app".to_owned());
    });
    assert_eq!(fenced.allows(&["read", "package.json"]), "{}");
    fenced.refuses(&["write", "package.json"]);
    fenced.refuses(&["list", ".."]);
}

#[test]
fn a_path_that_became_a_link_since_is_not_followed() {
    let fenced = Fenced::granting(|rule, base| {
        fs::create_dir(base.join("in")).unwrap();
        rule.read = vec![path_rule(base, "in")];
    });
    let session = fenced.session();
    fs::remove_dir(fenced.at("in")).unwrap();
    symlink("/etc", fenced.at("in")).unwrap();
    let error = fenced.block_on(run(&session, command(&fenced.rule.program, &["read", "in/passwd"]))).err().unwrap();
    assert!(error.message.contains("/in: ") && error.message.contains("symbolic links"), "{}", error.message);
}

#[test]
fn only_granted_ports_are_connected_to() {
    let (granted, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (granted, other) = (granted.local_addr().unwrap(), other.local_addr().unwrap());
    let fenced = Fenced::granting(|rule, _| rule.ports = vec![granted.port()]);
    fenced.allows(&["connect", &granted.to_string()]);
    fenced.refuses(&["connect", &other.to_string()]);
    fenced.refuses(&["connect-by-sending", &granted.port().to_string()]);
    fenced.refuses(&["connect-by-sending", &other.port().to_string()]);
    fenced.refuses(&["listen"]);
    // TCP over several paths, which Landlock does not know.
    let mut perl = exec_rule("perl", &["-MSocket", "-e", "*"]);
    perl.ports = vec![granted.port()];
    let session = fenced.place.session(exec_grant(vec![perl]));
    for (protocol, answer) in [(6, "socket"), (262, "Operation not permitted")] {
        let script = format!("print socket(my $s, AF_INET, SOCK_STREAM, {protocol}) ? 'socket' : $!");
        let ran = fenced.block_on(run(&session, command("perl", &["-MSocket", "-e", &script]))).unwrap();
        assert_eq!(ran.output, answer, "{}", ran.errors);
    }
    let none = Fenced::new();
    none.refuses(&["connect", &granted.to_string()]);
    none.refuses(&["listen"]);
}

#[test]
fn no_datagram_leaves_and_no_other_network_is_spoken() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let address = receiver.local_addr().unwrap();
    for fenced in [Fenced::new(), Fenced::granting(|rule, _| rule.ports = vec![address.port()])] {
        fenced.refuses(&["udp", &address.to_string()]);
        for family in ["netlink", "packet", "vsock", "unix"] {
            fenced.refuses(&["family", family]);
        }
    }
    assert!(receiver.recv(&mut [0]).is_err());
}

#[test]
fn only_granted_unix_sockets_are_connected_to() {
    let place = Place::new();
    let (granted, other) = (place.base.join("granted.sock"), place.base.join("other.sock"));
    let (_granted, _other) = (UnixListener::bind(&granted).unwrap(), UnixListener::bind(&other).unwrap());
    let name = format!("pipe-fence-{}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let (granted, other) = (granted.to_str().unwrap(), other.to_str().unwrap());
    let none = Fenced::new();
    for attempt in [["unix", granted], ["unix", other], ["abstract", &name], ["datagram-pair", granted]] {
        none.refuses(&attempt);
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    for ports in [vec![], vec![port.local_addr().unwrap().port()]] {
        let fenced = Fenced::granting(|rule, base| {
            fs::create_dir(base.join("in")).unwrap();
            fs::create_dir(base.join("out")).unwrap();
            symlink("in", base.join("alias")).unwrap();
            fs::write(base.join("in/a"), "a").unwrap();
            rule.sockets = vec![PathRule::new(granted, granted), PathRule::new("later.sock", base.join("later.sock"))];
            rule.read = vec![path_rule(base, "alias")];
            rule.write = vec![path_rule(base, "out")];
            rule.ports = ports;
        });
        fenced.allows(&["unix", granted]);
        fenced.refuses(&["unix", other]);
        fenced.refuses(&["abstract", &name]);
        fenced.refuses(&["listen-unix", "out/own.sock"]);
        // It runs in a root of its own, with everything that was granted at its place.
        assert_eq!(fenced.allows(&["read", "in/a"]), "a");
        assert_eq!(fenced.allows(&["read", "alias/a"]), "a");
        fenced.allows(&["write", "out/new"]);
        assert_eq!(fs::read_to_string(fenced.at("out/new")).unwrap(), "written");
        fenced.refuses(&["write", "in/a"]);
        fenced.refuses(&["chmod", "in/a"]);
        fenced.refuses(&["write", "/new"]);
        fenced.refuses(&["read", "/etc/shadow"]);
        fenced.allows(&["read", "/etc/passwd"]);
    }
}

#[test]
fn other_processes_are_neither_seen_nor_touched() {
    let fenced = Fenced::new();
    let own = std::process::id().to_string();
    for attempt in [
        ["environment", &own],
        ["environment", "1"],
        ["trace", &own],
        ["trace", "1"],
        ["signal", &own],
        ["signal", "1"],
        ["limit", "1"],
        ["limit", &own],
    ] {
        // Of the supervisor, which is its first process, it knows no more than that it is there.
        fenced.refuses(&attempt);
    }
    assert_eq!(fenced.allows(&["processes"]), "2");
}

#[test]
fn it_makes_no_namespace_and_no_mount_and_has_no_privileges() {
    let fenced = Fenced::granting(|rule, base| {
        fs::create_dir(base.join("out")).unwrap();
        rule.write = vec![path_rule(base, "out")];
    });
    fenced.refuses(&["namespace"]);
    fenced.refuses(&["mount", "out"]);
    let privileges = fenced.allows(&["privileges"]);
    // At most: to use files whoever owns them.
    let sets: Vec<u64> =
        privileges.split_ascii_whitespace().filter_map(|word| u64::from_str_radix(word, 16).ok()).collect();
    assert_eq!(sets.len(), 5, "{privileges}");
    assert!(sets.iter().all(|set| set & !0b1_1011 == 0), "{privileges}");
}

#[test]
fn a_secret_comes_as_a_file_and_goes_with_the_program() {
    let place = Place::new();
    let mut world = place.world();
    add_secret(&mut world, "key", "correct-horse\nbattery-staple\n");
    let mut rule = exec_rule("sh", &["-c", "*"]);
    rule.secret_file = [("KEY_FILE".into(), "key".into())].into();
    let session = place.session_in(exec_grant(vec![rule]), world);
    let script =
        "stat -c %a \"$KEY_FILE\"; wc -c < \"$KEY_FILE\"; cat \"$KEY_FILE\"; echo \"$KEY_FILE\"; env | grep -c horse";
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ran = runtime.block_on(run(&session, shell(script))).unwrap();
    let lines: Vec<&str> = ran.output.lines().collect();
    assert_eq!(lines[..2], ["600", "29"], "{}", ran.output);
    assert!(!ran.output.contains("battery"), "{}", ran.output);
    assert_eq!(lines.last(), Some(&"0"), "{}", ran.output);
    let file = lines.iter().find(|line| line.starts_with('/')).unwrap();
    assert!(!Path::new(file).exists(), "{file} is left");
    assert_eq!(place.ledger.used_lines()[1], "secrets key as the file of KEY_FILE of sh");
}

#[test]
fn the_record_says_that_it_is_native_code_and_what_confines_it() {
    let alone = Fenced::new();
    alone.allows(&["pair"]);
    let fence = |fenced: &Fenced| fenced.place.ledger.records().uses[0].fence.clone().unwrap();
    let said = fence(&alone);
    assert!(said.starts_with("native code within Landlock "), "{said}");
    assert!(said.ends_with(", seccomp, namespaces for processes, mounts, network"), "{said}");
    let connected = Fenced::granting(|rule, _| rule.ports = vec![443]);
    connected.allows(&["pair"]);
    assert!(fence(&connected).ends_with(", seccomp, namespaces for processes, mounts"), "{}", fence(&connected));
}

#[test]
fn a_program_out_of_its_own_reach_is_told_apart() {
    let fenced = Fenced::new();
    let interpreter = fenced.at("interpreter");
    fs::copy("/bin/sh", &interpreter).unwrap();
    let script = fenced.at("script");
    fs::write(&script, format!("#!{}\necho ran\n", interpreter.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut rule = exec_rule(script.to_str().unwrap(), &[]);
    let start = |rule: ExecRule| {
        let session = fenced.place.session(exec_grant(vec![rule.clone()]));
        fenced.block_on(run(&session, command(&rule.program, &[])))
    };
    let error = start(rule.clone()).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("Permission denied"), "{}", error.message);
    assert!(error.hint.unwrap().contains("read = ["));
    rule.read = vec![PathRule::new("interpreter", &interpreter)];
    assert_eq!(start(rule).unwrap().output, "ran\n");
}

/// Number that tells the processes of the tests below from others.
const MARK: &str = "PIPE_TEST_MARK";

/// Not a test: what another one runs.
#[test]
#[ignore = "started by another test"]
fn as_nobody() {
    assert!(!nix::unistd::geteuid().is_root());
    files_that_were_not_granted_are_not_read();
    what_was_granted_for_writing_is_written_and_nothing_beside_it();
    attributes_of_files_outside_do_not_change();
    only_granted_ports_are_connected_to();
    only_granted_unix_sockets_are_connected_to();
    other_processes_are_neither_seen_nor_touched();
    it_makes_no_namespace_and_no_mount_and_has_no_privileges();
    the_record_says_that_it_is_native_code_and_what_confines_it();
    nothing_outlives_the_call();
    bounds::the_memory_of_a_whole_tree_is_bounded();
    bounds::processes_of_a_tree_are_bounded();
    bounds::a_fork_bomb_comes_to_an_end();
    bounds::threads_count_as_processes();
    bounds::its_temporary_folder_does_not_fill_up_a_disk();
    bounds::a_file_that_it_writes_is_bounded();
    bounds::its_time_on_the_processor_is_bounded();
    bounds::ordinary_programs_keep_within_what_is_usual();
    pinned::what_was_checked_runs_although_its_file_changes_before_the_start();
    pinned::it_finds_itself_where_it_lies();
}

/// Not a test: what another one runs, where there are no namespaces to be had.
#[test]
#[ignore = "started by another test"]
fn without_namespaces() {
    files_that_were_not_granted_are_not_read();
    attributes_of_files_outside_do_not_change();
    only_granted_ports_are_connected_to();
    no_datagram_leaves_and_no_other_network_is_spoken();
    nothing_outlives_the_call();
    bounds::the_memory_of_a_whole_tree_is_bounded();
    bounds::processes_of_a_tree_are_bounded();
    bounds::its_temporary_folder_does_not_fill_up_a_disk();
    bounds::a_file_that_it_writes_is_bounded();
    bounds::memory_that_lies_in_no_process_is_not_to_be_had();
    pinned::what_was_checked_runs_although_its_file_changes_before_the_start();
    let fenced = Fenced::granting(|rule, base| {
        fs::create_dir(base.join("out")).unwrap();
        rule.write = vec![path_rule(base, "out")];
    });
    fenced.allows(&["write", "out/new"]);
    let own = std::process::id().to_string();
    for attempt in [
        &["write", "new"][..],
        &["environment", &own],
        &["trace", &own],
        &["signal", &own],
        &["limit", &own],
        &["namespace"],
    ] {
        fenced.refuses(attempt);
    }
    // By path it changes no attributes at all, since nothing says where.
    fenced.refuses(&["chmod", "out/new"]);
    let said = fenced.place.ledger.records().uses[0].fence.clone().unwrap();
    assert!(
        said.starts_with("native code within Landlock ") && said.ends_with(", seccomp; without namespaces"),
        "{said}"
    );

    // Sockets of UNIX could not be told apart: refused, unless somebody has decided otherwise.
    let socket = fenced.at("socket");
    let _listening = UnixListener::bind(&socket).unwrap();
    let mut rule = fenced.rule.clone();
    rule.sockets = vec![PathRule::new("socket", &socket)];
    let grant = exec_grant(vec![rule]);
    let attempt = || command(&fenced.rule.program, &["unix", socket.to_str().unwrap()]);
    let error = fenced.block_on(run(&fenced.place.session(grant.clone()), attempt())).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("cannot confine programs: it lacks a mount namespace"), "{}", error.message);
    let world = World { unconfined: true, ..fenced.place.world() };
    let ran = fenced.block_on(run(&fenced.place.session_in(grant, world), attempt())).unwrap();
    assert_eq!(ran.output, "done \n");
    let said = fenced.place.ledger.records().uses.last().unwrap().fence.clone().unwrap();
    assert!(said.contains("; NOT CONFINED by a mount namespace"), "{said}");
}

#[test]
fn nothing_outlives_the_call() {
    let fenced = Fenced::new();
    let session = fenced.place.session(exec_grant(vec![exec_rule("sh", &["-c", "*"])]));
    let mark = std::env::var(MARK).unwrap_or_else(|_| mark(50));
    fenced.block_on(async {
        let script = format!("(setsid sh -c 'sleep {mark} & sleep {mark}' &) & sleep {mark}");
        let _child = session.start(shell(&script)).await.unwrap();
        eventually("all have started", || alive(&format!("sleep {mark}")).len() >= 3).await;
        session.close().await;
        assert_eq!(alive(&format!("sleep {mark}")), Vec::<u32>::new());
    });
}

/// Runs one of the tests above once more, by way of another program.
#[track_caller]
fn run_again(by: &[&str], test: &str, number: u32) {
    // Where nobody else can read the repository, a copy.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let examples = folder.path().join("examples");
    fs::create_dir_all(folder.path().join("deps")).unwrap();
    fs::create_dir(&examples).unwrap();
    let copy = folder.path().join("deps/fence");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for example in [place::supervisor(), program()] {
        fs::copy(&example, examples.join(example.file_name().unwrap())).unwrap();
    }
    let (program, arguments) = by.split_first().unwrap();
    let ended = std::process::Command::new(program)
        .args(arguments)
        .arg(&copy)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(MARK, mark(number))
        .current_dir("/")
        .output()
        .unwrap();
    let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn all_of_it_holds_for_an_operator_without_privileges() {
    if nix::unistd::geteuid().is_root() {
        run_again(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], "as_nobody", 51);
    }
}

#[test]
fn most_of_it_holds_without_namespaces() {
    // An administrator of a namespace in which there can be no further ones, who then lets go of everything.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all --no-new-privs \"$@\"";
    run_again(&["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"], "without_namespaces", 52);
}

#[test]
fn a_grant_of_nothing_is_still_a_grant_of_nothing() {
    let fenced = Fenced::new();
    let session = fenced.place.session(Grant::default());
    let error = fenced.block_on(session.start(command(&fenced.rule.program, &["pair"]))).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
}
