//! Exports, and how any change to one is found.

use std::{collections::BTreeSet, io};

use pipe_core::digest::Digest;
use pipe_journal::{
    Breach, ChainBroken, Durability::*, JournalError, MAXIMUM_BODY, MAXIMUM_LINE, Reader, Verified, chain::GENESIS,
    verify_lines,
};
use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use crate::sample::{journal, logged, run, started, used};

/// Entries 1, 2, 4 are of run 1 and 3, 5 of run 2.
async fn written() -> (TempDir, Reader) {
    let (directory, journal) = journal();
    journal.append(&run(1), vec![started("hms", "production"), logged("\"ä\" \\ \n")], Soon).await.unwrap();
    for (number, of) in [(3, 2), (4, 1), (5, 2)] {
        journal.append(&run(of), vec![used(number)], Soon).await.unwrap();
    }
    journal.flush().await.unwrap();
    let reader = journal.reader().unwrap();
    (directory, reader)
}

async fn exported(of: Option<u32>) -> (Vec<u8>, Digest) {
    let (_directory, reader) = written().await;
    let mut lines = Vec::new();
    reader.export(&mut lines, of.map(run).as_ref()).unwrap();
    (lines, reader.head().unwrap().hash)
}

fn joined(lines: &[&[u8]]) -> Vec<u8> {
    lines.concat()
}

fn split(export: &[u8]) -> Vec<&[u8]> {
    export.split_inclusive(|byte| *byte == b'\n').collect()
}

fn breach(export: &[u8], head: Option<Digest>) -> (u64, Breach) {
    let ChainBroken { line, what, .. } = verify_lines(export, head).unwrap_err();
    (line, what)
}

#[tokio::test]
async fn a_whole_export_verifies_anywhere() {
    let (export, head) = exported(None).await;
    let expected = Verified { entries: 5, first: 1, last: 5, head, since_head: Some(0), subset: None };
    assert_eq!(verify_lines(&*export, Some(head)), Ok(expected.clone()));
    assert_eq!(verify_lines(&export[..export.len() - 1], Some(head)), Ok(expected), "the last line end may be missing");
    assert_eq!(verify_lines(&b""[..], None).unwrap().head, GENESIS);
    let first: serde_json::Value = serde_json::from_slice(split(&export)[0]).unwrap();
    assert_eq!((&first["schema"], &first["seq"]), (&"pipe.audit/v1".into(), &1.into()));
    assert_eq!((&first["body"]["event"], &first["prev"]), (&"run-started".into(), &"0".repeat(64).into()));
}

#[tokio::test]
async fn an_export_of_one_run_says_so_and_may_have_gaps() {
    let (export, _) = exported(Some(1)).await;
    assert_eq!(split(&export)[0], b"{\"schema\":\"pipe.audit/v1\",\"subset\":\"20261123021500-000001\"}\n");
    let verified = verify_lines(&*export, None).unwrap();
    assert_eq!((verified.entries, verified.first, verified.last, verified.subset), (3, 1, 4, Some(run(1))));
    assert_eq!(breach(&joined(&split(&export)[1..]), None), (3, Breach::Missing(3)), "the gaps need the header");
    let (other, _) = exported(Some(2)).await;
    let mixed = joined(&[split(&export)[0], split(&other)[1]]);
    assert_eq!(breach(&mixed, None), (2, Breach::OtherRun));
    assert_eq!(breach(&joined(&[split(&export)[0], split(&export)[0]]), None).0, 2, "one header only");
    let (_directory, reader) = written().await;
    assert!(matches!(reader.export(io::sink(), Some(&run(9))), Err(JournalError::UnknownRun(_))));
}

