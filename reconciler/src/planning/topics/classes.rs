//! Hardware classes: `start.conf.<class>` as the state repo says.

use jiff::SignedDuration;

use crate::linbo::start_conf;
use crate::planning::action::{Action, Reason, Step};
use crate::planning::desired::{Desired, DesiredClass};
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// What writing a file and an import take at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let today = std::cell::LazyCell::new(|| desired.day(observed.at));
    for (name, class) in &desired.classes {
        if desired
            .test_of(name)
            .is_some_and(|test| test.until < *today)
        {
            continue;
        }
        let goal = Goal::StartConf(name.clone());
        let files = match observed.classes.get(name) {
            Some(Probe::Seen(files)) => files,
            Some(Probe::Unseen(cause)) => {
                drafts.hold(goal, Gate::Unseen(cause.clone()), None);
                continue;
            }
            None => {
                drafts.hold(
                    goal,
                    Gate::Unseen(format!("start.conf.{name} was not looked at")),
                    None,
                );
                continue;
            }
        };
        let before = &files.start_conf;
        if before.as_ref().is_some_and(|text| class.is_said_by(text)) {
            continue;
        }
        if before
            .as_ref()
            .is_some_and(|text| !start_conf::is_ours(text.as_bytes()))
        {
            drafts.hold(goal, Gate::NotOurs(name.clone()), None);
            continue;
        }
        if let Some(gate) = drafts.guard().class(name) {
            drafts.hold(goal, gate, None);
            continue;
        }
        if let Some(gate) = before
            .as_ref()
            .and_then(|_| missing_image(desired, observed, class))
        {
            drafts.hold(goal, gate, None);
            continue;
        }
        if let Err(Closed { gate, wake }) =
            gates::window(desired, Work::Activate, observed.at, NEEDS)
        {
            drafts.hold(goal, gate, wake);
            continue;
        }
        let reason = if before.is_some() {
            Reason::Differs
        } else {
            Reason::Absent
        };
        let after = class.start_conf.clone();
        drafts.step(Step::new(
            Action::WriteStartConf {
                class: name.clone(),
                before: before.clone(),
                after,
            },
            reason,
        ));
    }
}

/// A class that works is not changed to one that cannot: a released image that it is to use has to be
/// active before. One made on site is made by a host of the class, so the class has to be there first.
fn missing_image(desired: &Desired, observed: &Observed, class: &DesiredClass) -> Option<Gate> {
    let images = class.os.iter().map(|os| &os.image);
    let mut released = images.filter(|image| {
        let mut wanted = desired.images.keys();
        wanted.any(|(name, _)| name == *image)
    });
    released.find_map(|image| match observed.live.get(image) {
        Some(Probe::Seen(live)) => live.base.is_none().then(|| Gate::NotActive(image.clone())),
        Some(Probe::Unseen(cause)) => Some(Gate::Unseen(cause.clone())),
        None => Some(Gate::Unseen(format!(
            "the folder of {image} was not looked at"
        ))),
    })
}
