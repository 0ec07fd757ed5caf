//! The OpenAPI document is checked in, so that a change of the HTTP contract shows in review.
//! `UPDATE_SCHEMAS=1 cargo test --test openapi` writes it anew.

#[test]
fn the_checked_in_document_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/openapi.json");
    let current = ipam_ledger::api::openapi();
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, &current).expect("the schemas can be written");
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == current,
        "schemas/openapi.json is not current; run: UPDATE_SCHEMAS=1 cargo test --test openapi"
    );
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn check(value: &serde_json::Value, document: &serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                if let Some(serde_json::Value::String(reference)) = members.get("$ref") {
                    let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
                    assert!(target.is_some(), "{reference} leads nowhere");
                }
                members.values().for_each(|member| check(member, document));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }
    let document: serde_json::Value = serde_json::from_str(&ipam_ledger::api::openapi()).expect("JSON");
    check(&document, &document);
}
