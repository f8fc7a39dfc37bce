//! Errors of the library: one line each, with cause and way out.

use nanozk_plan::format::FormatError;
use std::path::{Path, PathBuf};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {cause}; {}", path.display(), way_out(cause))]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// A nanozk file that cannot be used.
    #[error("{}: {cause}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: FormatError,
    },
    /// Compilation or input reading failed.
    #[error(transparent)]
    Compile(#[from] nanozk_compiler::pipeline::CompileError),
    /// The integer model left its bounds.
    #[error("{0}")]
    Interpreter(#[from] nanozk_ir::int::interp::Error),
    /// Anything else: `cause; way out`.
    #[error("{0}")]
    Refused(String),
}

/// Result of a library call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An I/O error at `path`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |cause| Error::Io { path: path.into(), cause }
    }

    /// A format error of `path`.
    pub fn format(path: &Path) -> impl FnOnce(FormatError) -> Self + '_ {
        move |cause| Error::Format { path: path.into(), cause }
    }

    /// `cause; way out`.
    pub fn refused(cause: impl std::fmt::Display, way_out: impl std::fmt::Display) -> Self {
        Error::Refused(format!("{cause}; {way_out}"))
    }
}

/// `message` if it names a way out, else `message; way_out`.
pub(crate) fn with_way_out(message: String, way_out: &str) -> String {
    if message.contains("; ") { message } else { format!("{message}; {way_out}") }
}

/// `text` on one line, control characters of hostile names removed.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).collect()
}

fn way_out(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match cause.kind() {
        NotFound => "check the path",
        PermissionDenied | ReadOnlyFilesystem => "choose a place you may write to, or change the permissions",
        StorageFull | QuotaExceeded => "free some space or choose another place",
        FileTooLarge => "raise the limit on file sizes (`ulimit -f`) or choose another place",
        IsADirectory => "name a file, not a directory",
        NotADirectory => "name a directory, not a file",
        AlreadyExists => "choose another name",
        _ => "check the file and the disk",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn errors_fit_on_one_line() {
        assert_eq!(super::one_line("a\n  b\u{1b}[31m\tc"), "a b[31m c");
    }
}
