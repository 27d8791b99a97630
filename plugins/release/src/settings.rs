//! What stands under `with`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// What to release, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Settings {
    /// Copies a directory into a versioned release, checks every byte of the copy, and switches the link `current` to it
    /// in one step. Undo switches back.
    Files(Files),
    /// Runs a program that releases, and another one to take it back.
    Program(Program),
    /// Moves traffic between two versions that run already, in waves where the step has some.
    TrafficShift(TrafficShift),
}

/// `kind = "files"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    /// Directory whose content is released. Needs `allow.read` for it. Symbolic links in it are copied as links where
    /// they are relative and stay inside, and refused elsewhere.
    pub(crate) source: String,
    /// Directory that holds `releases/VERSION/` and the symbolic link `current`. Needs `allow.write` for it.
    pub(crate) destination: String,
    /// Name of the release: letters, digits, `.`, `_` and `-`, beginning with a letter or digit. A version that is there
    /// already is used again where its content is the same, and is a conflict where it is not.
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub(crate) version: String,
    /// How many older releases stay, besides the current and the previous one. Only directories with our manifest are
    /// ever removed.
    #[serde(default = "five")]
    pub(crate) keep: u32,
    /// What to do about permission bits, which the copy cannot keep.
    #[serde(default)]
    pub(crate) permissions: Permissions,
}

fn five() -> u32 {
    5
}

/// What to do about permission bits. A plugin cannot set them: every copy gets those of a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Permissions {
    /// Refuses, before anything is touched, a source with a file that is executable (the copy would not be) or not
    /// readable by everyone (the copy may be).
    #[default]
    Refuse,
    /// Copies the content and loses the bits.
    Lose,
}

/// `kind = "program"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    /// What is released, for the report.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) version: String,
    /// Releases. Anything but exit code 0 is a failure.
    pub(crate) publish: Argv,
    /// Takes back. `{previous}` in an argument becomes what `current` printed before the release. Must be safe to run
    /// twice. Without it, undo fails and says so.
    #[serde(default)]
    pub(crate) undo: Option<Argv>,
    /// Prints what is live, as one line on standard output. Runs before the release (the previous version, for undo and
    /// report) and after it. Without it nobody knows what was live before.
    #[serde(default)]
    pub(crate) current: Option<Argv>,
    /// What `current` must print after the release.
    #[serde(default)]
    pub(crate) expect: Expect,
}

/// What `current` must print after the release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expect {
    /// Exactly `version`.
    #[default]
    Version,
    /// Anything: it prints the version in a form of its own, a digest or a revision number.
    Any,
}

/// `kind = "traffic-shift"`: the weights of an Istio VirtualService, by the Kubernetes API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-waves" = true))]
pub(crate) struct TrafficShift {
    /// Peer of the pipeline file: the Kubernetes API. Needs `allow.http` for `GET|PATCH` of the VirtualService.
    pub(crate) peer: String,
    /// `namespace/name` of the VirtualService.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    #[serde(deserialize_with = "namespaced")]
    pub(crate) virtual_service: String,
    /// The destination that gets the traffic: its subset, or its host where it has none. Every route of the VirtualService
    /// that leads there must have exactly one other destination, which keeps the rest.
    #[schemars(length(min = 1))]
    pub(crate) to: String,
    /// Version of `networking.istio.io`.
    #[serde(default)]
    pub(crate) api: Api,
}

/// Version of `networking.istio.io`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// Since Istio 1.22.
    #[default]
    V1,
    /// Before.
    V1Beta1,
}

impl TrafficShift {
    /// Path of the VirtualService at the peer.
    pub(crate) fn path(&self) -> String {
        let (namespace, name) = self.virtual_service.split_once('/').unwrap_or_default();
        let api = match self.api {
            Api::V1 => "v1",
            Api::V1Beta1 => "v1beta1",
        };
        format!("/apis/networking.istio.io/{api}/namespaces/{namespace}/virtualservices/{name}")
    }
}

/// What the schema says of it, for whoever did not look at the schema.
fn namespaced<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_name = |part: &str, more: &[u8]| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
        ends && part.bytes().all(|byte| plain(byte) || more.contains(&byte))
    };
    let sound = text.split_once('/').is_some_and(|(space, name)| is_name(space, b"-") && is_name(name, b"-."));
    if sound { Ok(text) } else { Err(D::Error::custom("`virtual_service` is written `namespace/name`")) }
}

/// A program and its arguments, exactly as `allow.exec` grants them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Argv {
    /// Name or absolute path, as in the grant.
    #[schemars(length(min = 1))]
    pub(crate) program: String,
    /// Arguments, one by one. There is no shell.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
}
