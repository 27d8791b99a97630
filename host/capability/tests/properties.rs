//! What holds for every rule and every request.

#![expect(clippy::unwrap_used, reason = "tests")]

use pipe_capability::{
    artifact::ArtifactRule,
    endpoint::Endpoint,
    env::EnvRule,
    exec::{ArgumentPattern, ExecRule},
    grant::Grant,
    http::{HttpRequest, HttpRule, HttpTarget},
    mail::{Address, MailRequest, MailRule, Recipient},
    pattern::escape,
    reveal::RevealRule,
    rule::RuleError,
    secret::SlotTarget,
    sql::{Access, SqlRule},
    tcp::TcpRule,
};
use proptest::{prelude::*, sample::Index};

/// Segments of rules, and segments of requests that some of them cover.
const PATTERNS: [&str; 8] = ["a", "b", "ab", "a*", "*b", "*", "{a,b}", "a{,b}"];
const SEGMENTS: [&str; 5] = ["a", "b", "ab", "ba", "aab"];

fn one_of(list: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(list).prop_map(str::to_owned)
}

fn rule(methods: &str, segments: &[String]) -> HttpRule {
    HttpRule::parse(&format!("{methods} k8s:/{}", segments.join("/"))).unwrap()
}

fn request(path: &str) -> Option<HttpRequest> {
    HttpRequest::parse("GET", &format!("https://k8s.peer/{path}")).ok()
}

/// Percent-encodes what a path cannot hold as it is.
fn encoded(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let pair = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

fn span_is_sound(text: &str, error: &RuleError) -> bool {
    !error.message.is_empty() && error.span.clone().is_none_or(|span| text.get(span).is_some())
}

/// Text of rules with a mistake in it, as often as not.
fn nearly_a_rule() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        r"(GET|POST|\*|get|GET\|PUT|)( |  )?(k8s|K8s|https://a\.b|http://\[::1\]|https://\*\.a|)(:|:9|)(/[a-b*{},%2eäÄ\\?# .$/]{0,8}){0,3}",
        r"(read|write|) ?[a-zA-Z* -]{0,6}",
        r"[-a*\\{}]{0,8}",
        r"[a-zA-Z*.'%!<-]{0,5}@?[a-zA-Z0-9*.-]{0,8}",
    ]
}

