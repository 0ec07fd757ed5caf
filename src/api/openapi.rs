//! The OpenAPI 3.1 document, made from the route table and the schemas of the answers' types.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::parameters::Place;
use super::problem::{PROBLEM_JSON, Problem};
use super::route::{Content, Route, Verb};

/// The document for these routes.
pub fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = Content { media_type: PROBLEM_JSON, schema: |generator| generator.subschema_for::<Problem>() };
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let content = |content: &Content, generator: &mut schemars::SchemaGenerator| json!({ content.media_type: { "schema": (content.schema)(generator) } });
        let parameters: Vec<_> = route
            .parameters
            .iter()
            .map(|parameter| {
                json!({
                    "name": parameter.name,
                    "in": match parameter.place {
                        Place::Path => "path",
                        Place::Query => "query",
                        Place::Header => "header",
                    },
                    "required": parameter.required,
                    "description": parameter.about,
                    "schema": (parameter.schema)(&mut generator),
                })
            })
            .collect();
        let mut responses = Map::new();
        for (status, about, answer) in &route.answers {
            let body = content(answer, &mut generator);
            responses.insert(status.to_string(), json!({ "description": about, "content": body }));
        }
        for status in [400, 431, 500].iter().chain(&route.problems) {
            let body = content(&problem, &mut generator);
            responses.insert(status.to_string(), json!({ "description": meaning(*status), "content": body }));
        }
        let mut operation = json!({
            "operationId": route.operation, "summary": route.summary, "parameters": parameters, "responses": responses,
        });
        if let (Some(body), Some(operation)) = (&route.body, operation.as_object_mut()) {
            let body = content(body, &mut generator);
            operation.insert("requestBody".to_owned(), json!({ "required": true, "content": body }));
        }
        let verb = match route.verb {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(verb.to_owned(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ipam-ledger",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "An event-sourced IP address manager: commands decided once, an append-only ledger, and every \
                past moment answerable. Queries take `at` (what was true then), `as_of` (what the ledger knew then) and \
                `at_least` (wait for a revision). Problems are RFC 9457 documents with a stable `code`.",
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

/// The document as it is checked in and served.
pub fn text(routes: &[Route]) -> String {
    let mut text = serde_json::to_string_pretty(&document(routes)).expect("a JSON value can be written");
    text.push('\n');
    text
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be understood.",
        404 => "There is no such thing, now or at the asked moment.",
        408 => "The body did not arrive in time.",
        413 => "The body is too large.",
        415 => "The body has another media type than this takes.",
        431 => "Request line and headers are too large.",
        422 => {
            "Rejected. A command's rejection is recorded, but for `IdempotentParameterMismatch`: the first outcome of an id stands. A question's is not."
        }
        500 => "Something went wrong in the server.",
        503 => "Not now; try again.",
        504 => "The outcome is unknown; ask again with the same command id.",
        _ => "A problem.",
    }
}
