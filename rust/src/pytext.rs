//! Values as Python's `str()` and `repr()` show them.
//!
//! One deviation, on purpose: a text that holds both kinds of quotes is written with its single
//! quotes doubled (`'it''s "x"'`) where Python writes `\'`.  A list of a user's texts printed whole
//! is YAML with single quotes, and there a backslash doesn't keep a quote inside.

use std::fmt::Write;

use minijinja::value::{Value, ValueKind};
use serde_json::Value as Json;

const DEPTH_MAX: usize = 100;

/// `repr(float)`.
pub fn float(v: f64) -> String {
    if v.is_nan() {
        return "nan".into();
    }
    if v.is_infinite() {
        return if v > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let magnitude = v.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        // Rust writes 1e-5 and 1.5e22; Python 1e-05 and 1.5e+22.
        let text = format!("{v:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    let mut text = v.to_string();
    if !text.contains('.') {
        text.push_str(".0");
    }
    text
}

/// `repr(str)`.
pub fn quoted(s: &str) -> String {
    let quote = if s.contains('\'') && !s.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(s.len() + 2);
    out.push(quote);
    for c in s.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\'' if quote == '\'' => out.push_str("''"),
            c if is_unprintable(c) => {
                let n = c as u32;
                let _ = match n {
                    0..=0xff => write!(out, "\\x{n:02x}"),
                    0x100..=0xffff => write!(out, "\\u{n:04x}"),
                    _ => write!(out, "\\U{n:08x}"),
                };
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn is_unprintable(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}')
}

/// `str(value)`.
pub fn shown(v: &Value) -> String {
    match v.as_str() {
        Some(s) => s.to_owned(),
        None => repr(v),
    }
}

/// `repr(value)`.
pub fn repr(v: &Value) -> String {
    let mut out = String::new();
    value(v, &mut out, 0);
    out
}

fn value(v: &Value, out: &mut String, depth: usize) {
    if depth > DEPTH_MAX {
        out.push_str("...");
        return;
    }
    match v.kind() {
        ValueKind::Undefined if depth > 0 => out.push_str("Undefined"),
        ValueKind::Undefined => {}
        ValueKind::String => out.push_str(&quoted(v.as_str().unwrap_or(""))),
        ValueKind::Number if !v.is_integer() => {
            out.push_str(&float(f64::try_from(v.clone()).unwrap_or(f64::NAN)))
        }
        // Objects of ours and the engine's own (macros, loops) know how they look.
        ValueKind::Seq => sequence(v, out, depth),
        ValueKind::Map => mapping(v, out, depth),
        _ => {
            let _ = write!(out, "{v}");
        }
    }
}

fn sequence(v: &Value, out: &mut String, depth: usize) {
    let tuple = v.is_tuple();
    out.push(if tuple { '(' } else { '[' });
    let mut n = 0;
    if let Ok(items) = v.try_iter() {
        for item in items {
            if n > 0 {
                out.push_str(", ");
            }
            value(&item, out, depth + 1);
            n += 1;
        }
    }
    out.push_str(match (tuple, n) {
        (true, 1) => ",)",
        (true, _) => ")",
        _ => "]",
    });
}

fn mapping(v: &Value, out: &mut String, depth: usize) {
    out.push('{');
    if let Ok(keys) = v.try_iter() {
        for (i, key) in keys.enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            value(&key, out, depth + 1);
            out.push_str(": ");
            value(&v.get_item(&key).unwrap_or_default(), out, depth + 1);
        }
    }
    out.push('}');
}

/// `repr()` of what `json.loads()` makes of a document.
pub fn json_repr(v: &Json) -> String {
    match v {
        Json::Null => "None".into(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        Json::Number(n) => number(n),
        Json::String(s) => quoted_exact(s),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(json_repr).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(k, v)| format!("{}: {}", quoted_exact(k), json_repr(v)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

pub fn number(n: &serde_json::Number) -> String {
    if n.is_f64() {
        float(n.as_f64().unwrap_or(f64::NAN))
    } else {
        n.to_string()
    }
}

/// The same as Python, for messages: these are read by people, not by a YAML reader.
pub fn quoted_exact(s: &str) -> String {
    if s.contains('\'') && s.contains('"') {
        // quoted() has doubled each single quote and written no other.
        let inner = quoted(s);
        let inner = &inner[1..inner.len() - 1];
        format!("'{}'", inner.replace("''", "\\'"))
    } else {
        quoted(s)
    }
}

/// `pprint.pformat(value, width=72, sort_dicts=False)`, every line after the first indented.
pub fn pretty(v: &Json, width: usize) -> String {
    let mut out = String::new();
    layout(v, &mut out, 0, 0, width, 0);
    out
}

/// `indent`: column that the value begins in; `after`: what must still fit behind it.
fn layout(v: &Json, out: &mut String, indent: usize, after: usize, width: usize, depth: usize) {
    let flat = json_repr(v);
    let empty = match v {
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        _ => true,
    };
    if empty || depth > DEPTH_MAX || flat.chars().count() + indent + after <= width {
        out.push_str(&flat);
        return;
    }
    let pad = " ".repeat(indent + 1);
    match v {
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                let last = i + 1 == items.len();
                layout(item, out, indent + 1, if last { after + 1 } else { 1 }, width, depth + 1);
                if !last {
                    let _ = write!(out, ",\n{pad}");
                }
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (i, (key, item)) in members.iter().enumerate() {
                let last = i + 1 == members.len();
                let key = quoted_exact(key);
                let column = indent + 1 + key.chars().count() + 2;
                let _ = write!(out, "{key}: ");
                layout(item, out, column, if last { after + 1 } else { 1 }, width, depth + 1);
                if !last {
                    let _ = write!(out, ",\n{pad}");
                }
            }
            out.push('}');
        }
        _ => out.push_str(&flat),
    }
}
