//! Filters and methods that Jinja2 has and minijinja lacks, or has with another meaning.

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::pytext;
use crate::strict::guard;

/// Marks the detail of an error as one of Jinja2's sandbox.
pub const SECURITY: &str = "sandbox: ";
/// The same for ZeroDivisionError, OverflowError and their like.
pub const ARITHMETIC: &str = "arithmetic: ";

/// Not in Jinja2: a template that uses them would fail there.
const NOT_IN_JINJA2_FILTERS: &[&str] = &["split", "lines", "bool", "chain", "zip"];
const NOT_IN_JINJA2_TESTS: &[&str] = &["startingwith", "endingwith", "safe", "int"];

/// Filters whose parameters the engine takes by name only.
type Positional = (&'static str, &'static str, &'static [&'static str]);
const POSITIONAL: &[Positional] = &[
    ("dictsort", "dictsort by name", &["case_sensitive", "by", "reverse"]),
    ("max", "max by name", &["case_sensitive", "attribute"]),
    ("min", "min by name", &["case_sensitive", "attribute"]),
    ("sort", "sort by name", &["reverse", "case_sensitive", "attribute"]),
    ("truncate", "truncate by name", &["length", "killwords", "end", "leeway"]),
    ("unique", "unique by name", &["case_sensitive", "attribute"]),
    (
        "wordwrap",
        "wordwrap by name",
        &["width", "break_long_words", "wrapstring", "break_on_hyphens"],
    ),
];

/// A filter under a name that no template can write, and one before it that knows the order.
fn with_positions(
    env: &mut Environment,
    name: &'static str,
    inner: &'static str,
    parameters: &'static [&'static str],
) {
    match name {
        "dictsort" => env.add_filter(inner, minijinja::filters::dictsort),
        "max" => env.add_filter(inner, minijinja::filters::max),
        "min" => env.add_filter(inner, minijinja::filters::min),
        "sort" => env.add_filter(inner, minijinja::filters::sort),
        "unique" => env.add_filter(inner, minijinja::filters::unique),
        "truncate" => env.add_filter(inner, minijinja_contrib::filters::truncate),
        _ => env.add_filter(inner, minijinja_contrib::filters::wordwrap),
    }
    env.add_filter(name, move |state: &mut State, v: Value, args: Rest<Value>, named: Kwargs| {
        guard(state, &v)?;
        for arg in args.iter() {
            guard(state, arg)?;
        }
        if args.len() > parameters.len() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        let by_place = parameters.iter().map(|p| p.to_string()).zip(args.iter().cloned());
        let mut all: Vec<(String, Value)> = by_place.collect();
        for key in named.args() {
            all.push((key.to_owned(), named.peek(key)?));
        }
        let all: Kwargs = all.into_iter().collect();
        state.apply_filter(inner, &[v, Value::from(all)])
    });
}

