//! Everything that the hostile guest can do, by name. The guest and its tests share this file, and neither compiles while a
//! behaviour is missing on its side.

macro_rules! behaviours {
    ($($(#[$doc:meta])* $behaviour:ident = $name:literal,)*) => {
        /// Something that a plugin should not be able to do, or not without a grant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Behaviour {
            $($(#[$doc])* $behaviour,)*
        }

        impl Behaviour {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$behaviour),*];

            /// As `with.behaviour` names it.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$behaviour => $name,)* }
            }
        }
    };
}

behaviours! {
    // Reaching for things. Each passes where the grant covers it.
    /// Reads a file.
    ReadFile = "read-file",
    /// Lists a directory.
    ListDirectory = "list-directory",
    /// Asks for the permissions of a file.
    StatFile = "stat-file",
    /// Creates a file.
    WriteFile = "write-file",
    /// Empties a file that is there.
    TruncateFile = "truncate-file",
    /// Removes a file.
    RemoveFile = "remove-file",
    /// Moves a file.
    RenameFile = "rename-file",
    /// Makes a hard link.
    LinkFile = "link-file",
    /// Makes a symbolic link, and reads through it.
    ReadThroughOwnLink = "read-through-own-link",
    /// Makes a symbolic link.
    MakeLink = "make-link",
    /// Makes a directory.
    MakeDirectory = "make-directory",
    /// Adds to the end of a file.
    AppendFile = "append-file",
    /// Removes a file or a directory, and puts a symbolic link in its place.
    ReplaceByLink = "replace-by-link",
    /// Puts a link to another database in the place of a peer's, and reads the peer.
    ReplaceDatabase = "replace-database",
    /// Reads and writes a file after somebody has put something else in its place.
    UseAfterSwap = "use-after-swap",
    /// Opens a path as it stands, without libc.
    OpenAsItStands = "open-as-it-stands",
    /// Sends a request, with a body where there is something to say.
    Request = "request",
    /// Opens a TCP connection and says hello.
    Connect = "connect",
    /// The same through the standard library.
    ConnectThroughStd = "connect-through-std",
    /// Looks a name up.
    LookUp = "look-up",
    /// Looks a name up, and connects to another address.
    ConnectElsewhere = "connect-elsewhere",
    /// Binds a socket to an address of its own choice.
    Bind = "bind",
    /// Waits for connections.
    Listen = "listen",
    /// Sends a datagram.
    SendDatagram = "send-datagram",
    /// Makes a TLS handshake.
    ShakeHands = "shake-hands",
    /// Reads a database.
    ReadDatabase = "read-database",
    /// Sends a message by mail.
    SendMail = "send-mail",
    /// Opens a database for writing, and writes.
    WriteDatabase = "write-database",
    /// Opens a database for reading, and writes.
    WriteThroughReading = "write-through-reading",
    /// Runs a program.
    RunProgram = "run-program",
    /// Reads a variable of the operator.
    ReadVariable = "read-variable",
    /// Reads every variable that WASI shows.
    ListVariables = "list-variables",
    /// Asks for the plaintext of a secret.
    RevealSecret = "reveal-secret",
    /// Asks how much time it has left, twice with a sleep in between.
    AskTime = "ask-time",
    /// Sends a statement to a database that is open for reading.
    ReadStatement = "read-statement",
    /// Sends a statement to a database that is open for writing.
    WriteStatement = "write-statement",
    /// Sends a script to a database.
    SendScript = "send-script",
    /// Asks for free space.
    AskDisk = "ask-disk",
    /// Stores an artifact, encrypted where a key is named.
    StoreArtifact = "store-artifact",
    /// Reads an artifact of another step.
    ReadArtifact = "read-artifact",

    /// Sets the times of a file.
    SetTimes = "set-times",
    /// Removes a directory.
    RemoveDirectory = "remove-directory",
    /// Sends a request with a header of its own.
    SendHeader = "send-header",
    /// Reads a header of a response.
    ReadHeader = "read-header",
    /// Reads the arguments of the process.
    ReadArguments = "read-arguments",
    /// Reads what the operator types.
    ReadStandardInput = "read-standard-input",

    // Not ending.
    /// Runs in a circle.
    Loop = "loop",
    /// Sleeps on the clock.
    Sleep = "sleep",
    /// Waits on a connection for what never comes.
    WaitOnSocket = "wait-on-socket",
    /// Runs a statement without end.
    LoopInDatabase = "loop-in-database",

    // Taking more than there is.
    /// Takes memory until there is none.
    EatMemory = "eat-memory",
    /// Calls itself without end.
    Recurse = "recurse",
    /// Opens a file again and again, and keeps the handles.
    KeepHandles = "keep-handles",
    /// Opens connections to a database, and keeps them.
    KeepConnections = "keep-connections",
    /// Opens TCP connections, and keeps them.
    KeepSockets = "keep-sockets",
    /// Sends bytes through a connection until it can no more.
    FloodSocket = "flood-socket",
    /// Panics.
    Panic = "panic",
    /// Exits instead of returning.
    Exit = "exit",

    // Saying too much, or what it should not.
    /// Logs line after line.
    FloodLog = "flood-log",
    /// Logs long lines with long fields, and fails at once.
    FloodLogAndFail = "flood-log-and-fail",
    /// Writes to standard output, without a line's end.
    FloodOutput = "flood-output",
    /// Tells of progress, again and again.
    FloodProgress = "flood-progress",
    /// Asks for one thing after the other that it may not have.
    FloodRefusals = "flood-refusals",
    /// Uses what it was granted, again and again.
    FloodUses = "flood-uses",
    /// Says a secret that it was told wherever something can be said.
    EchoSecret = "echo-secret",
    /// Says a secret that it was told in a failure.
    EchoSecretAndFail = "echo-secret-and-fail",
    /// Says a text in the log, and names a field by it.
    SayInLog = "say-in-log",
    /// Writes a text to standard output and standard error.
    SayOnOutput = "say-on-output",
    /// Says a text in its progress.
    SayInProgress = "say-in-progress",
    /// Says a text in a finding.
    SayInFinding = "say-in-finding",
    /// Says a text in an output.
    SayInOutput = "say-in-output",
    /// Says a text in a failure.
    SayInFailure = "say-in-failure",
    /// Says a text in the summary of a receipt.
    SayInReceipt = "say-in-receipt",

    // Reports and receipts that are none.
    /// Reports 100 MB of findings.
    ReportTooMuch = "report-too-much",
    /// Reports failed findings with names of a million letters each.
    ReportLongNames = "report-long-names",
    /// Reports nothing at all.
    ReportNothing = "report-nothing",
    /// Reports an output twice.
    OutputTwice = "output-twice",
    /// Reports an output whose key is none.
    OutputBadKey = "output-bad-key",
    /// Reports an output that is too large.
    OutputTooLarge = "output-too-large",
    /// Saves a receipt of 2 MiB.
    SaveLargeReceipt = "save-large-receipt",
    /// Saves a receipt of 100 MB.
    SaveHugeReceipt = "save-huge-receipt",
    /// Saves 2,000 receipts.
    SaveManyReceipts = "save-many-receipts",
    /// Saves forty receipts of 1 MiB.
    SaveHeavyReceipts = "save-heavy-receipts",
}
