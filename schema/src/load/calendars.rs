//! The calendars of a state repo, each read once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::File;
use crate::calendar;
use crate::check::dangling;
use crate::diagnostic::{Diagnostic, Span};
use crate::document::value::CalendarPath;
use crate::read::{At, OneOrMany};
use crate::schedule::FreeDays;

/// Calendars by path; none in place of one that is broken.
#[derive(Debug)]
pub(crate) struct Calendars<'a>(BTreeMap<&'a str, Option<FreeDays>>);

/// Reads all calendars.
pub(super) fn read<'a>(
    files: &BTreeMap<&'a str, File<'a>>,
    found: &mut Vec<Diagnostic>,
) -> Calendars<'a> {
    let calendars = files.iter().map(|(path, file)| {
        let days = match file.entry.text().map(calendar::read) {
            Some(Ok(days)) => Some(days),
            Some(Err(error)) => {
                let at = file.entry.text().and_then(|text| line(text, error.line));
                found.push(Diagnostic::error("bad-calendar", *path, at, error.message));
                None
            }
            None => {
                let message = "this calendar is not UTF-8 text";
                found.push(Diagnostic::error("not-text", *path, None, message));
                None
            }
        };
        (*path, days)
    });
    Calendars(calendars.collect())
}

/// The place of a whole line.
fn line(text: &str, number: usize) -> Option<Span> {
    let before = text.split_inclusive('\n').take(number.checked_sub(1)?);
    let start: usize = before.map(str::len).sum();
    let content = text.get(start..)?.lines().next().unwrap_or_default();
    Some(Span {
        line: number,
        column: 1,
        start,
        end: start + content.len(),
    })
}

impl Calendars<'_> {
    /// The holidays of all calendars that a document names; none where it names none.
    pub(crate) fn named(
        &self,
        file: &str,
        paths: &At<OneOrMany<CalendarPath>>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Arc<FreeDays>> {
        let mut days = Vec::new();
        for path in paths.get()?.iter() {
            let Some(name) = path.get() else { continue };
            match self.0.get(name.as_str()) {
                Some(Some(free)) => {
                    days.extend(
                        free.iter()
                            .map(|(first, last, name)| (first, last, name.to_owned())),
                    );
                }
                Some(None) => {}
                None => {
                    let known = self.0.keys().copied();
                    let message = format!("there is no file `{}`", name.as_str());
                    found.push(dangling(
                        "unknown-calendar",
                        file,
                        path.span(),
                        message,
                        name.as_str(),
                        known,
                        "the calendars are",
                        || "put the iCalendar file there".to_owned(),
                    ));
                }
            }
        }
        Some(Arc::new(FreeDays::new(days)))
    }
}
