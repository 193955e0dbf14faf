//! What went wrong in a template, in Jinja2's words.  Values never enter the text, nor does the
//! folder of the template.

use std::error::Error as _;

use minijinja::{Error, ErrorKind};
use serde_json::{json, Value as Json};

use crate::context::type_of_path;
use crate::filters::{is_unsafe_name, ARITHMETIC, SECURITY};

#[derive(Debug)]
pub struct Failure {
    pub kind: &'static str,
    pub message: String,
    pub name: Option<String>,
    pub line: usize,
}

impl Failure {
    pub fn new(kind: &'static str, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), name: None, line: 0 }
    }

    pub fn internal(message: &str) -> Failure {
        Failure::new("internal", message)
    }

    pub fn output_limit(max: usize) -> Failure {
        Failure::new("limit", format!("the rendered text is larger than {max} bytes"))
    }

    pub fn to_json(&self) -> String {
        json!({"kind": self.kind, "message": self.message, "name": self.name, "line": self.line})
            .to_string()
    }

    pub fn from_engine(outer: &Error, context: &Json, has_loader: bool) -> Failure {
        let e = innermost(outer);
        let (kind, message) = words(e, context, has_loader);
        Failure { kind, message, name: e.name().map(str::to_owned), line: e.line().unwrap_or(0) }
    }
}

/// The engine wraps an error of an included file or a block in one of its own.
fn innermost(e: &Error) -> &Error {
    let mut at = e;
    while let Some(next) = at.source().and_then(|s| s.downcast_ref::<Error>()) {
        at = next;
    }
    at
}

fn words(e: &Error, context: &Json, has_loader: bool) -> (&'static str, String) {
    let detail = e.detail().unwrap_or("");
    if let Some(rest) = detail.strip_prefix(SECURITY) {
        return ("security", without_origin(rest));
    }
    if let Some(rest) = detail.strip_prefix(ARITHMETIC) {
        return ("arithmetic", without_origin(rest));
    }
    // Whatever operation stumbled over it: an undefined value is the cause.
    if let Some(expression) = undefined_expression(detail) {
        return undefined(&expression, context);
    }
    match e.kind() {
        ErrorKind::UndefinedError => {
            let what = if detail.is_empty() { "a value that the template uses" } else { detail };
            ("undefined", format!("{what} is undefined"))
        }
        ErrorKind::UnknownFunction => match first_word(detail) {
            Some(name) => ("undefined", format!("'{name}' is undefined")),
            None => ("undefined", detail.to_owned()),
        },
        ErrorKind::UnknownMethod => ("undefined", method_words(detail)),
        ErrorKind::SyntaxError | ErrorKind::BadEscape | ErrorKind::InvalidDelimiter => {
            ("syntax", syntax(detail))
        }
        ErrorKind::UnknownFilter => ("syntax", named("filter", detail)),
        ErrorKind::UnknownTest => ("syntax", named("test", detail)),
        ErrorKind::UnknownBlock => ("undefined", detail.to_owned()),
        ErrorKind::TemplateNotFound if !has_loader => {
            ("type", "no loader for this environment specified".into())
        }
        ErrorKind::TemplateNotFound => ("template-not-found", not_found(detail)),
        ErrorKind::OutOfFuel => ("limit", "the template takes too many steps".into()),
        ErrorKind::WriteFailure => ("limit", "the rendered text is too large".into()),
        ErrorKind::InvalidOperation if detail.contains("recursion limit") => {
            ("limit", "the template calls itself too deeply".into())
        }
        ErrorKind::InvalidOperation if is_division_by_zero(detail) => {
            ("arithmetic", "division by zero".into())
        }
        ErrorKind::InvalidOperation if detail.contains("unable to calculate") => {
            ("arithmetic", detail.to_owned())
        }
        kind if detail.is_empty() => ("type", kind.to_string()),
        _ => ("type", detail.to_owned()),
    }
}

fn is_division_by_zero(detail: &str) -> bool {
    let calculation = detail.split(" (`").next().unwrap_or(detail);
    detail.contains("by zero")
        || [" / 0", " // 0", " % 0", " / 0.0", " // 0.0", " % 0.0"]
            .iter()
            .any(|end| calculation.ends_with(end))
}

/// The engine says "`a.b` is undefined", alone or in brackets behind a detail, and may add
/// "(from line 3)".
fn undefined_expression(detail: &str) -> Option<String> {
    let end = detail.rfind("` is undefined")?;
    let start = detail[..end].rfind('`')?;
    Some(detail[start + 1..end].to_owned())
}

fn without_origin(text: &str) -> String {
    match text.find(" (`") {
        Some(at) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

fn undefined(expression: &str, context: &Json) -> (&'static str, String) {
    let (base, last) = split(expression);
    let Some(base) = base else {
        return ("undefined", format!("'{last}' is undefined"));
    };
    let owner = type_of_path(context, base);
    if is_unsafe_name(&last) {
        let owner = owner.strip_suffix(" object").unwrap_or(owner);
        let message = format!("access to attribute '{last}' of '{owner}' object is unsafe.");
        return ("security", message);
    }
    if last == "..." {
        return ("undefined", format!("'{owner}' has no such item"));
    }
    if owner == "list object" && last.parse::<i64>().is_ok() {
        return ("undefined", format!("'{owner}' has no element {last}"));
    }
    ("undefined", format!("'{owner}' has no attribute '{last}'"))
}

/// "a.b['c']" -> (Some("a.b"), "c").
fn split(expression: &str) -> (Option<&str>, String) {
    if let Some(open) = expression.strip_suffix(']').and_then(|e| e.rfind('[').map(|i| i)) {
        let key = &expression[open + 1..expression.len() - 1];
        return (Some(&expression[..open]), key.trim_matches(['\'', '"']).to_owned());
    }
    match expression.rfind('.') {
        Some(dot) if !expression[dot + 1..].is_empty() => {
            (Some(&expression[..dot]), expression[dot + 1..].to_owned())
        }
        _ => (None, expression.to_owned()),
    }
}

fn first_word(detail: &str) -> Option<&str> {
    detail.split(' ').next().filter(|w| !w.is_empty())
}

fn word_after<'a>(detail: &'a str, before: &str) -> Option<&'a str> {
    let at = detail.find(before)? + before.len();
    first_word(&detail[at..])
}

fn named(what: &str, detail: &str) -> String {
    match word_after(detail, &format!("{what} ")) {
        Some(name) => format!("No {what} named '{name}'."),
        None => detail.to_owned(),
    }
}

fn method_words(detail: &str) -> String {
    match word_after(detail, "method named ") {
        Some(name) => format!("no attribute '{name}' that could be called"),
        None => detail.to_owned(),
    }
}

fn not_found(detail: &str) -> String {
    let name = detail.strip_prefix("template ").and_then(|d| d.strip_suffix(" does not exist"));
    match name {
        Some(name) => format!("'{}' not found in search path", name.trim_matches('"')),
        None => detail.to_owned(),
    }
}

fn syntax(detail: &str) -> String {
    if let Some(name) = word_after(detail, "unknown statement ") {
        return format!("Encountered unknown tag '{name}'.");
    }
    match detail {
        "unexpected end of block" => "Expected an expression, got 'end of statement block'".into(),
        "unexpected end of variable block" => {
            "Expected an expression, got 'end of print statement'".into()
        }
        _ => detail.to_owned(),
    }
}
