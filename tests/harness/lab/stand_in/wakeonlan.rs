//! `wakeonlan`: the host with this MAC gets power. Exit 0, whatever happens.

use anyhow::Result;

use super::{complain, say};
use crate::lab::{host::Host, world::World};

pub(super) fn main(world: &World, arguments: &[String]) -> Result<u8> {
    let mut target = "255.255.255.255";
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-i" => target = arguments.next().map_or(target, String::as_str),
            "-p" => drop(arguments.next()),
            mac => wake(world, target, mac)?,
        }
    }
    Ok(0)
}

fn wake(world: &World, target: &str, mac: &str) -> Result<()> {
    if mac.split(':').count() != 6 {
        complain(&format!(
            "{mac} is not a hardware address and I could not resolve it as to an IP address."
        ));
        return Ok(());
    }
    say(&format!("Sending magic packet to {target}:9 with {mac}"));
    let found = world
        .hosts
        .iter()
        .find(|(_, host)| host.mac.eq_ignore_ascii_case(mac));
    if let Some((name, _)) = found {
        Host::new(world, name).wake()?;
    }
    Ok(())
}
