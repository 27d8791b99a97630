//! Memory, stack, handles, connections: a guest that wants too much fails, and its step says why.

use crate::{Behaviour, Scene};

#[test]
pub(crate) fn memory_without_end() {
    Scene::new(Behaviour::EatMemory).run().fails("out-of-memory", "more than 256.0 MiB of memory");
}

#[test]
pub(crate) fn recursion_without_end() {
    Scene::new(Behaviour::Recurse).run().fails("trap", "the plugin trapped");
}

#[test]
pub(crate) fn a_panic_has_its_words_in_the_log() {
    let seen = Scene::new(Behaviour::Panic).with("text", "out of beds").run();
    seen.fails("trap", "unreachable");
    assert!(seen.logged().contains(&"out of beds"), "{:?}", seen.logged());
}

#[test]
pub(crate) fn an_exit_is_no_success() {
    Scene::new(Behaviour::Exit).run().fails("trap", "the plugin exited with 0 instead of returning");
}

#[test]
pub(crate) fn handles_without_end() {
    let scene = Scene::new(Behaviour::KeepHandles).file("data/open.txt", "").with("path", "data/open.txt");
    scene.allow(r#"allow.read = ["data"]"#).run().fails("trap", "more than 4096 open handles");
}

#[test]
pub(crate) fn connections_without_end() {
    let scene = Scene::new(Behaviour::KeepConnections).database().with("peer", "clinic");
    scene.allow(r#"allow.sql = ["read clinic"]"#).run().fails("other", "database connections are open at once");
}
