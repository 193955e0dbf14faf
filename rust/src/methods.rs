//! Methods of values: Python's, as far as templates use them.

use minijinja::value::{from_args, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use crate::filters::{is_unsafe_name, unsafe_attribute};
use crate::strict::guard;

/// Python's methods of texts, lists and mappings.
pub fn call(state: &mut State, v: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if is_unsafe_name(name) {
        return Err(unsafe_attribute(name, v));
    }
    for arg in args {
        guard(state, arg)?;
    }
    if let Some(s) = v.as_str() {
        if let Some(inner) = unsafe_field(s).filter(|_| matches!(name, "format" | "format_map")) {
            return Err(unsafe_attribute(inner, args.first().unwrap_or(v)));
        }
        if let Some(done) = text_method(state, s, name, args)? {
            return Ok(done);
        }
    }
    if v.kind() == ValueKind::Seq && name == "index" {
        let (wanted,): (Value,) = from_args(args)?;
        return match v.try_iter()?.position(|item| item == wanted) {
            Some(at) => Ok(Value::from(at)),
            None => Err(Error::new(ErrorKind::InvalidOperation, "the item is not in the list")),
        };
    }
    match minijinja_contrib::pycompat::unknown_method_callback(state, v, name, args) {
        Err(e) if e.kind() == ErrorKind::UnknownMethod && changes_in_place(v, name) => {
            Err(Error::new(
                ErrorKind::InvalidOperation,
                format!(
                    "'{name}' would change a value in place, which templates here can't do; \
                         build a new value with `set`"
                ),
            ))
        }
        other => other,
    }
}

/// The first of `{0.__class__}` and its like in a format string.
fn unsafe_field(format: &str) -> Option<&str> {
    format
        .split('{')
        .skip(1)
        .filter_map(|field| field.split(['}', ':', '!']).next())
        .flat_map(|field| field.split(['.', '[', ']']).skip(1))
        .find(|step| is_unsafe_name(step))
}

fn changes_in_place(v: &Value, name: &str) -> bool {
    match v.kind() {
        ValueKind::Seq => matches!(
            name,
            "append" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort" | "clear"
        ),
        ValueKind::Map => matches!(name, "update" | "pop" | "popitem" | "setdefault" | "clear"),
        _ => false,
    }
}

fn text_method(state: &State, s: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let padded = |args: &[Value]| -> Result<(usize, char), Error> {
        let (width, fill): (usize, Option<char>) = from_args(args)?;
        state.consume_fuel(1 + width as u64 / 64)?;
        Ok((width.saturating_sub(s.chars().count()), fill.unwrap_or(' ')))
    };
    Ok(Some(match name {
        "index" | "rindex" => {
            let (part,): (&str,) = from_args(args)?;
            let at = if name == "index" { s.find(part) } else { s.rfind(part) };
            match at {
                Some(at) => Value::from(s[..at].chars().count()),
                None => return Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
            }
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<usize>) = from_args(args)?;
            let most = most.map_or(usize::MAX, |n| n.saturating_add(1));
            let mut parts: Vec<&str> = match separator {
                Some(separator) => s.rsplitn(most, separator).collect(),
                None => {
                    s.trim().rsplitn(most, char::is_whitespace).filter(|p| !p.is_empty()).collect()
                }
            };
            parts.reverse();
            parts.into_iter().map(Value::from).collect()
        }
        "center" => {
            let (n, fill) = padded(args)?;
            let width = n + s.chars().count();
            // As str.center(): the odd blank on the left when the width is odd.
            let left = n / 2 + (n & width & 1);
            let fill = |n: usize| fill.to_string().repeat(n);
            Value::from(format!("{}{s}{}", fill(left), fill(n - left)))
        }
        "expandtabs" => {
            let (size,): (Option<usize>,) = from_args(args)?;
            Value::from(expanded(s, size.unwrap_or(8).min(256)))
        }
        "title" => Value::from(titled(s)),
        "casefold" => Value::from(s.to_lowercase()),
        "swapcase" => {
            let flip = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            Value::from(s.chars().map(flip).collect::<String>())
        }
        "removeprefix" => {
            let (p,): (&str,) = from_args(args)?;
            Value::from(s.strip_prefix(p).unwrap_or(s))
        }
        "removesuffix" => {
            let (p,): (&str,) = from_args(args)?;
            Value::from(s.strip_suffix(p).unwrap_or(s))
        }
        "ljust" => {
            let (n, fill) = padded(args)?;
            Value::from(format!("{s}{}", fill.to_string().repeat(n)))
        }
        "rjust" => {
            let (n, fill) = padded(args)?;
            Value::from(format!("{}{s}", fill.to_string().repeat(n)))
        }
        "zfill" => {
            let (n, _) = padded(args)?;
            let (sign, digits) = match s.strip_prefix(['-', '+']) {
                Some(digits) => (&s[..1], digits),
                None => ("", s),
            };
            Value::from(format!("{sign}{}{digits}", "0".repeat(n)))
        }
        "partition" | "rpartition" => {
            let (sep,): (&str,) = from_args(args)?;
            let parts = if name == "partition" { s.split_once(sep) } else { s.rsplit_once(sep) };
            let (a, b, c) = match parts {
                Some((a, c)) => (a, sep, c),
                None if name == "partition" => (s, "", ""),
                None => ("", "", s),
            };
            Value::from(minijinja::value::Tuple::from(vec![
                Value::from(a),
                Value::from(b),
                Value::from(c),
            ]))
        }
        _ => return Ok(None),
    }))
}

fn expanded(s: &str, size: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in s.chars() {
        if c == '\t' {
            let blanks = if size == 0 { 0 } else { size - column % size };
            out.push_str(&" ".repeat(blanks));
            column += blanks;
        } else {
            out.push(c);
            column = if c == '\n' || c == '\r' { 0 } else { column + 1 };
        }
    }
    out
}

/// `str.title()`: a letter behind anything but a letter is a capital.
fn titled(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut inside = false;
    for c in s.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}
