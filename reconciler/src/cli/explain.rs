//! `reconcile explain`: why a host, a room or an image stands as it does, and what it waits for.

use clap::Subcommand;
use jiff::Timestamp;
use schema::name::{HostName, ImageName, RoomName};

use super::exit::WrongUsage;
use super::look::{self, At, Sight};
use super::{Common, Exit, Format, Output, pass};
use crate::host::{Host, Mode};
use crate::planning::{Ledger, Observed, Server, plan};
use crate::report::explain::{self, HostCase, ImageCase, RoomCase};
use crate::report::style::few;
use crate::report::times::RoomTimes;

/// What is to be explained.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// A host: what it runs, what was tried, what happened, what to do, what it waits for.
    Host {
        /// Its name.
        #[arg(value_name = "NAME")]
        host: HostName,
    },
    /// A room: how its hosts stand, what it waits for, when it is reset next, and its settings with where they are
    /// written.
    Room {
        /// Its name.
        #[arg(value_name = "NAME")]
        room: RoomName,
    },
    /// An image: which version is wanted, what of it is in the store, what lies in LINBO's folder, which PCs have what,
    /// and what it waits for.
    Image {
        /// Its name.
        #[arg(value_name = "NAME")]
        image: ImageName,
    },
}

pub(super) fn run(
    common: &Common,
    what: &What,
    at: Option<At>,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Exit> {
    let host = Host::open(pass::config(common, output)?, Mode::Look, now)?;
    let runtime = pass::runtime()?;
    let mut sight = runtime.block_on(look::look(&host, at, output))?;
    sight.fleet = host.fleet();
    let Sight {
        desired, observed, ..
    } = &sight;
    let ledger = Ledger::of(desired, observed);
    let plan = plan(desired, observed);
    let head = sight.head();
    match what {
        What::Host { host } => {
            let Some(case) = HostCase::of(&ledger, host) else {
                return Err(no_host(host, &sight).into());
            };
            match output.format {
                Format::Json => output.json(&explain::host_json(head, case, &plan))?,
                Format::Text | Format::Markdown => {
                    output.text(&explain::host(head, case, &plan, output.color))?;
                }
            }
        }
        What::Room { room: name } => {
            let (Some(entry), Some(room)) = (ledger.rooms.get(name), desired.rooms.get(name))
            else {
                return Err(no_room(name, &ledger).into());
            };
            let written = match (&sight.fleet, &desired.server) {
                (Some(fleet), Server::School(school)) => fleet.explain(school, name),
                _ => None,
            };
            let case = RoomCase {
                name,
                entry,
                settings: written.as_deref().unwrap_or_default(),
                times: RoomTimes::of(desired, observed, name, room),
            };
            match output.format {
                Format::Json => output.json(&explain::room_json(head, &case, &plan))?,
                Format::Text | Format::Markdown => {
                    output.text(&explain::room(head, &case, &plan, output.color))?;
                }
            }
        }
        What::Image { image } => {
            let before = runtime.block_on(host.before(image));
            let Some(case) = ImageCase::of(image, desired, observed, &ledger, &before) else {
                return Err(no_image(image, observed).into());
            };
            match output.format {
                Format::Json => output.json(&explain::image_json(head, &case, &plan))?,
                Format::Text | Format::Markdown => {
                    output.text(&explain::image(head, &case, &plan, output.color))?;
                }
            }
        }
    }
    Ok(if sight.has_failed() {
        Exit::Failed
    } else {
        Exit::Converged
    })
}

/// That no room has a host, and why, as far as devices.csv tells.
fn no_host(host: &HostName, sight: &Sight) -> WrongUsage {
    let devices = match sight.observed.devices.seen() {
        None => "and devices.csv could not be seen".to_owned(),
        Some(devices) => match devices.get(host) {
            None => "and devices.csv has no such host".to_owned(),
            Some(device) => format!(
                "though devices.csv has it in room {} with hardware class {}: the state repo has no such room, or gives it another class",
                device.room, device.class
            ),
        },
    };
    WrongUsage(format!(
        "no room of the state repo resets a host {host}, {devices}"
    ))
}

/// That no hardware class has an image, and which there are.
fn no_image(image: &ImageName, observed: &Observed) -> WrongUsage {
    let known = if observed.live.is_empty() {
        "they have none".to_owned()
    } else {
        format!("they have {}", few(observed.live.keys()))
    };
    WrongUsage(format!(
        "the hardware classes of this server have no image {image}: {known}"
    ))
}

/// That there is no such room, and which there are.
pub(super) fn no_room(name: &RoomName, ledger: &Ledger<'_>) -> WrongUsage {
    let known = if ledger.rooms.is_empty() {
        "it has no rooms".to_owned()
    } else {
        format!("its rooms are {}", few(ledger.rooms.keys()))
    };
    WrongUsage(format!("this server has no room {name}: {known}"))
}
