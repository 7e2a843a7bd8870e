//! `reconcile vm`: a virtual machine as Proxmox has it, and whether it is ours to start and to end.

use anyhow::bail;
use schema::device::VmId;
use serde_json::json;

use super::exit::WrongUsage;
use super::{Common, Exit, Format, Output, pass};
use crate::config::check_secrets;
use crate::host::vm::{Hypervisor, Machine, Power, TAG};

pub(super) fn run(common: &Common, id: VmId, output: &Output) -> anyhow::Result<Exit> {
    let config = pass::config(common, output)?;
    let Some(proxmox) = &config.proxmox else {
        let why = "the settings do not say how Proxmox is reached: add `proxmox`, as reconciler.example.yaml shows";
        return Err(WrongUsage(why.to_owned()).into());
    };
    let problems: Vec<String> = check_secrets(&config)
        .into_iter()
        .filter(|problem| problem.starts_with("proxmox."))
        .collect();
    if !problems.is_empty() {
        bail!("{}", problems.join("; "));
    }
    let hypervisor = Hypervisor::new(proxmox, &config.commands)?;
    let machine = pass::runtime()?.block_on(hypervisor.look(id))?;
    let exit = if machine.is_tagged {
        Exit::Converged
    } else {
        Exit::Failed
    };
    let Machine {
        id,
        name,
        power,
        lock,
        is_tagged,
    } = machine;
    let is_on = power == Power::On;
    let place = hypervisor.place();
    if output.format == Format::Json {
        let found = json!({
            "format_version": "1.0", "vm": id.get(), "name": name, "is_on": is_on, "lock": lock,
            "is_tagged": is_tagged, "place": place,
        });
        output.json(&found)?;
        return Ok(exit);
    }
    let name = name.map(|name| format!(" {name}")).unwrap_or_default();
    let power = if is_on { "on" } else { "off" };
    let lock = lock
        .map(|lock| format!(", locked ({lock})"))
        .unwrap_or_default();
    let ours = if is_tagged {
        format!("it carries the tag `{TAG}`, so it may be started and ended\n")
    } else {
        format!(
            "! it does not carry the tag `{TAG}`, so it is never touched: add the tag if it is meant\n"
        )
    };
    output.text(&format!("VM {id}{name} at {place}: {power}{lock}\n{ours}"))?;
    Ok(exit)
}
