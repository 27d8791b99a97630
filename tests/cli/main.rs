//! The command line, as an operator meets it.

mod audit;
mod audit_page;
mod bad_input;
mod diff;
mod example;
mod failure;
mod faults;
mod help;
mod inspect;
mod interrupt;
mod lock;
mod output;
mod ownership;
mod policy;
mod readme;
mod record;
mod single_files;
mod suggest;
mod tidy;
mod wrong;
