//! Notifications by mail, through a real mail server: STARTTLS, TLS from the start, logins, and what must never be said.

use pipe_tests::{Deployment, Ended};

use crate::{
    certificates::Authority,
    mail_server::{MailServer, Mode, USER},
    secrets::Needles,
};

/// Looks at a file, and then tells people. `CA` and `SCHEME` are filled in.
const PIPELINE: &str = r#"
name = "clinic"
environments = ["test"]
[inputs]
port = {}
[secrets]
mailbox.file = "mailbox"
[peers]
post = { url = "SCHEME://deploy%40hospital.example@localhost:${inputs.port}", password = "mailbox", CA addresses = ["127.0.0.0/8", "::1/128"] }

[[step]]
name = "look"
stage = "precheck"
allow.read = ["data"]
with.check = [{ kind = "file", path = "data/there" }]

[[step]]
name = "tell"
stage = "notify"
allow.mail = [{ peer = "post", from = "deploy@hospital.example", to = ["*@hospital.example"] }]
with = { kind = "mail", peer = "post", from = "deploy@hospital.example", to = ["ops@hospital.example"], retries = 0 }

[[notify]]
on = ["succeeded", "failed"]
allow.mail = [{ peer = "post", from = "deploy@hospital.example", to = ["*@hospital.example"] }]
with = { kind = "mail", peer = "post", from = "deploy@hospital.example", to = ["ops@hospital.example", "o'brien@hospital.example"], cc = ["direktion@hospital.example"], subject = "{pipeline} {status} ✓", text = "Größe\n.\n{headline}\nrun {run}\n", retries = 0 }
"#;

struct Clinic {
    deployment: Deployment,
    server: MailServer,
}

impl Clinic {
    fn new(mode: Mode) -> Self {
        let server = MailServer::start(mode);
        let deployment = Deployment::new()
            .file("data/there", "")
            .file("ca.pem", &Authority::shared().pem)
            .secret_file("mailbox", format!("{}\n", server.password));
        Self { deployment, server }
    }

    /// `pipe run`, with the password and the secret's other forms nowhere in what it says.
    #[track_caller]
    fn run(&self, scheme: &str, ca: &str) -> Ended {
        std::fs::write(self.deployment.at("clinic.toml"), PIPELINE.replace("SCHEME", scheme).replace("CA ", ca))
            .unwrap();
        let port = format!("port={}", self.server.port);
        let ended = self.deployment.run(&["run", "clinic.toml", "--env", "test", "--set", &port]);
        let needles = Needles::new([("password", self.server.password.as_str())]);
        needles.refuse("stdout", ended.stdout.as_bytes());
        needles.refuse("stderr", ended.stderr.as_bytes());
        assert!(needles.refuse_below(&self.deployment.at("state")) > 0);
        ended
    }
}

const CA: &str = "ca = \"ca.pem\", ";

#[test]
fn notifications_arrive() {
    for (mode, scheme) in [(Mode::Starttls, "smtp"), (Mode::Smtps, "smtps")] {
        let clinic = Clinic::new(mode);
        let ended = clinic.run(scheme, CA);
        assert_eq!(ended.code, 0, "{ended}");
        let needles = Needles::new([("password", clinic.server.password.as_str())]);
        let told = clinic.server.stop();
        let messages = told.messages();
        let [first, second] = messages.as_slice() else { panic!("{messages:?}") };
        for message in [first, second] {
            assert_eq!(message["sender"], "deploy@hospital.example");
            assert_eq!((&message["user"], &message["secure"]), (&USER.into(), &true.into()));
        }
        assert_eq!(first["recipients"], serde_json::json!(["ops@hospital.example"]));
        let content = first["content"].as_str().unwrap();
        assert!(content.contains("Subject: clinic (test) in progress\r\n"), "{content}");
        assert!(content.contains("\r\n\r\nclinic (test) in progress: clinic in test\r\nrun 20"), "{content}");

        let everybody = ["ops@hospital.example", "o'brien@hospital.example", "direktion@hospital.example"];
        assert_eq!(second["recipients"], serde_json::json!(everybody));
        let content = second["content"].as_str().unwrap();
        for line in [
            "From: deploy@hospital.example\r\n",
            "To: ops@hospital.example, o'brien@hospital.example\r\n",
            "Cc: direktion@hospital.example\r\n",
            "Message-ID: <",
            "Date: ",
            // As RFC 2047 and quoted-printable have it.
            "Subject: clinic succeeded =?utf-8?b?4pyT?=\r\n",
            "Gr=C3=B6=C3=9Fe\r\n.\r\n",
        ] {
            assert!(content.contains(line), "{line}: {content}");
        }
        needles.refuse("what came in the clear", told.clear().as_bytes());
        assert!(!told.clear().contains("AUTH"), "{}", told.clear());
    }
}

#[test]
fn a_wrong_password_is_told_by_its_secret() {
    let clinic = Clinic::new(Mode::Starttls);
    let deployment = Deployment::new()
        .file("data/there", "")
        .file("ca.pem", &Authority::shared().pem)
        .secret_file("mailbox", "not-the-password-at-all\n");
    let clinic = Clinic { deployment, ..clinic };
    let ended = clinic.run("smtp", CA);
    assert_eq!(ended.code, 1, "{ended}");
    for said in ["the server refused the login: 535 5.7.8", "is the secret `mailbox` the password of the user"] {
        assert!(ended.stderr.contains(said), "{said}: {ended}");
    }
    assert!(!ended.stderr.contains("not-the-password-at-all"), "{ended}");
    let told = clinic.server.stop();
    assert!(told.messages().is_empty());
    let logins = told.logins();
    assert!(!logins.is_empty() && logins.iter().all(|login| login["success"] == false), "{logins:?}");
}

#[test]
fn a_server_whose_starttls_was_taken_out_gets_neither_password_nor_message() {
    let clinic = Clinic::new(Mode::Stripped);
    let ended = clinic.run("smtp", CA);
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.stderr.contains("the server offers no STARTTLS, and nothing is sent in the clear"), "{ended}");
    let needles = Needles::new([("password", clinic.server.password.as_str())]);
    let told = clinic.server.stop();
    assert!(told.logins().is_empty() && told.messages().is_empty());
    needles.refuse("what came in the clear", told.clear().as_bytes());
    let words: Vec<String> = told.clear().lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(words, ["EHLO", "QUIT", "EHLO", "QUIT"]);
}

#[test]
fn a_server_with_a_certificate_from_an_unknown_authority_gets_nothing() {
    for (mode, scheme) in [(Mode::Starttls, "smtp"), (Mode::Smtps, "smtps")] {
        let clinic = Clinic::new(mode);
        let ended = clinic.run(scheme, "");
        assert_eq!(ended.code, 1, "{ended}");
        assert!(ended.stderr.contains("the certificate comes from an unknown authority"), "{ended}");
        assert!(ended.stderr.contains("ca = \"certs/post.pem\""), "{ended}");
        let told = clinic.server.stop();
        assert!(told.logins().is_empty() && told.messages().is_empty());
    }
}

#[test]
fn a_port_with_tls_from_the_start_is_told_where_starttls_was_meant() {
    let clinic = Clinic::new(Mode::Starttls);
    let ended = clinic.run("smtps", CA);
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.stderr.contains("what answers there does not speak TLS"), "{ended}");
}
