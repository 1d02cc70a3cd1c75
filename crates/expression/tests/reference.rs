//! On generated expressions and requests the evaluator agrees with the interpreter of the `cel` crate: the same value,
//! or both fail.

mod request;

use std::collections::HashMap;

use cel::{Context, Program, Value};
use request::Request;
use tollgate_expression::{
    EvaluateError, Expression, Inputs, ListVariable, MapVariable, TextVariable, VARIABLES, Wanted,
};

/// SplitMix64: fixed numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Few words, so that equal ones are common.
const WORDS: &[&str] = &["a", "b", "GET", "/v1", "", "7", "\u{e4}", "ab", "-3"];
const PATTERNS: &[&str] = &["'^a'", "'b$'", "'[0-9]+'", "'^$'", "'(a|b)+'", "'.'"];
const TEXTS: &[&str] = &["method", "path", "host", "consumer", "route"];
const MAPS: &[&str] = &["headers", "query", "labels"];
const LISTS: &[&str] = &["groups", "scopes", "segments"];
const INTS: &[&str] = &["0", "1", "-1", "2", "7", "9223372036854775807", "-9223372036854775808", "size"];

/// Writes expressions of a type. Variables of loops are in scope by their names: strings.
struct Writer {
    numbers: Numbers,
    locals: Vec<String>,
}

impl Writer {
    fn bool(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.numbers.one(&["true", "false", "tls", "claims.yes", "claims.no"]).to_owned();
        }
        let d = depth - 1;
        match self.numbers.below(17) {
            0 => format!("({} && {})", self.bool(d), self.bool(d)),
            1 => format!("({} || {})", self.bool(d), self.bool(d)),
            2 => format!("!{}", self.bool(d)),
            3 => format!("({} ? {} : {})", self.bool(d), self.bool(d), self.bool(d)),
            4 | 5 => format!("({} {} {})", self.text(d), self.comparison(), self.text(d)),
            6 => format!("({} {} {})", self.int(d), self.comparison(), self.int(d)),
            7 => format!("({} {} {})", self.double(d), self.comparison(), self.double(d)),
            8 => format!("({} in {})", self.text(d), self.list(d)),
            9 => format!("({} in {})", self.text(d), self.numbers.one(MAPS)),
            10 => {
                let function = self.numbers.one(&["startsWith", "endsWith", "contains"]);
                format!("{}.{function}({})", self.text(d), self.text(d))
            }
            11 => format!("{}.matches({})", self.text(d), self.numbers.one(PATTERNS)),
            12 => format!("has({}.{})", self.numbers.one(MAPS), self.numbers.one(&["a", "b", "GET"])),
            13 => format!("has(claims.{})", self.numbers.one(&["yes", "text", "missing", "map.a", "text.a"])),
            14 => format!("({} {} {})", self.list(d), self.numbers.one(&["==", "!="]), self.list(d)),
            15 => format!(
                "(claims.{} == {})",
                self.numbers.one(&["text", "number", "no", "ratio"]),
                self.any(d)
            ),
            _ => self.quantifier(d),
        }
    }

    fn any(&mut self, depth: usize) -> String {
        match self.numbers.below(4) {
            0 => self.bool(depth),
            1 => self.int(depth),
            2 => self.double(depth),
            _ => self.text(depth),
        }
    }

    fn comparison(&mut self) -> &'static str {
        self.numbers.one(&["==", "!=", "<", "<=", ">", ">=", "==", "=="])
    }

    /// A loop, if not already in two.
    fn quantifier(&mut self, depth: usize) -> String {
        if self.locals.len() >= 2 {
            return self.bool(depth);
        }
        let kind = self.numbers.one(&["all", "exists", "exists_one"]);
        let range =
            if self.numbers.below(4) == 0 { self.numbers.one(MAPS).to_owned() } else { self.list(depth) };
        self.within(|writer, local| format!("{range}.{kind}({local}, {})", writer.bool(depth)))
    }

    fn within(&mut self, write: impl FnOnce(&mut Self, &str) -> String) -> String {
        let local = format!("l{}", self.locals.len());
        self.locals.push(local.clone());
        let text = write(self, &local);
        self.locals.pop();
        text
    }

    fn int(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.numbers.one(INTS).to_owned();
        }
        let d = depth - 1;
        match self.numbers.below(8) {
            0..=2 => {
                let operator = self.numbers.one(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.int(d), self.int(d))
            }
            3 => format!("size({})", self.text(d)),
            4 => format!("{}.size()", self.list(d)),
            5 => format!("int({})", self.text(d)),
            6 => format!("-({})", self.int(d)),
            _ => format!("({} ? {} : {})", self.bool(d), self.int(d), self.int(d)),
        }
    }

    fn double(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.numbers.one(&["0.0", "1.0", "-1.5", "7.0", "1e300", "claims.ratio"]).to_owned();
        }
        let d = depth - 1;
        match self.numbers.below(3) {
            0 => format!("double({})", self.int(d)),
            _ => {
                // No division: the reference refuses to compare what is not a number, where the standard says false.
                let operator = self.numbers.one(&["+", "-", "*"]);
                format!("({} {operator} {})", self.double(d), self.double(d))
            }
        }
    }

    fn text(&mut self, depth: usize) -> String {
        if depth == 0 || self.numbers.below(3) == 0 {
            return match self.numbers.below(5) {
                0 if !self.locals.is_empty() => self.locals[self.numbers.below(self.locals.len())].clone(),
                0 | 1 => format!("'{}'", self.numbers.one(WORDS)),
                2 => self.numbers.one(TEXTS).to_owned(),
                3 => self.numbers.one(&["claims.text", "claims.map.a", "claims.missing"]).to_owned(),
                _ => format!("{}['{}']", self.numbers.one(MAPS), self.numbers.one(&["a", "b", "7", "ab"])),
            };
        }
        let d = depth - 1;
        match self.numbers.below(5) {
            0 => format!("({} + {})", self.text(d), self.text(d)),
            1 => format!("string({})", self.int(d)),
            2 => format!("{}[{}]", self.list(d), self.int(d)),
            3 => format!("{}[{}]", self.numbers.one(&["query", "labels"]), self.text(d)),
            _ => format!("({} ? {} : {})", self.bool(d), self.text(d), self.text(d)),
        }
    }

    /// A list of strings.
    fn list(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.numbers.below(4) {
                0 => format!("['{}', '{}']", self.numbers.one(WORDS), self.numbers.one(WORDS)),
                1 => "claims.list".to_owned(),
                _ => self.numbers.one(LISTS).to_owned(),
            };
        }
        let d = depth - 1;
        match self.numbers.below(5) {
            0 => format!("[{}, {}]", self.text(d), self.text(d)),
            1 => format!("({} + {})", self.list(d), self.list(d)),
            2 if self.locals.len() < 2 => {
                let range = self.list(d);
                self.within(|writer, local| format!("{range}.map({local}, {})", writer.text(d)))
            }
            3 if self.locals.len() < 2 => {
                let range = self.list(d);
                self.within(|writer, local| format!("{range}.filter({local}, {})", writer.bool(d)))
            }
            _ => self.list(0),
        }
    }
}

