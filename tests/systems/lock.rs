//! Several hosts and one deployment: a PostgreSQL says which of them drives it. Each host is a state directory of its own.

use pipe_tests::waiting::wait_until;

use crate::{
    lock_scene::{Hosts, RUN, UNLOCK, everything_below, files},
    secrets::Needles,
};

#[test]
fn of_two_hosts_that_start_at_the_same_instant_one_runs() {
    for round in 0..4 {
        let hosts = Hosts::new();
        let both = [hosts.host(&format!("1.7{round}1")), hosts.host(&format!("1.7{round}2"))];
        let ended = [both[0].spawn(), both[1].spawn()].map(crate::lock_scene::Running::end);
        let mut codes: Vec<_> = ended.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(8)], "{ended:?}");
        let (winner, loser) = if ended[0].0 == Some(0) { (0, 1) } else { (1, 0) };
        let told = &ended[loser].1;
        let says =
            "error: waiting in demo is not this run's, says shared: another run is going on, or has not ended: run ";
        assert!(told.contains(says) && told.contains(&both[winner].last_run()), "{told}");
        assert!(told.contains(&format!("(state in {}", both[winner].deployment.at("state").display())), "{told}");
        assert_eq!((both[winner].runs(), both[loser].runs()), (1, 0), "the other one began a run");
        assert!(both[winner].released() && !both[loser].released());
        assert_eq!(hosts.row(), (1, None), "it was given back");
        // The other one, once that has ended.
        both[loser].succeeds(&RUN);
        assert_eq!(hosts.row(), (2, None));
        assert_eq!(both[loser].record().matches("\"event\":\"lock-taken\"").count(), 1);
    }
}

#[test]
fn whoever_was_stopped_and_unlocked_from_another_host_does_nothing_more_once_continued() {
    let hosts = Hosts::new();
    let (one, other) = (hosts.host("1.8011"), hosts.host("0.8012"));
    let running = one.waiting();
    running.stop();
    let run = one.last_run();
    let second = other.pipe(&RUN);
    assert_eq!(second.code, 8, "{second}");
    assert!(
        second.stderr.contains(&format!("run {run} of ")) && second.stderr.contains("`pipe unlock FILE|RUN"),
        "{second}"
    );

    let unlocked = other.succeeds(&UNLOCK);
    assert!(
        unlocked.stdout.starts_with("freed waiting in demo at shared: epoch 2 begins, until then run "),
        "{unlocked}"
    );
    let warned = unlocked.stderr.contains(&format!("warning: the journal of run {run} is not here"));
    assert!(warned && unlocked.stderr.contains(&format!("{}", one.deployment.at("state").display())), "{unlocked}");
    assert!(other.record().contains("\"reason\":\"its host burns\""), "who did it and why is recorded");
    let again = other.pipe(&UNLOCK);
    assert_eq!(again.code, 2, "nobody has it\n{again}");
    other.succeeds(&RUN);
    assert!(other.released());
    assert_eq!(hosts.row(), (3, None));

    running.signal("-CONT");
    let (code, stderr) = running.end();
    assert_eq!(code, Some(8), "{stderr}");
    assert!(
        stderr.contains("waiting in demo is not this run's, says shared: epoch 1 is over, and 3 began"),
        "{stderr}"
    );
    assert!(!one.released(), "it released something");
    assert!(!one.record().contains("\"event\":\"rollback-started\""), "it undid something");

    // Nor does anybody go on with it, or undo it beneath what was released since, without saying so.
    for arguments in [&["resume", "last"][..], &["rollback", "last", "--reason", "late"]] {
        let refused = one.pipe(arguments);
        assert_eq!(refused.code, 8, "{refused}");
        assert!(refused.stderr.contains("epoch 1 is over, and 3 began: no run, the last was of "), "{refused}");
    }
    let status = one.succeeds(&["status"]);
    assert!(status.stdout.contains("its lock is at shared (postgres://medical_user@localhost:"), "{status}");
    let taken = one.succeeds(&["unlock", "last", "--reason", "nothing was released since that this would undo"]);
    assert!(taken.stdout.contains("epoch 4 begins"), "{taken}");
    let undone = one.pipe(&["rollback", "last", "--reason", "late"]);
    assert_eq!(undone.code, 5, "{undone}");
    assert_eq!(hosts.row(), (5, None));
}

