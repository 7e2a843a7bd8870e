//! JSON Schemas of the documents, for editors: made from the same types that read them.
//!
//! A schema admits what the types admit of one file; what two files say of each other only
//! [`load`](crate::load()) can judge.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::document::{
    ClassDocument, FleetDocument, ImageDocument, RoomDocument, SchoolDocument, TestClassDocument,
};

/// All schemas with their file names, `fleet.schema.json` say.
#[must_use]
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        schema::<FleetDocument>("fleet.schema.json"),
        schema::<ImageDocument>("image.schema.json"),
        schema::<ClassDocument>("hardware-class.schema.json"),
        schema::<SchoolDocument>("school.schema.json"),
        schema::<RoomDocument>("room.schema.json"),
        schema::<TestClassDocument>("test-class.schema.json"),
    ]
}

/// The schema of the document at this path within a state repo, by its file name.
#[must_use]
pub fn of(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('/').collect();
    match *parts {
        ["fleet.yaml"] => Some("fleet.schema.json"),
        ["images", _] => Some("image.schema.json"),
        ["hardware-classes", _] => Some("hardware-class.schema.json"),
        ["schools", _, "school.yaml"] => Some("school.schema.json"),
        ["schools", _, "rooms", _] => Some("room.schema.json"),
        ["schools", _, "test-classes", _] => Some("test-class.schema.json"),
        _ => None,
    }
}

fn schema<T: JsonSchema>(file: &'static str) -> (&'static str, Value) {
    let settings = SchemaSettings::draft2020_12();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    soften(&mut schema);
    if let Value::Object(keys) = &mut schema {
        keys.insert(
            "$id".to_owned(),
            json!(format!("urn:linuxmuster-reconcile:{file}")),
        );
    }
    (file, schema)
}

/// Editors take an unquoted `101` or `2026.10` for a number before they look at the schema; the
/// reader takes it as typed. So where text has a pattern that digits can match, a number is fine.
fn soften(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            let like_a_number = keys
                .get("pattern")
                .and_then(Value::as_str)
                .is_some_and(admits_digits);
            if like_a_number && keys.get("type") == Some(&json!("string")) {
                keys.insert("type".to_owned(), json!(["string", "number"]));
            }
            let inner: &mut Map<String, Value> = keys;
            inner.values_mut().for_each(soften);
        }
        Value::Array(items) => items.iter_mut().for_each(soften),
        _ => {}
    }
}

/// Whether a pattern of one of our types admits a text of digits alone.
fn admits_digits(pattern: &str) -> bool {
    use crate::document::value::{ConfText, PartitionId, SiteVersion};
    use crate::name::{HostName, SchoolName, VersionName};
    use crate::text::PlainText;
    let names = [
        HostName::PATTERN,
        SchoolName::PATTERN,
        VersionName::PATTERN,
        crate::name::RoomName::PATTERN,
    ];
    let texts = [
        PlainText::PATTERN,
        ConfText::PATTERN,
        PartitionId::PATTERN,
        SiteVersion::PATTERN,
    ];
    names.contains(&pattern) || texts.contains(&pattern)
}