fn random_request(numbers: &mut Numbers) -> Request {
    let word = |numbers: &mut Numbers| numbers.one(WORDS).as_bytes().to_vec();
    let mut request = Request::default();
    use TextVariable::{Consumer, Host, Method, Path, Route};
    request.texts = [Method, Path, Host, Consumer, Route].map(|variable| (variable, word(numbers))).into();
    for (_, entries) in &mut request.maps {
        let keys: Vec<_> = ["a", "b", "7", "ab"].into_iter().filter(|_| numbers.below(2) == 0).collect();
        *entries = keys.into_iter().map(|key| (key.into(), word(numbers))).collect();
    }
    for (_, items) in &mut request.lists {
        *items = (0..numbers.below(4)).map(|_| word(numbers)).collect();
    }
    request.size = [-1, 0, 7, 1 << 40][numbers.below(4)];
    request.tls = numbers.below(2) == 0;
    let words: Vec<&str> = (0..numbers.below(4)).map(|_| numbers.one(WORDS)).collect();
    let claims = serde_json::json!({
        "yes": true, "no": false, "text": numbers.one(WORDS), "number": numbers.below(9), "ratio": 0.5,
        "list": words, "map": { "a": numbers.one(WORDS) },
    });
    request.claims = claims.as_object().cloned().unwrap();
    request
}

