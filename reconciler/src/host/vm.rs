//! The hypervisor: the virtual machines that the state repo names, and no others.
//!
//! # Invariants
//!
//! No machine is started or ended unless its configuration carries the tag [`TAG`], so that a typo in a number cannot
//! stop a school's server: a [`Managed`] machine is made by looking at that alone, and each look is a new one. What is
//! there already is not asked for again. That Proxmox took an order says nothing: its task is waited for, its outcome
//! is read, and then the machine is looked at. Locks are respected and never taken away. Nothing is tried twice here:
//! when to try again is for the planner.

mod api;
mod error;
mod qm;
mod trust;

use std::time::{Duration, Instant};

use schema::device::VmId;
use schema::name::Domain;

pub use error::{Refusal, VmError};

use crate::config::{Commands, Proxmox};
use api::Api;
use qm::Qm;

/// The tag in the configuration of a machine that says: it is the reconciler's to start and to end.
pub const TAG: &str = "reconcile";

/// How long a machine may take to be as was asked, once Proxmox has said that it is done. A machine under high
/// availability is told to start and does so later.
const SETTLES: Duration = Duration::from_secs(60);
/// How long Proxmox may take for an order besides what the order itself allows.
const TASK: Duration = Duration::from_secs(5 * 60);
/// Between two looks at a task or a machine.
const PAUSE: Duration = Duration::from_secs(1);

/// What a machine is, as Proxmox says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its number.
    pub id: VmId,
    /// Its name, if it is one that can be shown.
    pub name: Option<Domain>,
    /// Whether it runs. That says nothing of what runs in it: LINBO, an operating system, or neither.
    pub power: Power,
    /// What Proxmox has locked it for, `backup` say.
    pub lock: Option<String>,
    /// Whether it is the reconciler's by its [`TAG`].
    pub is_tagged: bool,
}

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Its process is there, whatever it does: it may be paused, too.
    On,
    /// There is no process.
    Off,
}

/// What is asked of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// To start.
    Start,
    /// To shut down by itself within this time, by its guest agent or ACPI.
    ShutDown(Duration),
    /// To stop at once, as if its plug were pulled: what its disks hold may be damaged.
    Stop,
}

impl Order {
    /// What it is called in the API and in `qm`.
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::ShutDown(_) => "shutdown",
            Self::Stop => "stop",
        }
    }

    const fn wanted(self) -> Power {
        match self {
            Self::Start => Power::On,
            Self::ShutDown(_) | Self::Stop => Power::Off,
        }
    }

    /// How long Proxmox may take for it.
    const fn deadline(self) -> Duration {
        match self {
            Self::Start | Self::Stop => TASK,
            Self::ShutDown(within) => TASK.saturating_add(within),
        }
    }
}

/// A way to the hypervisor.
#[derive(Debug)]
pub struct Hypervisor {
    way: Way,
    pause: Duration,
}

#[derive(Debug)]
enum Way {
    Api(Api),
    Qm(Qm),
}

impl Hypervisor {
    /// The hypervisor of the settings.
    ///
    /// # Errors
    ///
    /// When the token or the certificates cannot be read or used.
    pub fn new(proxmox: &Proxmox, commands: &Commands) -> Result<Self, VmError> {
        let way = match proxmox {
            Proxmox::Api(api) => Way::Api(Api::new(api)?),
            Proxmox::Qm(over) => Way::Qm(Qm::new(over.as_ref(), commands)),
        };
        Ok(Self { way, pause: PAUSE })
    }

    /// The same that looks that often at what it waits for.
    #[must_use]
    pub const fn looking_every(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.way {
            Way::Api(api) => api.place(),
            Way::Qm(qm) => qm.place(),
        }
    }

    /// What a machine is now.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be seen.
    pub async fn look(&self, id: VmId) -> Result<Machine, VmError> {
        match &self.way {
            Way::Api(api) => api.look(id).await,
            Way::Qm(qm) => qm.look(id).await,
        }
    }

    /// A machine that may be started and ended.
    ///
    /// # Errors
    ///
    /// When it has no tag, or as for [`look`](Self::look).
    pub async fn managed(&self, id: VmId) -> Result<Managed<'_>, VmError> {
        let machine = self.look(id).await?;
        if !machine.is_tagged {
            return Err(VmError::NotOurs {
                id,
                name: machine.name,
                place: self.place(),
            });
        }
        Ok(Managed {
            hypervisor: self,
            machine,
        })
    }

    async fn order(&self, machine: &Machine, order: Order) -> Result<(), VmError> {
        match &self.way {
            Way::Api(api) => api.order(machine.id, order, self.pause).await,
            Way::Qm(qm) => qm.order(machine.id, order).await,
        }
    }
}

/// A machine that carries the tag, as it was when it was looked at.
#[derive(Debug)]
#[must_use = "it is only looked at so far"]
pub struct Managed<'a> {
    hypervisor: &'a Hypervisor,
    machine: Machine,
}

impl Managed<'_> {
    /// What it is.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Starts it; nothing is done when it runs.
    ///
    /// # Errors
    ///
    /// When it is locked, or does not run afterwards.
    pub async fn start(self) -> Result<(), VmError> {
        self.obey(Order::Start).await
    }

    /// Lets it shut down by itself; nothing is done when it is off.
    ///
    /// # Errors
    ///
    /// When it is locked, or still runs after that time.
    pub async fn shut_down(self, within: Duration) -> Result<(), VmError> {
        self.obey(Order::ShutDown(within)).await
    }

    /// Stops it at once; nothing is done when it is off. What its disks hold may be damaged.
    ///
    /// # Errors
    ///
    /// When it is locked, or still runs.
    pub async fn stop(self) -> Result<(), VmError> {
        self.obey(Order::Stop).await
    }

    async fn obey(self, order: Order) -> Result<(), VmError> {
        let Self {
            hypervisor,
            machine,
        } = self;
        if machine.power == order.wanted() {
            return Ok(());
        }
        if let Some(lock) = machine.lock {
            return Err(VmError::Locked {
                id: machine.id,
                why: format!("VM is locked ({lock})"),
            });
        }
        if let Err(error) = hypervisor.order(&machine, order).await {
            // Whoever else asked for the same may have been faster.
            return match hypervisor.look(machine.id).await {
                Ok(now) if now.power == order.wanted() => Ok(()),
                Ok(_) | Err(_) => Err(error),
            };
        }
        let begun = Instant::now();
        while hypervisor.look(machine.id).await?.power != order.wanted() {
            if begun.elapsed() > SETTLES {
                return Err(VmError::Unmoved {
                    id: machine.id,
                    order: order.word(),
                });
            }
            tokio::time::sleep(hypervisor.pause).await;
        }
        Ok(())
    }
}

/// Whether a list of tags, as Proxmox writes it, has ours.
fn has_tag(tags: &str) -> bool {
    tags.split([';', ',', ' '])
        .any(|tag| tag.trim().eq_ignore_ascii_case(TAG))
}
