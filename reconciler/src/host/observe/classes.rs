//! The files of a hardware class in LINBO's folder.

use std::path::Path;

use schema::name::ClassName;

use super::blocking;
use super::read::{Links, Read, read};
use crate::planning::{ClassFiles, Grub, Probe};

/// What `linuxmuster-import-devices` writes into the boot configurations that it may overwrite.
const MARKER: &str = "### managed by linuxmuster.net ###";
/// Far more than a `start.conf` or a boot configuration needs.
const LONGEST: u64 = 1 << 20;

pub(super) async fn look(linbo: &Path, class: &ClassName) -> Probe<ClassFiles> {
    let start_conf = linbo.join(format!("start.conf.{class}"));
    let grub = linbo.join(format!("boot/grub/{class}.cfg"));
    blocking(move || match files(&start_conf, &grub) {
        Ok(files) => Probe::Seen(files),
        Err(cause) => Probe::Unseen(cause),
    })
    .await
}

fn files(start_conf: &Path, grub: &Path) -> Result<ClassFiles, String> {
    // A link would be written through or replaced: neither is what its owner meant.
    let start_conf = read(start_conf, LONGEST, Links::Refused)?;
    let grub = match read(grub, LONGEST, Links::Refused)? {
        None => Grub::Stale,
        Some(grub) if !is_managed(&grub) => Grub::ByHand,
        Some(grub)
            if start_conf
                .as_ref()
                .is_some_and(|start_conf| grub.modified < start_conf.modified) =>
        {
            Grub::Stale
        }
        Some(_) => Grub::Current,
    };
    let text = |file: Read| String::from_utf8_lossy(&file.bytes).into_owned();
    Ok(ClassFiles {
        start_conf: start_conf.map(text),
        grub,
    })
}

fn is_managed(grub: &Read) -> bool {
    // As the import looks for it: anywhere.
    grub.bytes
        .windows(MARKER.len())
        .any(|window| window == MARKER.as_bytes())
}
