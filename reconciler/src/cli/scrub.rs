//! `reconcile scrub`: whether the files of the store are still what they were when they were downloaded.

use schema::units::Bytes;
use serde_json::json;

use super::{Common, Exit, Format, Output, pass};
use crate::host::scrub::{Damaged, Found, scrub};
use crate::report::style::count;

pub(super) fn run(common: &Common, mib_per_second: u32, output: &Output) -> anyhow::Result<Exit> {
    let config = pass::config(common, output)?;
    let per_second = u64::from(mib_per_second) << 20;
    let found = scrub(&config.paths.store, Some(per_second), |path, size| {
        tracing::info!(file = %path.display(), size, "reading");
    })?;
    let Found {
        files,
        bytes,
        damaged,
    } = &found;
    let exit = if damaged.is_empty() {
        Exit::Converged
    } else {
        Exit::Failed
    };
    if output.format == Format::Json {
        let damaged: Vec<_> = damaged
            .iter()
            .map(
                |Damaged {
                     path,
                     why,
                     versions,
                 }| json!({ "file": path, "why": why, "versions": versions }),
            )
            .collect();
        output.json(
            &json!({ "format_version": "1.0", "files": files, "bytes": bytes, "damaged": damaged }),
        )?;
        return Ok(exit);
    }
    let read = format!(
        "{} with {:.1} read",
        count(*files, "file", "files"),
        Bytes(*bytes)
    );
    if damaged.is_empty() {
        output.text(&format!(
            "{read}: all are what they were when they were downloaded\n"
        ))?;
        return Ok(exit);
    }
    for Damaged {
        path,
        why,
        versions,
    } in damaged
    {
        let of = if versions.is_empty() {
            String::new()
        } else {
            format!(" of {}", versions.join(" and "))
        };
        output.text(&format!("! {}{of} is damaged: {why}\n", path.display()))?;
    }
    output.text(&format!(
        "{read}: {} damaged; the next passes fetch what is wanted again. Look after the disk\n",
        damaged.len()
    ))?;
    Ok(exit)
}
