//! A document against a schema: boon decides, explain.rs tells the reason in Python's words.

use std::collections::HashMap;

use boon::{CompileError, Compiler, Draft, Schemas, UrlLoader};
use serde_json::Value as Json;

use crate::explain::{self, Documents};
use crate::failure::Failure;
use crate::pattern;
use crate::plain::is_plain;
use crate::pytext;

const LOCATION: &str = "http://schema/";
/// What lies there is taken for a metaschema, which boon does not hold against another one.
const PLAIN_LOCATION: &str = "http://json-schema.org/plain/";

/// Nothing is fetched, from the network or from the disk.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Json, Box<dyn std::error::Error>> {
        Err(format!("{url} is not part of the schema, and nothing is fetched").into())
    }
}

pub fn check(schema: &Json, instance: &Json) -> Result<(), Failure> {
    if *schema == Json::Bool(false) {
        let value = pytext::json_repr(instance);
        return Err(Failure::new("schema", format!("False schema does not allow {value}")));
    }
    if is_false_in_python(schema) {
        return Ok(());
    }
    let mut names = HashMap::new();
    let mut translated = pattern::translate_schema(schema, &mut names);
    let draft = dialect(&mut translated)?;
    let plain = matches!(draft, Draft::V2020_12) && is_plain(&translated);
    let location = if plain { PLAIN_LOCATION } else { LOCATION };
    let mut compiler = Compiler::new();
    compiler.set_default_draft(draft);
    compiler.use_loader(Box::new(NoLoader));
    let documents = Documents { schema, instance, names: &names };
    let mut schemas = Schemas::new();
    compiler
        .add_resource(location, translated)
        .and_then(|_| compiler.compile(location, &mut schemas))
        .map_err(|e| broken(&e, schema))
        .and_then(|index| match schemas.validate(instance, index) {
            Ok(()) => Ok(()),
            Err(e) => Err(explain::failure(&e, &documents)),
        })
}

fn is_false_in_python(v: &Json) -> bool {
    match v {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(n) => n.as_f64() == Some(0.0),
        Json::String(s) => s.is_empty(),
        Json::Array(a) => a.is_empty(),
        Json::Object(o) => o.is_empty(),
    }
}

/// The draft that `$schema` names; one that nobody knows is taken out, and means the latest.
fn dialect(schema: &mut Json) -> Result<Draft, Failure> {
    let Some(members) = schema.as_object_mut() else {
        return Ok(Draft::V2020_12);
    };
    let named = members.get("$schema").and_then(Json::as_str).map(|s| s.trim_end_matches('#'));
    let draft = match named {
        Some("http://json-schema.org/draft-04/schema") => Draft::V4,
        Some("http://json-schema.org/draft-06/schema") => Draft::V6,
        Some("http://json-schema.org/draft-07/schema") => Draft::V7,
        Some("https://json-schema.org/draft/2019-09/schema") => Draft::V2019_09,
        Some("http://json-schema.org/draft-03/schema") => {
            return Err(Failure::new(
                "schema-invalid",
                "the user config schema is of draft 3, which is not supported; \
                 name a later one in $schema",
            ))
        }
        _ => Draft::V2020_12,
    };
    members.shift_remove("$schema");
    Ok(draft)
}

fn broken(e: &CompileError, schema: &Json) -> Failure {
    let message = match e {
        CompileError::ValidationError { src, .. } => {
            return explain::metaschema_failure(src, schema);
        }
        CompileError::InvalidRegex { .. } | CompileError::Bug(_) => explain::BAD_REGEX.to_owned(),
        CompileError::LoadUrlError { url, .. } | CompileError::UnsupportedUrlScheme { url } => {
            format!("Unresolvable: {}", url.strip_prefix(LOCATION).unwrap_or(url))
        }
        CompileError::JsonPointerNotFound(at) | CompileError::InvalidJsonPointer(at) => {
            let pointer = at.find('#').map_or(at.as_str(), |i| &at[i + 1..]);
            format!("PointerToNowhere: '{pointer}' does not exist within the user config schema")
        }
        CompileError::AnchorNotFound { reference, .. } => {
            format!("NoSuchAnchor: '{reference}' does not exist within the user config schema")
        }
        other => format!("the user config schema is invalid: {other}").replace(LOCATION, ""),
    };
    Failure::new("schema-invalid", message)
}
