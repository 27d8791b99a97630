//! `pipe:host/log`.

use pipe_core::event::LogLevel;

use crate::{bindings::host::pipe::host::log as wit, state::State};

impl wit::Host for State {
    fn write(&mut self, level: wit::Level, message: String, fields: Vec<wit::Field>) -> wasmtime::Result<()> {
        let level = match level {
            wit::Level::Debug => LogLevel::Debug,
            wit::Level::Info => LogLevel::Info,
            wit::Level::Warning => LogLevel::Warning,
            wit::Level::Error => LogLevel::Error,
        };
        let fields: Vec<_> = fields.into_iter().map(|field| (field.key, field.value)).collect();
        self.lines.say(level, &message, &fields);
        Ok(())
    }

    fn progress(&mut self, message: String, done: u64, total: Option<u64>) -> wasmtime::Result<()> {
        self.session.ledger.progress(self.lines.clean(&message), done, total);
        Ok(())
    }
}
