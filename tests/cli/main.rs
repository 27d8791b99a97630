//! The command line, as an operator meets it.

mod audit;
mod audit_page;
mod bad_input;
mod example;
mod failure;
mod help;
mod inspect;
mod interrupt;
mod output;
mod policy;
mod readme;
mod record;
mod single_files;
mod tidy;
mod wrong;
