//! `pipe:host/checkpoint`.

use std::sync::Arc;

use pipe_effects::error::{EffectError, ErrorKind};

use super::{HostResult, told};
use crate::{bindings::host::pipe::host::checkpoint as wit, state::State};

/// The largest receipt, in bytes.
const LARGEST_RECEIPT: usize = 1 << 20;
/// The longest key, in bytes.
const LONGEST_KEY: usize = 256;
/// The most receipts of one call.
const MOST_RECEIPTS: u32 = 1_000;

impl wit::Host for State {
    async fn save(&mut self, key: String, data: Vec<u8>, summary: String) -> HostResult<()> {
        let limit = |what: String| told(Err(EffectError::new(ErrorKind::Limit, what)));
        if data.len() > LARGEST_RECEIPT {
            return limit(format!("a receipt of {} bytes: at most {LARGEST_RECEIPT}", data.len()));
        }
        if key.is_empty() || key.len() > LONGEST_KEY {
            return limit(format!("the key of a receipt has {} bytes: 1 to {LONGEST_KEY}", key.len()));
        }
        if self.receipts >= MOST_RECEIPTS {
            return limit(format!("more than {MOST_RECEIPTS} receipts in one call"));
        }
        self.receipts += 1;
        let (key, summary) = (self.lines.clean(&key), self.lines.clean(&summary));
        let session = Arc::clone(&self.session);
        told(session.checkpoint(&key, &data, &summary).await)
    }
}
