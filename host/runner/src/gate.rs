//! Gates: people who decide, and how it is known that it was they.
//!
//! What somebody decides is a [text](approval::Approval) that names run, pipeline, environment, gate, plan and opening, signed with
//! an SSH key. `signers` says whose key it is, `judge` whether the decision holds, `tally` what a gate has come to: all of it
//! pure. Only `pinned` reads files, `clock` clocks, and `wait` the journal.

mod approval;
mod clock;
mod judge;
mod pinned;
#[cfg(test)]
mod scene;
mod signature;
mod signers;
mod tally;
mod wait;

pub use self::{
    approval::{Approval, Decision, MAXIMUM_TEXT, NotAnApproval, Remark},
    clock::moment,
    judge::{Opening, Refused, Vote},
    pinned::check_signers,
    signature::{BadSignature, CannotSign, MAXIMUM_SIGNATURE, NAMESPACE, fingerprint, private_key, sign, signing_key},
    signers::{BadSigners, MAXIMUM_SIGNERS, Signer, Signers},
    tally::{GateState, Gates, Standing},
};
pub(crate) use self::{
    pinned::{SignersFiles, read_signers},
    wait::Waited,
};
