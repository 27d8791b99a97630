//! Secrets that a guest is told. There is no way back from it: what it does with them then is its own business.

use pipe_capability::{denial::Denial, word::Word};

use crate::{error::EffectError, session::Session};

impl Session {
    /// The plaintext of a secret, without the line break that files end with. Everything that the guest says keeps being
    /// masked all the same.
    ///
    /// # Errors
    ///
    /// The grant does not name it, the pipeline file does not declare it, or the journal cannot be written.
    pub async fn reveal(&self, name: &str) -> Result<String, EffectError> {
        let rule = match self.grant.reveal(name) {
            Ok(rule) => rule.to_string(),
            // No line would help where there is no such secret.
            Err(_) if self.world.secrets.get(name).is_none() => {
                let denial = Denial::new(Word::Reveal, name, "`[secrets]` does not declare it");
                return Err(self.refuse(denial).await);
            }
            Err(denial) => return Err(self.refuse(denial).await),
        };
        let value = self.secret_value(name)?.to_owned();
        self.used("reveal", name.to_owned(), rule, false).await?;
        Ok(value)
    }

    /// A text from outside as a guest may see it: with every secret masked but those that it may be told.
    pub(crate) fn masked_for_guest(&self, text: &str) -> String {
        let told = |rule: &pipe_capability::reveal::RevealRule| {
            self.secret_value(rule.name()).is_ok_and(|value| value == text.trim())
        };
        if self.grant.reveal.iter().any(told) { text.to_owned() } else { self.world.redactor.redact(text).into_owned() }
    }
}
