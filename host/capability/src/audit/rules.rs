//! What the rules of a grant cover, and what else the pipeline file says about a call.

use std::path::Path;

use pipe_core::stage::Stage;

use super::{About, CallFacts, Check, RuleKey, Severity, Verdict, private_addresses};
use crate::{
    ceiling::Part,
    exec::{ArgumentPattern, ExecRule},
    http::{HttpRule, HttpTarget, Methods, Scheme},
    mail::{MailRule, Recipient},
    path::PathRule,
    sql::Access,
    tcp::TcpRule,
    word::Word,
};

/// Directories that hold more than one system's business.
const SHARED: [&str; 11] = ["/", "/etc", "/home", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var"];

pub(super) fn verdicts(facts: &CallFacts<'_>) -> Vec<Verdict> {
    let mut verdicts = about_call(facts);
    verdicts.extend(facts.above.into_iter().flatten().map(|above| {
        let about = match above.at {
            Part::Rule(word, index) => About::Rule(RuleKey { word, index }),
            Part::Plugin => About::Plugin,
            Part::Whole => About::Call,
        };
        Verdict::new(Check::AbovePolicy, about, above.why.clone())
            .hint("ask for less, or ask those who keep the policy for more")
    }));
    let grant = facts.grant;
    verdicts.extend(each(Word::Http, &grant.http).flat_map(|(about, rule)| http(about, rule)));
    verdicts.extend(each(Word::Tcp, &grant.tcp).flat_map(|(about, rule)| tcp(about, rule)));
    verdicts.extend(
        each(Word::Tls, &grant.tls)
            .filter_map(|(about, rule)| private_addresses(&rule.addresses, &format!("`{}`", rule.target()), about)),
    );
    verdicts.extend(each(Word::Exec, &grant.exec).flat_map(|(about, rule)| exec(facts.base, &about, rule)));
    verdicts.extend(each(Word::Mail, &grant.mail).filter_map(|(about, rule)| mail(about, rule)));
    verdicts.extend(each(Word::Reveal, &grant.reveal).map(|(about, rule)| {
        let message = format!("the plugin is shown the secret `{}`", rule.name());
        Verdict::new(Check::RevealsSecret, about, message)
            .hint("let the host use it: a peer's login, or `allow.secrets`")
    }));
    verdicts.extend(each(Word::Write, &grant.write).map(|(about, rule)| write(facts.base, about, rule)));
    verdicts.extend(each(Word::Read, &grant.read).filter_map(|(about, rule)| read(about, rule)));
    verdicts.extend(
        each(Word::Read, &grant.read)
            .chain(each(Word::Write, &grant.write))
            .filter_map(|(about, rule)| secret_place(about, &rule.resolved, &rule.written)),
    );
    verdicts.extend(each(Word::Env, &grant.env).filter(|(_, rule)| is_secret_name(rule.name())).map(
        |(about, rule)| {
            let message = format!("the variable `{}` holds a secret, by its name", rule.name());
            Verdict::new(Check::SecretInReach, about, message).hint(DECLARE)
        },
    ));
    verdicts
}

/// Whether a path leads to where secrets are kept.
fn secret_place(about: About, path: &Path, written: &str) -> Option<Verdict> {
    let shown = path.components().map(|part| part.as_os_str().to_string_lossy());
    let holder = shown.into_iter().find(|part| is_secret_place(part))?;
    let message = format!("`{holder}` in `{written}` is where secrets are kept");
    Some(Verdict::new(Check::SecretInReach, about, message).hint(DECLARE))
}

const DECLARE: &str = "declare it in `[secrets]`, and let the host put it where it belongs";

fn about_call(facts: &CallFacts<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if !facts.standard && !facts.pinned {
        let message = format!("the pipeline file does not say what the content of `{}` is", facts.plugin);
        let hint = format!(
            "beside its `path` in `[plugins]`: `sha256 = \"{}\"`; or `pipe lock`, and `--locked` from then on",
            facts.sha256
        );
        verdicts.push(Verdict::new(Check::UnpinnedPlugin, About::Plugin, message).hint(hint));
    }
    if facts.irreversible || (changes_by_stage(facts.stage) && !facts.undo) {
        let why = if facts.undo { "the pipeline file says so" } else { "its plugin cannot undo" };
        let message = format!("what this step changes is not undone when a later one fails: {why}");
        verdicts.push(Verdict::new(Check::Irreversible, About::Call, message));
    }
    for name in facts.plain_backups {
        let message = format!("the backup `{name}` is stored in the clear");
        let hint = "`encrypt = \"NAME\"`: a secret of `[secrets]`, made with `age-keygen`";
        verdicts.push(Verdict::new(Check::BackupInTheClear, About::Call, message).hint(hint));
    }
    let changes_data = facts.grant.sql.iter().any(|rule| rule.access == Access::Write) || !facts.grant.exec.is_empty();
    if facts.stage == Stage::Migrate && changes_data && !facts.after_backup {
        let message = "it may change a database, and no backup step stands before it";
        verdicts.push(Verdict::new(Check::MigratesWithoutBackup, About::Call, message));
    }
    verdicts
}

const fn changes_by_stage(stage: Stage) -> bool {
    matches!(stage, Stage::Migrate | Stage::Release)
}

/// The rules of a word, each with its place.
fn each<R>(word: Word, rules: &[R]) -> impl Iterator<Item = (About, &R)> {
    rules.iter().enumerate().map(move |(index, rule)| (About::Rule(RuleKey { word, index }), rule))
}

fn http(about: About, rule: &HttpRule) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let reads = rule.methods().iter().all(|method| method.is_safe());
    if rule.covers_every_path() || rule.methods() == Methods::STAR {
        let what = match (rule.covers_every_path(), rule.methods() == Methods::STAR) {
            (true, true) => "any method but OPTIONS, to every path below",
            (true, false) => "every path below",
            _ => "any method but OPTIONS",
        };
        let verdict = Verdict::new(Check::WidePattern, about.clone(), format!("`{rule}` covers {what}"));
        verdicts.push(if reads { verdict.at(Severity::Note) } else { verdict });
    }
    if let HttpTarget::Origin { scheme, host, .. } = rule.target() {
        if *scheme == Scheme::Http {
            let message = format!("what `{rule}` sends and gets back travels in the clear");
            verdicts.push(Verdict::new(Check::InTheClear, about.clone(), message).hint("use `https`"));
        }
        verdicts.extend(private_addresses(&rule.addresses, &format!("`{host}`"), about));
    }
    verdicts
}

