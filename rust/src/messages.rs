//! One error of boon's in the words of Python's jsonschema.

use std::borrow::Cow;

use boon::{ErrorKind, InstanceToken, ValidationError};
use serde_json::Value as Json;

use crate::explain::{arrange, at, collect, unexpected, Documents, Found, Place, Step, NOTHING};
use crate::pytext::{json_repr, number, quoted_exact};

pub fn leaf<'a>(
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
