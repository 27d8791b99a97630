//! A plugin of the verify stage that does what a hostile one would try. It says honestly how that went: a finding that
//! passes where it could do it, and a failure with the host's words where it could not.

mod ambient;
mod behaviours;
mod flood;
mod forever;
mod names;
mod reach;
mod report;
mod secrets;
mod sockets;

use behaviours::Behaviour;
use pipe_sdk::verify::{Report, Verify};
use pipe_sdk::{Context, Description, Failure, Finding, Plugin};
use schemars::JsonSchema;
use serde::Deserialize;

/// What to do, and to what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// One of `behaviours.rs`.
    behaviour: String,
    /// A file or directory.
    #[serde(default)]
    path: String,
    /// A second file.
    #[serde(default)]
    to: String,
    /// A peer.
    #[serde(default)]
    peer: String,
    /// Method of a request.
    #[serde(default)]
    method: String,
    /// Program and arguments, or recipients.
    #[serde(default)]
    argv: Vec<String>,
    /// A variable, a secret, a digest or a sender.
    #[serde(default)]
    name: String,
    /// Something to say.
    #[serde(default)]
    text: String,
}

struct Hostile;

impl Plugin for Hostile {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("hostile", env!("CARGO_PKG_VERSION"), "Does what a plugin should not be able to do.")
    }
}

/// It could be done. `observed` is what was seen.
fn done(observed: impl ToString) -> Result<Report, Failure> {
    let finding = Finding::pass("it could be done").named("attempt").with_observed(observed);
    Ok(Report { findings: vec![finding], ..Report::default() })
}

