//! The document: YAML text in, a typed and checked [`Document`] out, or all that is wrong with it.
//!
//! No network, no sockets, no clock: files come through [`Files`], the environment is a function.
//! The walk: texts are parsed to trees that know their places (`tree`), variables are replaced
//! (`interpolate`), included trees are merged ([`load()`]), the tree is decoded into the types of
//! `model`, and what no single value can show is checked (`check`). Every step reports and goes
//! on, so that one run shows all errors.
//!
//! The types of `model` are one row per key; the same row makes the field, its decoding, its
//! default, its line in the [`schema()`] and in the [`reference()`].

mod brief;
mod bundle;
mod check;
mod consumer_file;
mod diagnostic;
mod difference;
mod effective;
mod endpoint_file;
mod interpolate;
mod item;
mod load;
mod model;
mod preset;
mod reference;
mod scenario;
mod schema;
#[cfg(test)]
mod secrecy;
mod section;
mod setting;
mod shape;
mod source;
mod suggest;
mod table;
mod tree;
mod units;
mod write;

pub use brief::Brief;
pub use bundle::{Bundle, BundleError, BundleFiles};
pub use consumer_file::{LoadedConsumers, MAX_CONSUMER_FILE, consumer_paths, load_consumers};
pub use diagnostic::{Diagnostic, Diagnostics, Note, Severity, render};
pub use difference::{Change, ChangeKind, Subject, SubjectKind, What, difference, difference_of_settings};
pub use effective::{Effective, effective};
pub use endpoint_file::{ListedEndpoint, endpoints_of_file};
pub use load::{Loaded, load, parse_str};
pub use model::*;
pub use preset::Preset;
pub use reference::reference;
pub use scenario::{LoadedScenario, load_scenario};
pub use schema::schema;
pub use setting::{Many, NonEmpty, Switch, Toggle, ValueError, Whole};
pub use source::{DiskFiles, Files, Located, MemoryFiles, Origin, Sources};
pub use suggest::nearest;
pub use table::Table;
pub use units::*;
pub use write::forwarding;
