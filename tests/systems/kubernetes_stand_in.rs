//! A stand-in for the Kubernetes API, which cannot be had here. Strict: it knows one VirtualService, to be read and to be merged
//! with a patch of the version that was read, by whoever has the token. Everything else it refuses, and remembers.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

const PATH: &str = "/apis/networking.istio.io/v1/namespaces/hms/virtualservices/hms";
/// What the peer's secret must be.
pub(crate) const TOKEN: &str = "a-token-of-the-cluster";

/// A cluster with one VirtualService: `blue` has all of the traffic, `green` none.
pub(crate) struct KubernetesStandIn {
    port: u16,
    cluster: Arc<Mutex<Cluster>>,
}

struct Cluster {
    object: Value,
    version: u64,
    /// The share of `green` after each patch.
    shares: Vec<u64>,
    refused: Vec<String>,
}

impl KubernetesStandIn {
    pub(crate) fn start() -> Self {
        let object = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": { "name": "hms", "namespace": "hms" },
            "spec": { "hosts": ["hms.example"], "http": [{ "timeout": "5s", "route": [
                { "destination": { "host": "hms", "subset": "blue" }, "weight": 100 },
                { "destination": { "host": "hms", "subset": "green" }, "weight": 0 },
            ] }] },
        });
        let cluster = Cluster { object, version: 1, shares: Vec::new(), refused: Vec::new() };
        let cluster = Arc::new(Mutex::new(cluster));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn({
            let cluster = Arc::clone(&cluster);
            move || {
                for stream in listener.incoming().flatten() {
                    let _ = answer(stream, &cluster);
                }
            }
        });
        Self { port, cluster }
    }

    /// As a peer of the pipeline file, with its secret.
    pub(crate) fn peer(&self) -> String {
        format!(
            "[secrets]\nk8s.env = \"K8S_TOKEN\"\n[peers.k8s]\nurl = \"http://127.0.0.1:{}\"\nbearer = \"k8s\"\n\
             addresses = [\"127.0.0.0/8\"]",
            self.port
        )
    }

    /// The share of `green` after each patch, in order.
    pub(crate) fn shares(&self) -> Vec<u64> {
        self.cluster.lock().unwrap().shares.clone()
    }

    /// What it did not know.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.cluster.lock().unwrap().refused.clone()
    }
}

fn answer(mut stream: TcpStream, cluster: &Mutex<Cluster>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let header = |name: &str| {
        let of = |line: &String| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        lines.iter().skip(1).find_map(of).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let request = lines.first().cloned().unwrap_or_default();
    let known = header("authorization") == format!("Bearer {TOKEN}");
    let mut cluster = cluster.lock().unwrap();
    let (status, answer) = match (request.split_once(' '), known) {
        (_, false) => (401, json!({ "kind": "Status", "reason": "Unauthorized" })),
        (Some(("GET", rest)), _) if rest.starts_with(&format!("{PATH} ")) => (200, cluster.shown()),
        (Some(("PATCH", rest)), _) if rest.starts_with(&format!("{PATH} ")) => {
            match (header("content-type").as_str(), serde_json::from_slice(&body)) {
                ("application/merge-patch+json", Ok(patch)) => cluster.patch(&patch),
                _ => (415, json!({ "kind": "Status", "reason": "UnsupportedMediaType" })),
            }
        }
        _ => (404, json!({ "kind": "Status", "reason": "NotFound" })),
    };
    if status != 200 && status != 409 {
        cluster.refused.push(format!("{request}: {status}"));
    }
    drop(cluster);
    let body = answer.to_string();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

impl Cluster {
    fn shown(&self) -> Value {
        let mut object = self.object.clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object
    }

    /// Takes what a shift of traffic changes, and nothing more.
    fn patch(&mut self, patch: &Value) -> (u16, Value) {
        let invalid = (422, json!({ "kind": "Status", "reason": "Invalid" }));
        if patch.pointer("/metadata/resourceVersion") != Some(&json!(self.version.to_string())) {
            return (409, json!({ "kind": "Status", "reason": "Conflict" }));
        }
        let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
        let shape = (keys(patch), keys(&patch["metadata"]), keys(&patch["spec"]));
        let wanted = (["metadata", "spec"].map(str::to_owned).to_vec(), vec!["resourceVersion".to_owned()]);
        if shape != (Some(wanted.0), Some(wanted.1), Some(vec!["http".to_owned()])) {
            return invalid;
        }
        let weight =
            |index: usize| patch.pointer(&format!("/spec/http/0/route/{index}/weight")).and_then(Value::as_u64);
        let (Some(blue), Some(green)) = (weight(0), weight(1)) else { return invalid };
        let mut expected = self.object["spec"]["http"].clone();
        expected[0]["route"][0]["weight"] = json!(blue);
        expected[0]["route"][1]["weight"] = json!(green);
        if blue + green != 100 || patch["spec"]["http"] != expected {
            return invalid;
        }
        self.object["spec"]["http"] = expected;
        self.version += 1;
        self.shares.push(green);
        (200, self.shown())
    }
}
