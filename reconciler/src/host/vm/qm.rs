//! `qm` on the Proxmox node itself, or on it through SSH.
//!
//! What it is given is a word of this file and a number, so that the shell at the other end of SSH has nothing to
//! interpret. Its messages are the API's, and its exit code is that of the task.

use std::time::Duration;

use schema::device::VmId;

use super::{Machine, Order, Power, VmError, has_tag};
use crate::config::{Commands, SshTarget};
use crate::host::process::{Finished, Program};

/// How long a question may take.
const ANSWER: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Qm {
    over: Option<SshTarget>,
    qm: std::path::PathBuf,
    ssh: std::path::PathBuf,
}

impl Qm {
    pub(super) fn new(over: Option<&SshTarget>, commands: &Commands) -> Self {
        Self {
            over: over.cloned(),
            qm: commands.qm.clone(),
            ssh: commands.ssh.clone(),
        }
    }

    pub(super) fn place(&self) -> String {
        match &self.over {
            Some(target) => format!("qm on {target}"),
            None => "qm on this machine".to_owned(),
        }
    }

    pub(super) async fn look(&self, id: VmId) -> Result<Machine, VmError> {
        let status = self.ask("status", id).await?;
        let config = self.ask("config", id).await?;
        let power = match status.lines().find_map(|line| line.strip_prefix("status:")) {
            Some(status) if status.trim() == "stopped" => Power::Off,
            Some(_) => Power::On,
            None => return Err(self.strange(&status)),
        };
        // What follows a snapshot's name is its configuration and not that of the machine.
        let current = config.lines().take_while(|line| !line.starts_with('['));
        let entries = current.filter_map(|line| line.split_once(':'));
        let mut machine = Machine {
            id,
            name: None,
            power,
            lock: None,
            is_tagged: false,
        };
        for (key, value) in entries {
            match key {
                "name" => machine.name = value.trim().parse().ok(),
                "lock" => machine.lock = Some(value.trim().to_owned()),
                "tags" => machine.is_tagged = has_tag(value),
                _ => {}
            }
        }
        Ok(machine)
    }

    pub(super) async fn order(&self, id: VmId, order: Order) -> Result<(), VmError> {
        let mut words = vec![order.word().to_owned(), id.to_string()];
        if let Order::ShutDown(within) = order {
            words.extend(["--timeout".to_owned(), within.as_secs().to_string()]);
        }
        let finished = self.run(&words, order.deadline()).await?;
        if finished.timed_out {
            return Err(VmError::TooSlow {
                id,
                order: order.word(),
                minutes: order.deadline().as_secs() / 60,
            });
        }
        self.judged(&finished, id, order.word())
    }

    async fn ask(&self, what: &'static str, id: VmId) -> Result<String, VmError> {
        let words = [what.to_owned(), id.to_string()];
        let finished = self.run(&words, ANSWER).await?;
        self.judged(&finished, id, what)?;
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
    }

    async fn run(&self, words: &[String], deadline: Duration) -> Result<Finished, VmError> {
        let program = match &self.over {
            None => Program::new("qm", &self.qm).args(words),
            Some(target) => Program::new("ssh", &self.ssh)
                .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
                .args([
                    "-o",
                    "ServerAliveInterval=15",
                    "-o",
                    "ServerAliveCountMax=3",
                    "--",
                ])
                .arg(target.to_string())
                .arg(&self.qm)
                .args(words),
        };
        Ok(program.deadline(deadline).run().await?)
    }

    fn judged(&self, finished: &Finished, id: VmId, what: &'static str) -> Result<(), VmError> {
        if finished.is_success() {
            return Ok(());
        }
        let said = finished.last_lines(3).join("; ");
        // OpenSSH's own failures; `qm` ends with 255, too, and says why.
        let is_ssh = self.over.is_some()
            && finished.code == Some(255)
            && ["ssh: ", "Permission denied", "Connection ", "Host key "]
                .iter()
                .any(|begin| said.contains(begin));
        if is_ssh || finished.timed_out {
            return Err(VmError::Unreachable {
                place: self.place(),
                why: if finished.timed_out {
                    finished.how()
                } else {
                    said
                },
            });
        }
        let why = if said.is_empty() {
            finished.how()
        } else {
            said
        };
        Err(VmError::said(id, what, &self.place(), &why))
    }

    fn strange(&self, text: &str) -> VmError {
        VmError::Strange {
            place: self.place(),
            what: text.chars().take(80).filter(|c| !c.is_control()).collect(),
        }
    }
}
