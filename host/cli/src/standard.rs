//! The standard plugins, inside the binary. Components like any vendor's: nothing but their name is special.

use pipe_core::stage::Stage;

/// The component of a stage's standard plugin.
pub(crate) fn component(stage: Stage) -> &'static [u8] {
    match stage {
        Stage::Precheck => include_bytes!(concat!(env!("OUT_DIR"), "/precheck.wasm")),
        Stage::Backup => include_bytes!(concat!(env!("OUT_DIR"), "/backup.wasm")),
        Stage::Migrate => include_bytes!(concat!(env!("OUT_DIR"), "/migrate.wasm")),
        Stage::Release => include_bytes!(concat!(env!("OUT_DIR"), "/release.wasm")),
        Stage::Verify => include_bytes!(concat!(env!("OUT_DIR"), "/verify.wasm")),
        Stage::Notify => include_bytes!(concat!(env!("OUT_DIR"), "/notify.wasm")),
    }
}
