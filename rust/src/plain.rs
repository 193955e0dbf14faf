//! Is a schema plainly a valid one?  boon holds each schema against the metaschema, and compiles
//! those of all drafts for it first: most of what a check costs in a process that makes only one.
//! What consists of everyday keywords with proper values needs no such proof.
//!
//! Careful rather than complete: a schema that is not plain takes the long way.

use serde_json::{Map, Value as Json};

/// By the rules of draft 2020-12.
pub fn is_plain(schema: &Json) -> bool {
    match schema {
        Json::Bool(_) => true,
        Json::Object(members) => members.iter().all(|(key, v)| is_plain_member(key, v)),
        _ => false,
    }
}

fn is_plain_member(key: &str, v: &Json) -> bool {
    match key {
        "const" | "default" => true,
        "enum" | "examples" => v.is_array(),
        "title" | "description" | "$comment" => v.is_string(),
        "deprecated" | "readOnly" | "writeOnly" | "uniqueItems" => v.is_boolean(),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => v.is_number(),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            v.is_u64()
        }
        "type" => {
            is_type(v)
                || v.as_array()
                    .is_some_and(|a| !a.is_empty() && a.iter().all(is_type) && is_unique(a))
        }
        "required" => v.as_array().is_some_and(|a| a.iter().all(Json::is_string) && is_unique(a)),
        "properties" => v.as_object().is_some_and(all_plain),
        "additionalProperties" | "items" | "not" => is_plain(v),
        "allOf" | "anyOf" | "oneOf" => {
            v.as_array().is_some_and(|a| !a.is_empty() && a.iter().all(is_plain))
        }
        _ => false,
    }
}

fn all_plain(members: &Map<String, Json>) -> bool {
    members.values().all(is_plain)
}

fn is_type(v: &Json) -> bool {
    const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
    v.as_str().is_some_and(|s| TYPES.contains(&s))
}

fn is_unique(a: &[Json]) -> bool {
    a.iter().enumerate().all(|(i, v)| !a[..i].contains(v))
}

#[cfg(test)]
mod tests {
    use super::is_plain;
    use serde_json::json;

    #[test]
    fn everyday_schemas_are() {
        assert!(is_plain(&json!({"type": "object", "properties": {
            "workers": {"type": ["integer", "null"], "minimum": 1}, "queue": {"enum": ["a"]}},
            "required": ["workers"], "additionalProperties": false})));
    }

    #[test]
    fn others_are_not() {
        for schema in [
            json!({"type": "text"}),
            json!({"type": []}),
            json!({"type": ["string", "string"]}),
            json!({"required": [1]}),
            json!({"required": ["a", "a"]}),
            json!({"minLength": -1}),
            json!({"minimum": "1"}),
            json!({"anyOf": []}),
            json!({"properties": []}),
            json!({"properties": {"a": {"type": 5}}}),
            json!({"pattern": "("}),
            json!({"$ref": "#/x"}),
            json!([]),
        ] {
            assert!(!is_plain(&schema), "{schema}");
        }
    }
}
