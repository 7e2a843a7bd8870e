//! `schools/<school>/test-classes/<name>.yaml`, together with all test classes of the school: no
//! host is in two.

use std::collections::BTreeMap;

use super::room::{Taken, check_class, listed};
use super::school::Site;
use super::{Commons, unknown_image};
use crate::diagnostic::Diagnostic;
use crate::document::TestClassDocument;
use crate::document::value::Reset;
use crate::fleet::{TestClass, TestReset};
use crate::load::SchoolFiles;
use crate::name::TestClassName;
use crate::read::{At, Map};

/// Reads and checks all test classes of a school.
pub(crate) fn resolve_all(
    files: &SchoolFiles<'_>,
    site: &Site<'_>,
    commons: &Commons<'_>,
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<TestClassName, Option<TestClass>> {
    let mut taken = Taken::new();
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
        check_class(path, &like, site, commons, found);
        if image.get().is_some_and(Map::is_empty) {
            let message = "a test class without a version of its own tests nothing";
            found.push(
                Diagnostic::error("empty-list", path, image.span(), message)
                    .with_hint("write at least one, as in `image: { ubuntu: 2026.11.1 }`"),
            );
        }
        for (image, version) in image.get().into_iter().flatten() {
            let Some(image_name) = image.get() else {
                continue;
            };
            let Some(facts) = commons.images.get(image_name) else {
                found.push(unknown_image(
                    path,
                    image.span(),
                    image_name,
                    commons.images,
                ));
                continue;
            };
            if let (Some(facts), Some(version_name)) = (facts, version.get()) {
                facts.has_version((path, version.span()), image_name, version_name, found);
            }
        }
        let hosts = listed(
            path,
            ("test class", name.as_str()),
            hosts,
            &mut taken,
            found,
        );
        let images = image.into_inner().map(Map::into_vec).map(|images| {
            let pairs = images
                .into_iter()
                .map(|(image, version)| Some((image.into_inner()?, version.into_inner()?)));
            pairs.collect::<Option<BTreeMap<_, _>>>()
        });
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
