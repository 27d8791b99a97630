//! The operator's variables, one by one.

use crate::{error::EffectError, session::Session};

impl Session {
    /// The value of a variable, or nothing where it is not set. A secret in it is masked, unless the guest may be told it.
    ///
    /// # Errors
    ///
    /// The grant does not name it, or the journal cannot be written.
    pub async fn variable(&self, name: &str) -> Result<Option<String>, EffectError> {
        let rule = match self.grant.env(name) {
            Ok(rule) => rule.to_string(),
            Err(denial) => return Err(self.refuse(denial).await),
        };
        self.used("env", name.to_owned(), rule, false).await?;
        Ok(self.world.environment.get(name).map(|value| self.masked_for_guest(value)))
    }
}
