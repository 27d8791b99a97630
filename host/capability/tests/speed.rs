//! A decision that allows allocates nothing and takes a microsecond at most.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{hint::black_box, path::Path, time::Instant};

use pipe_capability::{
    artifact::ArtifactRule,
    env::EnvRule,
    exec::{ArgumentPattern, ExecRule},
    grant::Grant,
    http::{HttpRequest, HttpRule},
    mail::{Address, MailRequest, MailRule, Recipient},
    path::{PathRequest, PathRule},
    reveal::RevealRule,
    secret::{SecretSlot, SlotTarget},
    sql::{Access, SqlRule},
    tcp::TcpRule,
    tls::{TlsRule, TlsTarget},
};

/// A grant with a dozen rules of each word, the last of which covers.
fn grant() -> Grant {
    let name = |index: usize| format!("peer{index}");
    let all = 0..12;
    Grant {
        http: all
            .clone()
            .map(|i| HttpRule::parse(&format!("GET|POST {}:/api/{{v1,v2}}/*/x-*/**", name(i))).unwrap())
            .collect(),
        tcp: all.clone().map(|i| TcpRule::parse(&format!("{}.example:5432", name(i))).unwrap()).collect(),
        tls: all.clone().map(|i| TlsRule::parse(&name(i)).unwrap()).collect(),
        sql: all.clone().map(|i| SqlRule::parse(&format!("write {}", name(i))).unwrap()).collect(),
        mail: all.clone().map(|i| mail(&name(i))).collect(),
        reveal: all.clone().map(|i| RevealRule::parse(&name(i)).unwrap()).collect(),
        read: all.clone().map(|i| PathRule::new(name(i), format!("/srv/hms/{}", name(i)))).collect(),
        write: all.clone().map(|i| PathRule::new(name(i), format!("/srv/out/{}", name(i)))).collect(),
        disk: all.clone().map(|i| PathRule::new(name(i), format!("/srv/disk/{}", name(i)))).collect(),
        env: all.clone().map(|i| EnvRule::parse(&format!("NAME_{i}")).unwrap()).collect(),
        secrets: all.clone().map(|i| SecretSlot::new(&name(i), &name(i), Some("X-Token"), None).unwrap()).collect(),
        exec: all
            .clone()
            .map(|i| ExecRule {
                program: name(i),
                argv: ["-F", "*", "--file=*.sql", "**"].map(|text| ArgumentPattern::parse(text).unwrap()).to_vec(),
                ..ExecRule::default()
            })
            .collect(),
        artifacts: all.map(|i| ArtifactRule::Read(name(i))).chain([ArtifactRule::Write]).collect(),
        is_for_preview: false,
    }
}

/// A rule with a dozen recipients.
fn mail(peer: &str) -> MailRule {
    let to = (0..12).map(|i| Recipient::parse(&format!("ops{i}@h.example")).unwrap());
    let to = to.chain([Recipient::parse("*@ward.example").unwrap()]).collect();
    MailRule::new(peer, Address::parse("deploy@h.example").unwrap(), to).unwrap()
}

type Decision = Box<dyn Fn() -> bool>;

/// Every decision, by name, on requests that are allowed by the last rule.
fn decisions() -> Vec<(&'static str, Decision)> {
    fn decision<R: 'static>(request: R, decide: impl Fn(&Grant, &R) -> bool + 'static) -> Decision {
        let grant = grant();
        Box::new(move || decide(black_box(&grant), black_box(&request)))
    }
    fn path(resolved: &'static str) -> PathRequest<'static> {
        PathRequest { shown: "x", resolved: Path::new(resolved) }
    }
    let http = HttpRequest::parse("POST", "https://peer11.peer/api/v2/namespaces/x-hms/a/b/c?q=1").unwrap();
    let arguments: Vec<String> = ["-F", "c", "--file=a.sql", "x", "y"].map(str::to_owned).to_vec();
    let to = ["ops11@h.example", "a@ward.example", "b@ward.example"];
    let message = MailRequest::parse("peer11", "deploy@h.example", to).unwrap();
    let names = vec![url::Host::Domain("peer11.example".to_owned())];
    let address = "93.184.216.34:5432".parse().unwrap();
    vec![
        ("tcp", decision(names, move |grant, names| grant.tcp(address, names).is_ok())),
        ("tls", decision(TlsTarget::Peer("peer11".to_owned()), |grant, target| grant.tls(target).is_ok())),
        ("http", decision(http, |grant, request| grant.http(request).is_ok())),
        ("sql", decision("peer11", |grant, peer| grant.sql(peer, Access::Read).is_ok())),
        ("read", decision(path("/srv/out/peer11/a/b.sql"), |grant, path| grant.read(path).is_ok())),
        ("write", decision(path("/srv/out/peer11/a/b.sql"), |grant, path| grant.write(path).is_ok())),
        ("disk", decision(path("/srv/disk/peer11"), |grant, path| grant.disk(path).is_ok())),
        ("mail", decision(message, |grant, message| grant.mail(message).is_ok())),
        ("reveal", decision("peer11", |grant, name| grant.reveal(name).is_ok())),
        ("env", decision("NAME_11", |grant, name| grant.env(name).is_ok())),
        (
            "secret",
            decision(SlotTarget::Peer("peer11".to_owned()), |grant, to| {
                grant.secret("peer11", to).is_ok() && grant.secret_slots(to).count() == 1
            }),
        ),
        ("exec", decision(arguments, |grant, arguments| grant.exec("peer11", arguments).is_ok())),
        ("artifact_read", decision("peer11", |grant, step| grant.artifact_read(step).is_ok())),
        ("artifact_write", decision((), |grant, ()| grant.artifact_write().is_ok())),
    ]
}

#[test]
fn an_allowed_decision_allocates_nothing() {
    for (name, decide) in decisions() {
        assert!(decide(), "{name} is denied");
        let allocated = allocation_counter::measure(|| {
            black_box(decide());
        });
        assert_eq!(allocated.count_total, 0, "{name}");
    }
}

/// The best of several rounds, since the machine may be busy with something else.
#[test]
#[cfg_attr(debug_assertions, ignore = "says something of optimised code alone")]
fn an_allowed_decision_takes_a_microsecond_at_most() {
    for (name, decide) in decisions() {
        let p99 = |_| {
            let mut nanoseconds: Vec<_> = (0..5_000)
                .map(|_| {
                    let start = Instant::now();
                    black_box(decide());
                    start.elapsed().as_nanos()
                })
                .collect();
            nanoseconds.sort_unstable();
            nanoseconds[nanoseconds.len() * 99 / 100]
        };
        let best = (0..10).map(p99).min().unwrap();
        println!("{name}: {best} ns");
        assert!(best <= 1_000, "{name}: {best} ns");
    }
}