fn text(bytes: &[u8]) -> Value {
    Value::from(std::str::from_utf8(bytes).unwrap())
}

fn json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap()),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(json).collect::<Vec<_>>()),
        serde_json::Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.clone(), json(value)));
            Value::from(entries.collect::<HashMap<String, Value>>())
        }
    }
}

/// The same request for the reference.
fn context(request: &Request) -> Context<'static, 'static> {
    let mut context = Context::default();
    let texts = [
        ("method", TextVariable::Method),
        ("path", TextVariable::Path),
        ("host", TextVariable::Host),
        ("consumer", TextVariable::Consumer),
        ("route", TextVariable::Route),
    ];
    for (name, variable) in texts {
        context.add_variable_from_value(name, text(&request.text(variable)));
    }
    let maps =
        [("headers", MapVariable::Headers), ("query", MapVariable::Query), ("labels", MapVariable::Labels)];
    for (name, map) in maps {
        let entries = request.map(map).iter();
        let entries = entries.map(|(key, value)| (String::from_utf8(key.clone()).unwrap(), text(value)));
        context.add_variable_from_value(name, entries.collect::<HashMap<String, Value>>());
    }
    let lists = [
        ("groups", ListVariable::Groups),
        ("scopes", ListVariable::Scopes),
        ("segments", ListVariable::Segments),
    ];
    for (name, list) in lists {
        let items: Vec<Value> = request.list(list).iter().map(|item| text(item)).collect();
        context.add_variable_from_value(name, items);
    }
    context.add_variable_from_value("size", request.size);
    context.add_variable_from_value("tls", request.tls);
    context.add_variable_from_value("claims", json(&serde_json::Value::Object(request.claims.clone())));
    context
}

/// Runs one case on both; whether there was a value.
fn agree(seed: u64) -> bool {
    let mut writer = Writer { numbers: Numbers(seed), locals: Vec::new() };
    let depth = 1 + writer.numbers.below(4);
    let (source, wanted) = match writer.numbers.below(4) {
        0 => (writer.int(depth), Wanted::Int),
        1 => (writer.text(depth), Wanted::Key),
        _ => (writer.bool(depth), Wanted::Bool),
    };
    let request = random_request(&mut writer.numbers);
    let expression =
        Expression::compile(&source, wanted).unwrap_or_else(|error| panic!("seed {seed}: {source}: {error}"));
    let reference = Program::compile(&source).unwrap().execute(&context(&request));
    let (ours, theirs) = match wanted {
        Wanted::Bool => (expression.test(&request).map(|value| value.to_string()), reference),
        Wanted::Int => (expression.integer(&request).map(|value| value.to_string()), reference),
        Wanted::Key => {
            let mut out = Vec::new();
            let result = expression.key(&request, &mut out);
            (result.map(|()| String::from_utf8(out).unwrap()), reference)
        }
    };
    if !source.contains("claims") {
        // What was checked when loaded does not turn out otherwise.
        assert!(!matches!(ours, Err(EvaluateError::WrongType { .. })), "seed {seed}: {source}: {ours:?}");
    }
    let theirs = theirs.map(|value| match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::String(value) => value.to_string(),
        other => panic!("seed {seed}: {source} gives {other:?}"),
    });
    assert_eq!(
        ours.as_ref().ok(),
        theirs.as_ref().ok(),
        "seed {seed}: {source}\nours: {ours:?}\ntheirs: {theirs:?}\n{request:?}"
    );
    ours.is_ok()
}

/// `TOLLGATE_PROPERTY_CASES` makes it longer.
#[test]
fn both_agree() {
    let cases = std::env::var("TOLLGATE_PROPERTY_CASES").ok().and_then(|text| text.parse().ok());
    let cases: u64 = cases.unwrap_or(1500);
    let values = (0..cases).filter(|&seed| agree(seed)).count() as u64;
    assert!(values * 3 > cases, "only {values} of {cases} have a value: the generator is poor");
}

#[test]
fn the_generator_knows_most_variables() {
    let written: String =
        (0..2000).map(|seed| Writer { numbers: Numbers(seed), locals: Vec::new() }.bool(4)).collect();
    let known = VARIABLES.iter().filter(|variable| written.contains(variable.name)).count();
    assert!(known * 2 > VARIABLES.len(), "{known} of {}", VARIABLES.len());
}
