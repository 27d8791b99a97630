//! The supervisor by itself, for the tests: what `pipe __confine` does.

use std::process::ExitCode;

fn main() -> ExitCode {
    let status = pipe_effects::confine::confine_main(std::env::args_os().skip(1));
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
