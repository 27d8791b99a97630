use super::*;

fn request(method: &str, url: &str) -> HttpRequest {
    HttpRequest::parse(method, url).unwrap_or_else(|denial| panic!("{denial}"))
}

#[test]
fn one_request_has_one_spelling() {
    for (url, shown, sent) in [
        ("https://k8s.peer/version", "GET k8s:/version", "/version"),
        ("http://k8s.peer/version", "GET k8s:/version", "/version"),
        ("HTTP://K8S.PEER:80/version", "GET k8s:/version", "/version"),
        ("https://k8s.peer", "GET k8s:/", "/"),
        ("https://k8s.peer?x=1", "GET k8s:/", "/?x=1"),
        ("https://k8s.peer/?", "GET k8s:/", "/?"),
        ("https://Example.COM./a", "GET https://example.com/a", "/a"),
        ("https://example.com:443/a/", "GET https://example.com/a/", "/a/"),
        ("http://example.com:443/a", "GET http://example.com:443/a", "/a"),
        ("https://[::1]:8443/a", "GET https://[::1]:8443/a", "/a"),
        ("https://k8s.peer/%7eu/%41%2d", "GET k8s:/~u/A-", "/~u/A-"),
        ("https://k8s.peer/a%3fb%c3%a4", "GET k8s:/a%3Fb%C3%A4", "/a%3Fb%C3%A4"),
        ("https://k8s.peer/ä%20b|c", "GET k8s:/%C3%A4%20b%7Cc", "/%C3%A4%20b%7Cc"),
        ("https://k8s.peer/a;v=1/x:y@z", "GET k8s:/a;v=1/x:y@z", "/a;v=1/x:y@z"),
        ("https://k8s.peer/a?q=../%2e%2E/\\", "GET k8s:/a", "/a?q=../%2e%2E/%5C"),
        ("https://k8s.peer/a?q=a%20b\"&m[]=<ä>", "GET k8s:/a", "/a?q=a%20b%22&m[]=%3C%C3%A4%3E"),
        ("https://k8s.peer/a?b?c", "GET k8s:/a", "/a?b?c"),
    ] {
        let request = request("GET", url);
        assert_eq!((request.to_string(), request.path_and_query()), (shown.to_owned(), sent.to_owned()), "{url}");
    }
}

#[test]
fn what_could_name_another_place_is_refused() {
    for (path, reason) in [
        ("/.", "dot segment"),
        ("/..", "dot segment"),
        ("/a/../b", "dot segment"),
        ("/a/./b", "dot segment"),
        ("/a/..", "dot segment"),
        ("/..;/b", "dot segment"),
        ("/..%3B/b", "dot segment"),
        ("/..%20/b", "dot segment"),
        ("/.../b", "dot segment"),
        ("/%2e%2e/b", "encodes a dot"),
        ("/.%2E/b", "encodes a dot"),
        ("/a%2Ejson", "encodes a dot"),
        ("/a%2fb", "encodes a slash"),
        ("/a%2Fb", "encodes a slash"),
        ("/a%5Cb", "encodes a backslash"),
        ("/a\\b", "backslash"),
        ("/a%00", "encodes a control"),
        ("/a%0d%0a", "encodes a control"),
        ("/a%7f", "encodes a control"),
        ("/%252e%252e/b", "encoded twice"),
        ("/%25%32%65/b", "encoded twice"),
        ("/%25%32%66", "encoded twice"),
        ("/%25252fb", "encoded twice"),
        ("/%c0%ae%c0%ae/b", "not UTF-8"),
        ("/%e0%80%af", "not UTF-8"),
        ("/%ff", "not UTF-8"),
        ("/．．/b", "take for"),
        ("/a／b", "take for"),
        ("/a%ef%bc%8fb", "take for"),
        ("/a%c2%85", "control character"),
        ("//b", "empty segment"),
        ("/a//b", "empty segment"),
        ("/%", "hexadecimal"),
        ("/%2", "hexadecimal"),
        ("/%u002e", "hexadecimal"),
        ("/a#b", "fragment"),
        ("/a?b#c", "fragment"),
        ("/a\r\nHost: x", "control character"),
        ("/a?b\nc", "control character"),
        ("/a?b\0", "control character"),
    ] {
        for host in ["https://k8s.peer", "https://example.com"] {
            let denial = HttpRequest::parse("GET", &format!("{host}{path}")).expect_err(path);
            assert!(denial.reason.contains(reason), "{path}: {}", denial.reason);
            assert_eq!((denial.word, denial.hint), (Word::Http, None));
        }
    }
}

#[test]
fn what_is_no_url_is_refused() {
    for (url, reason) in [
        ("", "not absolute"),
        ("/version", "not absolute"),
        ("k8s.peer/version", "not absolute"),
        ("k8s:/version", "not absolute"),
        ("http:k8s.peer/", "not absolute"),
        ("http:/k8s.peer/", "not absolute"),
        ("//k8s.peer/", "not absolute"),
        ("file:///etc/passwd", "neither http nor https"),
        ("ftp://example.com/", "neither http nor https"),
        ("://example.com/", "neither http nor https"),
        (" https://example.com/", "a space"),
        ("https://example.com/ ", "a space"),
        ("https://example.com/?a b", "a space"),
        ("javascript://example.com/", "neither http nor https"),
        ("http:///x", "the host is missing"),
        ("http:\\\\example.com/", "backslash"),
        ("https://a@k8s.peer/", "login"),
        ("https://k8s.peer:x@example.com/", "login"),
        ("https://k8s.peer\\@example.com/", "backslash"),
        ("https://example.com\t/", "control character"),
        ("http://2130706433/", "odd form of 127.0.0.1"),
        ("http://0x7f.1/", "odd form of 127.0.0.1"),
        ("http://[::ffff:127.0.0.1]/", "odd form of 127.0.0.1"),
        ("http://a.b.peer/", "not the name of a peer"),
        ("https://k8s.peer:6443/", "port of a peer"),
    ] {
        let denial = HttpRequest::parse("GET", url).expect_err(url);
        assert!(denial.reason.contains(reason), "{url}: {}", denial.reason);
        assert_eq!(denial.hint, None);
    }
    assert!(HttpRequest::parse("GET", &format!("https://k8s.peer/{}", "x".repeat(LONGEST_URL))).is_err());
}

#[test]
fn methods_are_known_ones() {
    for method in Method::ALL {
        assert_eq!(request(method.as_str(), "https://k8s.peer/").method(), method);
    }
    for (method, reason) in [
        ("TRACE", "TRACE is never sent"),
        ("CONNECT", "CONNECT is never sent"),
        ("get", "methods are written in capitals"),
        ("GET ", "the method is not one that can be granted"),
        ("*", "the method is not one that can be granted"),
        ("", "the method is not one that can be granted"),
        ("GET / HTTP/1.1\r\nX: ", "the method is not one that can be granted"),
    ] {
        assert_eq!(HttpRequest::parse(method, "https://k8s.peer/").unwrap_err().reason, reason, "{method}");
    }
}

#[test]
fn a_denial_shows_neither_login_nor_query() {
    for (url, shown) in [
        ("https://user:pw@example.com/a?token=x#y", "GET https://…@example.com/a"),
        ("https://user:pw@example.com", "GET https://…@example.com"),
        ("https://user:p/w@example.com", "GET https://user:p/w@example.com"),
        ("user:pw@example.com/a", "GET …@example.com/a"),
        ("https://example.com//a@b?token=x", "GET https://example.com//a@b"),
    ] {
        assert_eq!(HttpRequest::parse("GET", url).unwrap_err().subject, shown);
    }
}
