//! Undefined stays an error in filters and tests where the engine would go on with nothing.

use minijinja::value::{Kwargs, Rest, Value};
use minijinja::{tests, Environment, Error, ErrorKind, State};

use crate::filters::html;
use crate::pytext;

/// The error that names the variable.
pub fn guard(state: &mut State, v: &Value) -> Result<(), Error> {
    if !v.is_undefined() {
        return Ok(());
    }
    // Printing it is refused with the place that it came from, which no other call tells.
    state.format(v.clone())?;
    Err(Error::from(ErrorKind::UndefinedError))
}

pub fn add(env: &mut Environment) {
    for name in ["escape", "e"] {
        env.add_filter(name, escape);
    }
    env.add_filter("indent", indent);
    env.add_filter("list", list);
    env.add_filter("random", random);
    env.add_filter("tojson", tojson);
    env.add_filter("urlencode", urlencode);
    env.add_filter("wordcount", wordcount);
    add_tests(env);
}

fn add_tests(env: &mut Environment) {
    type Compare = fn(&Value, &Value) -> bool;
    let compares: [(&[&'static str], Compare); 7] = [
        (&["eq", "equalto", "=="], tests::is_eq),
        (&["ne", "!="], tests::is_ne),
        (&["lt", "lessthan", "<"], tests::is_lt),
        (&["le", "<="], tests::is_le),
        (&["gt", "greaterthan", ">"], tests::is_gt),
        (&["ge", ">="], tests::is_ge),
        (&["divisibleby"], tests::is_divisibleby),
    ];
    for (names, compare) in compares {
        for name in names {
            env.add_test(*name, move |state: &mut State, v: Value, other: Value| {
                guard(state, &v)?;
                guard(state, &other)?;
                Ok::<bool, Error>(compare(&v, &other))
            });
        }
    }
    type Look = fn(&Value) -> bool;
    let looks: [(&'static str, Look); 5] = [
        ("even", |v| tests::is_even(v.clone())),
        ("odd", |v| tests::is_odd(v.clone())),
        ("iterable", tests::is_iterable),
        ("lower", tests::is_lower),
        ("upper", tests::is_upper),
    ];
    for (name, look) in looks {
        env.add_test(name, move |state: &mut State, v: Value| {
            guard(state, &v)?;
            Ok::<bool, Error>(look(&v))
        });
    }
    env.add_test("in", |state: &mut State, v: Value, other: Value| {
        guard(state, &v)?;
        guard(state, &other)?;
        tests::is_in(state, &v, &other)
    });
}

fn escape(state: &mut State, v: Value) -> Result<Value, Error> {
    guard(state, &v)?;
    if v.is_safe() {
        return Ok(v);
    }
    let text = pytext::shown(&v);
    state.consume_fuel(1 + text.len() as u64 / 8)?;
    Ok(Value::from_safe_string(html(&text)))
}

/// `indent(width=4, first=False, blank=False)`; the width may be a text.
fn indent(state: &mut State, v: Value, args: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    guard(state, &v)?;
    if args.len() > 3 {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let pick = |i: usize, name: &str| -> Result<Option<Value>, Error> {
        Ok(args.get(i).cloned().or(named.get(name)?))
    };
    let width = pick(0, "width")?.unwrap_or_else(|| Value::from(4));
    let first = pick(1, "first")?.is_some_and(|v| v.is_true());
    let blank = pick(2, "blank")?.is_some_and(|v| v.is_true());
    named.assert_all_used()?;
    let indent = match width.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(width.as_usize().unwrap_or(0).min(1 << 16)),
    };
    let text = pytext::shown(&v);
    let lines = text.matches('\n').count() + 1;
    state.consume_fuel(1 + (text.len() + lines * indent.len()) as u64 / 8)?;
    let mut out = String::with_capacity(text.len() + lines * indent.len());
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let wanted = if i == 0 { first } else { blank || !line.trim().is_empty() };
        if wanted {
            out.push_str(&indent);
        }
        out.push_str(line);
    }
    Ok(out)
}

fn list(state: &mut State, v: Value) -> Result<Value, Error> {
    guard(state, &v)?;
    let mut items = Vec::new();
    for item in v.try_iter()? {
        state.consume_fuel(1)?;
        items.push(item);
    }
    Ok(Value::from(items))
}

fn random(state: &mut State, v: Value) -> Result<Value, Error> {
    guard(state, &v)?;
    minijinja_contrib::filters::random(state, &v)
}

fn tojson(
    state: &mut State,
    v: Value,
    indent: Option<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    guard(state, &v)?;
    state.consume_fuel(1 + pytext::repr(&v).len() as u64 / 4)?;
    minijinja::filters::tojson(&v, indent, named)
}

fn urlencode(state: &mut State, v: Value) -> Result<Value, Error> {
    guard(state, &v)?;
    minijinja::filters::urlencode(&v).map(Value::from)
}

/// Runs of `\w`.
fn wordcount(state: &mut State, v: Value) -> Result<usize, Error> {
    guard(state, &v)?;
    let text = pytext::shown(&v);
    state.consume_fuel(1 + text.len() as u64 / 8)?;
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    Ok(words.filter(|w| !w.is_empty()).count())
}
