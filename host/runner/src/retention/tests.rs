use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn retention(keep_min: u64) -> Retention {
    Retention { artifacts: 90 * DAY, keep_min }
}

/// Verified and there, stored by `backup` in the run of that number.
fn stored(number: u32, days: u32) -> Stored {
    let run: RunId = format!("20260101{number:06}-000000").parse().unwrap();
    let digest = Digest::of(run.as_str().as_bytes());
    Stored {
        step: StepId::new("backup"),
        artifact: Artifact {
            digest,
            name: "data".into(),
            location: format!("/state/artifacts/{run}/data.tar.zst"),
            bytes: 1,
            content_bytes: 1,
            encrypted: true,
            content_digest: digest,
        },
        run,
        verified: true,
        age: DAY * days,
        pruned: false,
        there: true,
        needed: false,
    }
}

#[test]
fn what_is_old_goes_and_what_is_not_stays() {
    let stock = [stored(5, 1), stored(4, 89), stored(3, 90), stored(2, 91), stored(1, 400)];
    assert_eq!(
        decide(retention(1), &stock),
        [Verdict::Young, Verdict::Young, Verdict::Goes, Verdict::Goes, Verdict::Goes]
    );
}

#[test]
fn the_newest_verified_ones_stay_however_old_they_are() {
    let stock = [stored(4, 100), stored(3, 200), stored(2, 300), stored(1, 400)];
    let newest = Verdict::OneOfTheNewest;
    assert_eq!(decide(retention(3), &stock), [newest, newest, newest, Verdict::Goes]);
    assert_eq!(decide(retention(0), &stock)[0], newest, "the last verified one never goes");
}

#[test]
fn what_is_not_verified_or_not_there_does_not_count_as_kept() {
    let stock = [
        Stored { verified: false, ..stored(4, 100) },
        Stored { there: false, ..stored(3, 200) },
        stored(2, 300),
        stored(1, 400),
    ];
    assert_eq!(decide(retention(1), &stock), [Verdict::Goes, Verdict::Goes, Verdict::OneOfTheNewest, Verdict::Goes]);
}

#[test]
fn what_should_be_there_and_is_not_is_said() {
    let stock = [
        Stored { there: false, ..stored(3, 1) },
        Stored { there: false, needed: true, ..stored(2, 100) },
        Stored { there: false, pruned: true, ..stored(1, 1) },
    ];
    assert_eq!(decide(retention(1), &stock), [Verdict::Missing, Verdict::Missing, Verdict::Gone]);
}

#[test]
fn every_step_has_its_own_newest_ones_and_a_run_counts_once() {
    let of = |step: &str, one: Stored| Stored { step: StepId::new(step), ..one };
    let stock = [
        of("files", stored(3, 100)),
        of("database", stored(3, 100)),
        of("database", stored(3, 100)),
        of("files", stored(2, 200)),
        of("database", stored(1, 300)),
    ];
    let newest = Verdict::OneOfTheNewest;
    assert_eq!(decide(retention(1), &stock), [newest, newest, newest, Verdict::Goes, Verdict::Goes]);
}

#[test]
fn a_run_that_can_go_on_or_be_undone_keeps_everything() {
    let stock = [
        Stored { needed: true, verified: false, ..stored(2, 400) },
        Stored { needed: true, ..stored(1, 500) },
        Stored { needed: true, pruned: true, ..stored(1, 500) },
    ];
    assert_eq!(decide(retention(1), &stock), [Verdict::Needed, Verdict::Needed, Verdict::Needed]);
}

#[test]
fn a_removal_that_was_cut_off_is_finished_and_one_that_was_not_is_over() {
    let stock = [
        stored(3, 1),
        Stored { pruned: true, ..stored(2, 400) },
        Stored { pruned: true, there: false, ..stored(1, 500) },
    ];
    assert_eq!(decide(retention(1), &stock), [Verdict::Young, Verdict::Goes, Verdict::Gone]);
}

proptest::proptest! {
    #[test]
    fn there_is_always_a_verified_backup_left_where_there_was_one(
        stock in proptest::collection::vec((0_u32..8, 0_u32..500, proptest::bool::ANY, proptest::bool::ANY), 0..12),
        keep_min in 0_u64..5,
    ) {
        let stock: Vec<Stored> = stock
            .into_iter()
            .map(|(number, days, verified, there)| Stored { verified, there, ..stored(number, days) })
            .collect();
        let sound = |one: &Stored| one.verified && one.there;
        let verdicts = decide(retention(keep_min), &stock);
        let left: BTreeSet<&RunId> = stock
            .iter()
            .zip(&verdicts)
            .filter(|(one, verdict)| sound(one) && **verdict != Verdict::Goes)
            .map(|(one, _)| &one.run)
            .collect();
        let all: BTreeSet<&RunId> = stock.iter().filter(|one| sound(one)).map(|one| &one.run).collect();
        proptest::prop_assert!(left.len() as u64 >= keep_min.max(1).min(all.len() as u64));
        for (one, verdict) in stock.iter().zip(&verdicts) {
            proptest::prop_assert!(*verdict != Verdict::Goes || one.age >= 90 * DAY);
        }
    }
}