pub fn add(env: &mut Environment) {
    minijinja_contrib::add_to_environment(env);
    for name in NOT_IN_JINJA2_FILTERS {
        env.remove_filter(name);
    }
    for name in NOT_IN_JINJA2_TESTS {
        env.remove_test(name);
    }
    env.remove_filter("pluralize");
    env.add_filter("shell_escape", shell_escape);
    env.add_filter("attr", attr);
    env.add_filter("center", center);
    env.add_filter("forceescape", forceescape);
    env.add_filter("xmlattr", xmlattr);
    env.add_filter("int", int);
    env.add_filter("float", float);
    env.add_filter("string", string);
    env.add_filter("join", join);
    env.add_filter("pprint", pprint);
    for (name, inner, parameters) in POSITIONAL {
        with_positions(env, name, inner, parameters);
    }
    env.add_test("callable", |v: &Value| v.kind() == ValueKind::Plain);
    env.add_test("sequence", |v: &Value| {
        matches!(v.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
    });
    crate::strict::add(env);
    crate::globals::add(env);
    env.set_unknown_method_callback(crate::methods::call);
}

/// `sandbox.is_safe_attribute`, for the names that every Python object has.
pub fn is_unsafe_name(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

pub fn unsafe_attribute(name: &str, v: &Value) -> Error {
    let kind = python_type(v);
    Error::new(
        ErrorKind::InvalidOperation,
        format!("{SECURITY}access to attribute '{name}' of '{kind}' object is unsafe."),
    )
}

pub fn python_type(v: &Value) -> &'static str {
    match v.kind() {
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if v.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq if v.is_tuple() => "tuple",
        ValueKind::Seq => "list",
        ValueKind::Map => "dict",
        _ => "object",
    }
}

/// The text behind a JSON string literal as a user's option is one; None when it isn't.
/// Our literals may hold `\UXXXXXXXX`, which JSON lacks and YAML has.
fn literal_text(s: &str) -> Option<String> {
    if s.len() < 2 || !s.starts_with('"') || !s.ends_with('"') {
        return None;
    }
    let mut plain = String::with_capacity(s.len());
    let mut rest = s;
    while let Some(at) = rest.find('\\') {
        let (before, tail) = rest.split_at(at);
        plain.push_str(before);
        if tail.starts_with("\\U") {
            let code = u32::from_str_radix(tail.get(2..10)?, 16).ok()?;
            plain.push(char::from_u32(code)?);
            rest = &tail[10..];
        } else {
            let next = tail[1..].chars().next()?;
            plain.push('\\');
            plain.push(next);
            rest = &tail[1 + next.len_utf8()..];
        }
    }
    plain.push_str(rest);
    serde_json::from_str(&plain).ok()
}

/// A JSON string literal, ASCII only; beyond U+FFFF as YAML's \UXXXXXXXX.
fn text_literal(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// `shlex.quote()`.
fn shell_quote(s: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if s.is_empty() {
        "''".into()
    } else if s.chars().all(safe) {
        s.into()
    } else {
        format!("'{}'", s.replace('\'', "'\"'\"'"))
    }
}

fn shell_escape(v: Value) -> Result<Value, Error> {
    let Some(s) = v.as_str() else { return Ok(v) };
    match literal_text(s) {
        Some(text) => Ok(Value::from(text_literal(&shell_quote(&text)))),
        // Numbers, true, null: JSON, but no text.
        None if serde_json::from_str::<serde_json::Value>(s).is_ok() => Ok(v),
        None => Err(Error::new(
            ErrorKind::InvalidOperation,
            "shell_escape wants an option as the user gave it, not a text that the template made",
        )),
    }
}

fn attr(v: Value, name: Value) -> Result<Value, Error> {
    match name.as_str() {
        Some(s) if is_unsafe_name(s) => Err(unsafe_attribute(s, &v)),
        _ => v.get_item(&name),
    }
}

fn center(state: &mut State, v: Value, width: Option<usize>) -> Result<String, Error> {
    guard(state, &v)?;
    let text = pytext::shown(&v);
    let width = width.unwrap_or(80);
    if width > 1 << 20 {
        return Err(Error::new(ErrorKind::InvalidOperation, "center: the width is too large"));
    }
    let pad = width.saturating_sub(text.chars().count());
    // str.center() puts the odd blank on the left when the width is odd.
    let left = pad / 2 + (pad & width & 1);
    Ok(format!("{}{text}{}", " ".repeat(left), " ".repeat(pad - left)))
}

pub fn html(s: &str) -> String {
    s.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&#34;")
}

fn forceescape(state: &mut State, v: Value) -> Result<Value, Error> {
    guard(state, &v)?;
    Ok(Value::from_safe_string(html(&pytext::shown(&v))))
}

fn xmlattr(state: &mut State, v: Value, autospace: Option<bool>) -> Result<Value, Error> {
    guard(state, &v)?;
    let mut parts = Vec::new();
    for key in v.try_iter()? {
        let item = v.get_item(&key)?;
        let name = pytext::shown(&key);
        if name.contains(|c: char| c.is_whitespace() || "/>=".contains(c)) {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("Invalid character in attribute name: {}", pytext::quoted(&name)),
            ));
        }
        if !item.is_none() && !item.is_undefined() {
            parts.push(format!("{}=\"{}\"", html(&name), html(&pytext::shown(&item))));
        }
    }
    let lead = if autospace.unwrap_or(true) && !parts.is_empty() { " " } else { "" };
    Ok(Value::from(format!("{lead}{}", parts.join(" "))))
}

