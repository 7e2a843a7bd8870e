//! What lies on a server that nobody has described yet.
//!
//! # Invariants
//!
//! Nothing is changed. A file that cannot be read is an error with its path; one that is not there is no error where
//! that says something.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use schema::name::{ClassName, ImageName};

use super::files;
use crate::adopt::Inventory;
use crate::config::Paths;
use crate::linbo::devices::Devices;
use crate::linbo::setup_ini::Setup;

/// Looks at the server with these paths.
///
/// # Errors
///
/// When a file cannot be read, or says too little.
pub fn look(paths: &Paths) -> anyhow::Result<Inventory> {
    let setup = Setup::parse(&read(&paths.setup_ini)?)
        .map_err(|why| anyhow::anyhow!("{}: {why}", paths.setup_ini.display()))?;
    let devices = Devices::parse(&read(&paths.devices)?);
    let rows = devices.rows().iter().filter(|row| row.pxe.is_reset());
    let names: BTreeSet<ClassName> = rows.map(|row| row.class.clone()).collect();
    let classes = names.into_iter().map(|name| {
        let path = paths.linbo.join(format!("start.conf.{name}"));
        let text = files::if_there(fs::read(&path));
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok((name, text))
    });
    Ok(Inventory {
        setup,
        classes: classes.collect::<anyhow::Result<_>>()?,
        devices,
        images: images(&paths.linbo.join("images"))?,
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The images of which there is a base.
fn images(folder: &Path) -> anyhow::Result<BTreeSet<ImageName>> {
    let reading = || format!("cannot read the folder {}", folder.display());
    let mut images = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        let name = entry.with_context(reading)?.file_name();
        let image = name
            .to_str()
            .and_then(|name| name.parse::<ImageName>().ok());
        if let Some(image) = image
            && folder
                .join(image.as_str())
                .join(format!("{image}.qcow2"))
                .exists()
        {
            images.insert(image);
        }
    }
    Ok(images)
}
