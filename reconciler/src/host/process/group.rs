//! Process groups: a program and all that it started.

use std::fmt;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a group may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

const LOOK: Duration = Duration::from_millis(20);

/// A process group, by the id of the process that leads it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(u32);

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process group {}", self.0)
    }
}

/// A living process, as `/proc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// The id of its parent.
    pub parent: u32,
    /// The id of its group.
    pub group: u32,
}

impl Group {
    /// The group with this id; none for 0 and 1, which would be our own group and everything.
    #[must_use]
    pub fn new(id: u32) -> Option<Self> {
        i32::try_from(id).is_ok_and(|id| id > 1).then_some(Self(id))
    }

    /// Its id.
    #[must_use]
    pub const fn id(self) -> u32 {
        self.0
    }

    /// Whether a process of it lives. One that has ended and was not yet waited for does not.
    #[must_use]
    pub fn is_alive(self) -> bool {
        processes().any(|process| process.group == self.id())
    }

    /// Asks it to end.
    pub(super) fn ask(self) {
        self.signal(Signal::TERM);
    }

    /// Ends it at once.
    pub(super) fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// Ends it: asked first, after two seconds by force. Returns when nothing of it lives any more,
    /// or after two more seconds, since a process that the kernel holds cannot be ended.
    pub async fn end(self) {
        for signal in [Signal::TERM, Signal::KILL] {
            if !self.is_alive() {
                return;
            }
            self.signal(signal);
            let asked = tokio::time::Instant::now();
            while asked.elapsed() < GRACE && self.is_alive() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    fn signal(self, signal: Signal) {
        if let Some(id) = i32::try_from(self.0).ok().and_then(Pid::from_raw)
            && let Err(error) = kill_process_group(id, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(group = %self, ?signal, %error, "could not be signalled");
        }
    }
}

/// All living processes.
pub fn processes() -> impl Iterator<Item = Process> {
    let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| {
        let stat = std::fs::read(format!("/proc/{id}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name in parentheses may hold anything, parentheses too.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let lives = !matches!(fields.next()?, "Z" | "X" | "x");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        lives.then_some(Process { id, parent, group })
    })
}
