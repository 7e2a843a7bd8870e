//! Which version of an image is meant, by a channel or by its name, and whether it may be used.

use super::dangling;
use super::image::{Facts, Source};
use crate::diagnostic::{Diagnostic, Span};
use crate::fleet::{Version, WantedVersion};
use crate::name::{ChannelName, ImageName, VersionName};
use crate::text::PlainText;

/// What a school says of an image.
pub(crate) enum Choice<'a> {
    /// The fleet's channel, since it says nothing.
    Default(&'a ChannelName),
    /// This text: a channel, or else a version.
    Written(&'a VersionName),
}

impl Facts {
    /// The version that a school wants of this image, with what is wrong about it pushed to `found`.
    pub(crate) fn wanted(
        &self,
        (file, at): (&str, Option<Span>),
        image: &ImageName,
        choice: &Choice<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<WantedVersion> {
        let Source::Released {
            versions,
            channels,
            complete,
            ..
        } = &self.source
        else {
            return None;
        };
        let name = match choice {
            Choice::Default(channel) => channel.as_str(),
            Choice::Written(text) => text.as_str(),
        };
        if let Some((channel, version)) = channels.get_key_value(name) {
            return Some(WantedVersion {
                version: version.clone()?,
                channel: Some(channel.clone()),
            });
        }
        let listed = || {
            let names: Vec<&str> = channels.keys().map(ChannelName::as_str).collect();
            match names.as_slice() {
                [] => "it has no channels".to_owned(),
                names => format!("its channels are `{}`", names.join("`, `")),
            }
        };
        match choice {
            Choice::Default(channel) => {
                if *complete {
                    let message = format!(
                        "this school uses image `{image}`, which has no channel `{channel}`"
                    );
                    found.push(Diagnostic::error("unknown-channel", file, at, message).with_hint(format!(
                        "write under `images` which version the school is to have, or add the channel in `images/{image}.yaml`; {}",
                        listed()
                    )));
                }
                None
            }
            Choice::Written(text) => match versions.get(*text) {
                Some(version) => {
                    if let Some(why) = version.as_ref().and_then(|version| version.bad.as_ref()) {
                        found.push(marked_bad(file, at, image, text, why));
                    }
                    Some(WantedVersion {
                        version: (*text).clone(),
                        channel: None,
                    })
                }
                None => {
                    if *complete {
                        let message =
                            format!("image `{image}` has neither a channel nor a version `{text}`");
                        let known = channels.keys().map(ChannelName::as_str);
                        let known = known.chain(versions.keys().map(VersionName::as_str));
                        found.push(dangling(
                            "unknown-version",
                            file,
                            at,
                            message,
                            text.as_str(),
                            known,
                            "it has",
                            listed,
                        ));
                    }
                    None
                }
            },
        }
    }

    /// Whether it has this version and it may be used; pushes what is wrong.
    pub(crate) fn has_version(
        &self,
        (file, at): (&str, Option<Span>),
        image: &ImageName,
        name: &VersionName,
        found: &mut Vec<Diagnostic>,
    ) {
        match &self.source {
            Source::OnSite { .. } => {
                let message = format!(
                    "image `{image}` is made on site, so it has no versions to choose from"
                );
                found.push(
                    Diagnostic::error("made-on-site", file, at, message)
                        .with_hint(format!("its `version` is in `images/{image}.yaml`")),
                );
            }
            Source::Released {
                versions, complete, ..
            } => match versions.get(name) {
                Some(Some(Version { bad: Some(why), .. })) => {
                    found.push(marked_bad(file, at, image, name, why));
                }
                None if *complete => {
                    let message = format!("image `{image}` has no version `{name}`");
                    let known = versions.keys().map(VersionName::as_str);
                    found.push(unknown_version(file, message, &at, name, known));
                }
                _ => {}
            },
        }
    }
}

fn marked_bad(
    file: &str,
    at: Option<Span>,
    image: &ImageName,
    version: &VersionName,
    why: &PlainText,
) -> Diagnostic {
    let message = format!("version `{version}` of image `{image}` is marked bad: {why}");
    Diagnostic::error("bad-version", file, at, message).with_hint("choose another one")
}

/// That there is no such version.
pub(crate) fn unknown_version<'n>(
    file: &str,
    message: String,
    at: &Option<Span>,
    name: &VersionName,
    known: impl Iterator<Item = &'n str> + Clone,
) -> Diagnostic {
    dangling(
        "unknown-version",
        file,
        *at,
        message,
        name.as_str(),
        known,
        "the versions are",
        || "a version is a key under `versions`, with the digest of its manifest".to_owned(),
    )
}
