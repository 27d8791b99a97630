//! What `wit-bindgen` makes of the contract. One world for everything the host offers: what a plugin does not call is
//! not among the imports of its component. One world per thing that a plugin can export.
#![allow(missing_docs, unreachable_pub, unsafe_code, unused_imports, clippy::all, reason = "generated")]

pub mod host {
    wit_bindgen::generate!({
        inline: r#"
            package pipe:sdk;
            world host {
                import pipe:stage/types@0.1.0;
                import pipe:host/errors@0.1.0;
                import pipe:host/log@0.1.0;
                import pipe:host/run@0.1.0;
                import pipe:host/environment@0.1.0;
                import pipe:host/secret@0.1.0;
                import pipe:host/checkpoint@0.1.0;
                import pipe:host/sql@0.1.0;
                import pipe:host/mail@0.1.0;
                import pipe:host/process@0.1.0;
                import pipe:host/artifact@0.1.0;
                import pipe:host/disk@0.1.0;
                import pipe:host/files@0.1.0;
                import pipe:host/tls@0.1.0;
            }
        "#,
        path: ["../../wit/stage", "../../wit/host"],
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

pub mod describe {
    wit_bindgen::generate!({
        inline: "package pipe:sdk-describe; world sdk-describe { export pipe:stage/describe@0.1.0; }",
        path: ["../../wit/stage"],
        generate_all,
        pub_export_macro: true,
    });
}

macro_rules! exported {
    ($name:ident, $include:literal $(, default $selector:literal)?) => {
        pub mod $name {
            wit_bindgen::generate!({
                inline: $include,
                path: ["../../wit/stage"],
                with: { "pipe:stage/types@0.1.0": crate::bindings::host::pipe::stage::types },
                generate_all,
                pub_export_macro: true,
                additional_derives: [PartialEq],
                additional_type_attributes: { $($selector: [#[derive(Default)]])? },
            });
        }
    };
}

exported!(
    precheck,
    "package pipe:sdk-precheck; world sdk-precheck { export pipe:stage/precheck@0.1.0; }",
    default "pipe:stage/precheck@0.1.0/report"
);
exported!(
    backup,
    "package pipe:sdk-backup; world sdk-backup { export pipe:stage/backup@0.1.0; }",
    default "pipe:stage/backup@0.1.0/report"
);
exported!(
    migrate,
    "package pipe:sdk-migrate; world sdk-migrate { export pipe:stage/migrate@0.1.0; }",
    default "pipe:stage/migrate@0.1.0/report"
);
exported!(
    release,
    "package pipe:sdk-release; world sdk-release { export pipe:stage/release@0.1.0; }",
    default "pipe:stage/release@0.1.0/report"
);
exported!(
    verify,
    "package pipe:sdk-verify; world sdk-verify { export pipe:stage/verify@0.1.0; }",
    default "pipe:stage/verify@0.1.0/report"
);
exported!(
    notify,
    "package pipe:sdk-notify; world sdk-notify { export pipe:stage/notify@0.1.0; }",
    default "pipe:stage/notify@0.1.0/report"
);
exported!(
    undo,
    "package pipe:sdk-undo; world sdk-undo { export pipe:stage/undo@0.1.0; }",
    default "pipe:stage/undo@0.1.0/report"
);
exported!(preview, "package pipe:sdk-preview; world sdk-preview { export pipe:stage/preview@0.1.0; }");
