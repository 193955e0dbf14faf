//! The C side of this crate: src/lib/template/template.c and src/lib/schema/schema.c.
//!
//! Everything comes in as bytes and goes out as bytes that the caller gives back to
//! `sallyport_bytes_free`.  A panic ends at this boundary, as an error of kind "internal".

mod context;
mod explain;
mod failure;
mod filters;
mod globals;
mod messages;
mod methods;
mod pattern;
mod plain;
mod pytext;
mod schema;
mod strict;
mod template;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;

use serde_json::{json, Map, Value as Json};

use failure::Failure;

#[repr(C)]
pub struct Bytes {
    data: *mut u8,
    len: usize,
    cap: usize,
}

/// A text of the caller; data NULL = absent.
#[repr(C)]
pub struct Text {
    data: *const u8,
    len: usize,
}

#[repr(C)]
pub struct Request {
    name: Text,
    text: Text,
    dir: Text,
    context: Text,
    watched: Text,
    size_max: usize,
    output_max: usize,
}

const OK: i32 = 0;
const FAILED: i32 = -1;

impl Text {
    unsafe fn get<'a>(&self, what: &str) -> Result<Option<&'a str>, Failure> {
        if self.data.is_null() {
            return Ok(None);
        }
        std::str::from_utf8(slice::from_raw_parts(self.data, self.len))
            .map(Some)
            .map_err(|_| Failure::new("syntax", format!("{what} is not UTF-8 text")))
    }

    unsafe fn json(&self, what: &str) -> Result<Option<Json>, Failure> {
        let Some(text) = self.get(what)? else { return Ok(None) };
        serde_json::from_str(text)
            .map(Some)
            .map_err(|e| Failure::new("internal", format!("{what}: {e}")))
    }
}

unsafe fn give(out: *mut Bytes, text: String) {
    if out.is_null() {
        return;
    }
    let mut bytes = std::mem::ManuallyDrop::new(text.into_bytes());
    *out = Bytes { data: bytes.as_mut_ptr(), len: bytes.len(), cap: bytes.capacity() };
}

/// Runs `work`; what it fails with, or that it panicked, goes to `failure` as JSON.
unsafe fn guarded(failure: *mut Bytes, work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    std::panic::set_hook(Box::new(|_| {}));
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => OK,
        Ok(Err(f)) => {
            give(failure, f.to_json());
            FAILED
        }
        Err(_) => {
            give(failure, Failure::internal("the template engine gave up").to_json());
            FAILED
        }
    }
}

/// # Safety
/// Pointers are valid for the call; `text`, `used` and `failure` are filled or left alone.
#[no_mangle]
pub unsafe extern "C" fn sallyport_template_render(
    request: *const Request,
    text: *mut Bytes,
    used: *mut Bytes,
    failure: *mut Bytes,
) -> i32 {
    let r = &*request;
    guarded(failure, || {
        with_input(r, |input| {
            let (rendered, names) = template::render(input)?;
            give(text, rendered);
            give(used, json!(names).to_string());
            Ok(())
        })
    })
}

/// # Safety
/// As sallyport_template_render().
#[no_mangle]
pub unsafe extern "C" fn sallyport_template_variables(
    request: *const Request,
    names: *mut Bytes,
    failure: *mut Bytes,
) -> i32 {
    let r = &*request;
    guarded(failure, || {
        with_input(r, |input| {
            give(names, json!(template::variables(input)?).to_string());
            Ok(())
        })
    })
}

unsafe fn with_input(
    r: &Request,
    work: impl FnOnce(&template::Input) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let empty = Map::new();
    let context = r.context.json("context")?.unwrap_or(Json::Null);
    let watched: Vec<String> = match r.watched.json("watched")? {
        Some(Json::Array(names)) => {
            names.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    // As Jinja2 does before it parses; the engine itself drops the one last newline.
    let source = r.text.get("the template")?.unwrap_or("").replace("\r\n", "\n");
    work(&template::Input {
        name: r.name.get("the name")?.unwrap_or("template"),
        text: &source,
        dir: r.dir.get("the folder")?,
        context: context.as_object().unwrap_or(&empty),
        watched: &watched,
        size_max: r.size_max,
        output_max: r.output_max,
    })
}

/// # Safety
/// As sallyport_template_render().
#[no_mangle]
pub unsafe extern "C" fn sallyport_schema_check(
    schema: *const Text,
    instance: *const Text,
    failure: *mut Bytes,
) -> i32 {
    guarded(failure, || {
        let document = match (*schema).get("the schema")? {
            Some(text) => serde_json::from_str(text).map_err(|e| {
                Failure::new(
                    "schema-invalid",
                    format!("The user config schema is not valid JSON: {e}"),
                )
            })?,
            None => Json::Null,
        };
        let instance = (*instance).json("the options")?.unwrap_or(Json::Null);
        schema::check(&document, &instance)
    })
}

/// # Safety
/// `b` was filled by a function of this crate, or is zero.
#[no_mangle]
pub unsafe extern "C" fn sallyport_bytes_free(b: *mut Bytes) {
    let b = &mut *b;
    if !b.data.is_null() {
        drop(Vec::from_raw_parts(b.data, b.len, b.cap));
    }
    *b = Bytes { data: std::ptr::null_mut(), len: 0, cap: 0 };
}
