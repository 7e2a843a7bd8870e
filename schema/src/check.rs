//! Whether documents fit together, and what they resolve to.
//!
//! Each module takes one kind of document, reports what is wrong with it and gives what it stands
//! for. What is broken is none from here on, and what refers to it is not blamed: one mistake is
//! one diagnostic.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Span, suggest};
use crate::fleet::HardwareClass;
use crate::name::{ClassName, ImageName};

pub(crate) mod class;
pub(crate) mod fleet;
pub(crate) mod image;
pub(crate) mod policy;
pub(crate) mod room;
pub(crate) mod school;
pub(crate) mod test_class;
pub(crate) mod version;
pub(crate) mod written;

pub(crate) use crate::load::Calendars;

/// All images by name; none in place of one that is broken.
pub(crate) type Images = BTreeMap<ImageName, Option<image::Facts>>;

/// All hardware classes by name; none in place of one that is broken.
pub(crate) type Classes = BTreeMap<ClassName, Option<HardwareClass>>;

/// What all schools have in common.
pub(crate) struct Commons<'a> {
    pub(crate) settings: &'a fleet::Settings,
    pub(crate) calendars: &'a Calendars<'a>,
    pub(crate) images: &'a Images,
    pub(crate) classes: &'a Classes,
}

impl<'a> Commons<'a> {
    /// The hardware class of this name, if there is one and it is not broken.
    pub(crate) fn class(&self, name: &ClassName) -> Option<&'a HardwareClass> {
        self.classes.get(name).and_then(Option::as_ref)
    }
}

/// A name that nothing has: the one that was meant, or else those that there are.
#[expect(
    clippy::too_many_arguments,
    reason = "a diagnostic and what its hint is made of"
)]
pub(crate) fn dangling<'n>(
    code: &'static str,
    file: &str,
    at: Option<Span>,
    message: String,
    name: &str,
    known: impl Iterator<Item = &'n str> + Clone,
    list: &str,
    otherwise: impl FnOnce() -> String,
) -> Diagnostic {
    const MOST: usize = 8;
    let hint = match suggest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = known.take(MOST + 1).collect();
            match names.as_slice() {
                [only] => format!("there is only `{only}`"),
                names if names.is_empty() || names.len() > MOST => otherwise(),
                names => format!("{list} `{}`", names.join("`, `")),
            }
        }
    };
    Diagnostic::error(code, file, at, message).with_hint(hint)
}

/// That there is no such image.
pub(crate) fn unknown_image(
    file: &str,
    at: Option<Span>,
    name: &ImageName,
    images: &Images,
) -> Diagnostic {
    let message = format!("there is no image `{name}`");
    let known = images.keys().map(ImageName::as_str);
    dangling(
        "unknown-image",
        file,
        at,
        message,
        name.as_str(),
        known,
        "the images are",
        || format!("an image is a file in `images/`: add `images/{name}.yaml`"),
    )
}

/// That there is no such hardware class.
pub(crate) fn unknown_class(
    file: &str,
    at: Option<Span>,
    name: &ClassName,
    classes: &Classes,
) -> Diagnostic {
    let message = format!("there is no hardware class `{name}`");
    let known = classes.keys().map(ClassName::as_str);
    dangling(
        "unknown-class",
        file,
        at,
        message,
        name.as_str(),
        known,
        "the hardware classes are",
        || {
            format!(
                "a hardware class is a file in `hardware-classes/`: add `hardware-classes/{name}.yaml`"
            )
        },
    )
}
