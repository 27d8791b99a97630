//! Values of secrets, from where the pipeline file says. Resolved before the first step, and known to the redactor at once.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use pipe_core::{
    diagnostic::Diagnostic,
    redact::{MINIMUM_SECRET_BYTES, Redactor},
};
use pipe_effects::world::Secrets;
use pipe_pipeline::{Pipeline, SecretSource};
use secrecy::{ExposeSecret as _, SecretString};

/// The largest secret, in bytes.
const LARGEST_SECRET: u64 = 64 << 10;

/// Resolves every secret, and reports all that cannot be.
pub(crate) fn resolve(
    pipeline: &Pipeline,
    environment: &BTreeMap<String, String>,
    redactor: &Redactor,
) -> Result<Secrets, Vec<Diagnostic>> {
    let (secrets, missing) = found(pipeline, environment, redactor);
    if missing.is_empty() { Ok(secrets) } else { Err(missing.into_values().collect()) }
}

/// The secrets that are there, and what is wrong with each that is not, by its name. The redactor knows all that are there.
pub(crate) fn found(
    pipeline: &Pipeline,
    environment: &BTreeMap<String, String>,
    redactor: &Redactor,
) -> (Secrets, BTreeMap<String, Diagnostic>) {
    let mut values = BTreeMap::new();
    let mut missing = BTreeMap::new();
    for (name, source) in &pipeline.secrets {
        match value(source, environment).and_then(|value| {
            redactor.register(name, &value).map_err(|error| (error.to_string(), "use a longer one".to_owned()))?;
            Ok(value)
        }) {
            Ok(value) => {
                values.insert(name.clone(), value);
            }
            Err((problem, hint)) => {
                let missed = Diagnostic::error("secret-missing", format!("secret `{name}`: {problem}")).hint(hint);
                let missed = match pipeline.secret_spans.get(name) {
                    Some(span) => missed.at(&pipeline.file, span.clone(), "declared here"),
                    None => missed,
                };
                missing.insert(name.clone(), missed);
            }
        }
    }
    for path in pipeline.peers.values().filter_map(|peer| values.get(peer.secret_path.as_ref()?)) {
        register_path(path, redactor);
    }
    (Secrets(values), missing)
}

/// A path is shown without its slashes, or in pieces, by whoever answers for it. Pieces too short to be told from other words
/// stay.
fn register_path(path: &SecretString, redactor: &Redactor) {
    let whole = path.expose_secret().trim().trim_matches('/');
    for part in std::iter::once(whole).chain(whole.split('/')).filter(|part| part.len() >= MINIMUM_SECRET_BYTES) {
        // It is long enough.
        let _ = redactor.register("secret_path", &SecretString::from(part));
    }
}

/// The value, or what is wrong and what would help.
fn value(source: &SecretSource, environment: &BTreeMap<String, String>) -> Result<SecretString, (String, String)> {
    match source {
        SecretSource::Env(variable) => match environment.get(variable) {
            Some(value) if !value.is_empty() => Ok(SecretString::from(value.clone())),
            Some(_) => Err((format!("the variable {variable} is empty"), format!("export {variable} before the run"))),
            None => Err((format!("the variable {variable} is not set"), format!("export {variable} before the run"))),
        },
        SecretSource::File(path) => read(path),
    }
}

fn read(path: &Path) -> Result<SecretString, (String, String)> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        (format!("cannot read {shown}: {error}"), format!("put the value into {shown}, readable by this user alone"))
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err((format!("{shown} is not a regular file"), "name a file".to_owned()));
    }
    refuse_readable_by_others(path, &metadata)?;
    let mut text = String::new();
    file.by_ref().take(LARGEST_SECRET + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LARGEST_SECRET {
        return Err((format!("{shown} is larger than 64 KiB"), "a secret is a password, a token or a key".to_owned()));
    }
    let trimmed = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(trimmed);
    Ok(SecretString::from(text))
}

/// A secret that everybody on the machine can read is none.
fn refuse_readable_by_others(path: &Path, metadata: &std::fs::Metadata) -> Result<(), (String, String)> {
    use std::os::unix::fs::MetadataExt as _;
    if metadata.mode() & 0o004 == 0 {
        return Ok(());
    }
    let shown = path.display();
    Err((format!("{shown} can be read by every user of this machine"), format!("chmod 600 {shown}")))
}
