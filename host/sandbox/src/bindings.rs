//! Generated from `wit/`: the traits that the host implements, and the calls that a stage offers.
//!
//! Six stage worlds share one set of types, so that only this file knows that there are six.

#![expect(unreachable_pub, reason = "generated; the WIT files document every item")]

/// What guests import from the host.
pub mod host {
    wasmtime::component::bindgen!({
        path: "../../wit/host",
        world: "pipe:host/imports",
        imports: {
            "pipe:host/log.write": trappable,
            "pipe:host/log.progress": trappable,
            "pipe:host/run.remaining-ms": trappable,
            "pipe:host/sql.[method]connection.dialect": trappable,
            default: async | trappable,
        },
        with: {
            "pipe:host/sql.connection": crate::host::sql::Connection,
            "pipe:host/process.child": crate::host::process::Running,
        },
    });
}

/// What every stage plugin exports first.
pub mod precheck {
    wasmtime::component::bindgen!({
        path: "../../wit/stage",
        world: "pipe:stage/precheck-plugin",
        exports: { default: async },
    });
}

/// The types that all stages share.
pub use precheck::pipe::stage::types;

macro_rules! world {
    ($module:ident, $world:literal) => {
        pub mod $module {
            wasmtime::component::bindgen!({
                path: "../../wit/stage",
                world: $world,
                exports: { default: async },
                with: { "pipe:stage/types": super::types },
            });
        }
    };
}

world!(backup, "pipe:stage/backup-plugin");
world!(migrate, "pipe:stage/migrate-plugin");
world!(release, "pipe:stage/release-plugin");
world!(verify, "pipe:stage/verify-plugin");
world!(notify, "pipe:stage/notify-plugin");
world!(undoable, "pipe:stage/undoable");
world!(previewable, "pipe:stage/previewable");
