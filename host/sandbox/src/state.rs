//! What a Store holds: the guest's WASI state, its handles, its limits, and the session through which it acts.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use pipe_core::digest::Digest;
use pipe_effects::session::Session;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{filesystem::Fence, http::Sender, limits::Limiter, lines::LineBudget};

/// The data of one Store. Made for one call and never used again.
pub(crate) struct State {
    pub(crate) session: Arc<Session>,
    pub(crate) limiter: Limiter,
    pub(crate) table: ResourceTable,
    pub(crate) fence: Fence,
    pub(crate) lines: LineBudget,
    /// Sockets that are open.
    pub(crate) sockets: usize,
    /// The operator's variables, once the guest has asked WASI for them.
    pub(crate) variables: Option<Vec<(String, String)>>,
    /// When the call must end, and how long it may take. A description has no clock, and so no end.
    pub(crate) ends: Option<Instant>,
    /// Receipts saved so far.
    pub(crate) receipts: u32,
    /// Artifacts stored by this call. Shared, since it is read after the Store is gone.
    pub(crate) stored: Arc<Mutex<HashSet<Digest>>>,
    pub(crate) wasi: WasiCtx,
    pub(crate) http: WasiHttpCtx,
    pub(crate) sender: Sender,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.sender }
    }
}
