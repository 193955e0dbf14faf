//! Python's regular expressions, in the spelling of the engine behind boon.
//!
//! Both search unanchored.  What differs by meaning is rewritten: `\d \w \s` know all of Unicode in
//! Python, `$` also stands before a last newline, `\Z` is the very end.  Look-around and back
//! references have no counterpart; they fail when the schema is compiled.

use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// A copy of the schema with its patterns rewritten; `names` maps each rewritten key of
/// `patternProperties` to what it was.
pub fn translate_schema(v: &Json, names: &mut HashMap<String, String>) -> Json {
    match v {
        Json::Object(members) => Json::Object(
            members
                .iter()
                // Python never enforces it; boon would for drafts up to 7.
                .filter(|(key, member)| key.as_str() != "format" || !member.is_string())
                .map(|(key, member)| translate_member(key, member, names))
                .collect(),
        ),
        Json::Array(items) => {
            Json::Array(items.iter().map(|item| translate_schema(item, names)).collect())
        }
        other => other.clone(),
    }
}

fn translate_member(key: &str, v: &Json, names: &mut HashMap<String, String>) -> (String, Json) {
    let new = match (key, v) {
        ("const" | "enum" | "default" | "examples", _) => v.clone(),
        ("pattern", Json::String(s)) => Json::String(translate(s)),
        ("patternProperties", Json::Object(members)) => {
            let mut out = Map::new();
            for (pattern, schema) in members {
                let rewritten = translate(pattern);
                names.insert(rewritten.clone(), pattern.clone());
                out.insert(rewritten, translate_schema(schema, names));
            }
            Json::Object(out)
        }
        // Their keys are names, not keywords.
        (
            "properties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies",
            Json::Object(m),
        ) => Json::Object(m.iter().map(|(k, s)| (k.clone(), translate_schema(s, names))).collect()),
        _ => translate_schema(v, names),
    };
    (key.to_owned(), new)
}

pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let Some(next) = chars.next() else {
                    out.push('\\');
                    break;
                };
                out.push_str(&escape(next, in_class));
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                // A bracket that comes first is itself.
                let rest = chars.as_str();
                let negated = rest.starts_with('^');
                if negated {
                    out.push('^');
                    chars.next();
                }
                if chars.as_str().starts_with(']') {
                    out.push_str("\\]");
                    chars.next();
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Nested classes and set operations are the other engine's own.
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '$' if !in_class => out.push_str("(?:\\n?\\z)"),
            c => out.push(c),
        }
    }
    out
}

fn escape(c: char, in_class: bool) -> String {
    let (inner, negated) = match c {
        'd' => ("\\p{Nd}", false),
        'D' => ("\\p{Nd}", true),
        'w' => ("\\p{L}\\p{N}_", false),
        'W' => ("\\p{L}\\p{N}_", true),
        's' => ("\\p{White_Space}\\x1c-\\x1f", false),
        'S' => ("\\p{White_Space}\\x1c-\\x1f", true),
        'Z' if !in_class => return "\\z".into(),
        _ => return format!("\\{c}"),
    };
    match (in_class, negated) {
        (true, false) => inner.to_owned(),
        (_, true) => format!("[^{inner}]"),
        (false, false) => format!("[{inner}]"),
    }
}