#[tokio::test]
async fn entries_that_are_missing_added_repeated_or_moved_are_found() {
    let (export, head) = exported(None).await;
    let lines = split(&export);
    let [one, two, three, four, five] = lines[..] else { panic!("{}", lines.len()) };
    for (lines, expected) in [
        (vec![one, two, four, five], (3, Breach::Missing(3))),
        (vec![two, three, four, five], (1, Breach::Missing(1))),
        (vec![one, two, two, three, four, five], (3, Breach::OutOfOrder(2))),
        (vec![one, three, two, four, five], (2, Breach::Missing(2))),
        (vec![one, two, three, four, five, one], (6, Breach::OutOfOrder(5))),
        (vec![one, two, three], (4, Breach::HeadMissing(head))),
        (vec![], (1, Breach::HeadMissing(head))),
    ] {
        assert_eq!(breach(&joined(&lines), Some(head)), expected);
    }
    assert_eq!(breach(&joined(&[one, b"\n", two]), None).0, 2);

    // An entry of another journal, whose own hash is right.
    let (_directory, other) = journal();
    other.append(&run(1), vec![used(8), used(9), used(10)], Durable).await.unwrap();
    let mut foreign = Vec::new();
    other.reader().unwrap().export(&mut foreign, None).unwrap();
    assert_eq!(breach(&joined(&[one, two, split(&foreign)[2], four]), None), (3, Breach::Unlinked));
}

#[tokio::test]
async fn a_journal_that_has_grown_still_holds_an_earlier_head() {
    let (export, head) = exported(None).await;
    let shorter = joined(&split(&export)[..3]);
    let earlier = verify_lines(&*shorter, None).unwrap().head;
    let verified = verify_lines(&*export, Some(earlier)).unwrap();
    assert_eq!((verified.since_head, verified.head), (Some(2), head));
}

/// Every bit of every byte, of a whole export and of a subset.
#[tokio::test]
async fn no_bit_can_be_flipped() {
    for of in [None, Some(1)] {
        let (mut export, _) = exported(of).await;
        for at in 0..export.len() {
            for bit in 0..8 {
                export[at] ^= 1 << bit;
                assert!(verify_lines(&*export, None).is_err(), "byte {at} bit {bit} of {of:?}");
                export[at] ^= 1 << bit;
            }
        }
        assert!(verify_lines(&*export, None).is_ok());
    }
}

#[test]
fn no_byte_can_be_changed_removed_or_added_and_no_line_moved() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (export, head) = runtime.block_on(exported(None));
    let changed = |lines: &[u8]| lines != export && lines != &export[..export.len() - 1];
    proptest!(ProptestConfig::with_cases(4_096), |(at: Index, to: Index, byte: u8, how in 0..6)| {
        let mut bytes = export.clone();
        let lines = split(&export);
        match how {
            0 => bytes[at.index(export.len())] = byte,
            1 => drop(bytes.remove(at.index(export.len()))),
            2 => bytes.insert(at.index(export.len() + 1), byte),
            3 => drop(bytes.drain(at.index(export.len())..)),
            4 => {
                let mut lines = lines;
                let line = lines.remove(at.index(lines.len()));
                lines.insert(to.index(lines.len() + 1), line);
                bytes = joined(&lines);
            }
            _ => {
                let kept: BTreeSet<_> = [at.index(lines.len()), to.index(lines.len())].into();
                bytes = joined(&kept.into_iter().map(|line| lines[line]).collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(verify_lines(&*bytes, Some(head)).is_err(), changed(&bytes));
    });
}

#[tokio::test]
async fn the_longest_event_fits_in_a_line_and_longer_lines_are_refused_unread() {
    let (_directory, journal) = journal();
    let overhead = serde_json::to_string(&logged("")).unwrap().len();
    journal.append(&run(1), vec![logged(&"x".repeat(MAXIMUM_BODY - overhead))], Durable).await.unwrap();
    let mut export = Vec::new();
    journal.reader().unwrap().export(&mut export, None).unwrap();
    assert!(verify_lines(&*export, None).is_ok());
    assert!(export.len() <= MAXIMUM_LINE);
    assert!(matches!(breach(&vec![b' '; MAXIMUM_LINE], None), (1, Breach::Malformed(_))), "still read");
    assert_eq!(breach(&vec![b' '; MAXIMUM_LINE + 1], None), (1, Breach::TooLong));
    assert_eq!(verify_lines(io::BufReader::new(io::repeat(b'x')), None).unwrap_err().what, Breach::TooLong);
}

#[tokio::test]
async fn what_fails_while_reading_or_writing_is_told() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no"))
        }
    }
    impl io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("no"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let broken = verify_lines(io::BufReader::new(Broken), None).unwrap_err();
    assert_eq!(broken.to_string(), "line 1: cannot be read: no");
    let (_directory, reader) = written().await;
    assert!(matches!(reader.export(Broken, None), Err(JournalError::Export(_))));
}
