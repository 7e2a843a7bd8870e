//! One pass of one server: the production loop, then the letter and the closing record, as the command
//! line does them.

use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::event::What;
use super::port::Port;
use super::rest::wake;
use super::time::{DAY, MINUTE, Moment};
use super::world::World;
use crate::engine::{Rhythm, converge};
use crate::planning::{Entry, Record};
use crate::report::summary::Summary;
use crate::report::title::Clock;
use crate::report::{mail, summary, title, trouble};
use crate::world::{Hands as _, Senses as _};

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
        let ended = converge(&port, began, rhythm, pending(), &mut |told| {
            port.hear(&told);
        })
        .await;
        let mailed = close(&port, began, &ended).await;
        next(&port, &ended, mailed)
    })
}

/// Whether all that is to be told was told.
async fn close(port: &Port, began: jiff::Timestamp, ended: &Summary) -> bool {
    let zone = port.school().borrow().zone.clone();
    let clock = Clock {
        now: port.now(),
        zone: &zone,
    };
    let standing = trouble::standing(ended, clock);
    let server = port.world.sites[port.site].name.to_string();
    let record = |entry| {
        port.record(&Record {
            at: port.now(),
            pass: began,
            entry,
        })
    };
    let mut mailed = true;
    if let Some((observed, plan)) = &ended.last {
        for hold in &plan.holds {
            let item = title::held(hold, clock);
            port.happened(What::Waits(
                hold.gate.clone(),
                format!("{}: {}", item.object, item.what),
            ));
        }
        if let Some(news) = mail::news(&server, &standing, &observed.journal) {
            mailed = port.send(&news.letter).await.is_ok() && record(news.told).is_ok();
        }
    }
    let failed = !mailed || summary::has_failed(ended, &standing);
    let exit = u8::from(failed);
    let line = summary::line(ended, &standing);
    // Nothing hangs on this record.
    drop(record(Entry::PassFinished {
        exit,
        summary: line.clone(),
    }));
    port.happened(What::Ended {
        exit,
        summary: line,
    });
    mailed
}

/// When the next pass can find anything else than this one did, unless something happens before.
fn next(port: &Port, ended: &Summary, mailed: bool) -> Moment {
    let now = port.true_now();
    let error = port.school().borrow().clock_error();
    let mut next = now + DAY;
    let mut at_latest = |at: Moment| next = next.min(at.max(now + 1));
    if !mailed
        || ended.journal.is_some()
        || !ended.violations.is_empty()
        || !ended.problems.is_empty()
    {
        at_latest(now + 30 * MINUTE);
    }
    let Some((_, plan)) = &ended.last else {
        return next;
    };
    let applied = port.school().borrow().disk.applied;
    let desired = applied.and_then(|number| port.world.desired(port.site, number));
    next.min(wake(plan, desired.as_deref(), now, error))
}
