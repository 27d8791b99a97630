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
