//! What the API has, a row each; the router and the OpenAPI document are made from the rows. The files are in
//! `resources/`, one a subject.

pub mod config;
pub mod document;
pub mod endpoints;
pub mod events;
pub mod exchanges;
pub mod handover;
pub mod logs;
pub mod members;
pub mod mirrors;
pub mod status;
pub mod trial;

use std::sync::Arc;

use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::Api;

/// One thing that can be asked for or done.
pub struct Resource {
    /// The method.
    pub method: Method,
    /// The path; `{name}` is a part that the client chooses.
    pub path: &'static str,
    /// What it does, for people.
    pub doc: &'static str,
    /// The query's values, as an object.
    pub query: Option<SchemaOf>,
    /// The JSON that a client sends.
    pub request: Option<SchemaOf>,
    /// The JSON that it gets.
    pub response: SchemaOf,
    /// What serves it.
    pub handler: fn() -> MethodRouter<Arc<Api>>,
}

/// The schema of a type, made with a generator that collects what it refers to.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The path of the live tail.
pub const LOGS: &str = "/api/v1/logs";

/// Paths whose response is a stream of lines, each like the row's response.
pub static STREAMS: &[&str] = &[LOGS];

/// All of them. Each path has one row a method.
pub static RESOURCES: &[Resource] = &[
    Resource {
        method: Method::GET,
        path: "/api/v1/openapi.json",
        doc: "This description.",
        query: None,
        request: None,
        response: schema_of::<serde_json::Map<String, serde_json::Value>>,
        handler: || get(document::get),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/status",
        doc: "What runs and how it does: process, document, listeners, routes, upstreams with their endpoints.",
        query: Some(schema_of::<status::Query>),
        request: None,
        response: schema_of::<crate::report::Status>,
        handler: || get(status::get),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/endpoints",
        doc: "The endpoints of all upstreams, or of one.",
        query: Some(schema_of::<endpoints::Query>),
        request: None,
        response: schema_of::<endpoints::Endpoints>,
        handler: || get(endpoints::list),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/upstreams/{upstream}/endpoints",
        doc: "Adds an endpoint, or several where a name has several addresses. Outlives reloads until the document lists it.",
        query: None,
        request: Some(schema_of::<members::NewEndpoint>),
        response: schema_of::<endpoints::Changed>,
        handler: || post(members::add),
    },
    Resource {
        method: Method::DELETE,
        path: "/api/v1/upstreams/{upstream}/endpoints/{endpoint}",
        doc: "Removes an endpoint; what runs at it finishes. Outlives reloads until the document lists it otherwise.",
        query: None,
        request: None,
        response: schema_of::<endpoints::Changed>,
        handler: || delete(members::remove),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/upstreams/{upstream}/endpoints/{endpoint}/drain",
        doc: "Drains an endpoint: no new exchanges, not even in a panic, while those that run finish. Outlives reloads.",
        query: None,
        request: None,
        response: schema_of::<endpoints::Changed>,
        handler: || post(endpoints::drain),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/upstreams/{upstream}/endpoints/{endpoint}/undrain",
        doc: "Lets a drained endpoint have exchanges again.",
        query: None,
        request: None,
        response: schema_of::<endpoints::Changed>,
        handler: || post(endpoints::undrain),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/upstreams/{upstream}/endpoints/{endpoint}/weight",
        doc: "Gives an endpoint another weight than the document's, or the document's again. Outlives reloads.",
        query: None,
        request: Some(schema_of::<endpoints::Weight>),
        response: schema_of::<endpoints::Changed>,
        handler: || post(endpoints::weight),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/events",
        doc: "What became of the endpoints' health lately: ejections, probes that failed or passed.",
        query: Some(schema_of::<events::Query>),
        request: None,
        response: schema_of::<events::Events>,
        handler: || get(events::get),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/config",
        doc: "The document in force, with defaults, includes and variables put in, secrets hidden.",
        query: Some(schema_of::<config::Query>),
        request: None,
        response: schema_of::<config::Shown>,
        handler: || get(config::show),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/config/versions",
        doc: "The documents that were in force lately, oldest first.",
        query: None,
        request: None,
        response: schema_of::<config::Versions>,
        handler: || get(config::versions),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/config/reload",
        doc: "Reads the document's file again and puts it into force; a bad one leaves everything as it was (422).",
        query: None,
        request: None,
        response: schema_of::<config::AppliedStatus>,
        handler: || post(config::reload),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/config/apply",
        doc: "Puts a document into force that is sent, for good or on trial.",
        query: None,
        request: Some(schema_of::<config::SentDocument>),
        response: schema_of::<config::AppliedStatus>,
        handler: || post(config::apply),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/config/rollback",
        doc: "Puts an earlier document into force again.",
        query: None,
        request: Some(schema_of::<config::Back>),
        response: schema_of::<config::AppliedStatus>,
        handler: || post(config::rollback),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/config/diff",
        doc: "What a document would change, and what would become of the recorded requests.",
        query: None,
        request: Some(schema_of::<config::SentDocument>),
        response: schema_of::<config::Compared>,
        handler: || post(config::compare),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/config/trial",
        doc: "How the document on trial does, or how the last trial ended.",
        query: None,
        request: None,
        response: schema_of::<trial::TrialStatus>,
        handler: || get(trial::get),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/config/trial/confirm",
        doc: "Keeps the document that is on trial.",
        query: None,
        request: None,
        response: schema_of::<trial::TrialStatus>,
        handler: || post(trial::confirm),
    },
    Resource {
        method: Method::POST,
        path: "/api/v1/handover",
        doc: "Starts another process, usually of a newer binary, and hands everything over to it without losing a request.",
        query: None,
        request: Some(schema_of::<handover::Wanted>),
        response: schema_of::<handover::HandedOver>,
        handler: || post(handover::hand_over),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/exchanges",
        doc: "Past exchanges that the flight recorder has kept, newest first.",
        query: Some(schema_of::<exchanges::Query>),
        request: None,
        response: schema_of::<exchanges::Exchanges>,
        handler: || get(exchanges::list),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/exchanges/{request_id}",
        doc: "Why an exchange ended as it did. Several where a proxy in front gave a request id twice.",
        query: Some(schema_of::<exchanges::OneQuery>),
        request: None,
        response: schema_of::<exchanges::Exchanges>,
        handler: || get(exchanges::get),
    },
    Resource {
        method: Method::GET,
        path: "/api/v1/mirrors",
        doc: "What mirrors get, and how their answers differ from those that clients get.",
        query: Some(schema_of::<mirrors::Query>),
        request: None,
        response: schema_of::<mirrors::Mirrors>,
        handler: || get(mirrors::get),
    },
    Resource {
        method: Method::GET,
        path: LOGS,
        doc: "Exchanges as they end, one a line, until the client goes or the process ends.",
        query: Some(schema_of::<logs::Query>),
        request: None,
        response: schema_of::<crate::report::LogLine>,
        handler: || get(logs::get),
    },
];

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

#[cfg(test)]
mod tests {
    use super::RESOURCES;

    #[test]
    fn rows_are_versioned_told_apart_and_described() {
        for (index, row) in RESOURCES.iter().enumerate() {
            assert!(row.path.starts_with("/api/v1/"), "{}", row.path);
            assert!(row.doc.ends_with('.'), "{}", row.path);
            let same = |other: &&super::Resource| other.path == row.path && other.method == row.method;
            assert!(!RESOURCES[..index].iter().any(|other| same(&other)), "{} twice", row.path);
        }
    }
}