impl Verify for Hostile {
    fn probe(_: &Context, settings: Settings) -> Result<Report, Failure> {
        let known = Behaviour::ALL.iter().find(|known| known.name() == settings.behaviour);
        let behaviour = known.ok_or_else(|| Failure::settings(format!("no behaviour `{}`", settings.behaviour)))?;
        let (path, text) = (settings.path.as_str(), settings.text.as_str());
        match behaviour {
            Behaviour::ReadFile => reach::read_file(path),
            Behaviour::ListDirectory => reach::list_directory(path),
            Behaviour::StatFile => reach::stat_file(path),
            Behaviour::WriteFile => reach::write_file(path),
            Behaviour::TruncateFile => reach::truncate_file(path),
            Behaviour::RemoveFile => reach::remove_file(path),
            Behaviour::RenameFile => reach::rename_file(path, &settings.to),
            Behaviour::LinkFile => reach::link_file(path, &settings.to),
            Behaviour::ReadThroughOwnLink => names::read_through_own_link(path, &settings.to),
            Behaviour::MakeLink => names::make_link(path, &settings.to),
            Behaviour::MakeDirectory => names::make_directory(path),
            Behaviour::AppendFile => names::append_file(path, text),
            Behaviour::ReplaceByLink => names::replace_by_link(path, &settings.to),
            Behaviour::ReplaceDatabase => names::replace_database(path, &settings.to, &settings.peer),
            Behaviour::UseAfterSwap => names::use_after_swap(path),
            Behaviour::OpenAsItStands => names::open_as_it_stands(path),
            Behaviour::Request => reach::request(&settings.method, &settings.peer, path, text),
            Behaviour::Connect => sockets::connect(&settings.name),
            Behaviour::ConnectThroughStd => sockets::connect_through_std(&settings.name),
            Behaviour::LookUp => sockets::look_up(&settings.name),
            Behaviour::ConnectElsewhere => sockets::connect_elsewhere(&settings.name, &settings.to),
            Behaviour::Bind => sockets::bind(&settings.name),
            Behaviour::Listen => sockets::listen(&settings.name),
            Behaviour::SendDatagram => sockets::send_datagram(&settings.name),
            Behaviour::ShakeHands => sockets::shake_hands(&settings.name),
            Behaviour::ReadDatabase => reach::read_database(&settings.peer),
            Behaviour::SendMail => reach::send_mail(&settings.peer, &settings.name, &settings.argv, text),
            Behaviour::WriteDatabase => reach::write_database(&settings.peer),
            Behaviour::WriteThroughReading => reach::write_through_reading(&settings.peer),
            Behaviour::RunProgram => reach::run_program(&settings.argv),
            Behaviour::ReadVariable => reach::read_variable(&settings.name),
            Behaviour::ListVariables => reach::list_variables(),
            Behaviour::RevealSecret => secrets::reveal(&settings.name),
            Behaviour::EchoSecret => secrets::echo(&settings.name),
            Behaviour::EchoSecretAndFail => secrets::echo_and_fail(&settings.name),
            Behaviour::AskTime => reach::ask_time(),
            Behaviour::ReadStatement => reach::read_statement(&settings.peer, text),
            Behaviour::WriteStatement => reach::write_statement(&settings.peer, text),
            Behaviour::SendScript => reach::send_script(&settings.peer, text),
            Behaviour::AskDisk => reach::ask_disk(path),
            Behaviour::StoreArtifact => reach::store_artifact(path, &settings.name),
            Behaviour::ReadArtifact => reach::read_artifact(&settings.name),
            Behaviour::SetTimes => names::set_times(path),
            Behaviour::RemoveDirectory => names::remove_directory(path),
            Behaviour::SendHeader => ambient::send_header(&settings.peer, text),
            Behaviour::ReadHeader => ambient::read_header(&settings.peer, &settings.name),
            Behaviour::ReadArguments => ambient::arguments(),
            Behaviour::ReadStandardInput => ambient::standard_input(),
            Behaviour::Loop => forever::run_in_a_circle(),
            Behaviour::Sleep => forever::sleep(),
            Behaviour::WaitOnSocket => sockets::wait(&settings.name),
            Behaviour::LoopInDatabase => forever::loop_in_database(&settings.peer),
            Behaviour::EatMemory => forever::eat_memory(),
            Behaviour::Recurse => forever::recurse(),
            Behaviour::KeepHandles => forever::keep_handles(path),
            Behaviour::KeepConnections => forever::keep_connections(&settings.peer),
            Behaviour::KeepSockets => sockets::keep(&settings.name),
            Behaviour::FloodSocket => sockets::flood(&settings.name),
            Behaviour::Panic => panic!("{text}"),
            Behaviour::Exit => forever::exit(),
            Behaviour::FloodLog => flood::log(),
            Behaviour::FloodLogAndFail => flood::log_and_fail(),
            Behaviour::FloodOutput => flood::output(),
            Behaviour::FloodProgress => flood::progress(),
            Behaviour::FloodRefusals => flood::refusals(),
            Behaviour::FloodUses => flood::uses(&settings.name),
            Behaviour::SayInLog => flood::say_in_log(text),
            Behaviour::SayOnOutput => flood::say_on_output(text),
            Behaviour::SayInProgress => ambient::say_in_progress(text),
            Behaviour::SayInFinding => report::say_in_finding(text),
            Behaviour::SayInOutput => report::say_in_output(text),
            Behaviour::SayInFailure => report::say_in_failure(text),
            Behaviour::SayInReceipt => report::say_in_receipt(text),
            Behaviour::ReportTooMuch => report::too_much(),
            Behaviour::ReportLongNames => report::long_names(),
            Behaviour::ReportNothing => Ok(Report::default()),
            Behaviour::OutputTwice => report::outputs(&[("version", "1"), ("version", "2")]),
            Behaviour::OutputBadKey => report::outputs(&[(text, "1")]),
            Behaviour::OutputTooLarge => report::outputs(&[("large", &"x".repeat(65_537))]),
            Behaviour::SaveLargeReceipt => report::save(1, 2 << 20),
            Behaviour::SaveHugeReceipt => report::save(1, 100_000_000),
            Behaviour::SaveManyReceipts => report::save(2_000, 1),
            Behaviour::SaveHeavyReceipts => report::save(40, 1 << 20),
        }
    }
}

pipe_sdk::export_verify!(Hostile);
