//! `reconcile rebranded`: an image that was moved into the domain of this school is this school's version of it.

use jiff::Timestamp;
use schema::fleet::{DomainJoin, Rebrand};
use schema::name::{ImageName, VersionName};
use schema::units::Bytes;

use super::exit::WrongUsage;
use super::{Common, Exit, Output, look, pass};
use crate::host::{Host, Mode};
use crate::manifest::{MadeFrom, Manifest};
use crate::planning::{Desired, DesiredImage, Observed, Purpose};

pub(super) fn run(
    common: &Common,
    image: &ImageName,
    from: &ImageName,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Exit> {
    let config = pass::config(common, output)?;
    let host = Host::open(config, Mode::Look, now)?;
    let runtime = pass::runtime()?;
    let sight = runtime.block_on(look::look(&host, None, output))?;
    let look::Sight {
        desired, observed, ..
    } = &sight;
    let (version, wanted) = wanted(desired, image, from).map_err(WrongUsage)?;
    let source = published(observed, image, version, wanted).map_err(WrongUsage)?;
    let Some(staff) = &desired.staff else {
        let why = "images are moved into the domain of a school, and this server is none's";
        return Err(WrongUsage(why.to_owned()).into());
    };
    let made = MadeFrom {
        source: wanted.published,
        domain: Some(staff.domain.clone()),
        at: now(),
        commit: sight.commit().map(str::to_owned),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    output.line(&format!(
        "reading and checking what lies under the name {from}"
    ));
    let (digest, manifest) = runtime.block_on(host.take_rebranded(from, source, made))?;
    let diff = manifest.diff().map_or_else(
        || "a whole image".to_owned(),
        |diff| format!("a diff of {:.1}", Bytes(diff.size)),
    );
    output.text(&format!(
        "{image} {version} belongs to {} now: {diff}, {}\nthe next pass puts it in place, when the window for that is \
         open; {from} is not needed any more\n",
        staff.domain,
        digest.short()
    ))?;
    Ok(Exit::Converged)
}

/// The version that is wanted here.
fn wanted<'a>(
    desired: &'a Desired,
    image: &ImageName,
    from: &ImageName,
) -> Result<(&'a VersionName, &'a DesiredImage), String> {
    let named = |((of, _), wanted): &(&(ImageName, VersionName), &DesiredImage)| {
        of == image && wanted.purpose != Purpose::Vm
    };
    let mut images = desired.images.iter().filter(named);
    let Some(((_, version), wanted)) = images.next() else {
        return Err(format!(
            "the state repo wants no released image {image} here"
        ));
    };
    if wanted.domain_join == DomainJoin::NotNeeded && wanted.manifest == wanted.published {
        return Err(format!(
            "{image} belongs to no domain, by `domain_join: not_needed` in images/{image}.yaml"
        ));
    }
    let of_pcs = desired
        .classes
        .iter()
        .filter(|(class, _)| class.as_str() != Rebrand::CLASS);
    let mut systems = of_pcs.flat_map(|(_, class)| &class.os);
    if systems.any(|os| os.image == *from) {
        return Err(format!(
            "{from} is an image of a hardware class: upload under a name that no PC uses, `{image}-new` say"
        ));
    }
    Ok((version, wanted))
}

/// The published version in the store.
fn published<'a>(
    observed: &'a Observed,
    image: &ImageName,
    version: &VersionName,
    wanted: &DesiredImage,
) -> Result<&'a Manifest, String> {
    let Some(store) = observed.store.seen() else {
        return Err("the store could not be seen".to_owned());
    };
    let manifest = store.manifests.get(&wanted.published);
    let has_base = |manifest: &&Manifest| store.objects.contains(&manifest.base().sha256);
    manifest.filter(has_base).ok_or_else(|| {
        format!("{version} of {image} is not in the store yet: it is downloaded when it is the turn of this school")
    })
}
