//! Compiled components, kept between runs. What is read back is machine code that will be run: each entry carries a MAC
//! whose key lies beside it, where no grant can reach.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use pipe_core::digest::Digest;
use wasmtime::{Engine, component::Component};

/// Why the cache cannot be used. Never a reason not to run: the component is compiled again.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The directory cannot be made or read.
    #[error("cannot use the cache {path}: {source}")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may write there: an entry could be replaced together with its key.
    #[error("the cache {path} may be written by others")]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
}

/// A compiled component and what is known of it.
pub(crate) struct Entry {
    pub(crate) component: Component,
    /// JSON that was stored beside the code.
    pub(crate) facts: Vec<u8>,
}

/// A directory of compiled components.
pub(crate) struct Cache {
    directory: PathBuf,
    key: [u8; 32],
    compatibility: blake3::Hash,
}

const MAC_BYTES: usize = 32;

impl Cache {
    /// Opens the cache, and makes it where it is missing.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Result<Self, CacheError> {
        let unusable = |source| CacheError::Unusable { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
        let metadata = fs::metadata(directory).map_err(unusable)?;
        let owner = fs::metadata("/proc/self").map_or(metadata.uid(), |own| own.uid());
        if metadata.mode() & 0o022 != 0 || metadata.uid() != owner {
            return Err(CacheError::NotPrivate { path: directory.to_owned() });
        }
        let key = read_or_make_key(&directory.join("key")).map_err(unusable)?;
        Ok(Self { directory: directory.to_owned(), key, compatibility: compatibility(engine) })
    }

    /// The compiled form of a component, if it was kept by this very engine and has not been touched since.
    pub(crate) fn get(&self, engine: &Engine, digest: &Digest) -> Option<Entry> {
        let name = self.name(digest);
        let bytes = fs::read(self.directory.join(&name)).ok()?;
        let (mac, payload) = bytes.split_first_chunk::<MAC_BYTES>()?;
        // Comparing blake3 hashes takes the same time whatever differs.
        if self.mac(&name, payload) != blake3::Hash::from_bytes(*mac) {
            tracing::warn!(entry = %name, "a cache entry has been changed and is not used");
            return None;
        }
        let (length, rest) = payload.split_first_chunk::<8>()?;
        let (facts, code) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let component = load(engine, code)?;
        Some(Entry { component, facts: facts.to_vec() })
    }

    /// Keeps a compiled component. Whole or not at all.
    pub(crate) fn put(&self, digest: &Digest, component: &Component, facts: &[u8]) -> Result<(), CacheError> {
        let unusable = |source| CacheError::Unusable { path: self.directory.clone(), source };
        let code = component.serialize().map_err(|error| unusable(io::Error::other(error.to_string())))?;
        let mut payload = (facts.len() as u64).to_le_bytes().to_vec();
        payload.extend_from_slice(facts);
        payload.extend_from_slice(&code);
        let name = self.name(digest);
        let partial = self.directory.join(format!(".{name}.{}", std::process::id()));
        let write = || {
            let mut file = private(&partial)?;
            file.write_all(self.mac(&name, &payload).as_bytes())?;
            file.write_all(&payload)?;
            fs::rename(&partial, self.directory.join(&name))
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&partial);
            unusable(error)
        })
    }

    /// A directory that holds nothing, beside the entries: what a guest sees where nothing is granted.
    pub(crate) fn empty_directory(&self) -> io::Result<PathBuf> {
        let path = self.directory.join("nowhere");
        match DirBuilder::new().mode(0o500).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(path),
        }
    }

    fn name(&self, digest: &Digest) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(digest.as_bytes());
        hasher.update(self.compatibility.as_bytes());
        format!("{}.cwasm", hasher.finalize().to_hex())
    }

    fn mac(&self, name: &str, payload: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes());
        hasher.update(payload);
        hasher.finalize()
    }
}

#[expect(unsafe_code, reason = "wasmtime cannot check compiled code; the MAC says that it is ours")]
fn load(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: the caller has checked a MAC over `code` with a key that only this user can read, so the bytes are what
    // `Component::serialize` of a compatible engine returned in a process of this user.
    unsafe { Component::deserialize(engine, code) }.ok()
}

/// What compiled code depends on: wasmtime, its settings, the machine, and our own version.
fn compatibility(engine: &Engine) -> blake3::Hash {
    struct Blake(blake3::Hasher);
    impl Hasher for Blake {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut hasher = Blake(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    hasher.0.finalize()
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The key of the cache: 32 bytes from the system, made by the first process that needs them.
fn read_or_make_key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    match File::open(path) {
        Ok(mut file) => file.read_exact(&mut key).map(|()| key),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open("/dev/urandom")?.read_exact(&mut key)?;
            let partial = path.with_extension(format!("{}", std::process::id()));
            private(&partial)?.write_all(&key)?;
            // A hard link fails where another process was faster: its key counts.
            let linked = fs::hard_link(&partial, path);
            fs::remove_file(&partial)?;
            match linked {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_or_make_key(path),
                other => other.map(|()| key),
            }
        }
        Err(error) => Err(error),
    }
}
