//! The API's description in OpenAPI 3.1, made from the rows of [`RESOURCES`]
//! and the types that they name. `docs/openapi.json` is the same as a file, and a test holds the two together.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::problem::{MEDIA_TYPE, Problem};
use crate::resources::{RESOURCES, Resource, STREAMS, logs};

/// The version of the API; what follows `/api/v` is its first part.
const VERSION: &str = "1.0";

/// The description.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = SchemaGenerator::new(settings);
    let mut paths: Map<String, Value> = Map::new();
    for resource in RESOURCES {
        let operation = operation(resource, &mut generator);
        let path = paths.entry(resource.path).or_insert_with(|| json!({}));
        path[resource.method.as_str().to_lowercase()] = operation;
    }
    let problem = generator.subschema_for::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate admin API",
            "version": VERSION,
            "description": "What runs and how it does, and what an operator changes by hand.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "It cannot be done; `detail` says why.",
                    "content": { MEDIA_TYPE: { "schema": problem } },
                },
            },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "token": [] }],
    })
}

fn operation(resource: &Resource, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = path_parameters(resource.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if let Some(query) = resource.query {
        parameters.extend(query_parameters(&query(generator), generator));
    }
    let response = (resource.response)(generator);
    let media_type = if STREAMS.contains(&resource.path) { logs::MEDIA_TYPE } else { "application/json" };
    let mut operation = json!({
        "summary": resource.doc,
        "responses": {
            "200": { "description": "Done.", "content": { media_type: { "schema": response } } },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(request) = resource.request {
        let schema = request(generator);
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// A parameter for each property of the query's type.
fn query_parameters(query: &Schema, generator: &mut SchemaGenerator) -> Vec<Value> {
    let name = query.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
    // The type itself is no schema of a body, so its definition is not kept.
    let definition = name.and_then(|name| generator.definitions_mut().remove(name));
    let properties = definition.as_ref().and_then(|schema| schema.get("properties")?.as_object());
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let doc = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({ "name": name, "in": "query", "required": false, "description": doc, "schema": schema })
    };
    properties.into_iter().flatten().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use super::document;
    use serde_json::Value;

    /// After a wanted change: `TOLLGATE_GOLDEN=write cargo test -p tollgate-admin`, and review the diff.
    #[test]
    fn the_description_is_the_one_in_the_docs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let text = format!("{:#}\n", document());
        if std::env::var_os("TOLLGATE_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(path, text).unwrap();
            return;
        }
        let expected = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, expected, "docs/openapi.json differs");
    }

    #[test]
    fn what_is_referred_to_is_there() {
        fn check(value: &Value, whole: &Value) {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(reference)) = object.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(whole.pointer(pointer).is_some(), "{reference} leads nowhere");
                    }
                    object.values().for_each(|value| check(value, whole));
                }
                Value::Array(values) => values.iter().for_each(|value| check(value, whole)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
        assert_eq!(document["paths"]["/api/v1/status"]["get"]["parameters"][1]["name"], "routes");
    }
}
