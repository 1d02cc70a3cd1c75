//! Places in JSON: `$.items[0].id`, and patterns of them: `items[*].id`, `$.**.updated_at`.

use std::fmt;
use std::str::FromStr;

use crate::{PATH_CHARS, shortened};

/// The most steps of a pattern.
const STEPS_MAX: usize = 32;

/// A step into a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'v> {
    /// The member of this name.
    Name(&'v str),
    /// The element with this index.
    Index(usize),
}

/// The way to a value, from the whole body.
#[derive(Debug, Default)]
pub(crate) struct Path<'v>(Vec<Step<'v>>);

impl<'v> Path<'v> {
    pub(crate) fn push(&mut self, step: Step<'v>) {
        self.0.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// The path with `[*]` for every index.
    pub(crate) fn general(&self) -> String {
        self.text(true)
    }

    fn text(&self, general: bool) -> String {
        let mut text = String::from("$");
        for step in &self.0 {
            match step {
                Step::Index(_) if general => text.push_str("[*]"),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
                Step::Name(name) if is_plain(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                // As JSON spells it, so that nothing in it ends the quotes.
                Step::Name(name) => {
                    let name = shortened(name, PATH_CHARS);
                    text.push_str(&format!("[{}]", serde_json::Value::from(name)));
                }
            }
            // Names can be as long as the body.
            if text.len() > PATH_CHARS * 4 {
                break;
            }
        }
        shortened(&text, PATH_CHARS)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(false))
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// A pattern of places in JSON. It stands for each place that it matches and for all below.
///
/// `$` is the whole and may be left out; `.name` a member, `["any name"]` one whose name has other characters than
/// letters, digits, `_` and `-`; `.*` any member; `[3]` an element, `[*]` any; `.**` any number of steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Name(String),
    AnyName,
    Index(usize),
    AnyIndex,
    AnySteps,
}

impl Part {
    fn takes(&self, step: Step<'_>) -> bool {
        match (self, step) {
            (Self::Name(wanted), Step::Name(name)) => wanted == name,
            (Self::Index(wanted), Step::Index(index)) => *wanted == index,
            (Self::AnyName, Step::Name(_)) | (Self::AnyIndex, Step::Index(_)) | (Self::AnySteps, _) => true,
            _ => false,
        }
    }
}

impl PathPattern {
    /// Whether it matches exactly this place. What is below is never asked for, since nobody goes there then.
    pub(crate) fn matches(&self, path: &Path<'_>) -> bool {
        // The parts that may come next, a bit each: the last bit is the end.
        let mut next = self.skip_any(1u64);
        for step in &path.0 {
            let mut after = 0u64;
            for (at, part) in self.0.iter().enumerate().filter(|(at, _)| next & (1 << at) != 0) {
                if part.takes(*step) {
                    after |= if *part == Part::AnySteps { 1 << at } else { 1 << (at + 1) };
                }
            }
            next = self.skip_any(after);
            if next == 0 {
                return false;
            }
        }
        next & (1 << self.0.len()) != 0
    }

    /// `**` may also be no step at all.
    fn skip_any(&self, mut next: u64) -> u64 {
        for (at, part) in self.0.iter().enumerate() {
            if *part == Part::AnySteps && next & (1 << at) != 0 {
                next |= 1 << (at + 1);
            }
        }
        next
    }
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut parts = Vec::new();
        // Without `$` the first name has no point before it.
        let mut may_lack_point = rest.len() == text.len();
        while !rest.is_empty() {
            let (part, behind) = if let Some(inside) = rest.strip_prefix('[') {
                bracket(inside).ok_or_else(|| format!("`[{inside}` is not `[3]`, `[*]` or `[\"name\"]`"))?
            } else if let Some(behind) = rest.strip_prefix('.').or_else(|| may_lack_point.then_some(rest)) {
                name(behind).ok_or_else(|| format!("there is no name at `{rest}`"))?
            } else {
                return Err(format!("`{rest}` begins with neither `.` nor `[`"));
            };
            may_lack_point = false;
            parts.push(part);
            rest = behind;
        }
        match parts.len() {
            0 => Err("this is the whole body: switch its comparison off instead".to_owned()),
            len if len > STEPS_MAX => Err(format!("a path has at most {STEPS_MAX} steps")),
            _ => Ok(Self(parts.into())),
        }
    }
}

fn bracket(inside: &str) -> Option<(Part, &str)> {
    if let Some(behind) = inside.strip_prefix("*]") {
        return Some((Part::AnyIndex, behind));
    }
    if inside.starts_with('"') {
        let mut names = serde_json::Deserializer::from_str(inside).into_iter::<String>();
        let name = names.next()?.ok()?;
        let behind = inside.get(names.byte_offset()..)?.strip_prefix(']')?;
        return Some((Part::Name(name), behind));
    }
    let (digits, behind) = inside.split_once(']')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((Part::Index(digits.parse().ok().filter(|_| is_number)?), behind))
}

fn name(text: &str) -> Option<(Part, &str)> {
    if let Some(behind) = text.strip_prefix("**") {
        return Some((Part::AnySteps, behind));
    }
    if let Some(behind) = text.strip_prefix('*') {
        return Some((Part::AnyName, behind));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, behind) = text.split_at(end);
    is_plain(name).then(|| (Part::Name(name.to_owned()), behind))
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for part in &self.0 {
            match part {
                Part::Name(name) if is_plain(name) => write!(f, ".{name}")?,
                Part::Name(name) => write!(f, "[{}]", serde_json::Value::from(name.as_str()))?,
                Part::AnyName => f.write_str(".*")?,
                Part::Index(index) => write!(f, "[{index}]")?,
                Part::AnyIndex => f.write_str("[*]")?,
                Part::AnySteps => f.write_str(".**")?,
            }
        }
        Ok(())
    }
}