proptest! {
    #[test]
    fn a_wider_rule_covers_what_a_narrow_one_does(
        narrow in proptest::collection::vec(one_of(&PATTERNS), 1..4),
        asked in proptest::collection::vec(one_of(&SEGMENTS), 1..4),
        place in any::<Index>(),
    ) {
        let request = request(&asked.join("/")).unwrap();
        let at = place.index(narrow.len());
        let with = |segment: &str| {
            let mut wider = narrow.clone();
            wider[at] = segment.to_owned();
            wider
        };
        let mut wider = vec![with("*"), narrow[..at].iter().cloned().chain(["**".to_owned()]).collect()];
        if !narrow[at].contains('{') {
            wider.push(with(&format!("{{zz,{}}}", narrow[at])));
            wider.push(with(&format!("{}*", narrow[at].trim_end_matches('*'))));
            wider.push(with(&format!("*{}", narrow[at].trim_start_matches('*'))));
        }
        let covered = rule("GET", &narrow).covers(&request);
        for wider in wider {
            prop_assert!(!covered || rule("GET", &wider).covers(&request), "{narrow:?} {wider:?} {request}");
        }
        for methods in ["GET|POST", "*", "POST|GET|OPTIONS"] {
            prop_assert_eq!(rule(methods, &narrow).covers(&request), covered);
        }
        prop_assert!(!rule("POST", &narrow).covers(&request));
        if let Some(reading) = rule("*", &narrow).reading() {
            prop_assert_eq!(reading.covers(&request), covered);
        }
    }

    #[test]
    fn a_wider_program_covers_what_a_narrow_one_does(
        narrow in proptest::collection::vec(one_of(&["a", "-a", "a*", "*b", "*", "-*"]), 1..4),
        asked in proptest::collection::vec(one_of(&["a", "b", "ab", "-a", "-ab"]), 0..4),
        place in any::<Index>(),
    ) {
        let rule = |argv: &[String]| ExecRule {
            program: "p".to_owned(),
            argv: argv.iter().map(|text| ArgumentPattern::parse(text).unwrap()).collect(),
            ..ExecRule::default()
        };
        let at = place.index(narrow.len());
        let covered = rule(&narrow).covers("p", &asked);
        let rest: Vec<_> = narrow[..at].iter().cloned().chain(["**".to_owned()]).collect();
        prop_assert!(!covered || rule(&rest).covers("p", &asked));
        if !narrow[at].starts_with('-') {
            let mut free = narrow.clone();
            "*".clone_into(&mut free[at]);
            prop_assert!(!covered || rule(&free).covers("p", &asked));
            prop_assert!(!asked.get(at).is_some_and(|a| a.starts_with('-')) || !rule(&free).covers("p", &asked));
        }
    }

    #[test]
    fn a_message_is_covered_where_every_part_of_it_is(
        to in proptest::collection::vec(one_of(&["a@x", "b@x", "a@y", "*@x", "*@y"]), 1..4),
        asked in proptest::collection::vec(one_of(&["a@x", "b@x", "c@x", "a@y", "a@z"]), 1..4),
        more in one_of(&["a@x", "*@x", "*@y", "*@z"]),
    ) {
        let rule = |to: &[String]| {
            let to = to.iter().map(|text| Recipient::parse(text).unwrap()).collect();
            MailRule::new("smtp", Address::parse("from@x").unwrap(), to).unwrap()
        };
        let request = |to: &[String]| MailRequest::parse("smtp", "from@x", to.iter().map(String::as_str)).unwrap();
        let covered = rule(&to).covers(&request(&asked));
        let each = asked.iter().all(|one| rule(&to).covers(&request(std::slice::from_ref(one))));
        prop_assert_eq!(covered, each);
        let wider: Vec<String> = to.iter().cloned().chain([more]).collect();
        prop_assert!(!covered || rule(&wider).covers(&request(&asked)));
        if let [_, rest @ ..] = asked.as_slice() && !rest.is_empty() {
            prop_assert!(!covered || rule(&to).covers(&request(rest)));
        }
        let other = MailRequest::parse("smtp", "other@x", asked.iter().map(String::as_str)).unwrap();
        prop_assert!(!rule(&to).covers(&other));
    }

    #[test]
    fn an_escaped_value_is_literal_in_a_path(value in r"[-a-b*\\{},|:%?#$@ .~2ef]{0,6}|[a-zäÄ.]{0,3}|\PC{0,6}", other in "[-a-b*{},%$ ]{0,6}") {
        let parsed = HttpRule::parse(&format!("GET k8s:/x/{}", escape(&value)));
        let asked = request(&format!("x/{}", encoded(&value)));
        prop_assert_eq!(parsed.is_ok(), asked.is_some() && !value.contains('/'), "{:?}", parsed);
        if let (Ok(rule), Some(asked)) = (parsed, asked) {
            prop_assert!(rule.covers(&asked));
            if let Some(elsewhere) = request(&format!("x/{}", encoded(&other))).filter(|_| other != value) {
                prop_assert!(!rule.covers(&elsewhere));
            }
        }
    }

    #[test]
    fn an_escaped_value_is_literal_in_an_argument(value in r"[-a*\\{}]{0,6}|[^\x00]{0,6}", other in r"[-a*\\{}]{0,6}") {
        let pattern = ArgumentPattern::parse(&escape(&value)).unwrap();
        prop_assert!(pattern.matches(&value));
        prop_assert_eq!(pattern.matches(&other), value == other);
    }

    #[test]
    fn no_encoding_of_a_separator_or_a_dot_passes(
        before in proptest::collection::vec(one_of(&SEGMENTS), 0..3),
        left in "[a-z]{0,2}",
        what in prop_oneof![
            one_of(&["\\", "%2e", "%2f", "%5c", "%00", "%0a", "%1f", "%7f", "%c0%ae", "%c0%af", "%e0%80%ae", "%ff"]),
            one_of(&["%25%32%65", "%2525%32f", "%u002e", "%", "%2", "%zz", "\u{ff0e}", "\u{ff0f}", "\u{ff3c}", "//", "/../", "/./", "/..;/"]),
            "%(25){1,4}(2e|2f|5c|00|0d)",
        ],
        capitals in any::<bool>(),
        right in "[g-z]{0,2}",
        after in proptest::collection::vec(one_of(&SEGMENTS), 0..3),
    ) {
        let what = if capitals && !what.contains('u') { what.to_uppercase() } else { what };
        let mut segments = before;
        segments.push(format!("{left}{what}{right}"));
        segments.extend(after);
        let path = segments.join("/");
        prop_assert!(request(&path).is_none(), "{}", path);
        prop_assert!(HttpRule::parse(&format!("GET k8s:/{path}")).is_err(), "{}", path);
    }

    #[test]
    fn a_request_that_passes_means_the_same_to_others(
        url in prop_oneof![
            r"(https?|HTTPS)://[a-zA-Z0-9.\[\]:@%_-]{1,12}(/[a-z%0-9A-F.;~äÄ|]{0,8}){0,3}(\?[a-z%&= ]{0,8})?",
            r"http://(0x[0-9a-f]{1,8}|[0-9]{1,10}|[0-9.]{1,12}|\[[0-9a-f:.]{2,16}\])(:[0-9]{0,5})?/",
            r"https?://\PC{1,8}/\PC{0,8}",
        ],
    ) {
        let Ok(request) = HttpRequest::parse("GET", &url) else { return Ok(()) };
        let theirs = url::Url::parse(&url).map_err(|error| TestCaseError::fail(format!("{url}: {error}")))?;
        match request.target() {
            HttpTarget::Origin { host, port, .. } => {
                let name = theirs.host_str().unwrap();
                prop_assert_eq!(&host.to_string(), name.strip_suffix('.').unwrap_or(name));
                prop_assert_eq!(Some(*port), theirs.port_or_known_default());
            }
            HttpTarget::Peer(name) => prop_assert_eq!(theirs.host_str().map(|host| host.trim_end_matches('.')), Some(&*format!("{name}.peer"))),
        }
        prop_assert_eq!(decoded(request.path()), decoded(theirs.path()), "{}", url);
        prop_assert_eq!(theirs.username(), "");

        let again = format!("https://k8s.peer{}", request.path_and_query());
        let again = HttpRequest::parse("GET", &again).unwrap();
        prop_assert_eq!((again.path(), again.query()), (request.path(), request.query()));
    }

    #[test]
    fn peers_and_origins_never_cross(name in "[a-z][a-z0-9]{0,5}") {
        let covers = |rule: String, host: String| {
            let request = HttpRequest::parse("GET", &format!("http://{host}/x")).unwrap();
            HttpRule::parse(&rule).map(|rule| rule.covers(&request))
        };
        let addressed = format!("{name}.peer");
        let peer = format!("* {name}:/**");
        let (origin, disguised) = (format!("* http://{name}/**"), format!("* http://{addressed}/**"));
        prop_assert_eq!(covers(peer.clone(), addressed.clone()), Ok(true));
        prop_assert_eq!(covers(origin, addressed.clone()), Ok(false));
        for host in [name.clone(), format!("{name}.peer.example"), format!("{name}peer"), format!("x-{name}.peer")] {
            prop_assert_eq!(covers(peer.clone(), host), Ok(false));
        }
        prop_assert!(covers(disguised, addressed).is_err());
    }

    #[test]
    fn whatever_is_written_is_read_back_or_refused_with_its_place(text in nearly_a_rule()) {
        match HttpRule::parse(&text) {
            Ok(rule) => prop_assert_eq!(rule.to_string(), &*text),
            Err(error) => prop_assert!(span_is_sound(&text, &error), "{:?}", error),
        }
        match SqlRule::parse(&text) {
            Ok(rule) => prop_assert_eq!(rule.to_string(), &*text),
            Err(error) => prop_assert!(span_is_sound(&text, &error), "{:?}", error),
        }
        match EnvRule::parse(&text) {
            Ok(rule) => prop_assert_eq!(rule.to_string(), &*text),
            Err(error) => prop_assert!(span_is_sound(&text, &error), "{:?}", error),
        }
        match Recipient::parse(&text) {
            // The domain is read in lower case.
            Ok(rule) => prop_assert!(rule.to_string().eq_ignore_ascii_case(&text)),
            Err(error) => prop_assert!(span_is_sound(&text, &error), "{:?}", error),
        }
        match RevealRule::parse(&text) {
            Ok(rule) => prop_assert_eq!(rule.to_string(), &*text),
            Err(error) => prop_assert!(span_is_sound(&text, &error), "{:?}", error),
        }
        match ArtifactRule::parse(&text) {
            Ok(rule) => prop_assert_eq!(rule.to_string(), &*text),
            Err(error) => prop_assert!(span_is_sound(&text, &error), "{:?}", error),
        }
        match ArgumentPattern::parse(&text) {
            Ok(pattern) => prop_assert_eq!(pattern.to_string(), &*text),
            Err(error) => prop_assert!(span_is_sound(&text, &error), "{:?}", error),
        }
        match SlotTarget::parse(&text) {
            Ok(target) => prop_assert_eq!(target.to_string(), &*text),
            Err(error) => prop_assert!(span_is_sound(&text, &error), "{:?}", error),
        }
        let _ = HttpRequest::parse(&text, &text);
    }

    #[test]
    fn nothing_is_granted_by_default(text in any::<String>(), path in "[a-z]{1,3}(/[a-z]{1,3}){0,3}/?") {
        let grant = Grant::default();
        prop_assert!(grant.http(&request(&path).unwrap()).is_err());
        prop_assert!(grant.sql(&text, Access::Read).is_err());
        prop_assert!(grant.env(&text).is_err());
        prop_assert!(grant.exec(&text, &[]).is_err());
        prop_assert!(grant.artifact_write().is_err() && grant.artifact_read(&text).is_err());
        prop_assert!(grant.secret(&text, &SlotTarget::Artifacts).is_err());
        prop_assert!(grant.lines().is_empty());
    }
}

