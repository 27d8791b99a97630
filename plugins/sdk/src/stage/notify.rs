//! The notify stage: tells people and systems.

use super::{Adapter, settings};
use crate::bindings::notify::exports::pipe::stage::notify as guest;
use crate::{Context, Failure, Plugin};

pub use guest::{Report, StepSummary};

/// What there is to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// `started`, `step-failed`, `succeeded`, `failed`, `rollback-started`, `rolled-back`, `rollback-failed`, or `step`
    /// where the notification is a step of its own.
    pub event: String,
    /// One line for people: what happened and why.
    pub headline: String,
    /// How far the run has come.
    pub steps: Vec<StepSummary>,
}

/// A plugin of the notify stage.
pub trait Notify: Plugin {
    /// Tells. Called at least once per event.
    ///
    /// # Errors
    ///
    /// What kept the plugin from telling anyone.
    fn send(context: &Context, settings: Self::Settings, news: News) -> Result<Report, Failure>;
}

impl<T: Notify> guest::Guest for Adapter<T> {
    fn send(request: guest::Request) -> Result<Report, Failure> {
        let settings = settings::<T>(&request.context)?;
        let news = News { event: request.event, headline: request.headline, steps: request.steps };
        T::send(&request.context, settings, news)
    }
}

#[doc(hidden)]
pub const fn implemented<T: Notify>() {}
