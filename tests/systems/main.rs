//! The systems of `pipelines/`, deployed for real: the real `pipe`, a real PostgreSQL, real programs. Services are small,
//! but they listen, speak TLS and look at what was deployed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod certificates;
mod https;
mod kubernetes_stand_in;
mod lock;
mod lock_scene;
mod mail;
mod mail_server;
mod medical_system;
mod network_checks;
mod outlived;
mod postgres;
mod programs;
mod prometheus;
mod secrets;
mod slack;
mod traps;
mod watch;
mod waves;
