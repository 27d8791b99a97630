//! A plugin that describes itself wrongly. How is chosen by bytes in its data, which the tests change in the built
//! component: so one build serves them all.

use std::hint::black_box;

use pipe_sdk::verify::{Report, Verify};
use pipe_sdk::{Context, Description, Failure, Finding, Plugin, Word};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// What the tests look for, and a letter behind it.
#[used]
static MODE: [u8; 16] = *b"describe-mode: 0";

/// What a terminal would act upon.
const EVIL: &str = "\u{1b}[2J\u{9b}2J\u{202e}\nforged";

/// What a browser, a Markdown reader or a shell would act upon.
const MARKUP: &str = "<script>document.title='ran'</script>\"'><img src=x onerror=\"document.title='ran'\">`|</td></code> \
                      [x](https://evil.example) @everyone \u{5e9}\u{5dc}\u{5d5}\u{5dd}";

fn mode() -> u8 {
    black_box(&MODE)[15]
}

#[derive(serde::Deserialize)]
struct Settings {}

impl JsonSchema for Settings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        match mode() {
            b'r' => json_schema!({ "$ref": "https://evil.example/schema.json" }),
            b'f' => json_schema!({ "$ref": "file:///etc/passwd" }),
            b'h' => json_schema!({ "type": "object", "description": "x".repeat(300 << 10) }),
            b'p' => json_schema!({ "type": "object", "patternProperties": { "^(a+)+(?=b)$": true } }),
            b'n' => nested(100),
            b't' => json_schema!({ "type": "object", "description": EVIL }),
            _ => json_schema!({ "type": "object", "additionalProperties": false }),
        }
    }
}

/// Nested deeper than anybody would write it.
fn nested(depth: usize) -> Schema {
    let mut schema = Value::Bool(true);
    for _ in 0..depth {
        schema = serde_json::json!({ "not": schema });
    }
    schema.try_into().unwrap_or_default()
}

struct Bad;

impl Plugin for Bad {
    type Settings = Settings;

    fn describe() -> Description {
        match mode() {
            b'l' => loop {
                black_box(mode());
            },
            b's' => std::thread::sleep(std::time::Duration::from_secs(100)),
            b'b' => panic!("\u{1b}[2Jno description"),
            b'm' => drop(black_box(vec![1_u8; 1 << 30])),
            _ => {}
        }
        match mode() {
            b't' => Description::new(EVIL, EVIL, EVIL),
            b'w' => Description::new(MARKUP, MARKUP, MARKUP).asks(Word::Http, MARKUP, MARKUP),
            _ => Description::new("bad-schema", "bad-schema", "bad-schema"),
        }
    }
}

impl Verify for Bad {
    fn probe(_: &Context, _: Settings) -> Result<Report, Failure> {
        Ok(Report { findings: vec![Finding::pass("it ran").named("bad-schema")], ..Report::default() })
    }
}

pipe_sdk::export_verify!(Bad);
