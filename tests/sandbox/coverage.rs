//! No behaviour without a test: the match below has no arm for the rest.

use crate::{
    Behaviour, artifacts, bad_plugins, cache, endless, files, floods, handshakes, network, others, places, reports,
    sockets, terminal, too_much,
};

/// The tests that call the guest with a behaviour.
fn tests_of(behaviour: Behaviour) -> &'static [fn()] {
    match behaviour {
        Behaviour::ReadFile => &[
            files::a_file_outside_is_not_read,
            files::an_absolute_path_is_not_read,
            files::nothing_is_read_where_nothing_is_granted,
            files::a_path_that_climbs_out_is_not_read,
            files::a_link_that_leads_out_is_not_read,
            files::an_absolute_link_that_leads_out_is_not_read,
            files::a_fifo_does_not_hang_the_run,
            files::a_device_is_not_opened,
            places::the_memory_of_pipe_is_not_read,
        ],
        Behaviour::ListDirectory => &[files::a_directory_outside_is_not_listed],
        Behaviour::StatFile => &[files::permissions_outside_are_not_told],
        Behaviour::WriteFile => &[
            files::nothing_is_written_through_a_grant_for_reading,
            places::the_folder_of_the_pipeline_file_is_not_written,
            places::the_state_is_not_written,
            places::the_plugin_and_pipe_itself_are_not_written,
            places::the_machine_itself_is_not_written,
        ],
        Behaviour::TruncateFile | Behaviour::RemoveFile => {
            &[files::nothing_is_emptied_removed_or_moved_through_a_grant_for_reading]
        }
        Behaviour::RenameFile => &[files::a_file_is_not_moved_out_of_what_may_be_written],
        Behaviour::LinkFile => &[files::a_hard_link_carries_nothing_into_what_may_be_written],
        Behaviour::ReadThroughOwnLink => &[files::a_link_of_its_own_making_does_not_lead_out],
        Behaviour::Request => &[
            network::a_host_that_is_not_granted_is_not_asked,
            network::another_host_is_not_asked,
            network::another_method_is_refused,
            network::another_path_is_refused,
            network::a_path_that_climbs_or_hides_is_refused_for_ever,
            network::a_private_address_is_not_asked_by_its_number,
            network::a_secret_goes_only_where_a_slot_says_and_never_to_the_guest,
            endless::a_wait_for_a_server_that_never_answers_ends,
        ],
        Behaviour::Connect => &[
            network::a_grant_for_requests_is_none_for_connections,
            sockets::a_granted_name_is_connected_to_however_it_is_spelt,
            sockets::a_granted_address_is_connected_to_by_its_number,
            sockets::another_port_of_a_granted_name_is_refused,
            sockets::an_address_counts_only_once_its_name_led_there,
            sockets::a_rule_for_a_private_address_needs_addresses,
        ],
        Behaviour::ConnectThroughStd => &[sockets::the_standard_library_connects_to_what_is_granted],
        Behaviour::LookUp => &[
            sockets::a_name_that_is_not_granted_is_not_looked_up,
            sockets::an_odd_spelling_of_an_address_is_no_name,
            sockets::a_granted_name_that_leads_to_a_private_address_is_refused,
        ],
        Behaviour::ConnectElsewhere => &[sockets::an_address_that_was_never_an_answer_is_refused],
        Behaviour::Bind | Behaviour::Listen | Behaviour::SendDatagram => {
            &[sockets::nothing_binds_listens_or_sends_datagrams]
        }
        Behaviour::ShakeHands => &[
            handshakes::a_peer_shows_what_it_has_where_that_is_granted,
            handshakes::a_server_that_nobody_trusts_still_shows_what_it_has,
            handshakes::another_server_is_refused,
            handshakes::an_odd_spelling_is_refused_for_ever,
            handshakes::requests_and_connections_are_no_handshakes,
        ],
        Behaviour::WriteDatabase => {
            &[others::a_database_that_may_be_read_is_not_written, others::a_database_that_is_not_granted_is_not_opened]
        }
        Behaviour::WriteThroughReading => &[others::a_connection_for_reading_writes_nothing_whatever_is_granted],
        Behaviour::RunProgram => &[
            others::a_program_that_is_not_granted_does_not_run,
            others::another_program_does_not_run,
            others::other_arguments_are_refused,
            others::a_program_sees_nothing_of_the_operators_environment,
            endless::a_program_ends_with_everything_that_it_started,
        ],
        Behaviour::ReadVariable => {
            &[others::a_variable_is_told_where_it_is_granted_by_name, terminal::what_was_refused]
        }
        Behaviour::ListVariables => &[
            others::wasi_shows_the_granted_variables_and_no_other,
            cache::a_changed_entry_is_replaced_wherever_it_was_changed,
            bad_plugins::settings_nested_without_end,
        ],
        Behaviour::AskDisk => &[others::free_space_is_told_where_it_is_granted],
        Behaviour::StoreArtifact => &[
            artifacts::nothing_is_stored_without_a_grant,
            artifacts::nothing_is_stored_of_what_may_not_be_read,
            artifacts::a_key_encrypts_where_a_slot_says_so,
        ],
        Behaviour::ReadArtifact => &[artifacts::an_artifact_of_another_step_is_not_read_without_a_grant],
        Behaviour::Loop => &[endless::a_loop_ends],
        Behaviour::Sleep => &[endless::a_sleep_ends],
        Behaviour::LoopInDatabase => &[endless::a_statement_ends],
        Behaviour::EatMemory => &[too_much::memory_without_end],
        Behaviour::Recurse => &[too_much::recursion_without_end],
        Behaviour::KeepHandles => &[too_much::handles_without_end],
        Behaviour::KeepConnections => &[too_much::connections_without_end],
        Behaviour::KeepSockets => &[sockets::sockets_without_end],
        Behaviour::FloodSocket => &[sockets::bytes_without_end],
        Behaviour::WaitOnSocket => &[sockets::a_connection_ends_with_its_step],
        Behaviour::Panic => &[too_much::a_panic_has_its_words_in_the_log, terminal::panics],
        Behaviour::Exit => &[too_much::an_exit_is_no_success],
        Behaviour::FloodLog => &[floods::a_flood_of_lines],
        Behaviour::FloodLogAndFail => &[floods::a_flood_of_long_lines_and_fields],
        Behaviour::FloodOutput => &[floods::a_flood_without_a_line_end],
        Behaviour::FloodProgress => &[floods::a_flood_of_progress],
        Behaviour::FloodRefusals => &[floods::a_flood_of_refusals_ends_the_call],
        Behaviour::FloodUses => &[floods::a_flood_of_uses_ends_the_call],
        Behaviour::SayInLog => &[terminal::log_lines],
        Behaviour::SayOnOutput => &[terminal::standard_output_and_error_become_log_lines],
        Behaviour::SayInFinding => &[terminal::findings],
        Behaviour::SayInOutput => &[terminal::outputs],
        Behaviour::SayInFailure => &[terminal::failures],
        Behaviour::SayInReceipt => &[terminal::receipts],
        Behaviour::ReportTooMuch => &[reports::a_report_of_100_megabytes],
        Behaviour::ReportLongNames => &[reports::findings_with_endless_names],
        Behaviour::ReportNothing => &[reports::a_report_of_nothing],
        Behaviour::OutputTwice => &[reports::an_output_twice],
        Behaviour::OutputBadKey => &[reports::an_output_without_a_proper_key, terminal::keys_of_outputs],
        Behaviour::OutputTooLarge => &[reports::an_output_that_is_too_large],
        Behaviour::SaveLargeReceipt | Behaviour::SaveHugeReceipt => &[reports::large_receipts],
        Behaviour::SaveManyReceipts => &[reports::two_thousand_receipts],
    }
}

#[test]
fn every_behaviour_has_a_test() {
    for &behaviour in Behaviour::ALL {
        assert!(!tests_of(behaviour).is_empty(), "{}", behaviour.name());
    }
}
