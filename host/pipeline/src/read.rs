//! Reads the pipeline file from disk, and not more of it than a pipeline file may have.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use pipe_core::diagnostic::{Diagnostic, SourceFile};

/// The largest pipeline file, in bytes.
pub const MAXIMUM_FILE_BYTES: u64 = 1 << 20;

/// Reads a pipeline file.
///
/// # Errors
///
/// One diagnostic, without a place: the file is missing, a directory, a special file, not readable, larger than
/// [`MAXIMUM_FILE_BYTES`] or not UTF-8.
pub fn read(path: &Path) -> Result<Arc<SourceFile>, Vec<Diagnostic>> {
    let bytes = bounded(path).map_err(|diagnostic| vec![diagnostic])?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        vec![
            Diagnostic::error(
                "file-not-utf8",
                format!("`{}` is not UTF-8: byte {at} fits no character", path.display()),
            )
            .hint("save it as UTF-8"),
        ]
    })?;
    Ok(Arc::new(SourceFile { path: path.to_owned(), text }))
}

fn bounded(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let shown = path.display();
    // Looked at before it is opened: opening a named pipe waits for its writer.
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(
            Diagnostic::error("file-directory", format!("`{shown}` is a directory")).hint("name the file in it")
        );
    }
    if !metadata.is_file() {
        return Err(Diagnostic::error("file-special", format!("`{shown}` is not a regular file"))
            .hint("save it in a file: pipes and devices are not read"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAXIMUM_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAXIMUM_FILE_BYTES {
        return Err(Diagnostic::error("file-too-large", format!("`{shown}` is larger than 1 MiB"))
            .hint("a pipeline file describes steps; data belongs in files beside it"));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Diagnostic::error("file-missing", format!("there is no file `{shown}`"))
            .hint("a relative path begins at the directory in which `pipe` is started"),
        _ => Diagnostic::error("file-unreadable", format!("cannot read `{shown}`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(path: &Path) -> &'static str {
        read(path).unwrap_err()[0].code
    }

    #[test]
    fn what_is_not_a_pipeline_file_is_refused_with_its_reason() {
        let directory = std::env::temp_dir().join(format!("pipe-read-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        assert_eq!(code(&directory), "file-directory");
        assert_eq!(code(&directory.join("absent.toml")), "file-missing");
        #[cfg(unix)]
        assert_eq!(code(Path::new("/dev/zero")), "file-special");

        let file = directory.join("large.toml");
        File::create(&file).unwrap().set_len(100 << 20).unwrap();
        assert_eq!(code(&file), "file-too-large");

        fs::write(&file, b"name = \"\xff\"").unwrap();
        let refused = read(&file).unwrap_err();
        assert_eq!(refused[0].code, "file-not-utf8");
        assert!(refused[0].message.contains("byte 8"), "{}", refused[0].message);

        fs::write(&file, "name = \"hms\"\n").unwrap();
        assert_eq!(read(&file).unwrap().text, "name = \"hms\"\n");
        fs::remove_dir_all(&directory).unwrap();
    }
}
