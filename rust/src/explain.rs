//! boon's tree of errors as the one error that Python's `jsonschema.validate()` would raise.
//!
//! The tree is flattened (what jsonschema yields while it descends), the best match chosen by its
//! rule, and the message written as `str(ValidationError)` does.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use boon::{ErrorKind, InstanceToken, ValidationError};
use serde_json::Value as Json;

use crate::failure::Failure;
use crate::pytext::{json_repr, number, pretty, quoted_exact};

pub struct Documents<'a> {
    /// As the administrator wrote it: patterns are shown from here.
    pub schema: &'a Json,
    pub instance: &'a Json,
    pub names: &'a HashMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Index(usize),
    Key(String),
}

struct Found<'a> {
    path: Vec<Step>,
    schema_path: Vec<Step>,
    /// None: the schema is `false`.
    keyword: Option<String>,
    message: String,
    schema: &'a Json,
    instance: Cow<'a, Json>,
    context: Vec<Found<'a>>,
    /// Where `false` stands and on what, until those of one keyword are put together.
    refused: Option<Vec<Step>>,
}

static NOTHING: Json = Json::Null;

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

struct Place {
    /// Of the schema that the parent looked at.
    pointer: Vec<Step>,
    schema_path: Vec<Step>,
    /// Length of the instance path that counts as zero.
    base: usize,
}

fn flatten<'a>(e: &ValidationError, d: &Documents<'a>) -> Vec<Found<'a>> {
    let place = Place { pointer: Vec::new(), schema_path: Vec::new(), base: 0 };
    let mut out = Vec::new();
    collect(e, d, &place, &mut out);
    arrange(out, d.schema)
}

/// Those of one `false` become one; then the order of the keywords in the schema.
fn arrange<'a>(found: Vec<Found<'a>>, schema: &Json) -> Vec<Found<'a>> {
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
        if let Some(extra) = f.refused.take() {
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
    let mut shown: Vec<String> = extra
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

fn unexpected(shown: &[String]) -> String {
    let verb = if shown.len() == 1 { "was" } else { "were" };
    format!("{} {verb} unexpected", shown.join(", "))
}

fn collect<'a>(e: &ValidationError, d: &Documents<'a>, parent: &Place, out: &mut Vec<Found<'a>>) {
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

fn at<'a>(v: &'a Json, steps: &[Step]) -> &'a Json {
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

// ---- messages ----

