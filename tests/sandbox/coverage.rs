//! No behaviour without a test: the match below has no arm for the rest.

use crate::{
    Behaviour, ambient, artifacts, bad_plugins, cache, databases, endless, files, floods, handshakes, limits, mail,
    network, others, places, programs, record, reports, secrets, single_files, sockets, terminal, too_much,
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
            single_files::a_granted_file_is_read_however_it_is_named,
            single_files::the_file_beside_it_is_not_read,
            single_files::what_a_granted_link_leads_to_is_decided_once,
            single_files::a_link_in_the_place_of_a_granted_directory_is_not_followed,
            single_files::a_link_on_the_way_to_a_granted_file_is_not_followed,
            single_files::what_an_earlier_step_makes_is_read_by_a_later_one,
            single_files::what_is_no_file_is_not_granted,
            single_files::what_the_kernel_shows_of_pipe_is_not_read,
            single_files::the_record_names_where_a_path_leads,
            limits::bytes_in_of_files,
        ],
        Behaviour::ListDirectory => {
            &[files::a_directory_outside_is_not_listed, single_files::the_directory_that_holds_it_is_not_listed]
        }
        Behaviour::StatFile => {
            &[files::permissions_outside_are_not_told, single_files::the_permissions_of_the_file_beside_it_are_not_told]
        }
        Behaviour::WriteFile => &[
            files::nothing_is_written_through_a_grant_for_reading,
            places::the_folder_of_the_pipeline_file_is_not_written,
            places::the_state_is_not_written,
            places::the_plugin_and_pipe_itself_are_not_written,
            places::the_machine_itself_is_not_written,
            places::another_name_of_what_is_pipes_own_is_not_written,
            single_files::it_is_not_written_through_a_grant_for_reading,
            single_files::it_is_written_in_its_place,
            single_files::nothing_is_created_beside_it,
            single_files::what_is_missing_is_made_as_a_file_or_as_a_directory,
            limits::bytes_out_of_files,
        ],
        Behaviour::AppendFile => &[single_files::it_is_written_in_its_place],
        Behaviour::MakeDirectory => &[
            single_files::nothing_is_created_beside_it,
            single_files::what_is_missing_is_made_as_a_file_or_as_a_directory,
        ],
        Behaviour::MakeLink => &[single_files::no_link_is_made_of_it_or_beside_it],
        Behaviour::ReplaceByLink => &[
            single_files::what_a_granted_link_leads_to_is_decided_once,
            single_files::a_link_in_the_place_of_a_granted_directory_is_not_followed,
            single_files::a_link_on_the_way_to_a_granted_file_is_not_followed,
        ],
        Behaviour::ReplaceDatabase => &[others::a_link_in_the_place_of_a_database_is_not_followed],
        Behaviour::UseAfterSwap => &[
            single_files::a_link_that_takes_its_place_is_not_followed,
            single_files::a_fifo_that_takes_its_place_hangs_nobody,
            single_files::a_directory_that_takes_its_place_holds_nothing_more,
        ],
        Behaviour::OpenAsItStands => {
            &[single_files::what_the_kernel_shows_of_pipe_is_not_read, single_files::a_path_that_is_none_breaks_nothing]
        }
        Behaviour::TruncateFile | Behaviour::RemoveFile => &[
            files::nothing_is_emptied_removed_or_moved_through_a_grant_for_reading,
            single_files::its_name_is_not_removed_moved_linked_or_taken,
        ],
        Behaviour::RenameFile => &[
            files::a_file_is_not_moved_out_of_what_may_be_written,
            single_files::its_name_is_not_removed_moved_linked_or_taken,
        ],
        Behaviour::LinkFile => &[
            files::a_hard_link_carries_nothing_into_what_may_be_written,
            single_files::its_name_is_not_removed_moved_linked_or_taken,
        ],
        Behaviour::ReadThroughOwnLink => &[files::a_link_of_its_own_making_does_not_lead_out],
        Behaviour::Request => &[
            network::a_host_that_is_not_granted_is_not_asked,
            network::another_host_is_not_asked,
            network::another_method_is_refused,
            network::another_path_is_refused,
            network::a_path_that_climbs_or_hides_is_refused_for_ever,
            network::a_private_address_is_not_asked_by_its_number,
            network::a_secret_goes_only_where_a_slot_says_and_never_to_the_guest,
            limits::bytes_in_of_responses,
            limits::bytes_out_of_requests,
            record::a_query_is_left_out_and_can_be_proven,
            record::the_login_of_a_peer_is_recorded_by_name,
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
        Behaviour::SendMail => &[
            mail::a_message_is_not_sent_without_a_grant,
            mail::another_sender_is_refused,
            mail::another_recipient_is_refused,
            mail::recipients_of_two_rules_are_no_recipients_of_one,
            mail::a_subject_or_an_address_of_two_lines_is_refused_for_ever,
            mail::a_hundred_and_one_recipients_are_too_many,
            mail::a_server_that_is_no_peer_is_not_written_to,
        ],
        Behaviour::ReadDatabase => &[limits::bytes_in_of_rows],
        Behaviour::WriteDatabase => &[
            others::a_database_that_may_be_read_is_not_written,
            others::a_database_that_is_not_granted_is_not_opened,
            limits::bytes_out_of_statements,
        ],
        Behaviour::WriteThroughReading => &[others::a_connection_for_reading_writes_nothing_whatever_is_granted],
        Behaviour::RunProgram => &[
            others::a_program_that_is_not_granted_does_not_run,
            others::another_program_does_not_run,
            others::other_arguments_are_refused,
            others::a_program_sees_nothing_of_the_operators_environment,
            record::what_a_grant_leaves_open_of_a_command_is_left_out_and_can_be_proven,
            programs::a_program_does_not_read_what_its_rule_does_not_name,
            programs::a_program_does_not_write_where_its_rule_does_not_say,
            programs::what_an_earlier_step_makes_is_read_and_written_by_a_program_of_a_later_one,
            programs::a_program_connects_to_granted_ports_alone,
            programs::a_program_connects_to_granted_sockets_alone,
            programs::a_program_sees_no_other_process,
            programs::a_program_reaches_nothing_of_pipe,
            programs::a_program_that_is_not_the_pinned_one_does_not_run,
            programs::a_secret_comes_to_a_program_as_a_file_that_is_gone_afterwards,
            programs::the_record_and_the_plan_say_that_a_program_is_native_code,
            programs::a_program_that_uses_up_too_much_is_ended_with_the_line_that_gives_more,
            programs::the_plan_says_what_a_program_may_use_up,
            endless::a_program_ends_with_everything_that_it_started,
            limits::bytes_in_of_programs,
        ],
        Behaviour::ReadVariable => &[
            others::a_variable_is_told_where_it_is_granted_by_name,
            others::a_variable_of_another_name_is_not_told,
            others::a_variable_of_a_program_is_none_of_the_guest,
            terminal::what_was_refused,
        ],
        Behaviour::ListVariables => &[
            others::wasi_shows_the_granted_variables_and_no_other,
            record::variables_that_wasi_shows_count_as_used_once_each,
            cache::a_changed_entry_is_replaced_wherever_it_was_changed,
            bad_plugins::settings_nested_without_end,
        ],
        Behaviour::RevealSecret => &[
            secrets::a_secret_is_told_where_the_grant_names_it,
            secrets::another_secret_than_the_granted_one_is_not_told,
            secrets::a_secret_that_is_not_declared_is_not_told,
            secrets::a_slot_reveals_nothing,
        ],
        Behaviour::EchoSecret => &[secrets::a_secret_that_was_told_is_masked_in_everything_that_is_said],
        Behaviour::EchoSecretAndFail => &[secrets::a_secret_that_was_told_is_masked_in_a_failure],
        Behaviour::AskTime => &[others::a_guest_knows_how_much_time_it_has],
        Behaviour::ReadStatement => &[
            databases::a_reader_is_refused_whatever_reaches_further_than_rows,
            databases::a_reader_may_read_and_look_around,
            databases::no_function_of_a_statement_outlasts_the_deadline,
            databases::what_has_no_bound_is_refused,
        ],
        Behaviour::WriteStatement => &[
            databases::a_writer_stays_in_its_file_too,
            databases::a_wait_for_a_locked_database_ends_at_the_deadline,
            record::a_statement_is_recorded_without_its_values_and_can_be_proven,
        ],
        Behaviour::SendScript => {
            &[databases::a_script_hides_nothing, record::a_script_is_recorded_statement_by_statement]
        }
        Behaviour::AskDisk => &[
            others::free_space_is_told_where_it_is_granted,
            others::free_space_of_another_place_is_not_told,
            others::free_space_is_not_told_to_whoever_may_read_and_write_there,
            others::free_space_of_what_holds_a_granted_place_is_not_told,
        ],
        Behaviour::StoreArtifact => &[
            artifacts::nothing_is_stored_without_a_grant,
            artifacts::nothing_is_stored_of_what_may_not_be_read,
            artifacts::a_key_encrypts_where_a_slot_says_so,
            artifacts::a_slot_for_a_peer_encrypts_nothing,
            artifacts::another_secret_than_that_of_the_slot_encrypts_nothing,
            artifacts::who_may_read_artifacts_stores_none,
            limits::artifacts,
        ],
        Behaviour::ReadArtifact => &[
            artifacts::an_artifact_of_another_step_is_not_read_without_a_grant,
            artifacts::the_artifacts_of_one_step_are_not_those_of_another,
        ],
        Behaviour::SetTimes => &[files::times_are_not_set_through_a_grant_for_reading],
        Behaviour::RemoveDirectory => &[files::a_directory_is_not_removed_through_a_grant_for_reading],
        Behaviour::SendHeader => &[
            ambient::the_host_of_a_request_is_the_hosts_business,
            ambient::no_header_changes_the_method_or_the_path,
            ambient::a_header_of_the_guest_gives_way_to_the_secret_that_belongs_there,
        ],
        Behaviour::ReadHeader => &[ambient::a_secret_that_a_server_echoes_is_masked_in_every_form],
        Behaviour::ReadArguments => &[ambient::the_command_line_of_pipe_is_not_told],
        Behaviour::ReadStandardInput => &[ambient::what_the_operator_types_is_not_told],
        Behaviour::Loop => &[endless::a_loop_ends],
        Behaviour::Sleep => &[endless::a_sleep_ends],
        Behaviour::LoopInDatabase => &[endless::a_statement_ends],
        Behaviour::EatMemory => &[too_much::memory_without_end, limits::memory, limits::of_the_file_and_of_a_step],
        Behaviour::Recurse => &[too_much::recursion_without_end],
        Behaviour::KeepHandles => &[too_much::handles_without_end, limits::handles],
        Behaviour::KeepConnections => &[too_much::connections_without_end],
        Behaviour::KeepSockets => &[sockets::sockets_without_end],
        Behaviour::FloodSocket => &[sockets::bytes_without_end],
        Behaviour::WaitOnSocket => &[sockets::a_connection_ends_with_its_step],
        Behaviour::Panic => &[too_much::a_panic_has_its_words_in_the_log, terminal::panics],
        Behaviour::Exit => &[too_much::an_exit_is_no_success],
        Behaviour::FloodLog => &[floods::a_flood_of_lines, limits::log_lines, limits::log_bytes],
        Behaviour::FloodLogAndFail => &[floods::a_flood_of_long_lines_and_fields],
        Behaviour::FloodOutput => &[floods::a_flood_without_a_line_end],
        Behaviour::FloodProgress => &[floods::a_flood_of_progress],
        Behaviour::FloodRefusals => &[floods::a_flood_of_refusals_ends_the_call],
        Behaviour::FloodUses => &[floods::a_flood_of_uses_ends_the_call],
        Behaviour::SayInLog => &[terminal::log_lines],
        Behaviour::SayOnOutput => &[terminal::standard_output_and_error_become_log_lines],
        Behaviour::SayInProgress => &[terminal::progress],
        Behaviour::SayInFinding => &[terminal::findings],
        Behaviour::SayInOutput => &[terminal::outputs],
        Behaviour::SayInFailure => &[terminal::failures],
        Behaviour::SayInReceipt => &[terminal::receipts],
        Behaviour::ReportTooMuch => &[reports::a_report_of_100_megabytes],
        Behaviour::ReportLongNames => &[reports::findings_with_endless_names],
        Behaviour::ReportNothing => &[reports::a_report_of_nothing, limits::tables, limits::instances],
        Behaviour::OutputTwice => &[reports::an_output_twice],
        Behaviour::OutputBadKey => &[reports::an_output_without_a_proper_key, terminal::keys_of_outputs],
        Behaviour::OutputTooLarge => &[reports::an_output_that_is_too_large],
        Behaviour::SaveLargeReceipt | Behaviour::SaveHugeReceipt => &[reports::large_receipts],
        Behaviour::SaveManyReceipts => &[reports::two_thousand_receipts],
        Behaviour::SaveHeavyReceipts => &[reports::forty_heavy_receipts],
    }
}

#[test]
fn every_behaviour_has_a_test() {
    for &behaviour in Behaviour::ALL {
        assert!(!tests_of(behaviour).is_empty(), "{}", behaviour.name());
    }
}
