//! `pipe:host/mail`.

use std::sync::Arc;

use pipe_effects::mail::Message;

use super::{HostResult, told};
use crate::{bindings::host::pipe::host::mail as wit, state::State};

impl wit::Host for State {
    async fn send(&mut self, peer: String, message: wit::Message) -> HostResult<wit::Posted> {
        let session = Arc::clone(&self.session);
        let posted = session.send_mail(&peer, message.into()).await;
        told(posted.map(|posted| wit::Posted { message_id: posted.message_id, answer: posted.answer }))
    }
}

impl From<wit::Message> for Message {
    fn from(message: wit::Message) -> Self {
        let wit::Message { from, to, cc, subject, text, html } = message;
        Self { from, to, cc, subject, text, html }
    }
}