fn leaf<'a>(
    e: &ValidationError,
    kind: &ErrorKind,
    d: &Documents<'a>,
    place: &Place,
    out: &mut Vec<Found<'a>>,
) {
    let whole: Vec<Step> = e
        .instance_location
        .tokens
        .iter()
        .map(|t| match t {
            InstanceToken::Prop(p) => Step::Key(p.to_string()),
            InstanceToken::Item(i) => Step::Index(*i),
        })
        .collect();
    let instance = at(d.instance, &whole);
    let schema = at(d.schema, &place.pointer);
    let path = whole[place.base.min(whole.len())..].to_vec();
    if let ErrorKind::PropertyName { prop } = kind {
        out.push(property_name(prop, schema, place, path));
        return;
    }
    let mut add = |keyword: &str, message: String, context: Vec<Found<'a>>| {
        let mut schema_path = place.schema_path.clone();
        schema_path.push(Step::Key(keyword.into()));
        out.push(Found {
            path: path.clone(),
            schema_path,
            keyword: Some(keyword.into()),
            message,
            schema,
            instance: Cow::Borrowed(instance),
            context,
            refused: None,
        });
    };
    let shown = json_repr(instance);
    let one = |n: usize, edge: usize, at_edge: &str, other: &str| {
        format!("{shown} {}", if n == edge { at_edge } else { other })
    };
    let want = |key: &str| json_repr(schema.get(key).unwrap_or(&NOTHING));
    match kind {
        ErrorKind::FalseSchema => {
            refused(whole, place, d, instance, out);
        }
        ErrorKind::Type { want: types, .. } => {
            let types = match schema.get("type") {
                Some(Json::String(t)) => quoted_exact(t),
                Some(Json::Array(types)) => {
                    types.iter().map(json_repr).collect::<Vec<_>>().join(", ")
                }
                _ => {
                    let types: Vec<String> = types.iter().map(|t| quoted_exact(&t.to_string())).collect();
                    types.join(", ")
                }
            };
            // boon stops here; Python goes through the keywords as they stand.
            let before = |key: &str| {
                let keys = schema.as_object().into_iter().flat_map(|o| o.keys());
                keys.take_while(|k| *k != "type").any(|k| k == key)
            };
            match (schema.get("enum"), schema.get("const")) {
                (Some(Json::Array(all)), _) if before("enum") && !all.contains(instance) => {
                    add("enum", format!("{shown} is not one of {}", want("enum")), Vec::new())
                }
                (_, Some(one)) if before("const") && one != instance => {
                    add("const", format!("{} was expected", json_repr(one)), Vec::new())
                }
                _ => {}
            }
            add("type", format!("{shown} is not of type {types}"), Vec::new());
        }
        ErrorKind::Enum { want } => {
            let all = json_repr(&Json::Array(want.to_vec()));
            add("enum", format!("{shown} is not one of {all}"), Vec::new());
        }
        ErrorKind::Const { want } => {
            add("const", format!("{} was expected", json_repr(want)), Vec::new())
        }
        ErrorKind::MinProperties { want, .. } => add(
            "minProperties",
            one(*want, 1, "should be non-empty", "does not have enough properties"),
            Vec::new(),
        ),
        ErrorKind::MaxProperties { want, .. } => add(
            "maxProperties",
            one(*want, 0, "is expected to be empty", "has too many properties"),
            Vec::new(),
        ),
        ErrorKind::AdditionalProperties { got } => {
            let mut names: Vec<String> = got.iter().map(|n| quoted_exact(n)).collect();
            names.sort();
            let message = match schema.get("patternProperties").and_then(Json::as_object) {
                Some(patterns) => {
                    let mut all: Vec<&String> = patterns.keys().collect();
                    all.sort();
                    let all: Vec<String> = all.iter().map(|p| quoted_exact(p)).collect();
                    let verb = if names.len() == 1 { "does" } else { "do" };
                    format!(
                        "{} {verb} not match any of the regexes: {}",
                        names.join(", "),
                        all.join(", ")
                    )
                }
                None => format!("Additional properties are not allowed ({})", unexpected(&names)),
            };
            add("additionalProperties", message, Vec::new());
        }
        ErrorKind::Required { want } => {
            for name in want {
                let message = format!("{} is a required property", quoted_exact(name));
                add("required", message, Vec::new());
            }
        }
        ErrorKind::Dependency { prop, missing } => {
            for name in missing {
                let (name, prop) = (quoted_exact(name), quoted_exact(prop));
                add("dependencies", format!("{name} is a dependency of {prop}"), Vec::new());
            }
        }
        ErrorKind::DependentRequired { prop, missing } => {
            for name in missing {
                let (name, prop) = (quoted_exact(name), quoted_exact(prop));
                add("dependentRequired", format!("{name} is a dependency of {prop}"), Vec::new());
            }
        }
        ErrorKind::MinItems { want, .. } => {
            add("minItems", one(*want, 1, "should be non-empty", "is too short"), Vec::new())
        }
        ErrorKind::MaxItems { want, .. } => {
            add("maxItems", one(*want, 0, "is expected to be empty", "is too long"), Vec::new())
        }
        ErrorKind::MinLength { want, .. } => {
            add("minLength", one(*want, 1, "should be non-empty", "is too short"), Vec::new())
        }
        ErrorKind::MaxLength { want, .. } => {
            add("maxLength", one(*want, 0, "is expected to be empty", "is too long"), Vec::new())
        }
        ErrorKind::UniqueItems { .. } => {
            add("uniqueItems", format!("{shown} has non-unique elements"), Vec::new())
        }
        ErrorKind::AdditionalItems { got } => {
            let list = instance.as_array().map(Vec::as_slice).unwrap_or(&[]);
            let extra: Vec<String> =
                list[list.len().saturating_sub(*got)..].iter().map(json_repr).collect();
            let message = format!("Additional items are not allowed ({})", unexpected(&extra));
            add("additionalItems", message, Vec::new());
        }
        ErrorKind::Contains => add(
            "contains",
            format!("{shown} does not contain items matching the given schema"),
            Vec::new(),
        ),
        ErrorKind::MinContains { got, .. } if got.is_empty() => add(
            "contains",
            format!("{shown} does not contain items matching the given schema"),
            Vec::new(),
        ),
        ErrorKind::MinContains { got, want } => add(
            "minContains",
            format!(
                "Too few items match the given schema (expected at least {want} but only {} matched)",
                got.len()
            ),
            Vec::new(),
        ),
        ErrorKind::MaxContains { want, .. } => add(
            "maxContains",
            format!("Too many items match the given schema (expected at most {want})"),
            Vec::new(),
        ),
        ErrorKind::Pattern { .. } => {
            add("pattern", format!("{shown} does not match {}", want("pattern")), Vec::new())
        }
        ErrorKind::Minimum { want, .. } => {
            let message = format!("{shown} is less than the minimum of {}", number(want));
            add("minimum", message, Vec::new());
        }
        ErrorKind::Maximum { want, .. } => {
            let message = format!("{shown} is greater than the maximum of {}", number(want));
            add("maximum", message, Vec::new());
        }
        ErrorKind::ExclusiveMinimum { want, .. } => {
            let want = number(want);
            let message = format!("{shown} is less than or equal to the minimum of {want}");
            add(exclusive(schema, "exclusiveMinimum", "minimum"), message, Vec::new());
        }
        ErrorKind::ExclusiveMaximum { want, .. } => {
            let want = number(want);
            let message = format!("{shown} is greater than or equal to the maximum of {want}");
            add(exclusive(schema, "exclusiveMaximum", "maximum"), message, Vec::new());
        }
        ErrorKind::MultipleOf { want, .. } => {
            let message = format!("{shown} is not a multiple of {}", number(want));
            add("multipleOf", message, Vec::new());
        }
        ErrorKind::Not => {
            add("not", format!("{shown} should not be valid under {}", want("not")), Vec::new())
        }
        ErrorKind::AnyOf => {
            let context = tried(e, d, place, "anyOf", whole.len());
            add("anyOf", format!("{shown} is not valid under any of the given schemas"), context);
        }
        ErrorKind::OneOf(None) => {
            let context = tried(e, d, place, "oneOf", whole.len());
            add("oneOf", format!("{shown} is not valid under any of the given schemas"), context);
        }
        ErrorKind::OneOf(Some((first, other))) => {
            let branch = |i: &usize| {
                json_repr(schema.get("oneOf").and_then(|s| s.get(i)).unwrap_or(&NOTHING))
            };
            let message =
                format!("{shown} is valid under each of {}, {}", branch(other), branch(first));
            add("oneOf", message, Vec::new());
        }
        ErrorKind::RefCycle { .. } => {
            add("$ref", "the user config schema refers to itself without end".into(), Vec::new())
        }
        other => add("format", format!("{shown}: {other}"), Vec::new()),
    }
}

