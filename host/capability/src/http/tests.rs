use super::*;

fn rule(text: &str) -> HttpRule {
    HttpRule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn covers(text: &str, method: &str, url: &str) -> bool {
    rule(text).covers(&HttpRequest::parse(method, url).unwrap_or_else(|denial| panic!("{denial}")))
}

#[test]
fn rules_cover_what_they_say() {
    for (text, method, url, covered) in [
        ("GET k8s:/version", "GET", "https://k8s.peer/version", true),
        ("GET k8s:/version", "GET", "http://K8S.peer./version?x=y", true),
        ("GET k8s:/version", "HEAD", "https://k8s.peer/version", false),
        ("GET k8s:/version", "GET", "https://k8s2.peer/version", false),
        ("GET k8s:/version", "GET", "https://k8s/version", false),
        ("GET k8s:/version", "GET", "https://k8s.peer.example/version", false),
        ("GET|POST k8s:/api/*/x/**", "POST", "https://k8s.peer/api/v1/x/y/z", true),
        ("GET|POST k8s:/api/*/x/**", "PUT", "https://k8s.peer/api/v1/x/y/z", false),
        ("* k8s:/**", "DELETE", "https://k8s.peer/a", true),
        ("* k8s:/**", "OPTIONS", "https://k8s.peer/a", false),
        ("OPTIONS k8s:/**", "OPTIONS", "https://k8s.peer/a", true),
        ("GET https://example.com/a", "GET", "https://EXAMPLE.com.:443/a", true),
        ("GET https://Bücher.example./a", "GET", "https://xn--bcher-kva.example/a", true),
        ("GET https://example.com/a", "GET", "http://example.com/a", false),
        ("GET https://example.com/a", "GET", "http://example.com:443/a", false),
        ("GET https://example.com/a", "GET", "https://example.com:8443/a", false),
        ("GET https://example.com:8443/a", "GET", "https://example.com:8443/a", true),
        ("GET https://example.com/a", "GET", "https://www.example.com/a", false),
        ("GET https://example.com/a", "GET", "https://example.com.evil.test/a", false),
        ("GET http://127.0.0.1:9090/**", "GET", "http://127.0.0.1:9090/x", true),
        ("GET http://[::1]/", "GET", "http://[::1]/", true),
        ("GET http://localhost/", "GET", "http://127.0.0.1/", false),
        ("POST slack:/", "POST", "https://slack.peer", true),
    ] {
        assert_eq!(covers(text, method, url), covered, "{text}: {method} {url}");
    }
}

#[test]
fn rules_are_printed_as_written() {
    for text in ["GET k8s:/version", "POST|GET k8s:/a/{b,c}*/**", "* https://X.example.:443/%7e"] {
        assert_eq!(rule(text).to_string(), text);
    }
    let table = rule("GET https://x/y")
        .with_addresses(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
        .unwrap();
    assert_eq!(table.to_string(), r#"{ rule = "GET https://x/y", addresses = ["10.0.0.0/8", "fd00::/8"] }"#);
    let refused = rule("GET k8s:/").with_addresses(vec!["10.0.0.0/8".parse().unwrap()]).unwrap_err();
    assert_eq!(refused.field, Some("addresses"));
}

#[test]
fn errors_show_the_place_and_what_would_be_right() {
    for (text, span, hint) in [
        ("", None, None),
        ("k8s:/version", Some(0..12), Some("as in `GET k8s:/version`")),
        ("get k8s:/version", Some(0..3), Some("methods are written in capitals: `GET`")),
        ("GET  k8s:/version", Some(4..17), None),
        ("GET /version", Some(4..12), Some("as in `k8s:/version` or `https://example.com/version`")),
        ("GET k8s", Some(4..7), Some("a peer and a path: `k8s:/`")),
        ("GET k8s/version", Some(4..15), Some("a host has a scheme before it: `https://k8s/version`")),
        ("GET k8s:version", Some(4..15), Some("the path begins with `/`: `k8s:/version`")),
        ("GET k8s:", Some(4..8), Some("the path begins with `/`: `k8s:/`")),
        ("GET example.com:443/x", Some(4..21), Some("a host has a scheme before it: `https://example.com:443/x`")),
        ("GET k8s://version", Some(4..7), Some("a peer's path begins with one slash: `k8s:/version`")),
        ("GET K8s:/version", Some(4..7), Some("guests address a peer as a host, and hosts are lower case: `k8s`")),
        (
            "GET *:/version",
            Some(4..5),
            Some("lower-case letters, digits, `-` and `_`, with a letter or digit at either end"),
        ),
        ("GET HTTPS://x/y", Some(4..9), Some("`https`")),
        ("GET ftp://x/y", Some(4..7), Some("a peer's path begins with one slash: `ftp:/x/y`")),
        (
            "GET https://*.example.com/x",
            Some(12..25),
            Some("a name that a plugin may choose carries data out by DNS alone: write a rule for each host"),
        ),
        ("GET https://*/x", Some(12..13), None),
        ("GET https://{a,b}.example/x", Some(12..25), None),
        ("GET https://k8s.peer/x", Some(4..20), Some("`k8s:/x`")),
        ("GET https://k8s.peer", Some(4..20), Some("`k8s:/`")),
        ("GET https://u:p@x/y", Some(12..16), Some("logins belong to a peer, where the host keeps them")),
        ("GET https://x", Some(4..13), Some("`https://x/` is that one path, `https://x/**` is all of them")),
        ("GET https://x:0/", Some(13..15), None),
        ("GET https://2130706433/", Some(12..22), Some("written plainly: `127.0.0.1`")),
        ("GET https://x?y", Some(12..15), None),
        ("GET https://${inputs.h}/x", Some(12..23), None),
        ("GET k8s:/${inputs.x/y", Some(9..21), None),
        ("GET k8s:/a?b=c", Some(10..14), Some("leave it out: whatever the query, the path decides")),
        ("GET k8s:/a b", Some(10..11), Some("`%20`")),
        ("GET k8s:/a/../b", Some(11..13), None),
        ("GET k8s:/a\\/b", Some(10..12), Some("a value fills one segment or a part of it")),
    ] {
        let error = HttpRule::parse(text).expect_err(text);
        assert_eq!(error.span, span, "{text}: {error}");
        if let Some(hint) = hint {
            assert_eq!(error.hint.as_deref(), Some(hint), "{text}");
        }
    }
    assert!(HttpRule::parse(&format!("GET k8s:/{}", "x".repeat(5000))).is_err());
}

#[test]
fn a_value_cannot_leave_its_place() {
    use crate::pattern::escape;
    for value in ["a/b", "../x", "..", ".", "", "x/**", "a\\b"] {
        assert!(HttpRule::parse(&format!("GET k8s:/{}/y", escape(value))).is_err(), "{value}");
    }
    for value in ["k8s:/", "evil.example/", "evil:80", "x@y", "a|b", "a b", "*", "x?", "x#"] {
        assert!(HttpRule::parse(&format!("GET https://{}.example/", escape(value))).is_err(), "{value}");
        assert!(HttpRule::parse(&format!("GET {}:/", escape(value))).is_err(), "{value}");
    }
    for value in ["GET|POST", "* k8s:/**", "*"] {
        assert!(HttpRule::parse(&format!("{} k8s:/", escape(value))).is_err(), "{value}");
    }
    for (value, url) in [
        ("*", "/*"),
        ("**", "/**"),
        ("{a,b}", "/%7Ba,b%7D"),
        ("${x}", "/$%7Bx%7D"),
        ("50%", "/50%25"),
        ("a b", "/a%20b"),
        ("a?b", "/a%3Fb"),
    ] {
        let text = format!("GET k8s:/{}", escape(value));
        assert!(covers(&text, "GET", &format!("https://k8s.peer{url}")), "{text}");
        assert!(!covers(&text, "GET", "https://k8s.peer/a"), "{text}");
    }
}

#[test]
fn reading_keeps_get_and_head() {
    for (text, reading) in [
        ("GET k8s:/a", Some("GET k8s:/a")),
        ("* k8s:/a", Some("GET|HEAD k8s:/a")),
        ("POST|GET k8s:/a/**", Some("GET k8s:/a/**")),
        ("POST k8s:/a", None),
        ("OPTIONS k8s:/a", None),
    ] {
        assert_eq!(rule(text).reading(), reading.map(rule), "{text}");
    }
}
