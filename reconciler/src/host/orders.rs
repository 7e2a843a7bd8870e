//! The file of orders: what people suspended and resumed on this server.
//!
//! # Invariants
//!
//! Two commands at once lose nothing. A file that cannot be understood counts as unseen, so that a suspension that it
//! held is not taken for ended; the next order sets it aside.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;

use super::{files, state_file};
use crate::planning::{Orders, Probe};

const FILE: &str = "orders.json";

/// The orders that hold on the server with this state folder.
#[must_use]
pub fn look(state: &Path) -> Probe<Orders> {
    match read(&state.join(FILE)) {
        Ok(orders) => Probe::Seen(orders),
        Err(error) => Probe::Unseen(format!(
            "{error:#}; `reconcile suspend` and `reconcile resume` begin a new one"
        )),
    }
}

/// Changes the orders. Gives the path under which the file was set aside, if it could not be understood.
///
/// # Errors
///
/// When the file cannot be locked or written; the orders are then as before.
pub fn change(
    state: &Path,
    now: Timestamp,
    change: impl FnOnce(&mut Orders),
) -> anyhow::Result<Option<PathBuf>> {
    files::make_folder(state, 0o755)
        .with_context(|| format!("cannot make the folder {}", state.display()))?;
    let path = state.join(FILE);
    let lock = state.join(".orders.lock");
    let locking = || format!("cannot lock {}", lock.display());
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(&lock);
    let file = file.with_context(locking)?;
    // It is held for the time of one small write.
    file.lock().with_context(locking)?;
    let writing = || format!("cannot write {}", path.display());
    let (mut orders, aside) = match read(&path) {
        Ok(orders) => (orders, None),
        Err(_) => {
            let aside = state_file::set_aside(&path, now).with_context(writing)?;
            (Orders::default(), Some(aside))
        }
    };
    change(&mut orders);
    let text = serde_json::to_string_pretty(&orders)? + "\n";
    state_file::replace(&path, text.as_bytes()).with_context(writing)?;
    Ok(aside)
}

fn read(path: &Path) -> anyhow::Result<Orders> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Orders::default());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::planning::{Subject, Suspended};

    fn suspend(state: &Path, what: &str) -> Option<PathBuf> {
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        let what: Subject = what.parse().unwrap();
        change(state, now, |orders| {
            orders.suspend(
                what,
                Suspended {
                    since: now,
                    reason: "new furniture".into(),
                    by: "root".into(),
                    until: None,
                },
            );
        })
        .unwrap()
    }

    #[test]
    fn orders_of_many_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        assert_eq!(look(&state), Probe::Seen(Orders::default()));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let state = &state;
                scope.spawn(move || suspend(state, &format!("room r{number}")));
            }
        });
        let Probe::Seen(orders) = look(&state) else {
            unreachable!("they were just written");
        };
        assert_eq!(orders.suspensions(Timestamp::MAX).count(), 8);
    }

    #[test]
    fn what_cannot_be_understood_is_unseen_until_the_next_order_sets_it_aside() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        fs::write(state.join(FILE), "{\"suspended\": {\"room ../x\"").unwrap();
        assert!(look(state).cause().unwrap().contains("is damaged"));
        let aside = suspend(state, "host r101-pc01").unwrap();
        assert!(fs::read_to_string(aside).unwrap().contains("../x"));
        assert!(look(state).seen().is_some());
    }
}