/// Files are written by the thousand: an answer of the database serves for some of them, and not for long.
#[test]
fn a_step_that_was_stopped_among_its_writes_makes_no_other() {
    let hosts = Hosts::new();
    let (mut one, other) = (hosts.host("0.8015"), hosts.host("0.8016"));
    for number in 0..3_000 {
        one.deployment = one.deployment.file(&format!("example/app/many/{number}.txt"), "x");
    }
    let running = one.spawn();
    let written = || files(&one.deployment.at("www"));
    wait_until("it writes", || written() > 20);
    running.stop();
    let before = written();
    assert!(before < 2_900, "{before}: too fast for this test");
    other.succeeds(&UNLOCK);
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.signal("-CONT");
    let (code, stderr) = running.end();
    assert_eq!(code, Some(8), "{stderr}");
    assert!(stderr.contains("epoch 1 is over, and 2 began: unlocked by "), "{stderr}");
    // The one that it was in the middle of.
    assert!(written() <= before + 1, "{before} before, {} after", written());
}

#[test]
fn a_process_that_hangs_is_unlocked_on_its_own_host_too() {
    let hosts = Hosts::new();
    let one = hosts.host("1.8017");
    let running = one.waiting();
    running.stop();
    let unlocked = one.succeeds(&["unlock", "last", "--reason", "it hangs"]);
    assert!(unlocked.stdout.contains("freed waiting in demo at shared: epoch 2 begins"), "{unlocked}");
    assert!(unlocked.stdout.contains("unlocked waiting in demo: epoch 2 begins"), "{unlocked}");
    assert!(!unlocked.stderr.contains("is not here"), "{unlocked}");
    running.signal("-CONT");
    let (code, stderr) = running.end();
    assert_eq!(code, Some(8), "{stderr}");
    assert!(!one.released(), "{stderr}");
    let resumed = one.pipe(&["resume", "last"]);
    assert!([0, 5].contains(&resumed.code), "{resumed}");
    assert_eq!(hosts.row(), (3, None));
}

#[test]
fn a_run_whose_host_was_lost_is_its_own_hosts_until_somebody_unlocks_it() {
    let hosts = Hosts::new();
    let (one, other) = (hosts.host("6.8021"), hosts.host("0.8022"));
    drop(one.waiting());
    let run = one.last_run();
    assert_eq!(hosts.row(), (1, Some(run.clone())));
    let refused = other.pipe(&RUN);
    assert_eq!(refused.code, 8, "{refused}");
    // On its own host it goes on, as without a database.
    let resumed = one.pipe(&["resume", "last"]);
    assert_eq!(resumed.code, 5, "{resumed}");
    assert_eq!(hosts.row(), (2, None));
    other.succeeds(&RUN);

    // Given up, it is nobody's either.
    drop(one.waiting());
    one.succeeds(&["abandon", "last", "--reason", "looked after by hand"]);
    assert_eq!(hosts.row().1, None);
    other.succeeds(&RUN);

    // A success is undone later where nobody has released since.
    other.succeeds(&RUN);
    let undone = other.pipe(&["rollback", "last", "--reason", "on second thoughts"]);
    assert_eq!(undone.code, 5, "{undone}");
    other.succeeds(&RUN);
    drop(one.waiting());
    one.succeeds(&["abandon", "last", "--reason", "looked after by hand"]);
    let refused = other.pipe(&["rollback", "last", "--reason", "too late"]);
    assert_eq!(refused.code, 8, "{refused}");
}

