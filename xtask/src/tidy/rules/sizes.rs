//! Files one can hold in mind: lines of a file and of a function, fields of a struct.

use super::Places;
use crate::tidy::{Code, Kind, Project};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;
const STRUCT_FIELDS: usize = 15;

/// Files with too much code; tests, comments and empty lines do not count.
pub(crate) fn files(project: &Project) -> Result<Places, String> {
    let mut found = Places::new();
    for source in project.sources.iter().filter(|source| !source.is_test) {
        let code = Code::of(&source.text);
        let lines = code.lines(0..code.tokens.len(), false);
        if lines > FILE_LINES {
            found.push((source.path.clone(), 0, format!("{lines} lines of code, {FILE_LINES} are allowed")));
        }
    }
    Ok(found)
}

/// Functions with too much code, tests too.
pub(crate) fn functions(project: &Project) -> Result<Places, String> {
    each(project, |code| {
        let mut found = Vec::new();
        for at in 0..code.tokens.len() {
            let Some(lines) = function_lines(code, at).filter(|lines| *lines > FUNCTION_LINES) else {
                continue;
            };
            let name = code.tokens[at + 1].text;
            found.push((at, format!("`{name}` has {lines} lines, {FUNCTION_LINES} are allowed")));
        }
        found
    })
}

/// Structs with too many named fields.
pub(crate) fn structs(project: &Project) -> Result<Places, String> {
    each(project, |code| {
        let mut found = Vec::new();
        for at in 0..code.tokens.len() {
            let Some(fields) = fields(code, at).filter(|fields| *fields > STRUCT_FIELDS) else { continue };
            let name = code.tokens[at + 1].text;
            found.push((at, format!("`{name}` has {fields} fields, {STRUCT_FIELDS} are allowed")));
        }
        found
    })
}

fn each(project: &Project, find: impl Fn(&Code<'_>) -> Vec<(usize, String)>) -> Result<Places, String> {
    let mut found = Places::new();
    for source in &project.sources {
        let code = Code::of(&source.text);
        let places = find(&code).into_iter();
        found.extend(places.map(|(at, message)| (source.path.clone(), code.tokens[at].line, message)));
    }
    Ok(found)
}

/// The lines of the function that begins at this token, signature and braces included.
fn function_lines(code: &Code<'_>, at: usize) -> Option<usize> {
    let is_named = code.tokens.get(at + 1).is_some_and(|token| token.kind == Kind::Word);
    if !(code.stands(at, &["fn"]) && is_named) {
        return None;
    }
    let mut place = at + 2;
    while let Some(token) = code.tokens.get(place) {
        match token.text {
            ";" => return None,
            "{" => return Some(code.lines(at..code.closing(place) + 1, true)),
            "(" | "[" if token.kind == Kind::Mark => place = code.closing(place) + 1,
            _ => place += 1,
        }
    }
    None
}

/// The named fields of the struct that begins at this token: each has one single colon.
fn fields(code: &Code<'_>, at: usize) -> Option<usize> {
    if !code.stands(at, &["struct"]) {
        return None;
    }
    let behind = code.tokens.iter().enumerate().skip(at);
    let (open, _) =
        behind.into_iter().find(|(_, token)| ["{", ";", "("].iter().any(|mark| token.is(mark)))?;
    if !code.stands(open, &["{"]) {
        return None;
    }
    let end = code.closing(open);
    let (mut count, mut place) = (0, open + 1);
    while place < end {
        if ["(", "[", "{"].iter().any(|mark| code.tokens[place].is(mark)) {
            place = code.closing(place);
        } else if code.stands(place, &[":", ":"]) {
            place += 1;
        } else if code.stands(place, &[":"]) {
            count += 1;
        }
        place += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::{fields, function_lines};
    use crate::tidy::Code;

    #[test]
    fn lines_of_functions() {
        assert_eq!(function_lines(&Code::of("fn a(b: [u8; 2])\n{\n\n// c\nd;\n}\nfn e() {}"), 0), Some(4));
        assert_eq!(function_lines(&Code::of("fn a();\nfn b() {}"), 0), None);
        assert_eq!(function_lines(&Code::of("fn(a) -> b {}"), 0), None, "a type");
    }

    #[test]
    fn fields_of_structs() {
        let count = |text: &str| fields(&Code::of(text), 0);
        assert_eq!(count("struct A { pub b: c::D<E, F>, #[x(y: z)] g: Box<dyn Fn(h: i) -> j>, }"), Some(2));
        assert_eq!(count("struct A<T: B> where T: C { d: T }"), Some(1));
        assert_eq!(count("struct A { b (\"c\"): D = e(f::<1>()); g: H = i; }"), Some(2));
        assert_eq!(count("struct A(B, C);"), None);
        assert_eq!(count("struct A; struct B { c: D }"), None);
    }
}
