//! boon's tree of errors as the one error that Python's `jsonschema.validate()` would raise.
//!
//! The tree is flattened (what jsonschema yields while it descends), the best match chosen by its
//! rule, and the message written as `str(ValidationError)` does.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use boon::{ErrorKind, ValidationError};
use serde_json::Value as Json;

use crate::failure::Failure;
use crate::messages::leaf;
use crate::pytext::{json_repr, pretty, quoted_exact};

pub struct Documents<'a> {
    /// As the administrator wrote it: patterns are shown from here.
    pub schema: &'a Json,
    pub instance: &'a Json,
    pub names: &'a HashMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Index(usize),
    Key(String),
}

pub struct Found<'a> {
    pub path: Vec<Step>,
    pub schema_path: Vec<Step>,
    /// None: the schema is `false`.
    pub keyword: Option<String>,
    pub message: String,
    pub schema: &'a Json,
    pub instance: Cow<'a, Json>,
    pub context: Vec<Found<'a>>,
    /// Where `false` stands and on what, until those of one keyword are put together.
    pub refused: Option<Vec<Step>>,
}

pub static NOTHING: Json = Json::Null;

pub fn failure(e: &ValidationError, documents: &Documents) -> Failure {
    let mut found = flatten(e, documents);
    let best = match best(&mut found) {
        Some(best) => best,
        None => return Failure::new("schema", "the options don't match the schema"),
    };
    Failure::new("schema", text(&best, "schema", "instance", true))
}

/// The schema is the instance here; the metaschema isn't at hand and stays unquoted.
pub fn metaschema_failure(e: &ValidationError, schema: &Json) -> Failure {
    if is_about_regex(e) {
        return Failure::new("schema-invalid", BAD_REGEX);
    }
    let names = HashMap::new();
    let documents = Documents { schema: &NOTHING, instance: schema, names: &names };
    let mut found = flatten(e, &documents);
    let message = match best(&mut found) {
        Some(best) => text(&best, "metaschema", "schema", false),
        None => "the user config schema is invalid".into(),
    };
    Failure::new("schema-invalid", message)
}

pub const BAD_REGEX: &str =
    "a regular expression of the user config schema is invalid, or uses look-around or back \
     references, which are not supported";

/// Of the formats, the metaschema enforces that one only.
fn is_about_regex(e: &ValidationError) -> bool {
    matches!(e.kind, ErrorKind::Format { .. }) || e.causes.iter().any(is_about_regex)
}

fn text(f: &Found, schema_word: &str, instance_word: &str, quote_schema: bool) -> String {
    let mut out = f.message.clone();
    let steps = &f.schema_path[..f.schema_path.len().saturating_sub(1)];
    let keyword = f.keyword.as_deref().map_or("None".into(), quoted_exact);
    out.push_str(&format!("\n\nFailed validating {keyword} in {}:", index(schema_word, steps)));
    if quote_schema {
        out.push_str(&format!("\n    {}", indented(f.schema)));
    }
    let at = index(instance_word, &f.path);
    out.push_str(&format!("\n\nOn {at}:\n    {}", indented(&f.instance)));
    out
}

fn indented(v: &Json) -> String {
    pretty(v, 72).replace('\n', "\n    ")
}

fn index(word: &str, steps: &[Step]) -> String {
    let mut out = word.to_owned();
    for step in steps {
        match step {
            Step::Index(i) => out.push_str(&format!("[{i}]")),
            Step::Key(k) => out.push_str(&format!("[{}]", quoted_exact(k))),
        }
    }
    out
}

// ---- choosing ----

fn rank(f: &Found) -> (isize, Vec<Step>, bool, bool) {
    let weak = matches!(f.keyword.as_deref(), Some("anyOf" | "oneOf"));
    (-(f.path.len() as isize), f.path.clone(), !weak, !matches_type(f))
}

fn matches_type(f: &Found) -> bool {
    match f.schema.get("type") {
        Some(Json::String(t)) => is_type(&f.instance, t),
        Some(Json::Array(types)) => {
            types.iter().any(|t| t.as_str().is_some_and(|t| is_type(&f.instance, t)))
        }
        _ => false,
    }
}

fn is_type(v: &Json, name: &str) -> bool {
    match (v, name) {
        (Json::Null, "null") | (Json::Bool(_), "boolean") | (Json::String(_), "string") => true,
        (Json::Array(_), "array") | (Json::Object(_), "object") => true,
        (Json::Number(_), "number") => true,
        (Json::Number(n), "integer") => n.as_f64().is_some_and(|f| f.fract() == 0.0),
        _ => false,
    }
}

/// jsonschema's best_match(): the first of the highest rank, then down into what it tried.
fn best<'a>(found: &mut Vec<Found<'a>>) -> Option<Found<'a>> {
    let mut at = 0;
    for i in 1..found.len() {
        if rank(&found[i]).cmp(&rank(&found[at])) == Ordering::Greater {
            at = i;
        }
    }
    if found.is_empty() {
        return None;
    }
    let mut best = found.swap_remove(at);
    while !best.context.is_empty() {
        let mut order: Vec<usize> = (0..best.context.len()).collect();
        order.sort_by_key(|i| rank(&best.context[*i]));
        if order.len() > 1 && rank(&best.context[order[0]]) == rank(&best.context[order[1]]) {
            break;
        }
        best = best.context.swap_remove(order[0]);
    }
    Some(best)
}

// ---- flattening ----

pub struct Place {
    /// Of the schema that the parent looked at.
    pub pointer: Vec<Step>,
    pub schema_path: Vec<Step>,
    /// Length of the instance path that counts as zero.
    pub base: usize,
}

