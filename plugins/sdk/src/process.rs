//! Programs: native code, run as the grant says and only so. Capability: `exec`. There is no shell.

use crate::bindings::host::pipe::host::process as host;
use crate::{Error, Failure};

pub use host::{Channel, Chunk, Exit};

/// A program and its arguments. Never a secret among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
}

impl Command {
    /// A program, named as in the grant.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), arguments: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// From a program and its arguments in one list.
    ///
    /// # Errors
    ///
    /// An empty list.
    pub fn from_argv(argv: &[String]) -> Result<Self, Failure> {
        let (program, arguments) = argv.split_first().ok_or_else(|| Failure::settings("an argv needs a program"))?;
        Ok(Self { program: program.clone(), arguments: arguments.to_vec() })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Starts it. Dropping the child ends it, with everything that it started.
    ///
    /// # Errors
    ///
    /// The host refuses a command line that is not granted, and says why a program cannot be started.
    pub fn start(&self) -> Result<Child, Error> {
        Ok(Child(host::start(&self.to_host())?))
    }

    /// Runs it to its end and keeps the last `limit` bytes of each channel.
    ///
    /// # Errors
    ///
    /// As [`Command::start`]. An exit code is not an error; see [`Output::success`].
    pub fn run(&self, limit: usize) -> Result<Output, Error> {
        let (mut output, mut error_output) = (Tail::new(limit), Tail::new(limit));
        let exit = self.stream(|channel, data| match channel {
            Channel::Output => output.push(data),
            Channel::ErrorOutput => error_output.push(data),
        })?;
        output.trim();
        error_output.trim();
        let truncated = output.cut || error_output.cut;
        Ok(Output { exit, output: output.bytes, error_output: error_output.bytes, truncated })
    }

    /// Runs it to its end and hands over what it writes, as it comes.
    ///
    /// # Errors
    ///
    /// As [`Command::start`].
    pub fn stream(&self, mut each: impl FnMut(Channel, &[u8])) -> Result<Exit, Error> {
        let mut child = self.start()?;
        while let Some(chunk) = child.read()? {
            each(chunk.channel, &chunk.data);
        }
        child.wait()
    }

    pub(crate) fn to_host(&self) -> host::Command {
        host::Command { program: self.program.clone(), arguments: self.arguments.clone() }
    }
}

/// A running program.
#[derive(Debug)]
pub struct Child(host::Child);

impl Child {
    /// The next chunk, or nothing once both channels are closed. Waits.
    ///
    /// # Errors
    ///
    /// The step's deadline, or a limit.
    pub fn read(&mut self) -> Result<Option<Chunk>, Error> {
        Ok(self.0.read()?)
    }

    /// Waits for the end. What was not read until then is discarded.
    ///
    /// # Errors
    ///
    /// The step's deadline.
    pub fn wait(&mut self) -> Result<Exit, Error> {
        Ok(self.0.wait()?)
    }
}

/// What a program left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// The end of its standard output.
    pub output: Vec<u8>,
    /// The end of its standard error.
    pub error_output: Vec<u8>,
    /// Whether either is only the end.
    pub truncated: bool,
}

impl Output {
    /// Whether it exited with 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// Its standard output as text, without white space around it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).trim().to_owned()
    }

    /// The last lines of its standard error (of standard output where that is empty), for a message.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        let text =
            String::from_utf8_lossy(if self.error_output.is_empty() { &self.output } else { &self.error_output });
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// The output of a program that exited with 0.
    ///
    /// # Errors
    ///
    /// Any other end, with the last lines it wrote.
    pub fn success(self, program: &str) -> Result<Self, Failure> {
        if self.is_success() {
            return Ok(self);
        }
        let last = self.last_lines(5);
        let colon = if last.is_empty() { "" } else { ": " };
        Err(Failure::other(format!("{program} {}{colon}{last}", describe(&self.exit))))
    }
}

/// `exited with 1`, `was ended by signal 9`.
#[must_use]
pub fn describe(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with {code}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
    }
}

/// The last bytes of a stream. Cuts off the front only now and then, so that a long stream costs little.
struct Tail {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
}

impl Tail {
    const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, cut: false }
    }

    fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        if self.bytes.len() > self.limit.saturating_mul(2) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let surplus = self.bytes.len().saturating_sub(self.limit);
        self.cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_keeps_the_end() {
        let mut tail = Tail::new(4);
        tail.push(b"abc");
        tail.trim();
        assert!(!tail.cut);
        tail.push(b"def");
        tail.trim();
        assert_eq!((tail.bytes.as_slice(), tail.cut), (b"cdef".as_slice(), true));
    }

    #[test]
    fn a_failed_program_says_its_last_words() {
        let output = Output {
            exit: Exit::Code(3),
            output: Vec::new(),
            error_output: b"a\n\nno such table\n".to_vec(),
            truncated: false,
        };
        assert_eq!(output.last_lines(1), "no such table");
        let failure = output.success("psql").expect_err("it failed");
        assert_eq!(failure.message, "psql exited with 3: a\nno such table");
    }
}
