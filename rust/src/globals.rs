//! Functions that every template has.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use minijinja::value::{from_args, Kwargs, Object, ObjectRepr, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::filters::ARITHMETIC;

pub fn add(env: &mut Environment) {
    env.remove_global("debug");
    env.remove_global("randrange");
    env.add_function("range", range);
    env.add_function("dict", dict);
    env.add_function("cycler", cycler);
}

/// A list, so that it can be indexed and measured; printed it shows its items where Python shows
/// `range(...)`.
fn range(lower: i64, upper: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (from, to) = match upper {
        Some(upper) => (lower, upper),
        None => (0, lower),
    };
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Error::new(ErrorKind::InvalidOperation, "range() arg 3 must not be zero"));
    }
    let span = if step > 0 { to as i128 - from as i128 } else { from as i128 - to as i128 };
    let width = (step as i128).abs();
    let count = if span > 0 { (span + width - 1) / width } else { 0 };
    if count > 100_000 {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "{ARITHMETIC}Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)."
            ),
        ));
    }
    Ok((0..count).map(|i| Value::from((from as i128 + i * step as i128) as i64)).collect())
}

/// `dict(a=1)`, `dict({...})`, `dict([(k, v), ...])`.
fn dict(from: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    if let Some(from) = from {
        let is_map = from.kind() == ValueKind::Map;
        for item in from.try_iter()? {
            pairs.push(if is_map {
                (item.clone(), from.get_item(&item)?)
            } else {
                (item.get_item_by_index(0)?, item.get_item_by_index(1)?)
            });
        }
    }
    for name in named.args() {
        pairs.push((Value::from(name), named.get(name)?));
    }
    Ok(Value::from_pairs(pairs))
}

struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl fmt::Debug for Cycler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<cycler>")
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = self.at.load(Ordering::Relaxed);
        (key.as_str() == Some("current")).then(|| self.items[at].clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let () = from_args(args)?;
        let at = self.at.load(Ordering::Relaxed);
        match method {
            "next" => {
                self.at.store((at + 1) % self.items.len(), Ordering::Relaxed);
                Ok(self.items[at].clone())
            }
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn cycler(items: Rest<Value>) -> Result<Value, Error> {
    if items.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "at least one item has to be provided",
        ));
    }
    Ok(Value::from_object(Cycler { items: items.to_vec(), at: AtomicUsize::new(0) }))
}
