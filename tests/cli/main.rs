//! The command line, as an operator meets it.

mod audit;
mod audit_page;
mod bad_input;
mod bound;
mod diff;
mod example;
mod failure;
mod for_each;
mod help;
mod hints;
mod inspect;
mod interrupt;
mod lock;
mod output;
mod policy;
mod prune;
mod readme;
mod record;
mod report;
mod report_page;
mod resume;
mod single_files;
mod suggest;
mod tidy;
mod wrong;
