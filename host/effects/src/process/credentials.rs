//! The login of a peer, as a program takes it: libpq's variables and password file.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use pipe_capability::{denial::Denial, word::Word};
use secrecy::ExposeSecret as _;

use super::environment::write_private;
use crate::{
    egress::Unresolved,
    error::{EffectError, ErrorKind},
    session::Session,
    world::{ClientIdentity, Peer, TlsMode, World},
};

/// Where distributions keep the certificate authorities of the system.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How long libpq waits for a connection, in seconds.
const CONNECT_SECONDS: &str = "10";

/// The longest application name that PostgreSQL keeps, in bytes.
const LONGEST_APPLICATION_NAME: usize = 63;

/// How long the address of a peer may be looked up.
const LOOKUP: Duration = Duration::from_secs(10);

impl Session {
    /// The addresses of a peer that a program is to be sent to: looked up and checked here, and by nobody again.
    pub(super) async fn addresses_for_program(&self, name: &str) -> Result<Vec<SocketAddr>, EffectError> {
        let peer = postgres(name, &self.world)?;
        let addresses = match self.resolve(&peer.endpoint(POSTGRES)?, &peer.addresses, LOOKUP).await {
            Ok(addresses) => addresses,
            Err(Unresolved::Failed(error)) => return Err(error),
            Err(Unresolved::Refused(refused)) => {
                return Err(self.refuse(refused.at_peer(Word::Exec, &peer.name, &peer.addresses)).await);
            }
        };
        let here = addresses.iter().all(|address| address.ip().to_canonical().is_loopback());
        if let (TlsMode::Disable, Some(secret), false) = (peer.tls, &peer.password, here) {
            let reason = "the peer says `tls = \"disable\"`, and the password would travel in the clear";
            let subject = format!("{secret} to {}", peer.name);
            return Err(self.refuse(Denial::new(Word::Secrets, &subject, reason)).await);
        }
        Ok(addresses)
    }
}

/// The peer `name`, which must be one that programs can log in to.
fn postgres<'w>(name: &str, world: &'w World) -> Result<&'w Peer, EffectError> {
    let peer = world.peers.get(name).ok_or_else(|| invalid(format!("there is no peer `{name}`")))?;
    if !matches!(peer.url.scheme(), "postgres" | "postgresql") {
        return Err(invalid(format!("the peer `{name}` is not a PostgreSQL server: programs get no login for it")));
    }
    Ok(peer)
}

/// The port of PostgreSQL.
const POSTGRES: u16 = 5432;

/// The variables that take a program to the peer `name` at `addresses`. The password goes into a file of its own in
/// `scratch`.
pub(super) fn of_peer(
    name: &str,
    world: &World,
    step: &str,
    scratch: &Path,
    addresses: &[SocketAddr],
) -> Result<Vec<(String, OsString)>, EffectError> {
    let peer = postgres(name, world)?;
    let login = Login::of(peer)?;
    let mut variables: Vec<(String, OsString)> = Vec::new();
    let mut set = |name: &str, value: OsString| variables.push((name.to_owned(), value));
    // The name is for the certificate. libpq wants it once for each address, and tries one after the other.
    set("PGHOST", vec![login.host.as_str(); addresses.len().max(1)].join(",").into());
    let addresses: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    if !addresses.is_empty() {
        set("PGHOSTADDR", addresses.join(",").into());
    }
    set("PGPORT", login.port.to_string().into());
    if !login.user.is_empty() {
        set("PGUSER", login.user.clone().into());
    }
    if !login.database.is_empty() {
        set("PGDATABASE", login.database.clone().into());
    }
    match peer.tls {
        TlsMode::VerifyFull => {
            set("PGSSLMODE", "verify-full".into());
            set("PGSSLROOTCERT", peer.ca.clone().unwrap_or_else(|| PathBuf::from(SYSTEM_ROOTS)).into());
        }
        TlsMode::Disable => set("PGSSLMODE", "disable".into()),
    }
    // Else a ticket of the machine could take the place of TLS.
    set("PGGSSENCMODE", "disable".into());
    set("PGCONNECT_TIMEOUT", CONNECT_SECONDS.into());
    set("PGAPPNAME", application_name(step).into());
    if let Some(secret) = &peer.password {
        let value = world
            .secrets
            .get(secret)
            .ok_or_else(|| invalid(format!("the secret `{secret}` of the peer `{name}` is not declared")))?;
        let path = scratch.join("pgpass");
        write_password_file(&path, &login, value.expose_secret())
            .map_err(|problem| invalid(format!("the password of the peer `{name}`: {problem}")))?;
        set("PGPASSFILE", path.into());
    }
    if let (Some(client), TlsMode::VerifyFull) = (&peer.client, peer.tls) {
        let (certificate, key) = write_client(client, world, scratch)
            .map_err(|problem| invalid(format!("the client certificate of the peer `{name}`: {problem}")))?;
        set("PGSSLCERT", certificate.into());
        set("PGSSLKEY", key.into());
    }
    Ok(variables)
}

struct Login {
    host: String,
    port: u16,
    user: String,
    database: String,
}

