//! `images/<image>.yaml`: where an image comes from, its versions and its channels.

use std::collections::{BTreeMap, BTreeSet};

use super::dangling;
use super::policy::suspension;
use super::version::unknown_version;
use crate::diagnostic::{Diagnostic, Span};
use crate::digest::Digest;
use crate::document::ImageDocument;
use crate::document::image::VersionDocument;
use crate::document::value::SiteVersion;
use crate::fleet::{DomainJoin, Image, ImageSource, OnSiteVersion, Os, Suspension, Version};
use crate::name::{ChannelName, ImageName, SchoolName, VersionName};
use crate::read::{At, Map};

/// What is known of an image, even where parts of its document are broken.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) os: Option<Os>,
    pub(crate) suspended: Option<Suspension>,
    pub(crate) source: Source,
}

/// Where an image comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Released {
        domain_join: DomainJoin,
        versions: BTreeMap<VersionName, Option<Version>>,
        channels: BTreeMap<ChannelName, Option<VersionName>>,
        /// Whether all names of versions and channels could be read.
        complete: bool,
    },
    OnSite {
        /// None if it is broken.
        made_at: Option<SchoolName>,
        version: OnSiteVersion,
    },
}

/// Checks a document; `schools` are all that there are.
pub(crate) fn facts(
    file: &str,
    document: &ImageDocument,
    schools: &BTreeSet<&SchoolName>,
    found: &mut Vec<Diagnostic>,
) -> Option<Facts> {
    let ImageDocument {
        os,
        domain_join,
        channels,
        versions,
        made_at,
        version,
        suspended,
    } = document;
    let released = [
        ("domain_join", domain_join.span()),
        ("channels", channels.span()),
        ("versions", versions.span()),
    ];
    let on_site = [("made_at", made_at.span()), ("version", version.span())];
    const FORMS: &str = "an image that the central server releases has `versions`, `channels` and perhaps `domain_join`; one made by hand on site has `made_at` and perhaps `version`";
    let written = |keys: &[(&'static str, Option<Span>)]| {
        keys.iter().find_map(|(key, at)| at.map(|at| (*key, at)))
    };
    let source = match (written(&released), written(&on_site)) {
        (Some((one, _)), Some((other, at))) => {
            let message = format!("`{other}` does not go together with `{one}`");
            found.push(Diagnostic::error("mixed-forms", file, at, message).with_hint(FORMS));
            return None;
        }
        (None, Some((_, at))) if made_at.is_absent() => {
            let message = "`made_at` is missing: which school makes this image?";
            found.push(Diagnostic::error("missing-key", file, at, message).with_hint(FORMS));
            return None;
        }
        (None, Some(_)) => site(file, document, schools, found),
        (_, None) if versions.is_absent() => {
            let message = "nothing says where the versions of this image come from";
            found.push(
                Diagnostic::error("missing-key", file, Span::START, message).with_hint(FORMS),
            );
            return None;
        }
        (_, None) => release(file, document, found)?,
    };
    Some(Facts {
        os: os.get().copied(),
        suspended: suspension(suspended),
        source,
    })
}

fn site(
    file: &str,
    document: &ImageDocument,
    schools: &BTreeSet<&SchoolName>,
    found: &mut Vec<Diagnostic>,
) -> Source {
    let made_at = document.made_at.get();
    if let Some(school) = made_at
        && !schools.contains(school)
    {
        let known = schools.iter().map(|school| school.as_str());
        let message = format!("there is no school `{school}`");
        found.push(dangling(
            "unknown-school",
            file,
            document.made_at.span(),
            message,
            school.as_str(),
            known,
            "the schools are",
            || format!("a school is a folder in `schools/`: add `schools/{school}/school.yaml`"),
        ));
    }
    let version = match document.version.get() {
        Some(SiteVersion::Stamp(stamp)) => OnSiteVersion::Pinned(stamp.clone()),
        Some(SiteVersion::Newest) | None => OnSiteVersion::Newest,
    };
    Source::OnSite {
        made_at: made_at.cloned(),
        version,
    }
}

fn release(file: &str, document: &ImageDocument, found: &mut Vec<Diagnostic>) -> Option<Source> {
    let written = document.versions.get()?;
    let mut complete = true;
    let mut versions = BTreeMap::new();
    let mut manifests: BTreeMap<Digest, &VersionName> = BTreeMap::new();
    for (name, version) in written {
        let Some(name) = name.get() else {
            complete = false;
            continue;
        };
        if let Some(manifest) = version.get().map(|version| &version.manifest)
            && let Some(digest) = manifest.get()
            && let Some(other) = manifests.insert(*digest, name)
        {
            let message = format!(
                "`{name}` has the manifest of `{other}`, so they are the same version twice"
            );
            found.push(
                Diagnostic::warning("same-manifest", file, manifest.span(), message)
                    .with_hint("copy the digest that the release of this version printed"),
            );
        }
        versions.insert(name.clone(), version.get().and_then(resolve_version));
    }
    if complete {
        bases(file, written, &versions, found);
    }
    let mut channels = BTreeMap::new();
    for (name, target) in document.channels.get().into_iter().flatten() {
        let Some(name) = name.get() else {
            complete = false;
            continue;
        };
        if let Some(target) = target.get() {
            let known = versions.keys().map(VersionName::as_str);
            match versions.get(target) {
                None if complete => {
                    let message = format!(
                        "channel `{name}` points at version `{target}`, which does not exist"
                    );
                    found.push(unknown_version(
                        file,
                        message,
                        &At::span(&channel_target(document, name)),
                        target,
                        known,
                    ));
                }
                Some(Some(Version { bad: Some(why), .. })) => {
                    let message = format!(
                        "channel `{name}` points at version `{target}`, which is marked bad: {why}"
                    );
                    found.push(
                        Diagnostic::error(
                            "bad-version",
                            file,
                            channel_target(document, name).span(),
                            message,
                        )
                        .with_hint("point it at the version before, or drop the mark"),
                    );
                }
                _ => {}
            }
        }
        channels.insert(name.clone(), target.get().cloned());
    }
    let domain_join = document.domain_join.get().copied();
    Some(Source::Released {
        domain_join: domain_join.unwrap_or(DomainJoin::Rebrand),
        versions,
        channels,
        complete: complete
            && document.channels.get().is_some() == document.channels.span().is_some(),
    })
}

/// A base is named by the version that first had it, which is a full image of the same size.
fn bases(
    file: &str,
    written: &Map<VersionName, VersionDocument>,
    versions: &BTreeMap<VersionName, Option<Version>>,
    found: &mut Vec<Diagnostic>,
) {
    for (name, document) in written {
        let (Some(name), Some(document)) = (name.get(), document.get()) else {
            continue;
        };
        let Some(base) = document.base.get() else {
            continue;
        };
        let at = document.base.span();
        let Some(first) = versions.get(base) else {
            let message =
                format!("`{name}` has the base of version `{base}`, which does not exist");
            let known = versions.keys().map(VersionName::as_str);
            found.push(unknown_version(
                file,
                message,
                &At::span(&document.base),
                base,
                known,
            ));
            continue;
        };
        let Some(first) = first else { continue };
        let wrong = if let Some(root) = &first.base {
            let hint = format!("write `base: {root}`: what counts is who had it first");
            Some((format!("`{base}` has the base of `{root}` itself"), hint))
        } else if document.size.get().is_some_and(|size| *size != first.size) {
            let hint = "a base is one file, so both have the same `size`; leave `base` out where it is another file".to_owned();
            Some((
                format!("the base of `{base}` is {} large", first.size),
                hint,
            ))
        } else if document.diff.is_absent() {
            let hint = "leave `base` out: a version without a diff is a base itself".to_owned();
            Some((
                format!("`{name}` has no diff, so it would be `{base}` again"),
                hint,
            ))
        } else {
            None
        };
        if let Some((message, hint)) = wrong {
            found.push(Diagnostic::error("wrong-base", file, at, message).with_hint(hint));
        }
    }
}

fn channel_target(document: &ImageDocument, name: &ChannelName) -> At<()> {
    let target = document
        .channels
        .get()
        .and_then(|channels| channels.get(name));
    target.map_or_else(At::default, |target| target.as_ref().map(|_| ()))
}

fn resolve_version(document: &VersionDocument) -> Option<Version> {
    let VersionDocument {
        manifest,
        size,
        diff,
        base,
        bad,
    } = document;
    Some(Version {
        manifest: *manifest.get()?,
        size: *size.get()?,
        diff: diff.get().copied(),
        base: base.get().cloned(),
        bad: bad.get().cloned(),
    })
}

impl Facts {
    /// The image; none if parts of it are broken.
    pub(crate) fn resolve(self) -> Option<Image> {
        let source = match self.source {
            Source::OnSite { made_at, version } => ImageSource::OnSite {
                made_at: made_at?,
                version,
            },
            Source::Released {
                domain_join,
                versions,
                channels,
                complete: _,
            } => ImageSource::Released {
                domain_join,
                versions: versions
                    .into_iter()
                    .map(|(name, version)| Some((name, version?)))
                    .collect::<Option<_>>()?,
                channels: channels
                    .into_iter()
                    .map(|(name, version)| Some((name, version?)))
                    .collect::<Option<_>>()?,
            },
        };
        Some(Image {
            os: self.os?,
            source,
            suspended: self.suspended,
        })
    }
}

/// Warns of images whose names contain one another: LINBO's `check_status` looks for a name
/// anywhere within a line, so it would take one for the other.
pub(crate) fn compare_names<'a>(
    names: impl Iterator<Item = &'a ImageName> + Clone,
    found: &mut Vec<Diagnostic>,
) {
    for long in names.clone() {
        let within = names
            .clone()
            .find(|short| *short != long && long.as_str().contains(short.as_str()));
        if let Some(short) = within {
            let file = format!("images/{long}.yaml");
            let message = format!(
                "the name `{long}` contains `{short}`, the name of another image: LINBO can take one for the other"
            );
            found.push(
                Diagnostic::warning("similar-names", file, None, message).with_hint(
                    "choose names of which none is a part of another, as in `ubuntu` and `debian`",
                ),
            );
        }
    }
}
