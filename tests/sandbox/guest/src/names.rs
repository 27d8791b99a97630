//! What `std` does not do to a name, or not as bluntly: links, swaps, and paths as they stand.

use std::fs;
use std::thread;
use std::time::Duration;

use pipe_sdk::sql::Connection;
use pipe_sdk::verify::Report;
use pipe_sdk::{Failure, files};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, NewTimestamp, OpenFlags, PathFlags};

use crate::done;

type Attempt = Result<Report, Failure>;

/// The directory that a path is looked up in, and what of the path is left there: the longest that is granted, else `/`.
fn door(path: &str) -> Result<(Descriptor, String), Failure> {
    let rest = |name: &str| -> Option<String> {
        if name == "/" {
            return Some(path.trim_start_matches('/').to_owned());
        }
        let rest = path.strip_prefix(name)?.strip_prefix('/')?;
        Some(rest.to_owned())
    };
    let doors = get_directories().into_iter().filter_map(|(door, name)| Some((name.len(), rest(&name)?, door)));
    let longest = doors.max_by_key(|(length, rest, _)| (*length, rest.len()));
    longest.map(|(_, rest, door)| (door, rest)).ok_or_else(|| Failure::denied("there is no directory at all"))
}

fn link(path: &str, to: &str) -> Result<(), Failure> {
    let (door, rest) = door(path)?;
    door.symlink_at(to, &rest).map_err(|code| Failure::denied(format!("no link to {to}: {code}")))
}

/// `to` is where the link leads, from where it lies.
pub(crate) fn make_link(path: &str, to: &str) -> Attempt {
    link(path, to)?;
    done("linked")
}

pub(crate) fn read_through_own_link(path: &str, to: &str) -> Attempt {
    link(path, to)?;
    crate::reach::read_file(path)
}

pub(crate) fn replace_by_link(path: &str, to: &str) -> Attempt {
    if fs::metadata(path)?.is_dir() {
        fs::remove_dir_all(path)?;
    } else {
        fs::remove_file(path)?;
    }
    make_link(path, to)
}

pub(crate) fn replace_database(path: &str, to: &str, peer: &str) -> Attempt {
    fs::remove_file(path)?;
    link(path, to)?;
    let rows = Connection::read(peer)?.query("SELECT who FROM visits", &[])?;
    done(format!("{rows:?}"))
}

pub(crate) fn make_directory(path: &str) -> Attempt {
    fs::create_dir(path)?;
    done("made")
}

pub(crate) fn append_file(path: &str, text: &str) -> Attempt {
    use std::io::Write as _;
    fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())?;
    done("appended")
}

/// Says in the file that it is ready, and waits until something else lies there.
pub(crate) fn use_after_swap(path: &str) -> Attempt {
    fs::write(path, "ready")?;
    let same = || fs::symlink_metadata(path).is_ok_and(|now| now.is_file() && now.len() == "ready".len() as u64);
    for _ in 0..3_000 {
        if !same() {
            // Some things take the place of a file in two steps.
            thread::sleep(Duration::from_millis(300));
            let read = fs::read_to_string(path).map_err(|error| files::explain(path, &error));
            let written = fs::write(path, "hostile").map_err(|error| files::explain(path, &error));
            return match (read, written) {
                (Ok(text), _) => done(text),
                (Err(_), Ok(())) => done("written"),
                (Err(read), Err(_)) => Err(read),
            };
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(Failure::other("nothing was swapped"))
}

/// Opens a path as it stands, whatever `libc` would make of it.
pub(crate) fn open_as_it_stands(path: &str) -> Attempt {
    let (door, rest) = door(path)?;
    let opened = door.open_at(PathFlags::SYMLINK_FOLLOW, &rest, OpenFlags::empty(), DescriptorFlags::READ);
    let file = opened.map_err(|code| Failure::denied(format!("not opened: {code}")))?;
    let (bytes, _) = file.read(1 << 20, 0).map_err(|code| Failure::other(format!("not read: {code}")))?;
    done(String::from_utf8_lossy(&bytes))
}

pub(crate) fn set_times(path: &str) -> Attempt {
    let (door, rest) = door(path)?;
    door.set_times_at(PathFlags::empty(), &rest, NewTimestamp::Now, NewTimestamp::Now)
        .map_err(|code| Failure::denied(format!("no times for {path}: {code}")))?;
    done("set")
}

pub(crate) fn remove_directory(path: &str) -> Attempt {
    fs::remove_dir(path).map_err(|error| files::explain(path, &error))?;
    done("removed")
}
