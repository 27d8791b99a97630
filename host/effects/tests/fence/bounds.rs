//! What a program may use up: each bound is tried by a real program, and the error names it with the line that raises it.

use std::{fs, path::Path, time::Duration};

use pipe_capability::exec::{ExecLimits, ExecRule};
use pipe_effects::{
    error::{EffectError, ErrorKind},
    process::Exit,
};

use super::{Fenced, MARK, path_rule};
use crate::place::{Ran, alive, command, exec_grant, exec_rule, mark, run};

/// Runs `sh -c SCRIPT` within these limits.
fn limited(fenced: &Fenced, limits: ExecLimits, script: &str) -> Result<Ran, EffectError> {
    let rule = ExecRule { limits, write: fenced.rule.write.clone(), ..exec_rule("sh", &["-c", "*"]) };
    let session = fenced.place.session(exec_grant(vec![rule]));
    fenced.block_on(run(&session, command("sh", &["-c", script])))
}

#[track_caller]
fn ended_at(ran: Result<Ran, EffectError>, limit: &str, raised: &str) {
    let error = match ran {
        Ok(ran) => panic!("it ran to its end: {:?} {} {}", ran.exit, ran.output, ran.errors),
        Err(error) => error,
    };
    assert_eq!(error.kind, ErrorKind::Limit, "{}", error.message);
    assert!(error.message.contains(&format!(" was ended at its limit of {limit}")), "{}", error.message);
    let hint = error.hint.unwrap();
    assert!(hint.starts_with("allow.exec = [{ program = ") && hint.ends_with(&format!(", {raised} }}]")), "{hint}");
}

