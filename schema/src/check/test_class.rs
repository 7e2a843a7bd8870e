//! `schools/<school>/test-classes/<name>.yaml`, together with all test classes of the school: no
//! host is in two.

use std::collections::{BTreeMap, BTreeSet};

use super::image::Source;
use super::room::{Taken, check_class, listed};
use super::school::Site;
use super::{Commons, unknown_image};
use crate::diagnostic::Diagnostic;
use crate::document::TestClassDocument;
use crate::document::value::Reset;
use crate::fleet::{HardwareClass, Os, TestClass, TestImage, TestReset};
use crate::load::SchoolFiles;
use crate::name::{ImageName, TestClassName, VersionName};
use crate::read::{At, Map};

/// Reads and checks all test classes of a school; `taken` are the images that it has for rooms.
pub(crate) fn resolve_all(
    files: &SchoolFiles<'_>,
    site: &Site<'_>,
    commons: &Commons<'_>,
    taken: &BTreeSet<&ImageName>,
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<TestClassName, Option<TestClass>> {
    let mut hosts_taken = Taken::new();
    let mut tested = Tested::new();
    let mut classes = BTreeMap::new();
    for (name, file) in &files.test_classes {
        let path = file.path;
        if commons.classes.contains_key(name.as_str()) {
            let message = format!(
                "`{name}` is the name of a hardware class, too: both would write `start.conf.{name}`"
            );
            found.push(
                Diagnostic::error("duplicate-class", path, None, message)
                    .with_hint("rename the test class"),
            );
        }
        let Some(document) = file.read::<TestClassDocument>(found) else {
            classes.insert(name.clone(), None);
            continue;
        };
        let TestClassDocument {
            like,
            image,
            hosts,
            until,
            reset,
            asked_by,
        } = document;
        site.check_test_reset(path, &reset, found);
        let hardware = check_class(path, &like, site, commons, found);
        if image.get().is_some_and(Map::is_empty) {
            let message = "a test class without a version of its own tests nothing";
            found.push(
                Diagnostic::error("empty-list", path, image.span(), message)
                    .with_hint("write at least one, as in `image: { gimp3: 2026.11.t1 }`"),
            );
        }
        let images = image.get().map(|written| {
            let own = written.into_iter().map(|(image, version)| {
                let own = Own {
                    test: name,
                    path,
                    image,
                    version,
                };
                own.resolve(hardware, commons, taken, &mut tested, found)
            });
            let all: Vec<_> = own.collect();
            all.into_iter().collect::<Option<BTreeMap<_, _>>>()
        });
        let hosts = listed(
            path,
            ("test class", name.as_str()),
            hosts,
            &mut hosts_taken,
            found,
        );
        let class = (|| {
            Some(TestClass {
                like: like.into_inner()?,
                images: images??,
                hosts: hosts.into_iter().collect(),
                until: until.into_inner()?.0,
                asked_by: At::into_inner(asked_by),
                reset: match reset.into_inner() {
                    None => TestReset::AsRoom,
                    Some(Reset::Never) => TestReset::Never,
                    Some(Reset::At(times)) => TestReset::At(times),
                },
            })
        })();
        classes.insert(name.clone(), class);
    }
    classes
}

/// The versions that the test classes of a school use, by image, and a test class that does.
type Tested<'a> = BTreeMap<ImageName, (VersionName, &'a str)>;

/// One image of a test class, as it is written.
struct Own<'p, 'i> {
    test: &'i TestClassName,
    path: &'p str,
    image: &'i At<ImageName>,
    version: &'i At<VersionName>,
}

impl<'p> Own<'p, '_> {
    /// The image with its version, and the image whose place it takes.
    fn resolve(
        &self,
        like: Option<&HardwareClass>,
        commons: &Commons<'_>,
        taken: &BTreeSet<&ImageName>,
        tested: &mut Tested<'p>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<(ImageName, TestImage)> {
        let Self {
            test,
            path,
            image,
            version,
        } = *self;
        let name = image.get()?;
        let Some(facts) = commons.images.get(name) else {
            found.push(unknown_image(path, image.span(), name, commons.images));
            return None;
        };
        let version_name = version.get()?;
        let facts = facts.as_ref()?;
        facts.has_version((path, version.span()), name, version_name, found);
        if matches!(facts.source, Source::OnSite { .. }) {
            return None;
        }
        if taken.contains(name) {
            let message = format!(
                "this school has image `{name}` for its rooms: there is one file of it, and they would get this version, too"
            );
            found.push(
                Diagnostic::error("image-in-rooms", path, image.span(), message).with_hint(
                    format!(
                        "release what is to be tried under a name of its own, such as `{test}`"
                    ),
                ),
            );
            return None;
        }
        let (first, other) = tested
            .entry(name.clone())
            .or_insert_with(|| (version_name.clone(), path));
        if first != version_name {
            let message = format!(
                "{other} has version `{first}` of image `{name}`, and a school can have one of them"
            );
            found.push(
                Diagnostic::error("two-versions", path, version.span(), message)
                    .with_hint("use the same version in both"),
            );
            return None;
        }
        let replaces = replaced(name, facts.os?, like?, commons);
        match replaces.as_slice() {
            [replaces] => Some((
                name.clone(),
                TestImage {
                    version: version_name.clone(),
                    replaces: (*replaces).clone(),
                },
            )),
            several => {
                found.push(no_place(path, image, name, several));
                None
            }
        }
    }
}

/// The images of a class whose place an image could take: itself, or those of the same system.
fn replaced<'a>(
    image: &ImageName,
    os: Os,
    like: &'a HardwareClass,
    commons: &Commons<'_>,
) -> Vec<&'a ImageName> {
    let images = like.images();
    if let Some(same) = images.get(image) {
        return vec![same];
    }
    let is_alike = |image: &&ImageName| {
        let facts = commons.images.get(*image).and_then(Option::as_ref);
        facts.is_some_and(|facts| facts.os == Some(os))
    };
    images.into_iter().filter(is_alike).collect()
}

fn no_place(
    path: &str,
    image: &At<ImageName>,
    name: &ImageName,
    several: &[&ImageName],
) -> Diagnostic {
    let names: Vec<&str> = several.iter().map(|image| image.as_str()).collect();
    let (message, hint) = if names.is_empty() {
        (
            format!("the class has no image whose place `{name}` could take"),
            "choose a class with an image of the same `os` under `like`",
        )
    } else {
        (
            format!(
                "`{name}` could take the place of `{}`",
                names.join("` or of `")
            ),
            "choose a class with one image of this `os` under `like`",
        )
    };
    Diagnostic::error("test-image", path, image.span(), message).with_hint(hint)
}
