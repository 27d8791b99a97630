//! Whatever bytes stand in a plugin's file, loading it ends with a plugin or an error in words.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pipe_sandbox::Sandbox;
use tokio::runtime::{Builder, Runtime};

fn host() -> &'static (Sandbox, Runtime) {
    static HOST: OnceLock<(Sandbox, Runtime)> = OnceLock::new();
    HOST.get_or_init(|| {
        let (sandbox, _) = Sandbox::new(None).expect("an engine");
        (sandbox, Builder::new_current_thread().enable_all().build().expect("a runtime"))
    })
}

fuzz_target!(|bytes: &[u8]| {
    let (sandbox, runtime) = host();
    match runtime.block_on(sandbox.load("fuzzed", bytes)) {
        Ok(plugin) => assert!(!plugin.contract.version.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
