//! One template, rendered: the engine's settings, where included files come from, the limits.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};

use crate::failure::Failure;
use crate::{context, filters, pytext};

/// Steps, of which each byte of text made costs 1/64.
const FUEL: u64 = 4_000_000;
const RECURSION_MAX: usize = 200;
/// In one tag: the engine walks a chain of them by recursion and has no limit of its own.
const OPERATORS_MAX: usize = 20_000;
const BRANCHES_MAX: usize = 5_000;
const STACK: usize = 64 << 20;

pub struct Input<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub dir: Option<&'a str>,
    pub context: &'a Map<String, Json>,
    pub watched: &'a [String],
    pub size_max: usize,
    pub output_max: usize,
}

/// The text, and which of the watched names were looked into.
pub fn render(input: &Input) -> Result<(String, BTreeSet<String>), Failure> {
    on_large_stack(|| render_here(input))?
}

/// Names that the template reads and doesn't set itself.
pub fn variables(input: &Input) -> Result<BTreeSet<String>, Failure> {
    on_large_stack(|| variables_here(input))?
}

fn render_here(input: &Input) -> Result<(String, BTreeSet<String>), Failure> {
    let used = Arc::new(Mutex::new(BTreeSet::new()));
    let env = environment(input);
    let all = Json::Object(input.context.clone());
    let fail = |e: Error| Failure::from_engine(&e, &all, input.dir.is_some());
    check_chains(input.text).map_err(|e| fail(e))?;
    let template = env.template_from_named_str(input.name, input.text).map_err(|e| fail(e))?;
    let mut out = Limited { bytes: Vec::new(), max: input.output_max, full: false };
    let root = context::root(input.context, input.watched, &used);
    if let Err(e) = template.render_captured_to(root, &mut out) {
        return Err(if out.full { Failure::output_limit(input.output_max) } else { fail(e) });
    }
    let text = String::from_utf8(out.bytes).map_err(|_| Failure::internal("text is not UTF-8"))?;
    let used = used.lock().map(|u| u.clone()).unwrap_or_default();
    Ok((text, used))
}

fn variables_here(input: &Input) -> Result<BTreeSet<String>, Failure> {
    let env = environment(input);
    let fail = |e: Error| Failure::from_engine(&e, &Json::Null, input.dir.is_some());
    check_chains(input.text).map_err(|e| fail(e))?;
    let template = env.template_from_named_str(input.name, input.text).map_err(|e| fail(e))?;
    let globals: BTreeSet<String> = env.globals().map(|(name, _)| name.to_owned()).collect();
    let mut names: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
    names.retain(|n| !globals.contains(n.split('.').next().unwrap_or(n)));
    Ok(names)
}

fn environment<'a>(input: &Input<'a>) -> Environment<'a> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION_MAX);
    env.set_debug(true);
    env.set_formatter(write_value);
    filters::add(&mut env);
    if let Some(dir) = input.dir {
        let dir = PathBuf::from(dir);
        let size_max = input.size_max;
        env.set_loader(move |name| load(&dir, name, size_max));
    }
    env
}

fn write_value(out: &mut Output, _: &mut State, v: &Value) -> Result<(), Error> {
    match v.as_str() {
        Some(s) => out.write_str(s),
        None => out.write_str(&pytext::repr(v)),
    }
    .map_err(Error::from)
}

/// A file below `dir`: names are split at "/", and none may lead out.
fn load(dir: &Path, name: &str, size_max: usize) -> Result<Option<String>, Error> {
    let mut path = dir.to_owned();
    for part in name.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." || part.contains('\0') {
            return Ok(None);
        }
        path.push(part);
    }
    let file = match File::open(&path) {
        Ok(f) if f.metadata().map(|m| m.is_file()).unwrap_or(false) => f,
        _ => return Ok(None),
    };
    let mut text = String::new();
    let read = file.take(size_max as u64 + 1).read_to_string(&mut text);
    let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidOperation, format!("{name}: {why}")));
    match read {
        Err(_) => refuse("it can't be read as UTF-8 text"),
        Ok(n) if n > size_max => refuse("it is larger than the limit for templates"),
        Ok(_) => {
            check_chains(&text)?;
            Ok(Some(text.replace("\r\n", "\n")))
        }
    }
}

/// Refuses a tag with so many operators that walking them would run over the stack.
fn check_chains(text: &str) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::new(ErrorKind::SyntaxError, what));
    let mut rest = text;
    let mut branches = 0;
    while let Some(at) = rest.find('{') {
        rest = &rest[at + 1..];
        let end = match rest.as_bytes().first() {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => continue,
        };
        let tag = &rest[1..rest.find(end).unwrap_or(rest.len()).max(1)];
        branches += tag.trim_start_matches(['-', '+', ' ']).starts_with("elif") as usize;
        if branches > BRANCHES_MAX {
            return refuse(format!("more than {BRANCHES_MAX} `elif`"));
        }
        let signs = tag.bytes().filter(|c| b"+-*/%~|.[(<>=!".contains(c)).count();
        let words = tag.split_ascii_whitespace().count();
        if signs + words > OPERATORS_MAX {
            return refuse(format!("one tag holds more than {OPERATORS_MAX} operators and words"));
        }
    }
    Ok(())
}

/// The engine compiles and drops expressions by recursion: its work is done on a stack of its own.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        match thread {
            Ok(thread) => {
                thread.join().map_err(|_| Failure::internal("the template engine gave up"))
            }
            Err(_) => Err(Failure::internal("no memory for the template engine")),
        }
    })
}

struct Limited {
    bytes: Vec<u8>,
    max: usize,
    full: bool,
}

impl Write for Limited {
    fn write(&mut self, p: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + p.len() > self.max {
            self.full = true;
            return Err(io::Error::new(io::ErrorKind::Other, "output limit"));
        }
        self.bytes.extend_from_slice(p);
        Ok(p.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
