//! `reconcile rollback`: an image goes back to a version that was there before.

use jiff::Timestamp;
use schema::name::{ImageName, VersionName};

use super::exit::WrongUsage;
use super::{Common, Exit, Output, look, orders, pass};
use crate::host;
use crate::host::{Host, Mode};
use crate::planning::{Desired, LiveImage, Observed, Probe, RolledBack, Subject};

/// What is to go back, to which version, and why.
pub(super) struct Wish<'a> {
    pub(super) image: &'a ImageName,
    /// The version that lay in LINBO's folder before, when absent.
    pub(super) to: Option<&'a VersionName>,
    pub(super) reason: &'a str,
}

pub(super) fn run(
    common: &Common,
    wish: &Wish<'_>,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Exit> {
    let Wish { image, to, reason } = *wish;
    let reason = orders::reason(reason)?;
    let config = pass::config(common, output)?;
    let host = Host::open(config, Mode::Look, now)?;
    let runtime = pass::runtime()?;
    let (sight, before) = runtime.block_on(async {
        let sight = look::look(&host, None, output).await?;
        anyhow::Ok((sight, host.before(image).await))
    })?;
    let look::Sight {
        desired, observed, ..
    } = &sight;
    let (from, refused) = named(desired, image).map_err(WrongUsage)?;
    let wrong = |why: String| WrongUsage(format!("{why}; {}", offered(desired, image, from)));
    let to = match to {
        Some(to) => to.clone(),
        None => version_of(&before, observed, image, from).map_err(wrong)?,
    };
    if to == *from {
        let why = format!("{to} is the version of {image} that the state repo names");
        return Err(wrong(why).into());
    }
    let Some(other) = desired.others.get(&(image.clone(), to.clone())) else {
        let why = format!("the state repo names no version {to} of {image}, or marks it bad");
        return Err(wrong(why).into());
    };
    let store = observed.store.seen();
    if store.is_some_and(|store| !store.is_complete(&other.manifest)) {
        output.line(&format!(
            "! {to} is not whole in the store: it is downloaded first, when it is the turn of this school"
        ));
    }
    let what = Subject::Image(image.clone());
    let order = RolledBack {
        from: refused,
        to: to.clone(),
        since: now(),
        reason: reason.clone(),
        by: orders::user(),
    };
    let mut ended = None;
    let aside = host::orders::change(&host.config().paths.state, now(), |orders| {
        ended = orders.roll_back(image.clone(), order);
    })?;
    orders::set_aside(aside, output);
    let mut text = format!("{what} goes back from {from} to {to} with the next pass: {reason}\n");
    if let Some(ended) = ended {
        text += &format!(
            "its suspension is over, or nothing would be done: {}\n",
            ended.reason
        );
    }
    text += &format!(
        "{from} is taken up again after `{}`; another version that the state repo names counts at once\n",
        what.resume()
    );
    output.text(&text)?;
    Ok(Exit::Converged)
}

/// The version that the state repo names, and the digest of its manifest.
fn named<'a>(
    desired: &'a Desired,
    image: &ImageName,
) -> Result<(&'a VersionName, schema::digest::Digest), String> {
    if let Some(gone_back) = desired.gone_back.get(image) {
        return Ok((&gone_back.from, gone_back.order.from));
    }
    if let Some((version, wanted)) = desired.of_rooms(image) {
        return Ok((version, wanted.published));
    }
    let mut systems = desired.classes.values().flat_map(|class| &class.os);
    if systems.any(|os| os.image == *image) {
        return Err(format!(
            "{image} is made at this school, so there is no version that it could go back to; what uploads replaced is in \
             the folder `backups` beside it in LINBO's folder"
        ));
    }
    let mut released: Vec<&str> = desired.others.keys().map(|(of, _)| of.as_str()).collect();
    released.dedup();
    let those = match released[..] {
        [] => "there is none".to_owned(),
        _ => format!("those are {}", released.join(", ")),
    };
    Err(format!(
        "{image} is no released image that rooms of this server have; {those}"
    ))
}

/// The version that a set of files is, by the manifests in the store.
fn version_of(
    before: &Probe<LiveImage>,
    observed: &Observed,
    image: &ImageName,
    from: &VersionName,
) -> Result<VersionName, String> {
    let before = match before {
        Probe::Seen(before) => before,
        Probe::Unseen(cause) => {
            return Err(format!("what lay there before could not be seen: {cause}"));
        }
    };
    if before.base.is_none() && before.diff.is_none() {
        return Err(format!("nothing lay there before as {image}"));
    }
    let store = match &observed.store {
        Probe::Seen(store) => store,
        Probe::Unseen(cause) => return Err(format!("the store could not be seen: {cause}")),
    };
    let mut known = store.manifests.values();
    let found = known.find(|manifest| manifest.image() == image && before.holds(manifest));
    match found {
        Some(manifest) if manifest.version() == from => Err(format!(
            "what lay there before is {from} too, so it went back already"
        )),
        Some(manifest) => Ok(manifest.version().clone()),
        None => Err("what lay there before is no version that the state repo names".to_owned()),
    }
}

/// What may be chosen instead.
fn offered(desired: &Desired, image: &ImageName, from: &VersionName) -> String {
    let others = desired.others.keys();
    let others = others.filter(|(of, version)| of == image && version != from);
    let others: Vec<&str> = others.map(|(_, version)| version.as_str()).collect();
    match others[..] {
        [] => "it names no other version that is not bad".to_owned(),
        _ => format!("with `--to` it can be {}", others.join(", ")),
    }
}
