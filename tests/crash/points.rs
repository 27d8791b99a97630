//! Every point of a run, of its rollback, and of a run that was resumed.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use crate::{
    desk::Desk,
    scene::{Left, RESUME, RUN, Scene},
    tracer::{Point, Side},
};

/// The least that the suite has to try.
const LEAST: usize = 100;

/// Both sides of every call. Where the same is called again and again (the pages of one commit, the pieces of one file), that is
/// one write: before its first, before one in the middle and before its last call, and after that.
fn points(calls: &[String]) -> Vec<Point> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut points = Vec::new();
    for write in calls.chunk_by(|call, next| call == next) {
        let call = &write[0];
        let first = *counts.get(call.as_str()).unwrap_or(&0) + 1;
        let last = first + write.len() - 1;
        counts.insert(call, last);
        let mut before = vec![first, usize::midpoint(first, last), last];
        before.dedup();
        points.extend(before.into_iter().map(|nth| Point { call: call.clone(), nth, side: Side::Before }));
        points.push(Point { call: call.clone(), nth: last, side: Side::After });
    }
    points
}

/// Talk that is seen without `--nocapture`.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Tries all of them on every processor. Says what failed, and how many were reached.
fn try_all(points: &[Point], attempt: impl Fn(&Desk, &Point) -> Result<bool, String> + Sync) -> (Vec<String>, usize) {
    let (next, reached) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        // Most of the time goes into waiting for disks.
        for _ in 0..4 * thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let desk = Desk::open();
                while let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                    match attempt(&desk, point) {
                        Ok(killed) => drop(reached.fetch_add(usize::from(killed), Ordering::SeqCst)),
                        Err(failure) => {
                            let Point { call, nth, side } = point;
                            let failure = format!("killed {side:?} {call} (number {nth}): {failure}");
                            say(&failure);
                            failures.lock().unwrap().push(failure);
                        }
                    }
                }
            });
        }
    });
    (failures.into_inner().unwrap(), reached.into_inner())
}

fn same(left: &Left, whole: &Left) -> Result<(), String> {
    if left == whole {
        return Ok(());
    }
    Err(format!("what is left differs:\n{left:#?}\ninstead of\n{whole:#?}"))
}

/// What is left of a run that nobody killed. Also fills the cache of compiled plugins.
fn whole() -> (Left, Vec<String>) {
    let desk = Desk::open();
    let ended = Scene::new(&desk).deployment.run(&RUN);
    assert_eq!(ended.code, 5, "{ended}");
    let scene = Scene::new(&desk);
    let traced = scene.trace(&RUN, None).unwrap();
    assert_eq!(traced.code, Some(5), "{}", scene.said());
    (scene.left().unwrap(), traced.calls)
}

/// The failures as the test shows them.
fn told(failures: &[String]) -> String {
    format!(
        "{} failed, the first of them:\n{}",
        failures.len(),
        failures.iter().take(5).cloned().collect::<Vec<_>>().join("\n\n")
    )
}

#[test]
fn a_run_that_is_killed_anywhere_ends_as_one_that_is_not() {
    let began = Instant::now();
    let (whole, calls) = whole();
    let points = points(&calls);
    let (failures, reached) = try_all(&points, |desk, point| {
        let scene = Scene::new(desk);
        let traced = scene.trace(&RUN, Some(point)).map_err(|error| error.to_string())?;
        scene.go_on()?;
        same(&scene.left()?, &whole)?;
        Ok(traced.code.is_none())
    });
    say(&format!("crash: `pipe run` was killed at {reached} of {} points in {:?}", points.len(), began.elapsed()));
    assert!(failures.is_empty(), "{}", told(&failures));
    assert!(reached >= LEAST && reached * 10 >= points.len() * 9, "only {reached} of {}", points.len());
}

/// In the middle of the release, and in the middle of its undoing.
const FIRST: [&str; 2] = ["rename live/www/current", "unlink live/www/current"];

/// How many points of a resume are left out for each that is tried.
const EVERY: usize = 3;

#[test]
fn a_resume_that_is_killed_anywhere_is_resumed_too() {
    let began = Instant::now();
    let (whole, _) = whole();
    for call in FIRST {
        let first = Point { call: call.to_owned(), nth: 1, side: Side::After };
        let desk = Desk::open();
        let scene = Scene::new(&desk);
        assert_eq!(scene.trace(&RUN, Some(&first)).unwrap().code, None, "it was not killed: {}", scene.said());
        let traced = scene.trace(&RESUME, None).unwrap();
        assert_eq!(traced.code, Some(5), "{}", scene.said());
        same(&scene.left().unwrap(), &whole).unwrap();
        let points: Vec<Point> = points(&traced.calls).into_iter().step_by(EVERY).collect();
        let (failures, reached) = try_all(&points, |desk, point| {
            let scene = Scene::new(desk);
            scene.trace(&RUN, Some(&first)).map_err(|error| error.to_string())?;
            let traced = scene.trace(&RESUME, Some(point)).map_err(|error| error.to_string())?;
            scene.go_on()?;
            same(&scene.left()?, &whole)?;
            Ok(traced.code.is_none())
        });
        say(&format!("crash: `pipe resume` after {call} was killed at {reached} of {} points", points.len()));
        assert!(failures.is_empty(), "after {call}: {}", told(&failures));
        assert!(reached * 10 >= points.len() * 9, "only {reached} of {}", points.len());
    }
    say(&format!("crash: resumes took {:?}", began.elapsed()));
}
