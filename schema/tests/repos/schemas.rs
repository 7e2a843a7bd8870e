//! The JSON Schemas: that the files are current, and that they judge files as the reader does.

use std::fs;
use std::path::PathBuf;

use schema::json_schema;
use schema::tree::Tree;
use schema::yaml::{self, Node, Scalar, Value};
use serde_json::json;

use crate::files;

/// Where copies of the schemas lie: for this project, and for repos made from the template.
const FOLDERS: [&str; 2] = ["schema/json", "state-repo-template/schemas"];

#[test]
fn the_schema_files_are_current() {
    for (name, schema) in json_schema::all() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        for folder in FOLDERS {
            files::compare(&files::root().join(folder).join(name), &text);
        }
    }
    for folder in FOLDERS {
        let names = fs::read_dir(files::root().join(folder)).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut expected: Vec<&str> = json_schema::all().iter().map(|(name, _)| *name).collect();
        expected.sort_unstable();
        assert_eq!(names, expected, "{folder}");
    }
}

#[test]
fn every_schema_is_one_and_every_key_has_a_description() {
    for (name, schema) in json_schema::all() {
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        let definitions = schema["$defs"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.values());
        for object in std::iter::once(&schema).chain(definitions) {
            for (key, property) in object["properties"].as_object().into_iter().flatten() {
                let text = property["description"].as_str().unwrap_or_default();
                assert!(
                    !text.is_empty(),
                    "{name}: `{key}` has no description: {property}"
                );
            }
        }
    }
}

/// What an editor makes of YAML: by the core schema, unquoted numbers and truth values are no text.
fn as_editors_see(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::List(items) => items.iter().map(as_editors_see).collect(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|entry| (entry.key.scalar.text.clone(), as_editors_see(&entry.value)))
            .collect(),
        Value::Scalar(Scalar { text, plain: false }) => json!(text),
        Value::Scalar(Scalar { text, plain: true }) => match text.as_str() {
            "" | "~" | "null" => serde_json::Value::Null,
            "true" => json!(true),
            "false" => json!(false),
            number if number.parse::<i64>().is_ok() => json!(number.parse::<i64>().unwrap()),
            number if number.parse::<f64>().is_ok() => json!(number.parse::<f64>().unwrap()),
            text => json!(text),
        },
    }
}

/// What the schemas say of the documents of a repo, one line a problem.
pub(crate) fn problems(tree: &Tree) -> Vec<String> {
    let schemas = json_schema::all();
    let mut problems = Vec::new();
    for (path, entry) in tree.iter() {
        let Some(name) = json_schema::of(path) else {
            continue;
        };
        let (_, schema) = schemas.iter().find(|(file, _)| *file == name).unwrap();
        let node = yaml::parse(path, entry.text().unwrap()).unwrap().unwrap();
        let validator = jsonschema::validator_for(schema).unwrap();
        let document = as_editors_see(&node);
        problems.extend(
            validator
                .iter_errors(&document)
                .map(|error| format!("{path}: {}: {error}", error.instance_path())),
        );
    }
    problems
}

/// A document of one kind, and whether schema and reader agree that it is wrong.
fn refused(path: &str, text: &str) {
    let tree: Tree = [(path, text)].into_iter().collect();
    assert!(!problems(&tree).is_empty(), "the schema admits {text:?}");
    let found = schema::load(&tree).diagnostics;
    let in_file = found.iter().any(|problem| problem.file == path);
    assert!(in_file, "the reader admits {text:?}");
}

#[test]
fn what_a_schema_refuses_the_reader_refuses() {
    refused(
        "fleet.yaml",
        "name: x\ncentral: { server: a }\nuplink: 1 Gbit/s\n",
    );
    refused(
        "fleet.yaml",
        "name: x\ncentral: { server: a, uplink: 1 Gb }\n",
    );
    refused("fleet.yaml", "name: x\n");
    refused(
        "fleet.yaml",
        "name: x\ncentral: { server: a }\ndefaults: { power: { on_at_once: 0 } }\n",
    );
    refused("images/a.yaml", "os: linux\n");
    refused("images/a.yaml", "os: linux\nversions: {}\nmade_at: b\n");
    refused(
        "images/a.yaml",
        "os: linux\nversions: {}\nversion: newest\n",
    );
    refused("images/a.yaml", "os: linux\nversion: newest\n");
    refused(
        "images/a.yaml",
        "os: linux\nmade_at: b\ndomain_join: rebrand\n",
    );
    refused("images/a.yaml", "os: macos\nversions: {}\n");
    refused("schools/a/rooms/r.yaml", "class: a b\n");
    refused("schools/a/rooms/r.yaml", "class: a\nreset: 18:00\n");
    refused(
        "schools/a/test-classes/t.yaml",
        "like: a\nimage: {}\nhosts: [p]\nuntil: 18.12.2026\n",
    );
}

/// The modeline of a file leads to the schema of its kind.
pub(crate) fn check_modelines(folder: &str, tree: &Tree) {
    for (path, entry) in tree.iter() {
        let Some(name) = json_schema::of(path) else {
            continue;
        };
        let first = entry.text().unwrap().lines().next().unwrap_or_default();
        let target = first.strip_prefix("# yaml-language-server: $schema=");
        let target = target.unwrap_or_else(|| panic!("{folder}/{path} has no modeline"));
        let from = files::root().join(folder).join(path);
        let target: PathBuf = from.parent().unwrap().join(target);
        assert!(
            target.ends_with(name) && target.exists(),
            "{folder}/{path}: {}",
            target.display()
        );
    }
}
