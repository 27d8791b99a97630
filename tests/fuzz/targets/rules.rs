//! Whatever stands in a rule or a request, reading it ends; what was read is written as it reads again; and no rule covers what
//! its own text does not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pipe_capability::{
    artifact::ArtifactRule,
    env::EnvRule,
    exec::ArgumentPattern,
    grant::Grant,
    http::{HttpRequest, HttpRule},
    mail::{MailRequest, Recipient},
    reveal::RevealRule,
    secret::SecretSlot,
    sql::{Access, SqlRule},
    tcp::TcpRule,
    tls::{TlsRule, TlsTarget},
};

fuzz_target!(|text: &str| {
    let (one, rest) = text.split_once('\n').unwrap_or((text, ""));
    http(one, rest);
    mail(one, rest);
    if let Ok(rule) = SqlRule::parse(one) {
        assert_eq!(SqlRule::parse(&rule.to_string()).as_ref(), Ok(&rule));
        assert!(rule.covers(&rule.peer, Access::Read));
        assert!(!rule.covers(rest, Access::Read) || rest == rule.peer);
    }
    if let Ok(rule) = TcpRule::parse(one) {
        let spelled = TcpRule::parse(&rule.endpoint().to_string()).expect("one spelling");
        assert_eq!(spelled.endpoint(), rule.endpoint());
        assert!(rule.endpoint().port != 0 && !rule.endpoint().host.to_string().contains(['*', ' ', '/', '@', '%']));
        // Nobody has looked the name up: the address alone may lead there.
        let grant = Grant { tcp: vec![rule], ..Grant::default() };
        let _ = grant.tcp_name(rest);
    }
    if let Ok(rule) = TlsRule::parse(one) {
        assert_eq!(TlsTarget::parse(&rule.target().to_string()).as_ref(), Ok(rule.target()));
        let grant = Grant { tls: vec![rule.clone()], ..Grant::default() };
        if let Ok(asked) = TlsTarget::parse(rest) {
            assert_eq!(grant.tls(&asked).is_ok(), asked == *rule.target());
        }
    }
    if let Ok(rule) = EnvRule::parse(one) {
        assert_eq!(rule.name(), one);
    }
    if let Ok(rule) = RevealRule::parse(one) {
        assert_eq!(rule.name(), one);
    }
    if let Ok(rule) = ArtifactRule::parse(one) {
        assert_eq!(ArtifactRule::parse(&rule.to_string()).as_ref(), Ok(&rule));
    }
    if let Ok(pattern) = ArgumentPattern::parse(one) {
        assert_eq!(ArgumentPattern::parse(&pattern.to_string()).as_ref(), Ok(&pattern));
        pattern.matches(rest);
    }
    let (header, format) = rest.split_once('\n').unwrap_or((rest, ""));
    if let Ok(slot) = SecretSlot::new("token", one, Some(header), Some(format)) {
        assert!(!slot.fill("s3cret").contains(['\r', '\n']));
    }
});

fn mail(recipient: &str, request: &str) {
    let recipient = Recipient::parse(recipient).ok();
    if let Some(recipient) = &recipient {
        assert_eq!(Recipient::parse(&recipient.to_string()).as_ref(), Ok(recipient));
    }
    let (from, to) = request.split_once('\n').unwrap_or((request, ""));
    let Ok(request) = MailRequest::parse("smtp", from, to.lines()) else { return };
    for address in request.to().iter().chain([request.from()]) {
        let plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"%!*|/`".contains(c);
        assert!(address.as_str().chars().all(plain) && !address.as_str().starts_with('-'), "{address}");
        match &recipient {
            Some(Recipient::Address(known)) => assert_eq!(known == address, known.as_str() == address.as_str()),
            Some(rule @ Recipient::Domain(domain)) => assert_eq!(rule.covers(address), domain == address.domain()),
            None => {}
        }
    }
    let Err(denial) = Grant::default().mail(&request) else { panic!("nothing was granted") };
    if let Some(line) = denial.hint {
        let table: toml::Table = line.parse().expect("the hint is TOML");
        assert_eq!(table["allow"]["mail"][0]["from"].as_str(), Some(request.from().as_str()));
    }
}

fn http(rule: &str, request: &str) {
    let rule = HttpRule::parse(rule).ok();
    if let Some(rule) = &rule {
        assert_eq!(HttpRule::parse(&rule.to_string()).as_ref(), Ok(rule), "a rule reads as it is written");
    }
    let Some((method, url)) = request.split_once(' ') else { return };
    let Ok(request) = HttpRequest::parse(method, url) else { return };
    let sent = request.path();
    assert!(sent.starts_with('/') && !sent.contains("/../") && !sent.ends_with("/.."), "{sent}");
    assert!(!sent.contains(['\\', ' ', '#', '?']) && sent.bytes().all(|byte| byte.is_ascii_graphic()), "{sent}");
    if let Some(rule) = rule.filter(|rule| rule.covers(&request)) {
        assert_eq!(rule.target(), request.target());
    }
    // The line that a refusal offers allows the request.
    let Err(denial) = Grant::default().http(&request) else { panic!("nothing was granted") };
    if let Some(line) = denial.hint {
        let table: toml::Table = line.parse().expect("the hint is TOML");
        let text = table["allow"]["http"][0].as_str().expect("one rule");
        assert!(HttpRule::parse(text).expect("the hint is a rule").covers(&request), "{line} and {request}");
    }
}