#[test]
pub(crate) fn the_memory_of_a_whole_tree_is_bounded() {
    let fenced = Fenced::new();
    let limits = ExecLimits { memory: Some(64 << 20), ..ExecLimits::default() };
    // Each of them holds less than the bound.
    let holding = "(head -c 24000000 /dev/zero; sleep 30) | tail -c 24000000 > /dev/null &";
    let ran = limited(&fenced, limits, &format!("{} wait", holding.repeat(4)));
    ended_at(ran, "memory of all its processes: 64.0 MiB (`memory`)", r#"memory = "128MiB""#);
    let brief = "(head -c 24000000 /dev/zero; sleep 1) | tail -c 24000000 | wc -c";
    assert_eq!(limited(&fenced, limits, brief).unwrap().output, "24000000\n");
}

#[test]
fn memory_that_processes_share_is_counted_once() {
    let limits = ExecLimits { memory: Some(128 << 20), ..ExecLimits::default() };
    let rule = ExecRule { limits, ..exec_rule("perl", &["-e", "*"]) };
    let fenced = Fenced::new();
    let session = fenced.place.session(exec_grant(vec![rule]));
    let script = "$n = 80_000_000; $x = 'x' x $n; fork; fork; select(undef, undef, undef, 0.5); print length($x), ' '";
    let ran = fenced.block_on(run(&session, command("perl", &["-e", script]))).unwrap();
    assert_eq!(ran.exit, Exit::Code(0));
    assert!(ran.output.starts_with("80000000"), "{}", ran.output);
}

#[test]
pub(crate) fn processes_of_a_tree_are_bounded() {
    let fenced = Fenced::new();
    let limits = ExecLimits { processes: Some(32), ..ExecLimits::default() };
    let mark = format!("{}1", std::env::var(MARK).unwrap_or_else(|_| mark(60)));
    let many = |count: u32| {
        let script = format!("i=0; while [ $i -lt {count} ]; do sleep {mark} & i=$((i+1)); done; sleep 0.3; echo all");
        limited(&fenced, limits, &script)
    };
    assert_eq!(many(20).unwrap().output, "all\n");
    ended_at(many(60), "processes and threads: 32 (`processes`)", "processes = 64");
    assert_eq!(alive(&format!("sleep {mark}")), Vec::<u32>::new());
}

#[test]
fn the_numbers_of_the_machine_stay_as_they_are() {
    let most = || fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    let before = most();
    limited(&Fenced::new(), ExecLimits::default(), "true").unwrap();
    assert_eq!(most(), before);
}

/// Where there are no namespaces and the user is root, nothing but the supervisor counts: not to be tried on a shared machine.
#[test]
pub(crate) fn a_fork_bomb_comes_to_an_end() {
    let fenced = Fenced::new();
    let mark = format!("{}2", std::env::var(MARK).unwrap_or_else(|_| mark(61)));
    // A while after which all of it is over: where forks fail here and there, it may stay below the bound.
    let bomb = format!("bomb() {{ sleep {mark} & bomb | bomb & }}; bomb; sleep 5; exit 1");
    match limited(&fenced, ExecLimits::default(), &bomb) {
        // The kernel was the first to say no, and the bomb choked on that.
        Ok(ran) => assert!(ran.exit != Exit::Code(0) && ran.errors.contains("fork"), "{:?} {}", ran.exit, ran.output),
        ended => ended_at(ended, "processes and threads: 1024 (`processes`)", "processes = 2048"),
    }
    assert_eq!(alive(&format!("sleep {mark}")), Vec::<u32>::new());
}

#[test]
pub(crate) fn threads_count_as_processes() {
    let mut fenced = Fenced::new();
    fenced.rule.limits.processes = Some(16);
    fenced.allows(&["threads", "10"]);
    let ran = fenced.block_on(run(&fenced.session(), command(&fenced.rule.program, &["threads", "24"])));
    ended_at(ran, "processes and threads: 16 (`processes`)", "processes = 32");
}

#[test]
pub(crate) fn its_temporary_folder_does_not_fill_up_a_disk() {
    let fenced = Fenced::new();
    let limits = ExecLimits { scratch: Some(8 << 20), ..ExecLimits::default() };
    let ran = limited(&fenced, limits, "head -c 4000000 /dev/zero > $TMPDIR/some && cat $TMPDIR/some | wc -c");
    assert_eq!(ran.unwrap().output, "4000000\n");
    for script in [
        "head -c 20000000 /dev/zero > $TMPDIR/much",
        "head -c 20000000 /dev/zero > $HOME/much; sleep 30",
        "i=0; while true; do head -c 100000 /dev/zero > $TMPDIR/$i || sleep 30; i=$((i+1)); done",
    ] {
        // Where the folder lies on a disk it is looked at: long enough that this happens.
        let ran = limited(&fenced, limits, &format!("{script}; sleep 0.2; exit 1"));
        ended_at(ran, "its temporary folder: 8.0 MiB (`scratch`)", r#"scratch = "16MiB""#);
    }
    let left = fs::read_dir(fenced.place.artifacts.parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_fills_its_temporary_folder_lies_on_no_disk() {
    let fenced = Fenced::new();
    let holder = fenced.place.artifacts.parent().unwrap().to_str().unwrap().to_owned();
    let script = format!("stat -f -c %T $TMPDIR; stat -f -c '%S %b' $TMPDIR; stat -f -c %T {holder} 2>&1");
    let ran = limited(&fenced, ExecLimits::default(), &script).unwrap();
    let lines: Vec<&str> = ran.output.lines().collect();
    assert_eq!(lines[..2], ["tmpfs", "4096 131072"], "{} {}", ran.output, ran.errors);
}

#[test]
pub(crate) fn a_file_that_it_writes_is_bounded() {
    let fenced = Fenced::granting(|rule, base| {
        fs::create_dir(base.join("out")).unwrap();
        rule.write = vec![path_rule(base, "out")];
    });
    let limits = ExecLimits { file_size: Some(1 << 20), ..ExecLimits::default() };
    let write = |bytes: u32| {
        let script = format!("exec dd if=/dev/zero of=out/file bs=1000 count={}", bytes / 1000);
        limited(&fenced, limits, &script)
    };
    assert_eq!(write(1_000_000).unwrap().exit, Exit::Code(0));
    ended_at(write(2_000_000), "the size of one file: 1.0 MiB (`file_size`)", r#"file_size = "2MiB""#);
    assert_eq!(fs::metadata(fenced.at("out/file")).unwrap().len(), 1 << 20);
}

#[test]
pub(crate) fn its_time_on_the_processor_is_bounded() {
    let mut fenced = Fenced::new();
    fenced.rule.limits.cpu = Some(Duration::from_secs(1));
    let spun = fenced.block_on(run(&fenced.session(), command(&fenced.rule.program, &["spin"])));
    ended_at(spun, "processor time of one process: 1s (`cpu`)", r#"cpu = "2s""#);
}

#[test]
fn what_one_process_opens_is_bounded_and_a_crash_is_not_written_down() {
    let mut fenced = Fenced::new();
    fenced.rule.limits.open_files = Some(32);
    fenced.allows(&["open", "20"]);
    fenced.refuses(&["open", "40"]);
    let fenced = Fenced::new();
    fenced.refuses(&["open", "1100"]);
    let limits = fenced.allows(&["read", "/proc/self/limits"]);
    let dump = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(dump.split_ascii_whitespace().filter(|word| *word == "1").count(), 2, "{dump}");
}

#[test]
pub(crate) fn memory_that_lies_in_no_process_is_not_to_be_had() {
    Fenced::new().refuses(&["memory-file"]);
}

/// Each of them reserves far more than it uses, or starts more threads than one would think.
#[test]
pub(crate) fn ordinary_programs_keep_within_what_is_usual() {
    let mut ran = 0;
    for (program, arguments, read, said) in [
        ("/usr/bin/pg_dump", &["--version"][..], "", "pg_dump (PostgreSQL)"),
        ("/usr/bin/perl", &["-e", "print 6 * 7"], "", "42"),
        ("/usr/bin/node", &["-e", "console.log(Buffer.alloc(1e8, 1).length)"], "", "100000000"),
        ("/usr/bin/java", &["-XshowSettings:vm", "-version"], "/etc", "Runtime Environment"),
        ("/usr/bin/python3", &["-c", "print(len(b'x' * 10**8))"], "", "100000000"),
    ] {
        if !Path::new(program).exists() {
            continue;
        }
        let mut rule = exec_rule(program, &["**"]);
        if !read.is_empty() {
            rule.read = vec![pipe_capability::path::PathRule::new(read, read)];
        }
        let fenced = Fenced::new();
        let session = fenced.place.session(exec_grant(vec![rule]));
        let Ran { output, errors, exit } = fenced.block_on(run(&session, command(program, arguments))).unwrap();
        assert_eq!(exit, Exit::Code(0), "{program}: {output} {errors}");
        assert!(output.contains(said) || errors.contains(said), "{program}: {output} {errors}");
        ran += 1;
    }
    assert!(ran >= 2, "neither of the programs that every machine of ours has");
}