/// `int(value)`, else `int(float(value))`, else the default.
fn int(
    state: &mut State,
    v: Value,
    default: Option<Value>,
    base: Option<u32>,
) -> Result<Value, Error> {
    let default = default.unwrap_or_else(|| Value::from(0));
    guard(state, &v)?;
    let Some(s) = v.as_str() else {
        if v.kind() == ValueKind::Bool {
            return Ok(Value::from(v.is_true() as i64));
        }
        if v.is_integer() {
            return Ok(v);
        }
        let f = f64::try_from(v).unwrap_or(f64::NAN);
        return Ok(truncated(f).unwrap_or(default));
    };
    let base = base.unwrap_or(10);
    if !(2..=36).contains(&base) {
        return Ok(default);
    }
    let s = s.trim();
    let (sign, digits) = match s.as_bytes().first() {
        Some(b'-') => (-1, &s[1..]),
        Some(b'+') => (1, &s[1..]),
        _ => (1, s),
    };
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let lower = digits.to_ascii_lowercase();
    let digits = lower.strip_prefix(prefix).unwrap_or(&lower);
    let signs = digits.starts_with(['+', '-']);
    match i64::from_str_radix(&digits.replace('_', ""), base) {
        Ok(n) if !signs => Ok(Value::from(sign * n)),
        _ => Ok(python_float(s).and_then(truncated).unwrap_or(default)),
    }
}

fn truncated(f: f64) -> Option<Value> {
    if !f.is_finite() {
        return None;
    }
    let whole = f.trunc();
    if whole.abs() < 9e18 {
        Some(Value::from(whole as i64))
    } else if whole.abs() < 1e38 {
        Some(Value::from(whole as i128))
    } else {
        None
    }
}

fn python_float(s: &str) -> Option<f64> {
    let s = s.trim();
    match s.to_ascii_lowercase().trim_start_matches(['+', '-']) {
        "inf" | "infinity" | "nan" => s.parse().ok(),
        t if t.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            s.replace('_', "").parse().ok()
        }
        _ => None,
    }
}

fn float(state: &mut State, v: Value, default: Option<Value>) -> Result<Value, Error> {
    guard(state, &v)?;
    let default = default.unwrap_or_else(|| Value::from(0.0));
    Ok(match v.as_str() {
        Some(s) => python_float(s).map(Value::from).unwrap_or(default),
        None if v.kind() == ValueKind::Bool => Value::from(if v.is_true() { 1.0 } else { 0.0 }),
        None => f64::try_from(v).map(Value::from).unwrap_or(default),
    })
}

fn string(state: &mut State, v: Value) -> Result<Value, Error> {
    guard(state, &v)?;
    Ok(if v.as_str().is_some() { v } else { Value::from(pytext::shown(&v)) })
}

/// As Jinja2's: items become text the Python way, `attribute` looks into them first.
fn join(
    state: &mut State,
    v: Value,
    joiner: Rest<Value>,
    attribute: Kwargs,
) -> Result<String, Error> {
    let path: Option<Value> = attribute.get("attribute")?;
    let joiner = joiner.first().cloned().or(attribute.get("d")?).unwrap_or_else(|| Value::from(""));
    guard(state, &v)?;
    guard(state, &joiner)?;
    let joiner = pytext::shown(&joiner);
    attribute.assert_all_used()?;
    let mut out = String::new();
    for (i, mut item) in v.try_iter()?.enumerate() {
        if let Some(path) = &path {
            item = walk(item, path)?;
        }
        guard(state, &item)?;
        if i > 0 {
            out.push_str(&joiner);
        }
        let text = pytext::shown(&item);
        state.consume_fuel(1 + text.len() as u64 / 64)?;
        out.push_str(&text);
    }
    Ok(out)
}

fn walk(mut v: Value, path: &Value) -> Result<Value, Error> {
    let Some(s) = path.as_str() else { return v.get_item(path) };
    for step in s.split('.') {
        v = match step.parse::<usize>() {
            Ok(i) => v.get_item_by_index(i)?,
            Err(_) => v.get_item(&Value::from(step))?,
        };
    }
    Ok(v)
}

/// `pprint.pformat(value)`.
fn pprint(state: &State, v: Value) -> Result<String, Error> {
    let flat = pytext::repr(&v);
    state.consume_fuel(1 + flat.len() as u64 / 4)?;
    if flat.chars().count() <= 80 {
        return Ok(flat);
    }
    let plain = serde_json::to_value(&v)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "pprint: the value has no text"))?;
    Ok(pytext::pretty(&plain, 80))
}
