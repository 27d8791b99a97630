use std::net::TcpListener;

use super::*;
use crate::error::ErrorKind;

const SHORT: Duration = Duration::from_secs(5);

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint { peer: Some("k8s".to_owned()), host: host.to_owned(), port }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused() {
    let session = Session::powerless();
    for host in ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "localhost"] {
        let resolved = session.resolve(&endpoint(host, 80), &[], SHORT).await;
        assert!(matches!(resolved, Err(Unresolved::Refused(_))), "{host}");
    }
    let allowed = [net("127.0.0.0/8"), net("::1/128")];
    let resolved = session.resolve(&endpoint("localhost", 81), &allowed, SHORT).await.ok().unwrap();
    assert!(resolved.iter().all(|address| address.ip().is_loopback() && address.port() == 81), "{resolved:?}");
}

#[tokio::test]
async fn only_addresses_that_pass_are_connected_to() {
    let session = Session::powerless();
    let pin = Pin::default();
    pin.set(vec!["10.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap()]).unwrap();
    session.egress.pins.lock().unwrap().insert("both".to_owned(), pin);
    let resolved = session.resolve(&endpoint("both", 9), &[net("127.0.0.0/8")], SHORT).await.ok().unwrap();
    assert_eq!(resolved, ["127.0.0.1:9".parse().unwrap()]);
}

#[tokio::test]
async fn an_answer_is_pinned() {
    let session = Session::powerless();
    // A name that no resolver knows: what is found was found in the pins.
    let pin = Pin::default();
    pin.set(vec!["93.184.216.34".parse().unwrap()]).unwrap();
    session.egress.pins.lock().unwrap().insert("pinned.invalid".to_owned(), pin);
    for port in [80, 443] {
        let resolved = session.resolve(&endpoint("pinned.invalid", port), &[], SHORT).await.ok().unwrap();
        assert_eq!(resolved, [SocketAddr::new("93.184.216.34".parse().unwrap(), port)]);
    }
}

#[tokio::test]
async fn a_failed_lookup_is_told_and_tried_again() {
    let session = Session::powerless();
    for _ in 0..2 {
        let Err(Unresolved::Failed(error)) = session.resolve(&endpoint("no.such.invalid", 80), &[], SHORT).await else {
            panic!("a name under .invalid was found");
        };
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.starts_with("k8s (no.such.invalid:80): the name"), "{error}");
        assert!(error.hint.is_some());
    }
}

#[tokio::test]
async fn a_closed_port_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = connect(&endpoint("127.0.0.1", address.port()), &[address], SHORT).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains(&format!("connection refused by {address}")), "{error}");
    assert!(error.hint.unwrap().contains(&address.port().to_string()));
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let (closed, open) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [closed.local_addr().unwrap(), open.local_addr().unwrap()];
    drop(closed);
    let stream = connect(&endpoint("127.0.0.1", 1), &addresses, SHORT).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
}

#[tokio::test]
async fn a_cancelled_session_looks_nothing_up() {
    let session = Session::powerless();
    session.close().await;
    let resolved = session.resolve(&endpoint("localhost", 80), &[], SHORT).await;
    assert!(matches!(resolved, Err(Unresolved::Failed(error)) if error == EffectError::cancelled()));
}

#[test]
fn places_are_shown_with_brackets_where_they_need_them() {
    assert_eq!(endpoint("::1", 80).to_string(), "k8s ([::1]:80)");
    assert_eq!(Endpoint { peer: None, ..endpoint("example.com", 443) }.to_string(), "example.com:443");
}

/// A resolver that says something else every time it is asked.
#[derive(Default)]
struct Fickle {
    answers: Vec<&'static str>,
    asked: std::sync::atomic::AtomicUsize,
}

#[async_trait]
impl Resolver for Arc<Fickle> {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let asked = self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(vec![self.answers[asked.min(self.answers.len() - 1)].parse().unwrap()])
    }
}

