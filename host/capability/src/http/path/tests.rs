use super::*;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn paths_are_matched_segment_by_segment() {
    for (rule, path, matches) in [
        ("/", "/", true),
        ("/", "/a", false),
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a", "/A", false),
        ("/a", "/ab", false),
        ("/a", "/a/b", false),
        ("/a/", "/a/", true),
        ("/a/", "/a", false),
        ("/*", "/a", true),
        ("/*", "/", false),
        ("/*", "/a/b", false),
        ("/a/*", "/a/", false),
        ("/a/*/c", "/a/b/c", true),
        ("/a/*/c", "/a/b/b/c", false),
        ("/a*", "/a", true),
        ("/a*", "/abc", true),
        ("/*.json", "/x.json", true),
        ("/*.json", "/x.jso", false),
        ("/v*-*", "/v1-2", true),
        ("/**", "/", true),
        ("/**", "/a/b/c", true),
        ("/a/**", "/a", true),
        ("/a/**", "/a/", true),
        ("/a/**", "/a/b/c", true),
        ("/a/**", "/ab", false),
        ("/a/**", "/", false),
        ("/*/**", "/", false),
        ("/*/**", "/a", true),
    ] {
        assert_eq!(pattern(rule).matches(path), matches, "{rule} {path}");
    }
}

#[test]
fn alternatives_stay_within_a_segment() {
    for (rule, path, matches) in [
        ("/{a,b}", "/a", true),
        ("/{a,b}", "/b", true),
        ("/{a,b}", "/c", false),
        ("/{a,b}", "/a,b", false),
        ("/x{a,b}y/z", "/xby/z", true),
        ("/x{a,b}y/z", "/xy/z", false),
        ("/{a,b}{c,d}", "/ad", true),
        ("/{a,b}{c,d}", "/ab", false),
        ("/v1{,.2}", "/v1", true),
        ("/v1{,.2}", "/v1.2", true),
        ("/{a*,*b}c", "/axc", true),
        ("/{a*,*b}c", "/xbc", true),
        ("/{a*,*b}c", "/xc", false),
        ("/a,b", "/a,b", true),
        (r"/\{a,b\}", "/%7Ba,b%7D", true),
        (r"/{a\,b,c}", "/a,b", true),
        (r"/{a\,b,c}", "/a", false),
        (r"/{\},\{}", "/%7D", true),
    ] {
        assert_eq!(pattern(rule).matches(path), matches, "{rule} {path}");
    }
}

#[test]
fn literal_text_has_the_spelling_of_requests() {
    for (rule, path, matches) in [
        ("/%7Euser", "/~user", true),
        ("/a%20b", "/a%20b", true),
        ("/%c3%a4", "/%C3%A4", true),
        ("/ä", "/%C3%A4", true),
        ("/%2a", "/%2A", true),
        ("/%2a", "/*", false),
        (r"/\*", "/*", true),
        (r"/\*", "/a", false),
        (r"/\*", "/%2A", false),
        (r"/\*\*", "/**", true),
        (r"/\*\*", "/a/b", false),
        (r"/100\%", "/100%25", true),
        (r"/a\ b", "/a%20b", true),
        (r"/a\?b", "/a%3Fb", true),
        (r"/a\:b", "/a:b", true),
        ("/a|b", "/a%7Cb", true),
        ("/$x", "/$x", true),
    ] {
        assert_eq!(pattern(rule).matches(path), matches, "{rule} {path}");
    }
}

#[test]
fn a_star_takes_whole_characters() {
    for (rule, path, matches) in [
        ("/*20", "/a%20", false),
        ("/*0", "/a%20", false),
        ("/*20", "/a%2020", true),
        ("/*A", "/%2A", false),
        ("/*2*", "/%C3", false),
        ("/*2*x", "/%202x", true),
        ("/*%20", "/a%20", true),
        ("/a*", "/a%20", true),
    ] {
        assert_eq!(pattern(rule).matches(path), matches, "{rule} {path}");
    }
}

#[test]
fn what_is_no_path_is_shown_where_it_is() {
    for (rule, span) in [
        ("/a//b", 2..4),
        ("//", 0..2),
        ("/**/a", 1..3),
        ("/**/", 1..3),
        ("/a**", 2..4),
        ("/***", 1..3),
        ("/.", 1..2),
        ("/a/..", 3..5),
        ("/../a", 1..3),
        ("/..;x", 1..5),
        ("/{..,a}", 1..7),
        ("/{.,x}{.,y}", 1..11),
        ("/%2e", 1..4),
        ("/a%2Fb", 2..5),
        ("/a%5cb", 2..5),
        ("/a%00", 2..5),
        ("/%", 1..2),
        ("/%zz", 1..4),
        ("/%u0041", 1..4),
        ("/%252e", 1..6),
        ("/%c3*", 1..5),
        ("/%ff", 1..4),
        ("/a?b=c", 2..6),
        ("/a#b", 2..4),
        ("/a b", 2..3),
        ("/a\tb", 2..3),
        (r"/a\b", 2..4),
        (r"/a\\b", 2..4),
        (r"/a\", 2..3),
        (r"/a\/b", 2..4),
        (r"/a\/", 2..4),
        ("/{a", 1..2),
        ("/{a/b,c}", 1..2),
        ("/a}", 2..3),
        ("/{a}", 1..4),
        ("/{}", 1..3),
        ("/{a,{b,c}}", 4..5),
        ("/x/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", 33..38),
    ] {
        let error = PathPattern::parse(rule).expect_err(rule);
        assert_eq!(error.span, Some(span), "{rule}: {error}");
    }
}
