//! Whether somebody works at a host whose Linux is up, and how it is restarted.
//!
//! # Invariants
//!
//! Only a whole answer that names nobody means that nobody is there. A login that is refused, a timeout,
//! an answer that breaks off or cannot be read mean that the host is in use. Who is logged in is neither
//! kept nor told to anybody.

use std::time::Duration;

use schema::name::HostName;

use super::probe::ssh_to_system;
use crate::config::Config;
use crate::host::process::{ProcessError, Program};

/// Lists the sessions, and says that this was all.
const ASK: &str = "LC_ALL=C loginctl list-sessions --no-legend --no-pager && echo reconcile:end";
/// What the answer ends with.
const END: &str = "reconcile:end";
/// How long the answer may take, logging in included.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first number of people's accounts; those of services are smaller.
const PEOPLE: u32 = 1000;

/// Whether a host may be taken from whoever works at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Usage {
    /// Nobody is logged in.
    Idle,
    /// Somebody is, or that could not be found out.
    InUse {
        /// Which of them.
        why: &'static str,
    },
}

/// Asks Linux on a host whether somebody is logged in.
///
/// # Errors
///
/// When SSH could not be started at all.
pub(super) async fn of_linux(config: &Config, host: &HostName) -> Result<Usage, ProcessError> {
    let asked = ssh_to_system(config, host)
        .arg(ASK)
        .deadline(PATIENCE)
        .run()
        .await?;
    // What was said holds names, so that none of it is passed on.
    let why = match (asked.timed_out, asked.code) {
        (true, _) => "its operating system did not answer in time who is logged in",
        (_, Some(255)) => "its operating system refuses root's login by SSH, or broke it off",
        (_, Some(0)) if asked.stdout_is_whole => match is_idle(&asked.stdout) {
            Some(true) => return Ok(Usage::Idle),
            Some(false) => "somebody is logged in",
            None => UNREADABLE,
        },
        _ => UNREADABLE,
    };
    Ok(Usage::InUse { why })
}

const UNREADABLE: &str = "its operating system gave no readable answer who is logged in";

/// Whether a list of sessions names nobody; none when it is not such a list as a whole. A line is the
/// session, the number of the user and the name, then the seat if there is one.
fn is_idle(answer: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(answer).ok()?;
    let mut lines = text.lines().rev();
    if lines.next()? != END {
        return None;
    }
    let mut idle = true;
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_session, user, _name, rest @ ..] = words.as_slice() else {
            return None;
        };
        let user: u32 = user.parse().ok()?;
        let is_greeter = rest.contains(&"greeter");
        // Root without a seat is this very question, or a service.
        let has_seat = rest.iter().any(|word| word.starts_with("seat"));
        let is_person = user >= PEOPLE || (user == 0 && has_seat);
        idle &= is_greeter || !is_person;
    }
    Some(idle)
}

/// What restarts the Linux of a host. Its end means nothing: the connection dies with the system.
pub(super) fn restart(config: &Config, host: &HostName) -> Program {
    ssh_to_system(config, host).arg("reboot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_list_without_people_is_idle() {
        let greeter = "c1 128 gdm seat0 tty1";
        let dynamic = "c2 60578 gdm-greeter seat0 1201 greeter tty1 no -";
        let own = "7 0 root";
        for (list, expected) in [
            (vec![END], Some(true)),
            (vec![greeter, own, END], Some(true)),
            (vec![dynamic, "5 0 root - 900 user - no -", END], Some(true)),
            (
                vec![greeter, "3 1047 somebody seat0 tty2", END],
                Some(false),
            ),
            (vec!["3 600123 S-1@school - pts/0", END], Some(false)),
            (vec!["3 0 root seat0 tty3", END], Some(false)),
            (vec![greeter, own], None),
            (vec![END, own], None),
            (vec!["3 somebody", END], None),
            (vec!["3 x somebody seat0", END], None),
            (vec!["Welcome to this computer!", END], None),
            (vec![""], None),
            (vec![], None),
        ] {
            assert_eq!(is_idle(list.join("\n").as_bytes()), expected, "{list:?}");
        }
        assert_eq!(is_idle(b"\xff\nreconcile:end"), None);
    }
}