fn flatten<'a>(e: &ValidationError, d: &Documents<'a>) -> Vec<Found<'a>> {
    let place = Place { pointer: Vec::new(), schema_path: Vec::new(), base: 0 };
    let mut out = Vec::new();
    collect(e, d, &place, &mut out);
    arrange(out, d.schema)
}

/// Those of one `false` become one; then the order of the keywords in the schema.
pub fn arrange<'a>(found: Vec<Found<'a>>, schema: &Json) -> Vec<Found<'a>> {
    let mut out: Vec<Found> = Vec::new();
    for mut f in found {
        let same = |o: &Found| {
            o.refused.is_some()
                && o.schema_path == f.schema_path
                && o.path[..] == f.path[..f.path.len().saturating_sub(1)]
        };
        let Some(extra) = f.refused.clone() else {
            out.push(f);
            continue;
        };
        if let Some(earlier) = out.iter_mut().find(|o| same(o)) {
            if let Some(all) = &mut earlier.refused {
                all.extend(extra);
            }
            continue;
        }
        f.path.pop();
        out.push(f);
    }
    for f in out.iter_mut() {
        if let Some(mut extra) = f.refused.take() {
            extra.sort(); // boon keeps them in a set
            f.message = refused_words(f, &extra);
        }
    }
    let position = |f: &Found| match (f.schema_path.first(), schema.as_object()) {
        (Some(Step::Key(k)), Some(o)) => o.keys().position(|key| key == k).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    out.sort_by_key(position);
    out
}

fn refused_words(f: &Found, extra: &[Step]) -> String {
    let keyword = f.keyword.as_deref().unwrap_or("");
    if keyword == "items" {
        let list = f.instance.as_array().map(Vec::as_slice).unwrap_or(&[]);
        let prefix = list.len().saturating_sub(extra.len());
        let rest = match extra.len() {
            1 => json_repr(list.last().unwrap_or(&NOTHING)),
            _ => json_repr(&Json::Array(list[prefix..].to_vec())),
        };
        let item = if prefix == 1 { "item" } else { "items" };
        return format!("Expected at most {prefix} {item} but found {} extra: {rest}", extra.len());
    }
    // The engine finds them in no particular order; Python names items as they stand.
    let mut in_order: Vec<&Step> = extra.iter().collect();
    in_order.sort_by_key(|step| match step {
        Step::Key(_) => 0,
        Step::Index(i) => *i,
    });
    let mut shown: Vec<String> = in_order
        .iter()
        .map(|step| match step {
            Step::Key(k) => quoted_exact(k),
            Step::Index(i) => json_repr(f.instance.get(i).unwrap_or(&NOTHING)),
        })
        .collect();
    let what = if keyword == "unevaluatedItems" { "items" } else { "properties" };
    if what == "properties" {
        shown.sort();
    }
    format!("Unevaluated {what} are not allowed ({})", unexpected(&shown))
}

pub fn unexpected(shown: &[String]) -> String {
    let verb = if shown.len() == 1 { "was" } else { "were" };
    format!("{} {verb} unexpected", shown.join(", "))
}

pub fn collect<'a>(
    e: &ValidationError,
    d: &Documents<'a>,
    parent: &Place,
    out: &mut Vec<Found<'a>>,
) {
    let pointer = pointer_of(e.schema_url, d);
    let mut schema_path = parent.schema_path.clone();
    if pointer.starts_with(&parent.pointer) {
        schema_path.extend_from_slice(&pointer[parent.pointer.len()..]);
    }
    let mut place = Place { pointer, schema_path, base: parent.base };
    match &e.kind {
        ErrorKind::Group | ErrorKind::AllOf | ErrorKind::ContentSchema => {}
        ErrorKind::Schema { url } => place.pointer = pointer_of(url, d),
        ErrorKind::Reference { url, kw } => {
            place.pointer = pointer_of(url, d);
            if *kw == "$recursiveRef" {
                place.schema_path.push(Step::Key((*kw).into()));
            }
        }
        kind => {
            leaf(e, kind, d, &place, out);
            return;
        }
    }
    for cause in &e.causes {
        collect(cause, d, &place, out);
    }
}

/// The steps behind '#', names of patternProperties as they were written.
fn pointer_of(url: &str, d: &Documents) -> Vec<Step> {
    let Some((_, fragment)) = url.split_once('#') else { return Vec::new() };
    let mut steps: Vec<Step> = Vec::new();
    for part in fragment.split('/').skip(1) {
        let key = percent_decoded(part).replace("~1", "/").replace("~0", "~");
        let after_patterns = steps.last() == Some(&Step::Key("patternProperties".into()));
        steps.push(match d.names.get(&key) {
            Some(written) if after_patterns => Step::Key(written.clone()),
            _ => match key.parse::<usize>() {
                Ok(i) if is_list(d.schema, &steps) => Step::Index(i),
                _ => Step::Key(key),
            },
        });
    }
    steps
}

fn percent_decoded(s: &str) -> String {
    let bytes = s.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = s.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub fn at<'a>(v: &'a Json, steps: &[Step]) -> &'a Json {
    let mut now = v;
    for step in steps {
        now = match step {
            Step::Index(i) => now.get(i),
            Step::Key(k) => now.get(k),
        }
        .unwrap_or(&NOTHING);
    }
    now
}

fn is_list(schema: &Json, steps: &[Step]) -> bool {
    // The metaschema isn't at hand: there, the lists are those of allOf and its like.
    let by_name = matches!(steps.last(), Some(Step::Key(k))
        if matches!(k.as_str(), "allOf" | "anyOf" | "oneOf" | "prefixItems"));
    by_name || at(schema, steps).is_array()
}