fn exec(base: &Path, about: &About, rule: &ExecRule) -> Vec<Verdict> {
    let program = &rule.program;
    let secrets = rule.secret_env.values().chain(rule.secret_file.values());
    let logins = rule.peer.iter().map(|peer| format!("the login of the peer `{peer}`"));
    let gets: Vec<String> = logins.chain(secrets.map(|secret| format!("the secret `{secret}`"))).collect();
    let given = if gets.is_empty() { String::new() } else { format!(", and is given {}", gets.join(" and ")) };
    let native = Verdict::new(Check::NativeCode, about.clone(), format!("`{program}` is native code{given}"));
    let mut verdicts = vec![match rule.sha256 {
        Some(_) => native,
        None => native.hint("`sha256` in the rule says which content of the program is meant"),
    }];
    let mut wide = |message: String| verdicts.push(Verdict::new(Check::WidePattern, about.clone(), message));
    if rule.argv.iter().any(ArgumentPattern::is_rest) {
        wide(format!("`{program}` may be run with any further arguments"));
    }
    if !rule.ports.is_empty() {
        let ports = rule.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let port = if rule.ports.len() == 1 { "port" } else { "ports" };
        wide(format!("`{program}` may connect to {port} {ports} of any address"));
    }
    for socket in &rule.sockets {
        wide(format!("`{program}` may do whatever the one who listens at `{}` lets it", socket.written));
    }
    // Where it starts it may read.
    let start = rule.cwd.as_ref().map(|cwd| PathRule::new(cwd.as_str(), base.join(cwd)));
    let reached: Vec<&PathRule> = rule.read.iter().chain(&rule.write).chain(&start).collect();
    for path in reached.iter().filter(|path| is_shared(&path.resolved)) {
        wide(format!("`{program}` may reach everything in `{}`: many things have their place there", path.written));
    }
    verdicts.extend(reached.iter().filter_map(|path| secret_place(about.clone(), &path.resolved, &path.written)));
    for path in rule.write.iter().filter(|path| !is_shared(&path.resolved)) {
        let verdict = write(base, about.clone(), path);
        let message = format!("by `{program}`, {}", verdict.message);
        verdicts.push(Verdict { message, ..verdict });
    }
    verdicts
}

