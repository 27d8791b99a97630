//! Links every host interface, always: a component's imports are mandatory, so that one missing interface would make a
//! plugin impossible even to describe. Each call asks the grant.

use wasmtime::{
    Engine,
    component::{HasSelf, Linker},
};
use wasmtime_wasi::{
    filesystem::WasiFilesystemCtxView,
    p2::bindings::{cli::environment, filesystem},
    sockets::WasiSocketsCtxView,
};

use crate::{
    bindings::host::Imports,
    filesystem::{FenceView, Fenced},
    network::{self, NetworkView},
    state::State,
};

/// The linker that all plugins share.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    // Files go through the fence, sockets and names through the session, and variables are written down.
    linker.allow_shadowing(true);
    environment::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    filesystem::types::add_to_linker::<State, Fenced>(&mut linker, State::fenced)?;
    filesystem::preopens::add_to_linker::<State, Fenced>(&mut linker, State::fenced)?;
    network::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Imports::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

impl State {
    fn fenced(&mut self) -> FenceView<'_> {
        let Self { fence, wasi, table, .. } = self;
        FenceView { fence, inner: WasiFilesystemCtxView { ctx: wasi.filesystem(), table } }
    }

    /// The sockets of the Store.
    pub(crate) fn network(&mut self) -> NetworkView<'_> {
        let Self { session, sockets, wasi, table, .. } = self;
        NetworkView { session, open: sockets, inner: WasiSocketsCtxView { ctx: wasi.sockets(), table } }
    }
}

/// Whether the host offers an interface, whatever its patch version.
pub(crate) fn offers(import: &str) -> bool {
    const OFFERED: [&str; 9] = [
        "pipe:host/",
        "pipe:stage/types",
        "wasi:cli/",
        "wasi:clocks/",
        "wasi:filesystem/",
        "wasi:http/",
        "wasi:io/",
        "wasi:random/",
        "wasi:sockets/",
    ];
    OFFERED.iter().any(|prefix| import.starts_with(prefix))
}
