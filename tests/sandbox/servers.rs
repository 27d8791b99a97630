//! Servers of a test: small, on 127.0.0.1, and without manners.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A server that remembers what it was asked, and repeats in its answer the login that it was given.
pub(crate) struct Server {
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers every request.
    pub(crate) fn start() -> Self {
        Self::answering("200 OK", "x-served-by: test")
    }

    /// Sends whoever asks to another URL.
    pub(crate) fn redirecting(to: &str) -> Self {
        Self::answering("302 Found", &format!("location: {to}"))
    }

    fn answering(status: &'static str, header: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, header) = (Arc::clone(&heads), header.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away in the middle is its own business.
                let _ = answer(stream, &seen, status, &header);
            }
        });
        Self { port, heads }
    }

    /// Accepts connections and never says a word.
    pub(crate) fn silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || listener.incoming().flatten().collect::<Vec<TcpStream>>());
        Self { port, heads: Arc::default() }
    }

    /// As a peer of the pipeline file.
    pub(crate) fn peer(&self, name: &str) -> String {
        format!("[peers.{name}]\nurl = \"http://127.0.0.1:{}\"\naddresses = [\"127.0.0.0/8\"]", self.port)
    }

    /// The heads of all requests so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn answer(stream: TcpStream, heads: &Mutex<Vec<String>>, status: &str, extra: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let head = head.to_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let length: u64 = header("content-length:").parse().unwrap_or(0);
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
    let login = header("x-login:").to_owned();
    let body = format!("login {}", echoes(&login));
    heads.lock().unwrap().push(head);
    let length = body.len();
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status}\r\n{extra}\r\nx-echo: {login}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// A secret in every form in which a server may repeat it.
fn echoes(login: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    if login.is_empty() {
        return String::new();
    }
    let url: String = login.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("{login} {} {} {url}", STANDARD.encode(login), hex::encode(login))
}
