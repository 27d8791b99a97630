//! The commands: one file each, with its arguments and its one function.

pub(crate) mod abandon;
pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod history;
pub(crate) mod inspect;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod prune;
pub(crate) mod resolve;
pub(crate) mod resume;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod suggest;
pub(crate) mod unlock;
pub(crate) mod watch;

mod binding;
mod left;
mod loading;
mod open;
mod output_file;
mod ownership;

use pipe_core::redact::Redactor;

use crate::{
    arguments::{Arguments, Command},
    exit::Exit,
    failure::Failure,
    printer::Printer,
};

/// Runs the command that was asked for. The redactor learns the secrets of a run before anything can say them.
///
/// # Errors
///
/// Whatever kept it from doing so, ready to be printed.
pub(crate) async fn run(arguments: Arguments, printer: &Printer, redactor: Redactor) -> Result<Exit, Failure> {
    let state = arguments.state.as_deref();
    let verbose = arguments.verbose > 0;
    match arguments.command {
        Command::Run(command) => run::run(&command, state, verbose, *printer, redactor).await,
        Command::Approve(command) => approve::approve(&command, state, *printer, redactor).await,
        Command::Check(command) => check::check(&command, *printer).await,
        Command::Plan(command) => plan::plan(&command, state, *printer, redactor).await,
        Command::Audit(command) => audit::audit(&command, state, *printer).await,
        Command::Diff(command) => diff::diff(&command, *printer).await,
        Command::Inspect(command) => inspect::inspect(&command, *printer).await,
        Command::Status(command) => status::status(&command, state, *printer),
        Command::Watch(command) => watch::watch(&command, state, verbose, *printer, redactor).await,
        Command::Resume(command) => resume::resume(&command, state, verbose, *printer, redactor).await,
        Command::Rollback(command) => rollback::rollback(&command, state, verbose, *printer, redactor).await,
        Command::Resolve(command) => resolve::resolve(&command, state, *printer, redactor).await,
        Command::Abandon(command) => abandon::abandon(&command, state, *printer, redactor).await,
        Command::History(command) => history::history(&command, state, *printer),
        Command::Show(command) => show::show(&command, state, verbose, *printer),
        Command::Prune(command) => prune::prune(&command, state, verbose, *printer, redactor).await,
        Command::Suggest(command) => suggest::suggest(&command, state, *printer),
        Command::Lock(command) => lock::lock(&command, *printer).await,
        Command::Unlock(command) => unlock::unlock(&command, state, *printer, redactor).await,
        Command::Log(command) => log::log(&command, state, *printer),
        Command::Schema(command) => schema::schema(&command, *printer),
        Command::Completions(command) => completions::completions(&command, *printer),
        Command::Man(command) => man::man(&command, *printer),
    }
}
