//! The variables of a template: JSON as minijinja values, and the names whose use is reported.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use serde_json::{Map, Value as Json};

use crate::pytext;

pub type Used = Arc<Mutex<BTreeSet<String>>>;

/// A value as it is; `{"!float": "nan"}` (also inf, -inf) is a float, which JSON can't hold.
pub fn value(v: &Json) -> Value {
    match v {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Value::from(i),
            (_, Some(u)) => Value::from(u),
            _ => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => items.iter().map(value).collect(),
        Json::Object(members) => match special_float(members) {
            Some(f) => Value::from(f),
            None => Value::from_pairs(members.iter().map(|(k, v)| (k.as_str(), value(v)))),
        },
    }
}

fn special_float(members: &Map<String, Json>) -> Option<f64> {
    if members.len() != 1 {
        return None;
    }
    match members.get("!float")?.as_str()? {
        "nan" => Some(f64::NAN),
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Stands before a value and notes that somebody looked into it.
struct Watched {
    name: String,
    inner: Value,
    used: Used,
}

impl Watched {
    fn note(&self) {
        if let Ok(mut used) = self.used.lock() {
            used.insert(self.name.clone());
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note();
        f.write_str(&pytext::shown(&self.inner))
    }
}

impl Object for Watched {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.note();
        self.inner.get_item(key).ok().filter(|v| !v.is_undefined())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.note();
        match self.inner.try_iter() {
            Ok(keys) => Enumerator::Values(keys.collect()),
            Err(_) => Enumerator::NonEnumerable,
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.note();
        self.inner.is_true()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note();
        f.write_str(&pytext::shown(&self.inner))
    }
}

/// All variables, as the mapping that render() takes.
pub fn root(context: &Map<String, Json>, watched: &[String], used: &Used) -> Value {
    Value::from_pairs(context.iter().map(|(name, v)| {
        let inner = value(v);
        let shown = if watched.contains(name) {
            Value::from_object(Watched { name: name.clone(), inner, used: used.clone() })
        } else {
            inner
        };
        (name.as_str(), shown)
    }))
}

/// What Jinja2 calls the type of what the dotted path leads to: "dict object", "str object", ...
pub fn type_of_path(context: &Json, path: &str) -> &'static str {
    let mut at = context;
    for step in path.split('.') {
        match at.get(step) {
            Some(next) => at = next,
            None => return "dict object",
        }
    }
    match at {
        Json::Null => "None",
        Json::Bool(_) => "bool object",
        Json::Number(n) if n.is_f64() => "float object",
        Json::Number(_) => "int object",
        Json::String(_) => "str object",
        Json::Array(_) => "list object",
        Json::Object(_) => "dict object",
    }
}
