//! The keys of a settings schema.

use std::collections::BTreeMap;

use serde_json::Value;

/// Schemas are a vendor's: no more of one is looked at.
const MOST_PARTS: u32 = 20_000;
const DEEPEST: u32 = 24;

/// Every key that settings can have, by its path (`check[].kind`), and whether some alternative of the schema requires it.
pub(super) fn keys(schema: &Value) -> BTreeMap<String, bool> {
    let mut reading = Reading { root: schema, keys: BTreeMap::new(), parts: 0 };
    reading.read(schema, "", 0);
    reading.keys
}

struct Reading<'s> {
    root: &'s Value,
    keys: BTreeMap<String, bool>,
    parts: u32,
}

impl<'s> Reading<'s> {
    fn read(&mut self, schema: &'s Value, path: &str, depth: u32) {
        self.parts += 1;
        if depth > DEEPEST || self.parts > MOST_PARTS {
            return;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str)
            && let Some(target) = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))
        {
            self.read(target, path, depth + 1);
        }
        let required = |key: &str| {
            let list = schema.get("required").and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|known| known == key))
        };
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        // `false` is for a key that cannot be there.
        for (key, inner) in properties.filter(|(_, inner)| **inner != Value::Bool(false)) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            *self.keys.entry(path.clone()).or_default() |= required(key);
            self.read(inner, &path, depth + 1);
        }
        for word in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(word) {
                let mark = if word == "items" { "[]" } else { ".*" };
                self.read(inner, &format!("{path}{mark}"), depth + 1);
            }
        }
        for inner in ["then", "else"].into_iter().filter_map(|word| schema.get(word)) {
            self.read(inner, path, depth + 1);
        }
        for word in ["oneOf", "anyOf", "allOf", "prefixItems"] {
            for inner in schema.get(word).and_then(Value::as_array).into_iter().flatten() {
                self.read(inner, path, depth + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_found_wherever_a_schema_puts_them() {
        let schema = json!({
            "type": "object", "required": ["check"],
            "properties": {
                "check": { "type": "array", "items": { "oneOf": [{ "$ref": "#/$defs/Sql" }, { "$ref": "#/$defs/File" }] } },
                "labels": { "additionalProperties": { "properties": { "x": true } } },
            },
            "$defs": {
                "Sql": { "required": ["kind", "peer"], "properties": { "kind": { "const": "sql" }, "peer": {} } },
                "File": {
                    "if": { "properties": { "kind": { "const": "file" }, "only asked": {} } },
                    "then": { "required": ["kind"], "properties": { "kind": true, "path": {}, "never": false } },
                },
            },
        });
        let keys = keys(&schema);
        let shown: Vec<(&str, bool)> = keys.iter().map(|(key, required)| (key.as_str(), *required)).collect();
        assert_eq!(
            shown,
            [
                ("check", true),
                ("check[].kind", true),
                ("check[].path", false),
                ("check[].peer", true),
                ("labels", false),
                ("labels.*.x", false)
            ]
        );
    }

    #[test]
    fn a_schema_within_itself_comes_to_an_end() {
        let schema = json!({ "$ref": "#", "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" } } });
        assert!(keys(&schema).contains_key("a.b"));
    }
}