#[test]
fn a_database_that_goes_away_in_the_middle_stops_the_run_which_is_resumed_later() {
    let hosts = Hosts::new();
    let (one, other) = (hosts.host("1.8031"), hosts.host("0.8032"));
    let running = one.waiting();
    hosts.way.cut();
    let (code, stderr) = running.end();
    assert_eq!(code, Some(8), "{stderr}");
    assert!(stderr.contains("is not known to be this run's, for shared cannot be asked"), "{stderr}");
    assert!(stderr.contains("nothing is begun until the database answers; `pipe resume` goes on"), "{stderr}");
    assert!(!one.released() && !one.record().contains("rollback-started"), "{stderr}");
    // Nothing goes without it.
    for arguments in [&["resume", "last"][..], &["rollback", "last", "--reason", "x"]] {
        let refused = one.pipe(arguments);
        assert_eq!(refused.code, 8, "{refused}");
    }
    let refused = other.pipe(&RUN);
    assert_eq!((refused.code, other.runs()), (8, 0), "{refused}");
    hosts.way.mend();
    let refused = other.pipe(&RUN);
    assert_eq!(refused.code, 8, "the run that was stopped still has it\n{refused}");
    let resumed = one.succeeds(&["resume", "last"]);
    assert!(one.released() && !resumed.stderr.contains("┌ wait"), "what had succeeded ran again\n{resumed}");
    assert_eq!(hosts.row(), (2, None));
}

#[test]
fn a_connection_that_is_lost_is_opened_again_where_the_epoch_is_still_ones_own() {
    let hosts = Hosts::new();
    let one = hosts.host("1.8041");
    let running = one.waiting();
    hosts.way.break_off();
    let (code, stderr) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(one.released());
    // And not where it is not.
    let running = one.waiting();
    hosts.way.break_off();
    hosts.database.sql("UPDATE public.pipe_ownership SET epoch = epoch + 1");
    let (code, stderr) = running.end();
    assert_eq!(code, Some(8), "{stderr}");
    assert!(stderr.contains("epoch 2 is over, and 3 began"), "{stderr}");
    // Nor where the row is gone.
    one.succeeds(&["unlock", "last", "--reason", "tried it out"]);
    one.succeeds(&["abandon", "last", "--reason", "tried it out"]);
    let running = one.waiting();
    hosts.database.sql("DELETE FROM public.pipe_ownership");
    let (code, stderr) = running.end();
    assert_eq!(code, Some(8), "{stderr}");
    assert!(stderr.contains("there is no row for it in public.pipe_ownership"), "{stderr}");
}

#[test]
fn a_login_without_the_right_is_told_what_an_administrator_has_to_run() {
    let hosts = Hosts::new();
    let (user, password) = (format!("poor_{}", hosts.database.name), "not-much-of-a-password");
    hosts.database.sql(&format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'"));
    let one = hosts.host_as("0.8051", &user, password);
    let refused = one.pipe(&RUN);
    assert_eq!((refused.code, one.runs()), (8, 0), "{refused}");
    assert!(refused.stderr.contains("may not make, read or change the table public.pipe_ownership"), "{refused}");
    let advice = refused.stderr.lines().find_map(|line| line.split_once("let an administrator run: ")).unwrap().1;
    hosts.database.sql(advice);
    one.succeeds(&RUN);
    // Taken away in the middle.
    let one = hosts.host_as("1.8052", &user, password);
    let running = one.waiting();
    hosts.database.sql(&format!("REVOKE ALL ON public.pipe_ownership FROM {user}"));
    let (code, stderr) = running.end();
    assert_eq!(code, Some(8), "{stderr}");
    assert!(stderr.contains("may not make, read or change") && !one.released(), "{stderr}");
    let needles = Needles::new([("the password", password)]);
    needles.refuse("stderr", stderr.as_bytes());
    needles.refuse("the state directory", &everything_below(&one.deployment.at("state")));
    // It may look and not write: the run ends well, and says that it could not give the lock back.
    hosts.database.sql(&format!("GRANT SELECT, INSERT, UPDATE ON public.pipe_ownership TO {user}"));
    one.succeeds(&["abandon", "last", "--reason", "tried it out"]);
    let running = one.waiting();
    hosts.database.sql(&format!("REVOKE UPDATE ON public.pipe_ownership FROM {user}"));
    let (code, stderr) = running.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("warning: the database still says that this run has waiting"), "{stderr}");
    hosts.database.sql(&format!("GRANT UPDATE ON public.pipe_ownership TO {user}"));
    one.succeeds(&RUN);
    assert_eq!(hosts.row().1, None);
}

