//! The one engine of a process, and the clock that lets it interrupt guests.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use wasmtime::{Config, Engine, EngineWeak};

/// How often a running guest lets the host look up: the precision of every deadline over guest code.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Builds the engine. There is one configuration: compiled code is only good for the engine that made it.
///
/// # Errors
///
/// The machine lacks what wasmtime needs.
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.concurrency_support(false);
    config.epoch_interruption(true);
    // A guest's stack overflow is a trap, never ours: the fiber's stack leaves room for host calls.
    config.max_wasm_stack(1 << 20);
    config.async_stack_size(2 << 20);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20));
    config.memory_init_cow(true);
    Engine::new(&config)
}

/// Advances the engine's epoch while any guest runs, and sleeps otherwise.
pub(crate) struct Ticker {
    running: Arc<AtomicUsize>,
    thread: thread::Thread,
}

/// A guest that runs. The epoch advances at least until it is dropped.
pub(crate) struct Running<'t> {
    ticker: &'t Ticker,
}

impl Ticker {
    /// Starts the thread. It ends with the engine.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let running = Arc::new(AtomicUsize::new(0));
        let weak = engine.weak();
        let count = Arc::downgrade(&running);
        let handle = thread::Builder::new().name("epoch".to_owned()).spawn(move || tick(&weak, &count))?;
        Ok(Self { running, thread: handle.thread().clone() })
    }

    /// Says that a guest runs.
    pub(crate) fn running(&self) -> Running<'_> {
        if self.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.unpark();
        }
        Running { ticker: self }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.thread.unpark();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.ticker.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &EngineWeak, running: &Weak<AtomicUsize>) {
    loop {
        match running.upgrade() {
            None => return,
            Some(count) if count.load(Ordering::SeqCst) == 0 => {
                drop(count);
                thread::park_timeout(Duration::from_secs(1));
            }
            Some(_) => {
                thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        }
    }
}
