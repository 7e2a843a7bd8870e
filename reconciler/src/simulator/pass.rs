//! One pass of one server: the production loop and the production end of a pass.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::event::What;
use super::port::Port;
use super::rest::wake;
use super::time::{DAY, MINUTE, Moment};
use super::world::World;
use crate::engine::close::{Teller, close, tell};
use crate::engine::{Rhythm, converge};
use crate::report::summary::Summary;
use crate::report::title::Clock;
use crate::report::trouble::Kind;
use crate::report::{summary, title};
use crate::world::Senses as _;

/// Begins a pass; it resolves to the moment at which it is worth looking again.
pub(super) fn begin(
    world: &Rc<World>,
    site: usize,
    life: u64,
) -> Pin<Box<dyn Future<Output = Moment>>> {
    let port = Port {
        world: Rc::clone(world),
        site,
        life,
    };
    let tick = Duration::from_millis(u64::try_from(world.tick).unwrap_or(1000));
    let rhythm = Rhythm {
        tick,
        pull: Duration::from_secs(300),
    };
    Box::pin(async move {
        let began = port.now();
        // Whoever asks for the end sees to it that the pass goes on.
        let stop = poll_fn(|_| {
            if port.world.sites[port.site].stop.get() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let ended = converge(&port, began, rhythm, stop, &mut |told| {
            port.hear(&told);
        })
        .await;
        let mailed = end(&port, began, &ended).await;
        next(&port, &ended, mailed)
    })
}

/// Whether all that is to be told was told.
async fn end(port: &Port, began: jiff::Timestamp, ended: &Summary) -> bool {
    let zone = port.school().borrow().zone.clone();
    let clock = Clock {
        now: port.now(),
        zone: &zone,
    };
    for hold in ended.last.iter().flat_map(|(_, plan)| &plan.holds) {
        let item = title::held(hold, clock);
        port.happened(What::Waits {
            gate: hold.gate.clone(),
            what: format!("{}: {}", item.object, item.what),
            why: match hold.wake {
                Some(_) => item.notes.first().cloned().unwrap_or_default(),
                None => item.notes.join("; "),
            },
        });
    }
    for violation in &ended.violations {
        let how = format!("a plan was refused: {violation}");
        let (mut promises, now) = (port.world.promises.borrow_mut(), port.true_now());
        promises.unpredicted(port.site, now, how);
    }
    let teller = Teller {
        server: port.world.sites[port.site].name.as_str(),
        zone: &zone,
        has_relay: true,
        has_calendar: false,
    };
    let told = tell(port, teller, began, ended).await;
    let exit = if told.failed {
        1
    } else if told.standing.has(Kind::Decision) {
        3
    } else {
        0
    };
    // Nothing hangs on this record.
    drop(close(port, began, ended, &told, exit));
    port.happened(What::Ended {
        exit,
        summary: summary::line(ended, &told.standing),
    });
    told.untold.is_empty()
}

/// When the next pass can find anything else than this one did, unless something happens before.
fn next(port: &Port, ended: &Summary, mailed: bool) -> Moment {
    let now = port.true_now();
    let error = port.school().borrow().clock_error();
    let mut next = now + DAY;
    let mut at_latest = |at: Moment| next = next.min(at.max(now + 1));
    if !mailed
        || ended.stopped
        || ended.journal.is_some()
        || !ended.violations.is_empty()
        || !ended.problems.is_empty()
    {
        at_latest(now + 30 * MINUTE);
    }
    let Some((_, plan)) = &ended.last else {
        return next;
    };
    let desired = port.world.obeyed(port.site, &port.school().borrow().disk);
    let orphans = port.world.sites[port.site].rest.orphans.get();
    next.min(wake(plan, desired.as_deref(), now, error, orphans))
}
