//! `pipe:host/environment`, and `wasi:cli/environment` over the same variables.

use std::sync::Arc;

use wasmtime_wasi::p2::bindings::cli::environment as wasi;

use super::{HostResult, told};
use crate::{bindings::host::pipe::host::environment as wit, state::State};

impl wit::Host for State {
    async fn variable(&mut self, name: String) -> HostResult<Option<String>> {
        let session = Arc::clone(&self.session);
        told(session.variable(&name).await)
    }
}

/// A guest that asks takes everything at once, and each variable counts as used. One that never asks has used none.
impl wasi::Host for State {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        if let Some(variables) = &self.variables {
            return Ok(variables.clone());
        }
        // There is no error that the guest could be told.
        let variables = self.session.variables().map_err(wasmtime::Error::new)?;
        Ok(self.variables.insert(variables).clone())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}
