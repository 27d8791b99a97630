//! A network that dies at the worst moment: around a commit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// On which side of the commit the connection dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dies {
    /// The server gets the commit, and nobody hears its answer.
    AfterCommit,
    /// The server never gets it.
    BeforeCommit,
}

/// A proxy in front of a server on this machine. Severs every connection at its first commit of something marked.
pub(crate) async fn severing(server: u16, dies: Dies) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            tokio::spawn(between(client, server, dies));
        }
    });
    port
}

async fn between(client: TcpStream, server: TcpStream, dies: Dies) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let severed = Arc::new(AtomicBool::new(false));
    let deaf = Arc::clone(&severed);
    let answers = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_server.read(&mut buffer).await.unwrap_or(0);
            // What the server says of the commit is the last that comes from it.
            if read == 0 || deaf.load(Ordering::SeqCst) || to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    let mut marks = false;
    loop {
        let read = from_client.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        let sent = &buffer[..read];
        marks |= holds(sent, b"INSERT INTO public.pipe_marker");
        if marks && holds(sent, b"COMMIT") {
            severed.store(true, Ordering::SeqCst);
            if dies == Dies::AfterCommit {
                to_server.write_all(sent).await.unwrap();
                // Until the server has answered.
                let _ = answers.await;
            }
            return;
        }
        if to_server.write_all(sent).await.is_err() {
            return;
        }
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
