//! The JSON Schema of a plugin's settings, and settings that are one entry or a list of entries.
//!
//! The host reports an error at the line of the pipeline file that the error's instance path leads to. A derived schema
//! says `oneOf` of an enum with a tag, and the error of a `oneOf` leads to the whole entry. Here it becomes `if` the tag
//! is this `then` that, so that the error leads to the misspelt or missing word; and `null`, which TOML does not have, goes.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// The schema of a type, as JSON text.
#[must_use]
pub fn of<T: JsonSchema>() -> String {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    RecursiveTransform(without_null).transform(&mut schema);
    RecursiveTransform(choose_by_tag).transform(&mut schema);
    schema.to_value().to_string()
}

/// `["string", "null"]` becomes `"string"`; `anyOf` something or null becomes the something.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|word| word != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let null = json!({ "type": "null" });
    if let Some(Value::Array(choices)) = object.get_mut("anyOf")
        && choices.contains(&null)
    {
        choices.retain(|choice| *choice != null);
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
}

/// `oneOf` objects that differ in a constant becomes `allOf` of `if`/`then`; `oneOf` constants becomes `enum`.
fn choose_by_tag(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let Some(Value::Array(variants)) = object.get("oneOf") else { return };
    let words: Option<Vec<Value>> = variants.iter().map(|variant| variant.get("const").cloned()).collect();
    if let Some(words) = words {
        object.remove("oneOf");
        object.insert("enum".to_owned(), Value::Array(words));
        return;
    }
    let Some(tag) = variants.first().and_then(tag_of) else { return };
    let mut kinds = Vec::new();
    let mut choices = Vec::new();
    for variant in variants {
        let Some(kind) = constant(variant, &tag) else { return };
        let when = json!({ "properties": { &tag: { "const": kind } }, "required": [&tag] });
        choices.push(json!({ "if": when, "then": variant }));
        kinds.push(kind.clone());
    }
    object.remove("oneOf");
    object.insert("type".to_owned(), json!("object"));
    object.insert("required".to_owned(), json!([&tag]));
    object.insert("properties".to_owned(), json!({ &tag: { "enum": kinds } }));
    object.insert("allOf".to_owned(), Value::Array(choices));
}

/// The property that has a constant and is required.
fn tag_of(variant: &Value) -> Option<String> {
    let properties: &Map<String, Value> = variant.get("properties")?.as_object()?;
    properties.keys().find(|name| constant(variant, name).is_some()).cloned()
}

fn constant<'v>(variant: &'v Value, name: &str) -> Option<&'v Value> {
    let required = variant.get("required")?.as_array()?.iter().any(|required| required == name);
    required.then(|| variant.get("properties")?.get(name)?.get("const"))?
}

/// The word under which a list of entries stands: `check` in `with.check = [{ kind = "http", … }, …]`.
pub trait Listed {
    /// The word.
    const WORD: &'static str;
}

/// Settings that are one entry inline (`with = { kind = "http", … }`) or a list of them (`with.check = [{ … }, …]`).
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<T>(Vec<T>);

impl<T> Entries<T> {
    /// The entries, in order. Never empty where the schema was kept.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<'de, T: Listed + DeserializeOwned> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Map::deserialize(deserializer)?;
        let list = match object.remove(T::WORD) {
            None => vec![Value::Object(object)],
            Some(Value::Array(list)) if !list.is_empty() && object.is_empty() => list,
            Some(_) => {
                return Err(D::Error::custom(format!("`{}` must be a list of entries, and stand alone", T::WORD)));
            }
        };
        let entry = |(index, value)| {
            T::deserialize(value).map_err(|error| D::Error::custom(format!("{}[{index}]: {error}", T::WORD)))
        };
        Ok(Self(list.into_iter().enumerate().map(entry).collect::<Result<_, _>>()?))
    }
}

impl<T: Listed + JsonSchema> JsonSchema for Entries<T> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Owned(format!("EntriesOf{}", T::schema_name()))
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entry = generator.subschema_for::<T>();
        json_schema!({
            "type": "object",
            "if": { "required": [T::WORD] },
            "then": {
                "properties": { T::WORD: { "type": "array", "items": entry, "minItems": 1, "maxItems": 256 } },
                "required": [T::WORD],
                "additionalProperties": false,
            },
            "else": entry,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
    enum Check {
        /// Looks at a file.
        File(FileCheck),
        #[expect(dead_code, reason = "only its schema is looked at")]
        Other { level: Option<u32> },
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct FileCheck {
        path: String,
        size: Option<crate::units::Bytes>,
        #[serde(default)]
        level: Level,
    }

    #[derive(Debug, Default, PartialEq, Deserialize, serde::Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Level {
        /// Low.
        #[default]
        Low,
        /// High.
        High,
    }

    impl Listed for Check {
        const WORD: &'static str = "check";
    }

    #[test]
    fn an_entry_is_chosen_by_its_kind() {
        let schema: Value = serde_json::from_str(&of::<Entries<Check>>()).expect("JSON");
        let check = &schema["$defs"]["Check"];
        assert_eq!(check["properties"]["kind"]["enum"], json!(["file", "other"]));
        let file = &check["allOf"][0]["then"];
        assert_eq!(file["additionalProperties"], json!(false), "{schema:#}");
        assert_eq!(file["required"], json!(["kind", "path"]));
        assert_eq!(file["properties"]["size"]["type"], json!("string"));
        assert_eq!(check["allOf"][1]["then"]["properties"]["level"]["type"], json!("integer"));
        assert_eq!(schema["$defs"]["Level"]["enum"], json!(["low", "high"]));
        assert!(!schema.to_string().contains("null"), "{schema:#}");
    }

    #[test]
    fn one_entry_or_a_list() {
        let one: Entries<Check> = serde_json::from_str(r#"{"kind":"file","path":"a"}"#).expect("one");
        assert!(matches!(one.into_vec().as_slice(), [Check::File(file)]
            if file.path == "a" && file.size.is_none() && file.level == Level::Low));
        let two = r#"{"check":[{"kind":"file","path":"a"},{"kind":"other","level":1}]}"#;
        assert_eq!(serde_json::from_str::<Entries<Check>>(two).expect("two").into_vec().len(), 2);
        for wrong in [r#"{"check":[]}"#, r#"{"check":[{"kind":"file"}]}"#, r#"{"kind":"file","path":"a","b":1}"#] {
            assert!(serde_json::from_str::<Entries<Check>>(wrong).is_err(), "{wrong}");
        }
    }
}
