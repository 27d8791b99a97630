//! `pipe approve`.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use pipe_core::{
    event::{EventKind, GateEnd, SignedApproval},
    id::{RunId, StepId},
    redact::Redactor,
};
use pipe_journal::{Journal, JournalError, Reader};
use pipe_runner::gate::{
    Approval, CannotSign, Decision, GateState, Gates, MAXIMUM_SIGNATURE, MAXIMUM_TEXT, NAMESPACE, Opening, Refused,
    Remark, Standing, Vote, moment, private_key, sign, signing_key,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{loading, log::not_as_written};
use crate::{
    exit::Exit,
    failure::Failure,
    places,
    printer::{BAD, GOOD, Printer, STRONG, styled},
};

/// Largest private key that is read, in bytes.
const MAXIMUM_KEY: usize = 64 << 10;
/// How often the decision is tried again when the run wrote something at the same moment.
const ATTEMPTS: usize = 50;

/// Decide at a gate: approve or reject, signed with an SSH key that has the role
///
/// The decision names the run, its plan and this opening of the gate, and is kept with its signature in the journal. Whoever
/// asked for the run cannot approve it. With a key that asks for a passphrase, that an agent holds or that is made of hardware:
/// write the text with --print, sign it with `ssh-keygen -Y sign -n pipe-approval@v1 -f KEY FILE`, and hand both in with
/// --signature FILE.sig.
#[derive(Debug, Args)]
pub(crate) struct ApproveArguments {
    /// The run: its name or the beginning of it, or `last`
    #[arg(value_name = "RUN")]
    run: String,

    /// The gate; may be left out where one waits
    #[arg(value_name = "GATE")]
    gate: Option<String>,

    /// The role to decide for; may be left out: a gate asks for one
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,

    /// Private key to sign with
    #[arg(long, value_name = "FILE", required_unless_present_any = ["print", "signature"], conflicts_with_all = ["print", "signature"])]
    key: Option<PathBuf>,

    /// Why; kept with the decision
    #[arg(long, value_name = "TEXT", required_unless_present = "signature", conflicts_with = "signature")]
    reason: Option<String>,

    /// Reject: the gate fails at once
    #[arg(long, conflicts_with = "signature")]
    reject: bool,

    /// A line of the checklist that was seen to, and what was seen; can be repeated
    #[arg(long, value_name = "ITEM=EVIDENCE", conflicts_with = "signature")]
    attest: Vec<String>,

    /// A line of the checklist that need not be seen to, and why; can be repeated
    #[arg(long, value_name = "ITEM=REASON", conflicts_with = "signature")]
    waive: Vec<String>,

    /// Write the text to sign to stdout, and record nothing
    #[arg(long, conflicts_with = "signature")]
    print: bool,

    /// Signature that `ssh-keygen -Y sign` made of the text
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,

    /// The text that was signed [default: the signature's file without `.sig`]
    #[arg(long, value_name = "FILE", requires = "signature")]
    text: Option<PathBuf>,

    /// The pipeline file whose `state` directory holds the run
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Records the decision.
pub(crate) async fn approve(
    arguments: &ApproveArguments,
    state: Option<&Path>,
    printer: Printer,
    redactor: Redactor,
) -> Result<Exit, Failure> {
    let place = loading::reading_state(state, arguments.file.as_deref())?;
    let reader = Reader::open(&place)?;
    reader.verify(None).map_err(not_as_written)?;
    let run = loading::find_run(&reader, &arguments.run)?.run;
    let gate = waiting(&read(&reader, &run)?.0, &run, arguments.gate.as_deref())?;
    if let Some(role) = arguments.role.as_deref().filter(|role| *role != gate.opening.role) {
        let message =
            format!("the gate \"{}\" asks for the role `{}`, not `{role}`", gate.opening.gate, gate.opening.role);
        return Err(Failure::new(Exit::Usage, message));
    }
    let (text, signature) = match (&arguments.signature, &arguments.key) {
        (Some(signature), _) => handed_in(signature, arguments.text.as_deref())?,
        (None, key) => {
            let text = written(arguments, &gate.opening)?;
            let Some(key) = key.as_ref().filter(|_| !arguments.print) else {
                printer.verbatim(&text);
                printer.talk(&how_to_sign(&run, &place));
                return Ok(Exit::Succeeded);
            };
            let signature = signed(key, &text, &run, &place)?;
            (text, signature)
        }
    };
    let journal = Journal::open(&place, redactor)?;
    let recorded = record(&journal, &reader, &run, &gate.opening.gate, &text, &signature).await;
    let closed = journal.close().await;
    let (vote, after) = recorded?;
    closed?;
    tell(&run, &vote, &after, &place, printer);
    Ok(Exit::Succeeded)
}

/// The gates of a run, and the place of its last event.
fn read(reader: &Reader, run: &RunId) -> Result<(Gates, u64), JournalError> {
    let mut gates = Gates::new(run.clone());
    let mut last = 0;
    for stored in reader.events(run)? {
        last = stored.seq;
        if let Some(event) = stored.event.known() {
            gates.apply(event);
        }
    }
    Ok((gates, last))
}

/// The gate that is meant.
fn waiting(gates: &Gates, run: &RunId, named: Option<&str>) -> Result<GateState, Failure> {
    let open: Vec<&GateState> = gates.open().collect();
    if let Some(named) = named {
        if let Some(gate) = open.iter().find(|state| state.opening.gate.to_string() == named) {
            return Ok((*gate).clone());
        }
        if let Some(end) = gates.gate(&StepId::new(named)).and_then(GateState::ended) {
            return Err(Failure::new(Exit::Invalid, format!("the gate \"{named}\" of run {run} is closed: {end}")));
        }
    }
    let names: Vec<String> = open.iter().map(|state| format!("\"{}\"", state.opening.gate)).collect();
    match (named, open.as_slice()) {
        (None, [gate]) => Ok((*gate).clone()),
        (_, []) => Err(Failure::new(Exit::Usage, format!("run {run} waits at no gate"))
            .hint("a gate opens when the run reaches it: `pipe status` lists the runs that wait")),
        (None, _) => Err(Failure::new(Exit::Usage, format!("run {run} waits at several gates"))
            .hint(format!("name one of {}", names.join(", ")))),
        (Some(named), _) => Err(Failure::new(Exit::Usage, format!("run {run} does not wait at a gate \"{named}\""))
            .hint(format!("it waits at {}", names.join(", ")))),
    }
}

/// The text that says what the operator decided.
fn written(arguments: &ApproveArguments, opening: &Opening) -> Result<String, Failure> {
    let mut items = Vec::new();
    for (said, remark) in (arguments.attest.iter().map(|said| (said, Remark::Attested as fn(String) -> Remark)))
        .chain(arguments.waive.iter().map(|said| (said, Remark::Waived as fn(String) -> Remark)))
    {
        // A line may hold `=` itself.
        let of = |item: &str| said.strip_prefix(item).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned);
        let found = opening.checklist.iter().find_map(|known| Some((known.item.clone(), of(&known.item)?)));
        let Some((item, said)) = found else {
            let known: Vec<String> = opening.checklist.iter().map(|known| format!("\"{}\"", known.item)).collect();
            let failure = Failure::new(Exit::Usage, format!("`{said}` begins with no line of the checklist and `=`"));
            let hint = if known.is_empty() {
                "it has no lines".to_owned()
            } else {
                format!("its lines are {}", known.join(", "))
            };
            return Err(failure.hint(hint));
        };
        items.push((item, remark(said)));
    }
    let approval = Approval {
        run: opening.run.clone(),
        pipeline: opening.pipeline.clone(),
        environment: opening.environment.clone(),
        gate: opening.gate.to_string(),
        role: opening.role.clone(),
        plan: opening.plan,
        opening: opening.opening.clone(),
        decision: if arguments.reject { Decision::Reject } else { Decision::Approve },
        reason: arguments.reason.clone().unwrap_or_default(),
        items,
        signed_at: moment().at,
    };
    approval.text().map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

/// A text and its signature, from files.
fn handed_in(signature: &Path, text: Option<&Path>) -> Result<(String, String), Failure> {
    let beside = (signature.extension() == Some(OsStr::new("sig"))).then(|| signature.with_extension(""));
    let Some(text) = text.map(Path::to_owned).or(beside) else {
        return Err(Failure::new(Exit::Usage, "the text that was signed is not named").hint("`--text FILE`"));
    };
    Ok((file(&text, MAXIMUM_TEXT)?, file(signature, MAXIMUM_SIGNATURE)?))
}

/// Signs with a private key of a file that nobody else can read.
fn signed(path: &Path, text: &str, run: &RunId, state: &Path) -> Result<String, Failure> {
    if path.extension() == Some(OsStr::new("pub")) {
        let message = format!("{} is the public key", path.display());
        return Err(Failure::new(Exit::Usage, message).hint("the file without `.pub` signs"));
    }
    let mode = std::fs::metadata(path).map(|known| known.mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        let message = format!("the private key {} can be read by others", path.display());
        return Err(Failure::new(Exit::Usage, message).hint(format!("`chmod 600 {}`", path.display())));
    }
    let secret = SecretString::from(file(path, MAXIMUM_KEY)?);
    let key = private_key(secret.expose_secret());
    key.and_then(|key| sign(&key, text)).map_err(|error| {
        let failure = Failure::new(Exit::Usage, format!("{}: {error}", path.display()));
        match error {
            CannotSign::Encrypted | CannotSign::Unsupported(_) => failure
                .hint(format!("write the text with `--print` instead of `--key`, then: {}", how_to_sign(run, state))),
            CannotSign::Unreadable(_) => failure.hint("the file without `.pub`, as `ssh-keygen -t ed25519` writes it"),
            CannotSign::Failed => failure,
        }
    })
}

fn how_to_sign(run: &RunId, state: &Path) -> String {
    format!(
        "`ssh-keygen -Y sign -n {NAMESPACE} -f KEY FILE` signs it, `pipe approve {run} --signature FILE.sig --state {}` hands it in",
        places::in_shell(state)
    )
}

/// The text of a file, not longer than it may be.
fn file(path: &Path, most: usize) -> Result<String, Failure> {
    let failure = |why: String| Failure::new(Exit::Usage, format!("cannot read {}: {why}", path.display()));
    let mut text = String::new();
    let opened = File::open(path).map_err(|error| failure(error.to_string()))?;
    opened.take(most as u64 + 1).read_to_string(&mut text).map_err(|error| failure(error.to_string()))?;
    if text.len() > most { Err(failure("it is too long".to_owned())) } else { Ok(text) }
}

/// Records a decision that holds, or that one was handed in which does not. Returns what was decided, and the gate after it.
async fn record(
    journal: &Journal,
    reader: &Reader,
    run: &RunId,
    gate: &StepId,
    text: &str,
    signature: &str,
) -> Result<(Vote, GateState), Failure> {
    for _ in 0..ATTEMPTS {
        // The run goes on meanwhile: what is judged is the gate as it is when the decision is written.
        let (mut gates, last) = read(reader, run)?;
        let now = moment();
        let state = gates.gate(gate).ok_or_else(|| Failure::new(Exit::Usage, format!("run {run} waits at no gate")))?;
        let vote = match state.consider(text, signature, &now) {
            Ok(vote) => vote,
            Err(refused) => return Err(refuse(journal, run, gate, signature, &refused).await),
        };
        let approval = SignedApproval {
            text: text.to_owned(),
            signature: signature.to_owned(),
            principal: vote.principal.clone(),
            key: vote.key.clone(),
        };
        let (step, actor) = (gate.clone(), loading::actor());
        let event = match vote.decision {
            Decision::Approve => EventKind::Approved { step, approval, actor, recorded: now },
            Decision::Reject => EventKind::Rejected { step, approval, actor, recorded: now },
        };
        match journal.append_expecting(run, last, vec![event.clone()]).await {
            Err(JournalError::Conflict { .. }) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Err(error) => return Err(error.into()),
            Ok(_) => {
                gates.apply(&event);
                let after = gates.gate(gate).cloned();
                return after
                    .map(|after| (vote, after))
                    .ok_or_else(|| Failure::new(Exit::Internal, "the gate is gone"));
            }
        }
    }
    let busy = "the run writes without pause, and the decision could not be recorded";
    Err(Failure::new(Exit::Internal, busy).hint("try again"))
}

async fn refuse(journal: &Journal, run: &RunId, gate: &StepId, signature: &str, refused: &Refused) -> Failure {
    let event = EventKind::ApprovalRefused {
        step: gate.clone(),
        reason: refused.to_string(),
        key: signing_key(signature),
        actor: loading::actor(),
    };
    let failure = Failure::new(Exit::Invalid, format!("the decision does not hold: {refused}"));
    match journal.append(run, vec![event], pipe_journal::Durability::Durable).await {
        Ok(_) => failure,
        Err(error) => failure.hint(format!("that could not be written down either: {error}")),
    }
}

fn tell(run: &RunId, vote: &Vote, after: &GateState, state: &Path, printer: Printer) {
    let gate = &after.opening.gate;
    let (word, style) = match vote.decision {
        Decision::Approve => ("approved", GOOD),
        Decision::Reject => ("rejected", BAD),
    };
    let standing = after.standing(&moment());
    if printer.json() {
        printer.value(&serde_json::json!({
            "schema": "pipe.approval/v1", "run": run, "gate": gate, "decision": vote.decision.word(),
            "principal": vote.principal, "key": vote.key,
            "passed": standing == Standing::Decided(GateEnd::Passed), "checklist": after.checklist(),
        }));
        return;
    }
    let step = styled(STRONG, &gate.to_string());
    printer.result(&format!("{} {step} of {run} as {} ({})", styled(style, word), vote.principal, vote.key));
    match standing {
        Standing::Decided(_) => {
            printer.result(&format!(
                "a run that waits goes on by itself; else `pipe resume {run} --state {}` drives it on",
                places::in_shell(state)
            ));
        }
        Standing::Open { missing, unsettled, .. } => {
            if missing > 0 {
                let people = if missing == 1 { "person" } else { "people" };
                printer.result(&format!("{missing} more {people} of {} must approve", after.opening.role));
            }
            for item in unsettled {
                printer.result(&format!("nobody has attested or waived \"{item}\""));
            }
        }
    }
}
