//! Every word of `allow` is proved from inside a guest: by a test in which it lets something happen, and by three in which it does
//! not. A word with fewer does not compile, and one that is not here fails; that the tests are about the word is not
//! claimed but seen: they are run, and what they made the host write down is looked through.

use std::cell::RefCell;

use serde_json::Value;

use crate::{artifacts, databases, files, handshakes, mail, network, others, secrets, single_files, sockets};

thread_local! {
    /// What the runs of this thread's test wrote down: `used` or `denied`, and the word.
    static SEEN: RefCell<Vec<(&'static str, String)>> = const { RefCell::new(Vec::new()) };
}

/// Takes note of the events of a run.
pub(crate) fn saw(events: &[Value]) {
    let told = events.iter().filter_map(|what| {
        let (kind, inner) = match what["event"].as_str()? {
            "used" => ("used", "use"),
            "denied" => ("denied", "refusal"),
            _ => return None,
        };
        Some((kind, what[inner]["word"].as_str()?.to_owned()))
    });
    SEEN.with_borrow_mut(|seen| seen.extend(told));
}

/// Whether a test makes the host write down that the word was used, or denied.
#[track_caller]
fn makes(test: fn(), name: &str, event: &str, word: &str) {
    SEEN.with_borrow_mut(Vec::clear);
    test();
    SEEN.with_borrow(|seen| {
        let found = seen.iter().any(|(kind, of)| *kind == event && of == word);
        assert!(found, "{name} does not make anything of `{word}` {event}: {seen:?}");
    });
}

macro_rules! words {
    ($($word:ident { allows $allows:path; refuses $one:path, $two:path, $three:path; })+) => {
        const WORDS: &[&str] = &[$(stringify!($word)),+];

        $(#[test]
        fn $word() {
            let word = stringify!($word);
            let refusing: [(fn(), &str); 3] =
                [($one, stringify!($one)), ($two, stringify!($two)), ($three, stringify!($three))];
            let different = refusing.iter().map(|(_, name)| name).collect::<std::collections::BTreeSet<_>>();
            assert_eq!(different.len(), refusing.len(), "three different ones");
            makes($allows, stringify!($allows), "used", word);
            for (test, name) in refusing {
                makes(test, name, "denied", word);
            }
        })+
    };
}

words! {
    http {
        allows network::a_host_that_is_not_granted_is_not_asked;
        refuses network::another_host_is_not_asked, network::another_method_is_refused, network::another_path_is_refused;
    }
    tcp {
        allows sockets::a_granted_name_is_connected_to_however_it_is_spelt;
        refuses sockets::another_port_of_a_granted_name_is_refused, sockets::an_address_that_was_never_an_answer_is_refused,
            sockets::a_name_that_is_not_granted_is_not_looked_up;
    }
    tls {
        allows handshakes::a_peer_shows_what_it_has_where_that_is_granted;
        refuses handshakes::another_server_is_refused, handshakes::an_odd_spelling_is_refused_for_ever,
            handshakes::requests_and_connections_are_no_handshakes;
    }
    sql {
        allows databases::a_reader_may_read_and_look_around;
        refuses others::a_database_that_may_be_read_is_not_written, others::a_database_that_is_not_granted_is_not_opened,
            others::a_connection_for_reading_writes_nothing_whatever_is_granted;
    }
    mail {
        allows mail::a_message_is_not_sent_without_a_grant;
        refuses mail::another_sender_is_refused, mail::another_recipient_is_refused,
            mail::a_server_that_is_no_peer_is_not_written_to;
    }
    read {
        allows single_files::a_granted_file_is_read_however_it_is_named;
        refuses files::a_path_that_climbs_out_is_not_read, files::a_link_that_leads_out_is_not_read,
            single_files::the_file_beside_it_is_not_read;
    }
    write {
        allows single_files::it_is_written_in_its_place;
        refuses files::nothing_is_written_through_a_grant_for_reading, single_files::nothing_is_created_beside_it,
            files::a_file_is_not_moved_out_of_what_may_be_written;
    }
    disk {
        allows others::free_space_is_told_where_it_is_granted;
        refuses others::free_space_of_another_place_is_not_told,
            others::free_space_is_not_told_to_whoever_may_read_and_write_there,
            others::free_space_of_what_holds_a_granted_place_is_not_told;
    }
    env {
        allows others::wasi_shows_the_granted_variables_and_no_other;
        refuses others::a_variable_is_told_where_it_is_granted_by_name, others::a_variable_of_another_name_is_not_told,
            others::a_variable_of_a_program_is_none_of_the_guest;
    }
    secrets {
        allows network::a_secret_goes_only_where_a_slot_says_and_never_to_the_guest;
        refuses artifacts::a_key_encrypts_where_a_slot_says_so, artifacts::a_slot_for_a_peer_encrypts_nothing,
            artifacts::another_secret_than_that_of_the_slot_encrypts_nothing;
    }
    reveal {
        allows secrets::a_secret_is_told_where_the_grant_names_it;
        refuses secrets::another_secret_than_the_granted_one_is_not_told, secrets::a_secret_that_is_not_declared_is_not_told,
            secrets::a_slot_reveals_nothing;
    }
    exec {
        allows others::a_program_sees_nothing_of_the_operators_environment;
        refuses others::a_program_that_is_not_granted_does_not_run, others::another_program_does_not_run,
            others::other_arguments_are_refused;
    }
    artifacts {
        allows artifacts::an_artifact_of_another_step_is_not_read_without_a_grant;
        refuses artifacts::nothing_is_stored_without_a_grant, artifacts::the_artifacts_of_one_step_are_not_those_of_another,
            artifacts::who_may_read_artifacts_stores_none;
    }
}

/// The words are those of the file, as its schema has them.
#[test]
fn every_word_of_the_file_is_here() {
    let schema = pipe_tests::Deployment::new().run(&["schema"]);
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    let allow = schema.pointer("/$defs/allow/properties").and_then(Value::as_object).unwrap();
    let mut words: Vec<&str> = allow.keys().map(String::as_str).collect();
    let mut here = WORDS.to_vec();
    words.sort_unstable();
    here.sort_unstable();
    assert_eq!(here, words);
}
