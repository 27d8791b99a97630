//! The operator's variables: one by one, or all that are granted.

use pipe_capability::word::Word;
use pipe_core::event::Use;

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

    /// Every variable that the grant names and that is set, for a guest that takes its whole environment. Each is written
    /// down as a use. Secrets in them are masked.
    ///
    /// # Errors
    ///
    /// The journal cannot be written.
    pub fn variables(&self) -> Result<Vec<(String, String)>, EffectError> {
        let mut variables = Vec::new();
        for (name, value) in &self.world.environment {
            let Some(rule) = self.grant.env.iter().find(|rule| rule.name() == name) else { continue };
            let (word, subject) = (Word::Env.as_str().to_owned(), name.clone());
            self.record_at_once(Use { word, subject, rule: rule.to_string(), ..Use::default() })?;
            variables.push((name.clone(), self.masked_for_guest(value)));
        }
        Ok(variables)
    }
}