proptest! {
    /// However a host is written, it is the same one; and no other host, port or address is covered.
    #[test]
    fn an_endpoint_has_one_spelling(
        labels in proptest::collection::vec("[a-z][a-z0-9-]{0,6}[a-z0-9]", 1..4), port in 1_u16..u16::MAX,
        dot in any::<bool>(), upper in any::<bool>(), address in any::<std::net::Ipv4Addr>(),
    ) {
        prop_assume!(labels.last().is_some_and(|label| label != "peer"));
        let host = labels.join(".");
        let spelled = if upper { host.to_uppercase() } else { host.clone() } + if dot { "." } else { "" };
        let rule = TcpRule::parse(&format!("{spelled}:{port}")).unwrap().with_addresses(vec!["0.0.0.0/0".parse().unwrap()]);
        prop_assert_eq!(rule.endpoint().to_string(), format!("{host}:{port}"));
        let again = Endpoint::parse(&rule.endpoint().to_string()).unwrap();
        prop_assert_eq!(&again, rule.endpoint());
        let grant = Grant { tcp: vec![rule], ..Grant::default() };
        let name = grant.tcp_name(&host).unwrap().host;
        let loud = host.to_uppercase() + ".";
        prop_assert_eq!(&grant.tcp_name(&loud).unwrap().host, &name);
        let others = [format!("x{host}"), format!("x.{host}")];
        prop_assert!(others.iter().all(|other| grant.tcp_name(other).is_err()));
        let to = |port| std::net::SocketAddr::from((address, port));
        prop_assert!(grant.tcp(to(port), std::slice::from_ref(&name)).is_ok());
        prop_assert!(grant.tcp(to(port + 1), std::slice::from_ref(&name)).is_err());
        prop_assert!(grant.tcp(to(port), &[]).is_err());
    }

    /// What is read as an endpoint has one host and one port, and errors show a place in the text.
    #[test]
    fn anything_may_stand_for_an_endpoint(text in "[-a-zA-Z0-9.:@/*{}$%\\[\\]äß ]{0,24}") {
        match Endpoint::parse(&text) {
            Ok(endpoint) => prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint)),
            Err(error) => prop_assert!(span_is_sound(&text, &error)),
        }
    }
}