#[test]
fn an_epoch_that_a_fail_over_lost_is_nobodys_once_another_host_has_had_its_number() {
    let hosts = Hosts::new();
    let (one, other) = (hosts.host("1.8133"), hosts.host("0.6134"));
    other.succeeds(&RUN);
    hosts.database.sql("CREATE TABLE saved AS SELECT * FROM pipe_ownership");
    let running = one.waiting();
    // What was committed last is not there any more, as on a standby that was promoted too early.
    hosts.database.sql("DELETE FROM pipe_ownership; INSERT INTO pipe_ownership SELECT * FROM saved");
    let (code, stderr) = running.end();
    assert_eq!(code, Some(8), "{stderr}");
    other.succeeds(&RUN);
    assert_eq!(hosts.row(), (2, None), "the number that the first host had");
    for arguments in [&["resume", "last"][..], &["rollback", "last", "--reason", "x"]] {
        let refused = one.pipe(arguments);
        assert_eq!(refused.code, 8, "{refused}");
    }
    assert!(!one.released());
    one.succeeds(&["abandon", "last", "--reason", "the other host has gone on"]);
    one.succeeds(&RUN);
}

/// Who sets it waits for a login that may do more.
#[test]
fn a_table_on_which_somebody_has_set_a_trap_is_not_touched() {
    let hosts = Hosts::new();
    let host = hosts.host("0.6127");
    host.succeeds(&RUN);
    hosts.database.sql(
        "CREATE TABLE sprung (by text); \
         CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO public.sprung VALUES (current_user); RETURN NEW; END $$; \
         CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON public.pipe_ownership FOR EACH ROW EXECUTE FUNCTION spring();",
    );
    let ended = host.pipe(&RUN);
    assert_eq!(ended.code, 8, "{ended}");
    assert!(ended.stderr.contains("public.pipe_ownership is not used: it has a trigger"), "{ended}");
    assert!(ended.stderr.contains("hint: find out who made it so"), "{ended}");
    assert_eq!(hosts.database.sql("SELECT count(*) FROM sprung").trim(), "0");
}

#[test]
fn a_wrong_password_begins_nothing_and_is_not_shown() {
    let hosts = Hosts::new();
    let password = "a-wrong-password-of-mine";
    let one = hosts.host_as("0.8061", crate::postgres::ROLE, password);
    let needles = Needles::new([("the password", password)]);
    for arguments in [&RUN[..], &UNLOCK] {
        let refused = one.pipe(arguments);
        assert_eq!((refused.code, one.runs()), (8, 0), "{refused}");
        assert!(refused.stderr.contains("password authentication failed"), "{refused}");
        assert!(refused.stderr.contains("is the secret `db` the password of this user?"), "{refused}");
        needles.refuse("stderr", refused.stderr.as_bytes());
    }
    needles.refuse("the state directory", &everything_below(&one.deployment.at("state")));
    // Nor is one that is right.
    let one = hosts.host("0.8062");
    let ran = one.succeeds(&RUN);
    let password = std::fs::read_to_string(one.deployment.at("password")).unwrap();
    let needles = Needles::new([("the password", password.trim_end())]);
    needles.refuse("stderr", ran.stderr.as_bytes());
    needles.refuse("the state directory", &everything_below(&one.deployment.at("state")));
}

#[test]
fn the_lock_is_asked_over_one_connection() {
    let hosts = Hosts::new();
    let one = hosts.host("1.8071");
    let running = one.waiting();
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pipe/lock' AND datname = current_database()";
    wait_until("the lock is asked", || hosts.database.sql(sessions) == "1");
    assert_eq!(running.end().0, Some(0));
    wait_until("the lock is left", || hosts.database.sql(sessions) == "0");
}
