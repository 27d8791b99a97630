//! Free space and attributes, as a step asks for them.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/place.rs"]
mod place;
#[path = "support/recording_ledger.rs"]
mod recording_ledger;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use pipe_capability::grant::Grant;
use pipe_effects::error::ErrorKind;

use crate::place::Place;

#[tokio::test]
async fn free_space_is_told_where_it_is_granted() {
    let place = Place::new();
    fs::create_dir(place.base.join("data")).unwrap();
    let session = place.session(Grant { disk: vec![place.path_rule("data")], ..Grant::default() });
    let space = session.disk_free("data").await.unwrap();
    assert!(space.total > 0 && space.available <= space.total, "{space:?}");
    let denied = session.disk_free("/").await.unwrap_err();
    assert_eq!(denied.kind, ErrorKind::Denied);
    assert!(denied.hint.unwrap().starts_with("allow.disk = ["));
    assert_eq!(place.ledger.used_lines(), ["disk data"]);
}

#[tokio::test]
async fn attributes_are_those_of_the_link_itself() {
    let place = Place::new();
    fs::create_dir(place.base.join("conf")).unwrap();
    let file = place.base.join("conf/a");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4710)).unwrap();
    symlink("/etc/shadow", place.base.join("conf/link")).unwrap();
    symlink("/etc", place.base.join("conf/etc")).unwrap();
    let session = place.session(Grant { read: vec![place.path_rule("conf")], ..Grant::default() });
    let attributes = session.stat("conf/a").await.unwrap();
    assert_eq!((attributes.mode, attributes.owner), (0o4710, fs::metadata(&file).unwrap().uid()));
    assert_eq!(session.stat("conf/link").await.unwrap().mode, 0o777);
    assert!(session.stat("conf").await.is_ok());
    for denied in ["conf/link/", "conf/etc/shadow", "conf/../x", "/etc/shadow", "conf/etc/."] {
        assert_eq!(session.stat(denied).await.unwrap_err().kind, ErrorKind::Denied, "{denied}");
    }
    assert_eq!(session.stat("conf/gone").await.unwrap_err().kind, ErrorKind::Failed);
}