/// In draft 4 the word is a flag beside `minimum`.
fn exclusive<'k>(schema: &Json, keyword: &'k str, flagged: &'k str) -> &'k str {
    match schema.get(keyword) {
        Some(Json::Bool(_)) => flagged,
        _ => keyword,
    }
}

/// The branches of anyOf or oneOf; their paths begin here.
fn tried<'a>(
    e: &ValidationError,
    d: &Documents<'a>,
    place: &Place,
    keyword: &str,
    base: usize,
) -> Vec<Found<'a>> {
    let mut pointer = place.pointer.clone();
    pointer.push(Step::Key(keyword.into()));
    let inner = Place { pointer, schema_path: Vec::new(), base };
    let mut found = Vec::new();
    for cause in &e.causes {
        collect(cause, d, &inner, &mut found);
    }
    arrange(found, &NOTHING)
}

fn refused<'a>(
    whole: Vec<Step>,
    place: &Place,
    d: &Documents<'a>,
    instance: &'a Json,
    out: &mut Vec<Found<'a>>,
) {
    let path = whole[place.base.min(whole.len())..].to_vec();
    let keyword = match place.pointer.last() {
        Some(Step::Key(k))
            if matches!(k.as_str(), "unevaluatedProperties" | "unevaluatedItems" | "items") =>
        {
            Some(k.clone())
        }
        _ => None,
    };
    // A property may have one of those names: then `properties` stands before it.
    let parent = &place.pointer[..place.pointer.len().saturating_sub(1)];
    let named = matches!(parent.last(), Some(Step::Key(k)) if k == "properties");
    let (Some(keyword), Some(last), false) = (keyword, path.last().cloned(), named) else {
        // Python loses the way to such a schema.
        out.push(Found {
            message: format!("False schema does not allow {}", json_repr(instance)),
            path: Vec::new(),
            schema_path: Vec::new(),
            keyword: None,
            schema: at(d.schema, &place.pointer),
            instance: Cow::Borrowed(instance),
            context: Vec::new(),
            refused: None,
        });
        return;
    };
    out.push(Found {
        path,
        schema_path: place.schema_path.clone(),
        keyword: Some(keyword),
        message: String::new(),
        schema: at(d.schema, parent),
        instance: Cow::Borrowed(at(d.instance, &whole[..whole.len().saturating_sub(1)])),
        context: Vec::new(),
        refused: Some(vec![last]),
    });
}

/// boon only says that the name is refused; the keyword that did it is found again here.
fn property_name<'a>(prop: &str, schema: &'a Json, place: &Place, path: Vec<Step>) -> Found<'a> {
    let rules = schema.get("propertyNames").unwrap_or(&NOTHING);
    let shown = quoted_exact(prop);
    let length = prop.chars().count() as u64;
    let number = |key: &str| rules.get(key).and_then(Json::as_u64);
    let (keyword, message) = match (number("minLength"), number("maxLength")) {
        (Some(1), _) if length < 1 => ("minLength", format!("{shown} should be non-empty")),
        (Some(n), _) if length < n => ("minLength", format!("{shown} is too short")),
        (_, Some(n)) if length > n => ("maxLength", format!("{shown} is too long")),
        _ => match (rules.get("enum"), rules.get("const"), rules.get("pattern")) {
            (Some(all), _, _) => ("enum", format!("{shown} is not one of {}", json_repr(all))),
            (_, Some(one), _) => ("const", format!("{} was expected", json_repr(one))),
            (_, _, Some(p)) => ("pattern", format!("{shown} does not match {}", json_repr(p))),
            _ => ("allOf", format!("{shown} is not a name that the schema accepts")),
        },
    };
    let mut schema_path = place.schema_path.clone();
    schema_path.push(Step::Key("propertyNames".into()));
    schema_path.push(Step::Key(keyword.into()));
    Found {
        path,
        schema_path,
        keyword: Some(keyword.into()),
        message,
        schema: rules,
        instance: Cow::Owned(Json::String(prop.to_owned())),
        context: Vec::new(),
        refused: None,
    }
}
