//! A real Prometheus, and something for it to look at: one number, as the test says.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Looks four times a second.
pub(crate) struct Prometheus {
    pub(crate) port: u16,
    /// What `error_ratio` is; nothing where the service does not answer.
    ratio: Arc<Mutex<Option<f64>>>,
    server: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it, and returns when it has seen the number.
    pub(crate) fn start(ratio: f64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Mutex::new(Some(ratio)));
        let target = serve(Arc::clone(&shared));
        let config = format!(
            "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms }}\n\
             scrape_configs:\n  - job_name: hms\n    static_configs: [{{ targets: ['127.0.0.1:{target}'] }}]\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let server = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let this = Self { port, ratio: shared, server, _folder: folder };
        this.wait_for(&format!("\"{ratio}\""));
        this
    }

    /// The service measures this from now on, and Prometheus has seen it.
    pub(crate) fn set(&self, ratio: f64) {
        *self.ratio.lock().unwrap() = Some(ratio);
        self.wait_for(&format!("\"{ratio}\""));
    }

    /// The service does not answer any more, and Prometheus knows.
    pub(crate) fn lose(&self) {
        *self.ratio.lock().unwrap() = None;
        self.wait_for("\"result\":[]");
    }

    /// As a peer of the pipeline file.
    pub(crate) fn peer(&self) -> String {
        format!("[peers.prom]\nurl = \"http://127.0.0.1:{}\"\naddresses = [\"127.0.0.0/8\"]", self.port)
    }

    fn wait_for(&self, text: &str) {
        let began = Instant::now();
        loop {
            let answer = self.ask().unwrap_or_default();
            if answer.contains(text) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "waited in vain for {text}: {answer}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn ask(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"GET /api/v1/query?query=error_ratio HTTP/1.0\r\nhost: prometheus\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Prometheus {
    /// From now on nobody answers there.
    pub(crate) fn stop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The service's own metrics.
fn serve(ratio: Arc<Mutex<Option<f64>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Some(ratio) = *ratio.lock().unwrap() else { continue };
            let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            head.for_each(drop);
            let body = format!("# TYPE error_ratio gauge\nerror_ratio {ratio}\n");
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            );
            // Prometheus may have given up on it.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}
