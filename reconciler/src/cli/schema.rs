//! `reconcile schema`: the JSON Schemas of the state repo.

use std::path::Path;

use anyhow::Context as _;

use super::{Exit, Output};

pub(super) fn run(out: Option<&Path>, output: &Output) -> anyhow::Result<Exit> {
    let schemas = schema::json_schema::all();
    let Some(dir) = out else {
        let all: serde_json::Map<String, serde_json::Value> = schemas
            .into_iter()
            .map(|(name, schema)| (name.to_owned(), schema))
            .collect();
        output.json(&all)?;
        return Ok(Exit::Converged);
    };
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the folder {}", dir.display()))?;
    for (name, schema) in schemas {
        let path = dir.join(name);
        let text = serde_json::to_string_pretty(&schema).context("cannot write JSON")? + "\n";
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        output.line(&format!("wrote {}", path.display()));
    }
    Ok(Exit::Converged)
}