fn tcp(about: About, rule: &TcpRule) -> Vec<Verdict> {
    let endpoint = rule.endpoint();
    let message =
        format!("`{endpoint}` is a bare connection: whether what goes over it is encrypted is the plugin's business");
    let bare = Verdict::new(Check::InTheClear, about.clone(), message);
    let private = private_addresses(&rule.addresses, &format!("`{endpoint}`"), about);
    std::iter::once(bare).chain(private).collect()
}

fn mail(about: About, rule: &MailRule) -> Option<Verdict> {
    let domains = rule.to.iter().filter(|to| matches!(to, Recipient::Domain(_))).map(ToString::to_string);
    let domains: Vec<String> = domains.collect();
    let message = format!("`{}` may write to anybody of {}", rule.from, domains.join(", "));
    (!domains.is_empty()).then(|| Verdict::new(Check::WidePattern, about, message).at(Severity::Note))
}

fn write(base: &Path, about: About, rule: &PathRule) -> Verdict {
    let written = &rule.written;
    let verdict =
        Verdict::new(Check::Write, about, format!("`{written}` and everything in it may be read, changed and deleted"));
    let wide = if is_shared(&rule.resolved) {
        "many things have their place there"
    } else if base.starts_with(&rule.resolved) {
        "it holds the pipeline file"
    } else {
        return verdict;
    };
    let message = format!("{}: {wide}", verdict.message);
    Verdict { message, ..verdict }.at(Severity::Warning).hint("name the directory that is meant")
}

fn read(about: About, rule: &PathRule) -> Option<Verdict> {
    is_shared(&rule.resolved).then(|| {
        let message = format!("everything in `{}` may be read: many things have their place there", rule.written);
        Verdict::new(Check::WidePattern, about, message).hint("name the directory that is meant")
    })
}

fn is_shared(path: &Path) -> bool {
    SHARED.iter().any(|shared| path == Path::new(shared))
}

/// Whether a variable of this name holds a secret. `JWT_PRIVATE_KEY_PATH` is where one is, and not the secret itself.
fn is_secret_name(name: &str) -> bool {
    const ENDS: [&str; 9] =
        ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIALS", "PRIVATE_KEY", "API_KEY", "SECRET_KEY"];
    let upper = name.to_ascii_uppercase();
    ENDS.iter().any(|end| upper.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('_')))
        || upper.ends_with("ACCESS_KEY")
        || upper.ends_with("ENCRYPTION_KEY")
}

/// Whether a file or directory of this name is one that programs keep secrets in.
fn is_secret_place(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        ".ssh", ".aws", ".azure", ".docker", ".gnupg", ".kube", ".netrc", ".pgpass", ".env", "secrets", "shadow",
        "id_rsa",
    ];
    NAMES.contains(&name) || name.starts_with("id_ed25519") || name.starts_with(".env.")
}
