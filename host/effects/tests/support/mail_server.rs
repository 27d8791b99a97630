//! A mail server that follows a script, whatever is said to it.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::certificates::Certificate;

/// What is expected at the beginning of a line, and the answer to it. The first one answers to nothing: the greeting.
pub(crate) type Lines<'s> = &'s [(&'s str, &'s str)];

/// A server that takes one message.
pub(crate) const ACCEPTING: Lines<'static> = &[
    ("", "220 mail.example ESMTP\r\n"),
    ("EHLO", "250-mail.example\r\n250-SIZE 10240000\r\n250 AUTH LOGIN PLAIN\r\n"),
    ("AUTH PLAIN", "235 2.7.0 Authentication successful\r\n"),
    ("MAIL FROM", "250 2.1.0 Ok\r\n"),
    ("RCPT TO", "250 2.1.5 Ok\r\n"),
    ("RCPT TO", "250 2.1.5 Ok\r\n"),
    ("DATA", "354 End data with <CR><LF>.<CR><LF>\r\n"),
    ("", "250 2.0.0 Ok: queued as 12345\r\n"),
    ("QUIT", "221 2.0.0 Bye\r\n"),
];

/// A server for one connection.
pub(crate) struct Script {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Without TLS.
    pub(crate) fn start(lines: Lines<'_>) -> Self {
        let lines = owned(lines);
        Self::serve(move |stream, heard| follow(&mut BufReader::new(stream), &lines, heard))
    }

    /// With TLS from the start, or after STARTTLS; the script begins behind it.
    pub(crate) fn secured(certificate: &Certificate, starttls: bool, lines: Lines<'_>) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(certificate.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let mut lines = owned(lines);
        if starttls {
            // There is one greeting, and it comes first.
            lines[0].1.clear();
        }
        Self::serve(move |mut stream, heard| {
            if starttls {
                let opening = owned(&[
                    ("", "220 mail.example ESMTP\r\n"),
                    ("EHLO", "250-mail.example\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"),
                    ("STARTTLS", "220 go on\r\n"),
                ]);
                follow(&mut BufReader::new(&mut stream), &opening, heard)?;
            }
            let connection = ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
            follow(&mut BufReader::new(StreamOwned::new(connection, stream)), &lines, heard)
        })
    }

    /// Accepts, and says nothing.
    pub(crate) fn silent() -> Self {
        Self::serve(|mut stream, _| stream.read(&mut [0]).map(drop))
    }

    fn serve(talk: impl Fn(TcpStream, &Mutex<Vec<String>>) -> std::io::Result<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        thread::spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                // A client that goes away in the middle is what many tests are about.
                let _ = talk(stream, &all);
            }
        });
        Self { port, heard }
    }

    /// Every line that was said to it, a message as one.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn owned(lines: Lines<'_>) -> Vec<(String, String)> {
    lines.iter().map(|(expected, reply)| ((*expected).to_owned(), (*reply).to_owned())).collect()
}

fn follow<S: Read + Write>(
    stream: &mut BufReader<S>,
    lines: &[(String, String)],
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    for (index, (expected, reply)) in lines.iter().enumerate() {
        if index > 0 {
            let mut said = String::new();
            let message = expected.is_empty();
            while stream.read_line(&mut said)? > 0 && message && !said.ends_with("\r\n.\r\n") {}
            if said.is_empty() || !said.starts_with(expected) {
                heard.lock().unwrap().push(said.trim_end().to_owned());
                return Ok(());
            }
            heard.lock().unwrap().push(if message { said } else { said.trim_end().to_owned() });
        }
        stream.get_mut().write_all(reply.as_bytes())?;
        stream.get_mut().flush()?;
    }
    Ok(())
}
