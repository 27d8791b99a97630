//! The six stages and the two optional interfaces: a trait each, and the macro that exports a type as a component.

pub mod backup;
pub mod migrate;
pub mod notify;
pub mod precheck;
pub mod preview;
pub mod release;
pub mod undo;
pub mod verify;

use std::marker::PhantomData;

use crate::{Context, Failure, Plugin, bindings};

/// Turns a [`Plugin`] into what the generated bindings want. The export macros name it; nobody else needs to.
#[doc(hidden)]
#[derive(Debug)]
pub struct Adapter<T>(PhantomData<T>);

impl<T: Plugin> bindings::describe::exports::pipe::stage::describe::Guest for Adapter<T> {
    fn describe() -> bindings::describe::exports::pipe::stage::describe::Description {
        T::describe().with_schema::<T::Settings>()
    }
}

/// The step's `with`, as the plugin's own type. The host has validated it, so this fails only where schema and type
/// of a plugin disagree.
fn settings<T: Plugin>(context: &Context) -> Result<T::Settings, Failure> {
    serde_json::from_str(&context.settings).map_err(|error| Failure::settings(format!("settings of the step: {error}")))
}

/// Exports a type that implements [`precheck::Precheck`]; behind it, the optional interfaces it implements too:
/// `export_precheck!(Type, preview)`.
#[macro_export]
macro_rules! export_precheck {
    ($plugin:ty $(, $optional:ident)* $(,)?) => { $crate::__export!($plugin, precheck $(, $optional)*); };
}

/// Exports a type that implements [`backup::Backup`]: `export_backup!(Type)`, `export_backup!(Type, undo, preview)`.
#[macro_export]
macro_rules! export_backup {
    ($plugin:ty $(, $optional:ident)* $(,)?) => { $crate::__export!($plugin, backup $(, $optional)*); };
}

/// Exports a type that implements [`migrate::Migrate`]: `export_migrate!(Type)`, `export_migrate!(Type, undo, preview)`.
#[macro_export]
macro_rules! export_migrate {
    ($plugin:ty $(, $optional:ident)* $(,)?) => { $crate::__export!($plugin, migrate $(, $optional)*); };
}

/// Exports a type that implements [`release::Release`]: `export_release!(Type)`, `export_release!(Type, undo, preview)`.
#[macro_export]
macro_rules! export_release {
    ($plugin:ty $(, $optional:ident)* $(,)?) => { $crate::__export!($plugin, release $(, $optional)*); };
}

/// Exports a type that implements [`verify::Verify`]: `export_verify!(Type)`, `export_verify!(Type, preview)`.
#[macro_export]
macro_rules! export_verify {
    ($plugin:ty $(, $optional:ident)* $(,)?) => { $crate::__export!($plugin, verify $(, $optional)*); };
}

/// Exports a type that implements [`notify::Notify`]: `export_notify!(Type)`, `export_notify!(Type, preview)`.
#[macro_export]
macro_rules! export_notify {
    ($plugin:ty $(, $optional:ident)* $(,)?) => { $crate::__export!($plugin, notify $(, $optional)*); };
}

/// What the export macros share. Nothing is exported on other targets, so that tests run natively.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty $(, $interface:ident)*) => {
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            $( const _: () = $crate::stage::$interface::implemented::<$plugin>(); )*
        };
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, reason = "generated")]
        const _: () = {
            type Exported = $crate::stage::Adapter<$plugin>;
            $crate::bindings::describe::export!(Exported with_types_in $crate::bindings::describe);
            $( $crate::bindings::$interface::export!(Exported with_types_in $crate::bindings::$interface); )*
        };
    };
}
