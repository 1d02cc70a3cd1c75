//! The JSON Schema of the document (draft 2020-12), for editors and other programs.

use serde_json::{Map, Value as Json, json};

use crate::model::Document;
use crate::setting::Setting;
use crate::shape::{Need, Row, Section, Shape, Text, Word, paragraph};

/// The JSON Schema of the document, draft 2020-12. It is as strict as a schema can be: what depends on other
/// parts of the document (does an upstream exist?) only loading shows.
pub fn schema() -> Json {
    let mut definitions = Map::new();
    let variable = json!({
        "type": "string",
        "pattern": r"\$\{",
        "description": "A value from the environment: `${NAME}`, `${NAME:-default}` or `${NAME:?message}`.",
    });
    definitions.insert("variable".to_owned(), variable);
    let mut root = match Document::shape() {
        Shape::Section(section) => object(section, &mut definitions),
        other => value(&other, &mut definitions),
    };
    root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".to_owned(), "Tollgate document".into());
    root.insert("$defs".to_owned(), Json::Object(definitions));
    Json::Object(root)
}

fn value(shape: &Shape, definitions: &mut Map<String, Json>) -> Map<String, Json> {
    let schema = match shape {
        Shape::Boolean => json!({ "anyOf": [{ "type": "boolean" }, variable()] }),
        Shape::Integer { minimum, maximum } => {
            let number = json!({ "type": "integer", "minimum": minimum, "maximum": maximum });
            json!({ "anyOf": [number, variable()] })
        }
        Shape::Text(text) => self::text(text),
        Shape::Words(words) => self::words(words),
        Shape::List { of, minimum: 0 } => json!({ "type": "array", "items": value(of, definitions) }),
        Shape::List { of, minimum } => {
            json!({ "type": "array", "items": value(of, definitions), "minItems": minimum })
        }
        Shape::Map { of, .. } => {
            json!({ "type": "object", "additionalProperties": value(of, definitions) })
        }
        Shape::Section(section) => {
            if !definitions.contains_key(section.name) {
                // Entered first, so that a section that holds itself ends.
                definitions.insert(section.name.to_owned(), Json::Null);
                let schema = object(*section, definitions);
                definitions.insert(section.name.to_owned(), Json::Object(schema));
            }
            json!({ "$ref": format!("#/$defs/{}", section.name) })
        }
        Shape::AnyOf(shapes) => {
            let any: Vec<Json> = shapes.iter().map(|shape| Json::Object(value(shape, definitions))).collect();
            json!({ "anyOf": any })
        }
    };
    match schema {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

fn variable() -> Json {
    json!({ "$ref": "#/$defs/variable" })
}

/// Where a pattern is asked for, a variable may stand instead.
fn text(text: &Text) -> Json {
    let kind =
        if text.or_number { json!(["string", "integer"]) } else { json!(["string", "number", "boolean"]) };
    match text.pattern {
        Some(pattern) if text.or_number => {
            json!({ "type": kind, "minimum": 0, "pattern": format!(r"\$\{{|{pattern}") })
        }
        Some(pattern) => json!({ "type": "string", "pattern": format!(r"\$\{{|{pattern}") }),
        None => json!({ "type": kind }),
    }
}

/// Words that look like numbers may be written as such.
fn words(words: &[Word]) -> Json {
    let mut values: Vec<Json> = Vec::new();
    for Word { word, .. } in words {
        values.extend(word.parse::<u64>().ok().map(Json::from));
        values.push((*word).into());
    }
    json!({ "enum": values })
}

fn object(section: Section, definitions: &mut Map<String, Json>) -> Map<String, Json> {
    let rows = (section.rows)();
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut group: Vec<Json> = Vec::new();
    for row in &rows {
        let property = property(row, definitions);
        for name in &row.names {
            properties.insert((*name).to_owned(), Json::Object(property.clone()));
        }
        match row.need {
            Need::Required => required.push(Json::from(row.names[0])),
            Need::OneOf => group.extend(row.names.iter().map(|name| json!({ "required": [name] }))),
            Need::Optional | Need::Section | Need::Default(_) => {}
        }
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("description".to_owned(), paragraph(section.doc).into());
    schema.insert("properties".to_owned(), Json::Object(properties));
    schema.insert("additionalProperties".to_owned(), false.into());
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if !group.is_empty() {
        schema.insert("oneOf".to_owned(), group.into());
    }
    schema
}

fn property(row: &Row, definitions: &mut Map<String, Json>) -> Map<String, Json> {
    let mut property = value(&row.shape, definitions);
    property.insert("description".to_owned(), row.doc.clone().into());
    if let Need::Default(default) = &row.need {
        property.insert("default".to_owned(), default.clone());
    }
    property
}