/// A session that may connect to `rebind.example:80`.
fn fickle(answers: &[&'static str]) -> (Session, Arc<Fickle>) {
    let fickle = Arc::new(Fickle { answers: answers.to_vec(), ..Fickle::default() });
    let tcp = vec![pipe_capability::tcp::TcpRule::parse("rebind.example:80").unwrap()];
    let grant = pipe_capability::grant::Grant { tcp, ..Default::default() };
    let (world, ledger) = (crate::world::World::empty(), Arc::new(Blank));
    let mut session = Session::new(pipe_core::id::StepId::new("test"), Arc::new(grant), Arc::new(world), ledger);
    session.egress.resolver = Box::new(Arc::clone(&fickle));
    (session, fickle)
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_not_asked_again() {
    let public: IpAddr = "93.184.216.34".parse().unwrap();
    let (session, fickle) = fickle(&["93.184.216.34", "127.0.0.1"]);
    // First for a request, then for a socket, as often as the guest likes.
    for _ in 0..3 {
        let resolved = session.resolve(&endpoint("rebind.example", 80), &[], SHORT).await.ok().unwrap();
        assert_eq!(resolved, [SocketAddr::new(public, 80)]);
        assert_eq!(session.tcp_lookup("REBIND.example.").await.unwrap(), [public]);
    }
    assert_eq!(fickle.asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert!(session.tcp_connect(SocketAddr::new(public, 80)).await.is_ok());
    for elsewhere in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80", "93.184.216.34:81"] {
        let error = session.tcp_connect(elsewhere.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{elsewhere}: {error}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_first_stays_refused() {
    let (session, fickle) = fickle(&["127.0.0.1", "93.184.216.34"]);
    for _ in 0..2 {
        let error = session.tcp_lookup("rebind.example").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.message.contains("127.0.0.1 is a loopback address"), "{error}");
        let line = r#"allow.tcp = [{ rule = "rebind.example:80", addresses = ["127.0.0.1/32"] }]"#;
        assert_eq!(error.hint.as_deref(), Some(line));
        let resolved = session.resolve(&endpoint("rebind.example", 80), &[], SHORT).await;
        assert!(matches!(resolved, Err(Unresolved::Refused(_))));
    }
    assert_eq!(fickle.asked.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_address_is_no_answer_before_anybody_asked() {
    let (session, fickle) = fickle(&["93.184.216.34"]);
    let to = "93.184.216.34:80".parse().unwrap();
    assert_eq!(session.tcp_connect(to).await.unwrap_err().kind, ErrorKind::Denied);
    session.tcp_lookup("rebind.example").await.unwrap();
    assert!(session.tcp_connect(to).await.is_ok());
    assert_eq!(session.tcp_lookup("other.example").await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(fickle.asked.load(std::sync::atomic::Ordering::SeqCst), 1, "a name that is not granted was looked up");
}

/// A record that takes everything and keeps nothing.
struct Blank;

#[async_trait]
impl crate::ledger::Ledger for Blank {
    async fn used(&self, _: pipe_core::event::Use) -> Result<(), crate::ledger::LedgerError> {
        Ok(())
    }

    async fn used_together(&self, _: Vec<pipe_core::event::Use>) -> Result<(), crate::ledger::LedgerError> {
        Ok(())
    }

    fn used_at_once(&self, _: pipe_core::event::Use) -> Result<(), crate::ledger::LedgerError> {
        Ok(())
    }

    async fn denied(&self, _: pipe_core::event::Refusal) {}

    fn logged(&self, _: pipe_core::event::LogLevel, _: String, _: std::collections::BTreeMap<String, String>) {}

    fn progress(&self, _: String, _: u64, _: Option<u64>) {}

    async fn checkpoint(&self, _: &str, _: &[u8], _: &str) -> Result<(), crate::ledger::LedgerError> {
        Ok(())
    }

    async fn artifact_stored(&self, _: pipe_core::event::Artifact) -> Result<(), crate::ledger::LedgerError> {
        Ok(())
    }

    async fn artifact_verified(&self, _: pipe_core::event::Verification) -> Result<(), crate::ledger::LedgerError> {
        Ok(())
    }

    async fn artifact(&self, _: &pipe_core::digest::Digest) -> Option<crate::ledger::KnownArtifact> {
        None
    }

    async fn started(&self, _: pipe_core::event::Started) -> Result<(), crate::ledger::LedgerError> {
        Ok(())
    }

    async fn unmarked(&self, _: &str, _: &str) -> Result<(), crate::ledger::LedgerError> {
        Ok(())
    }
}
