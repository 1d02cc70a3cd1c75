//! The functions of expressions: one table, from which the checker and the docs read.

use std::ops::RangeInclusive;

use crate::moments::Part;

/// A row of [`FUNCTIONS`].
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How it is called.
    pub form: &'static str,
    /// What it gives.
    pub doc: &'static str,
    pub(crate) operation: Operation,
    pub(crate) call: Call,
    /// How many arguments it takes, that before the dot included.
    pub(crate) arguments: RangeInclusive<usize>,
}

/// How a function may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `f(a, b)`
    Plain,
    /// `a.f(b)`
    Member,
    Both,
}

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Has,
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    Size,
    StartsWith,
    EndsWith,
    Contains,
    Matches,
    LowerAscii,
    UpperAscii,
    InNetwork,
    ToText,
    ToInt,
    ToDouble,
    ToTime,
    ToDuration,
    Part(Part),
}

const fn row(
    name: &'static str,
    (form, doc): (&'static str, &'static str),
    operation: Operation,
    call: Call,
    arguments: RangeInclusive<usize>,
) -> Function {
    Function { name, form, doc, operation, call, arguments }
}

/// A part of a time.
const fn part(name: &'static str, form: &'static str, doc: &'static str, part: Part) -> Function {
    row(name, (form, doc), Operation::Part(part), Call::Member, 1..=2)
}

/// All functions and macros, in the order of the docs.
pub const FUNCTIONS: &[Function] = &[
    row(
        "has",
        (
            "has(map.key)",
            "Whether the map has the key, such as `has(headers.accept)`; for keys that are not plain names write `\"x-a\" in headers`.",
        ),
        Operation::Has,
        Call::Plain,
        1..=1,
    ),
    row(
        "all",
        ("list.all(x, condition)", "Whether the condition holds for all items (of a map: for all keys)."),
        Operation::All,
        Call::Member,
        3..=3,
    ),
    row(
        "exists",
        ("list.exists(x, condition)", "Whether the condition holds for some item."),
        Operation::Exists,
        Call::Member,
        3..=3,
    ),
    row(
        "exists_one",
        ("list.exists_one(x, condition)", "Whether the condition holds for exactly one item."),
        Operation::ExistsOne,
        Call::Member,
        3..=3,
    ),
    row(
        "filter",
        ("list.filter(x, condition)", "The items for which the condition holds."),
        Operation::Filter,
        Call::Member,
        3..=3,
    ),
    row(
        "map",
        (
            "list.map(x, value), list.map(x, condition, value)",
            "The value for each item, or for each for which the condition holds.",
        ),
        Operation::Map,
        Call::Member,
        3..=4,
    ),
    row(
        "size",
        ("size(x), x.size()", "How many characters a string has, items a list, entries a map."),
        Operation::Size,
        Call::Both,
        1..=1,
    ),
    row(
        "startsWith",
        (
            "text.startsWith(text)",
            "Whether the string starts with the other. For paths, mind that `/admin` is also the start of `/administrator`.",
        ),
        Operation::StartsWith,
        Call::Member,
        2..=2,
    ),
    row(
        "endsWith",
        ("text.endsWith(text)", "Whether the string ends with the other."),
        Operation::EndsWith,
        Call::Member,
        2..=2,
    ),
    row(
        "contains",
        ("text.contains(text)", "Whether the other is within the string."),
        Operation::Contains,
        Call::Member,
        2..=2,
    ),
    row(
        "matches",
        (
            "text.matches(\"pattern\")",
            "Whether the regular expression (a literal, without look-around and back-references) matches somewhere in the string; `^` and `$` hold it to the ends.",
        ),
        Operation::Matches,
        Call::Both,
        2..=2,
    ),
    row(
        "lowerAscii",
        ("text.lowerAscii()", "The string with `A` to `Z` made small."),
        Operation::LowerAscii,
        Call::Member,
        1..=1,
    ),
    row(
        "upperAscii",
        ("text.upperAscii()", "The string with `a` to `z` made large."),
        Operation::UpperAscii,
        Call::Member,
        1..=1,
    ),
    row(
        "in_network",
        (
            "in_network(address, \"10.0.0.0/8\")",
            "Whether the address is in the network (a literal). An error if the string is not an address.",
        ),
        Operation::InNetwork,
        Call::Both,
        2..=2,
    ),
    row(
        "string",
        ("string(x)", "A bool, number, timestamp or duration as a string."),
        Operation::ToText,
        Call::Plain,
        1..=1,
    ),
    row(
        "int",
        (
            "int(x)",
            "A string or double as an integer (the part before the point), or a timestamp in seconds since 1970.",
        ),
        Operation::ToInt,
        Call::Plain,
        1..=1,
    ),
    row("double", ("double(x)", "A string or integer as a double."), Operation::ToDouble, Call::Plain, 1..=1),
    row(
        "timestamp",
        (
            "timestamp(x)",
            "The time that a string such as `2026-01-31T12:00:00Z` or an integer (seconds since 1970) stands for.",
        ),
        Operation::ToTime,
        Call::Plain,
        1..=1,
    ),
    row(
        "duration",
        ("duration(x)", "The duration that a string such as `1h30m` or `1.5s` stands for."),
        Operation::ToDuration,
        Call::Plain,
        1..=1,
    ),
    part(
        "getFullYear",
        "time.getFullYear()",
        "The year. All parts of times are those in UTC, or of the zone given: `now.getHours(\"+02:00\")`.",
        Part::Year,
    ),
    part("getMonth", "time.getMonth()", "The month, from 0.", Part::Month),
    part("getDate", "time.getDate()", "The day of the month, from 1.", Part::Date),
    part("getDayOfMonth", "time.getDayOfMonth()", "The day of the month, from 0.", Part::DayOfMonth),
    part("getDayOfWeek", "time.getDayOfWeek()", "The day of the week; Sunday is 0.", Part::DayOfWeek),
    part("getDayOfYear", "time.getDayOfYear()", "The day of the year, from 0.", Part::DayOfYear),
    part(
        "getHours",
        "time.getHours(), duration.getHours()",
        "The hour; of a duration all its hours.",
        Part::Hours,
    ),
    part(
        "getMinutes",
        "time.getMinutes(), duration.getMinutes()",
        "The minute; of a duration all its minutes.",
        Part::Minutes,
    ),
    part(
        "getSeconds",
        "time.getSeconds(), duration.getSeconds()",
        "The second; of a duration all its seconds.",
        Part::Seconds,
    ),
    part(
        "getMilliseconds",
        "time.getMilliseconds(), duration.getMilliseconds()",
        "The milliseconds of the second.",
        Part::Milliseconds,
    ),
];

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    let name = if name == "existsOne" { "exists_one" } else { name };
    FUNCTIONS.iter().find(|function| function.name == name)
}