impl Login {
    fn of(peer: &Peer) -> Result<Self, EffectError> {
        let url = &peer.url;
        let decoded = |text: &str| {
            decode(text).ok_or_else(|| invalid(format!("the address of the peer `{}` is not UTF-8 text", peer.name)))
        };
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = if host.is_empty() { "localhost".to_owned() } else { decoded(host)? };
        Ok(Self {
            host,
            port: url.port().unwrap_or(POSTGRES),
            user: decoded(url.username())?,
            database: decoded(url.path().trim_start_matches('/'))?,
        })
    }
}

/// Undoes percent-encoding. Nothing where the result is no text that a variable can hold.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let encoded = (byte == b'%').then(|| after.get(..2)).flatten();
        let value = encoded.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        rest = if value.is_some() { &after[2..] } else { after };
        bytes.push(value.unwrap_or(byte));
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// `pipe STEP`, cut to what the server keeps.
fn application_name(step: &str) -> String {
    let mut name = format!("pipe {step}");
    let end = (0..=LONGEST_APPLICATION_NAME.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    name.truncate(end.unwrap_or_default());
    name
}

/// `host:port:*:user:password`, so that the password goes to this server and for this user only.
fn write_password_file(path: &Path, login: &Login, password: &str) -> Result<(), String> {
    let password = password.trim_end_matches(['\r', '\n']);
    let fields = [&login.host, &login.port.to_string(), &login.user, password].map(escaped);
    if fields.iter().any(|field| field.contains(['\n', '\r', '\0'])) {
        return Err("libpq takes no password of several lines".to_owned());
    }
    let [host, port, user, password] = fields;
    // Without a user in the address, libpq takes the name of the operating system's: any.
    let user = if user.is_empty() { "*".to_owned() } else { user };
    write_private(path, &format!("{host}:{port}:*:{user}:{password}\n")).map_err(|error| error.to_string())
}

/// Certificate and key as files of this program alone: it may see nothing else of them.
fn write_client(client: &ClientIdentity, world: &World, scratch: &Path) -> Result<(PathBuf, PathBuf), String> {
    let key = world.secrets.get(&client.key).ok_or_else(|| format!("there is no secret `{}`", client.key))?;
    let (certificate_file, key_file) = (scratch.join("client.pem"), scratch.join("client.key"));
    let written = std::fs::copy(&client.certificate, &certificate_file)
        .and_then(|_| write_private(&key_file, &format!("{}\n", key.expose_secret().trim())));
    written.map_err(|error| error.to_string())?;
    Ok((certificate_file, key_file))
}

fn escaped(field: &str) -> String {
    field.replace('\\', "\\\\").replace(':', "\\:")
}

fn invalid(message: String) -> EffectError {
    EffectError::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn the_password_file_is_escaped_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        let login = Login { host: "::1".into(), port: 5433, user: "a:b".into(), database: "x".into() };
        write_password_file(&path, &login, "p:a\\ss wörd\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "\\:\\:1:5433:*:a\\:b:p\\:a\\\\ss wörd\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = write_password_file(&directory.path().join("other"), &login, "two\nlines").unwrap_err();
        assert!(!refused.contains("two"), "{refused}");
    }

    #[test]
    fn a_client_certificate_lies_beside_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, scratch) = (directory.path().join("us.pem"), directory.path().join("scratch"));
        fs::write(&certificate, "certificate").unwrap();
        fs::create_dir(&scratch).unwrap();
        let mut world = World::empty();
        world.secrets.0.insert("key".to_owned(), "the key itself".to_owned().into());
        let peer = Peer {
            name: "main".to_owned(),
            url: "postgres://u@db.example/d".parse().unwrap(),
            password: None,
            bearer: None,
            secret_path: None,
            tls: TlsMode::VerifyFull,
            ca: None,
            client: Some(ClientIdentity { certificate, key: "key".to_owned() }),
            addresses: Vec::new(),
            pinned: None,
        };
        world.peers.insert("main".to_owned(), peer);
        let variables = of_peer("main", &world, "backup", &scratch, &[]).unwrap();
        let file = |name: &str| PathBuf::from(&variables.iter().find(|(known, _)| known == name).unwrap().1);
        assert_eq!(fs::read_to_string(file("PGSSLCERT")).unwrap(), "certificate");
        assert_eq!(fs::read_to_string(file("PGSSLKEY")).unwrap(), "the key itself\n");
        assert_eq!(fs::metadata(file("PGSSLKEY")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(variables.iter().all(|(_, value)| !value.to_string_lossy().contains("the key itself")));
    }

    #[test]
    fn an_address_is_decoded() {
        assert_eq!(decode("%2Fvar%2Frun").unwrap(), "/var/run");
        assert_eq!(decode("100%"), Some("100%".to_owned()));
        assert_eq!(decode("%zz%4"), Some("%zz%4".to_owned()));
        assert_eq!(decode("%ff"), None);
        assert_eq!(decode("a%00b"), None);
        assert_eq!(application_name(&"ü".repeat(60)).len(), 63);
    }
}
