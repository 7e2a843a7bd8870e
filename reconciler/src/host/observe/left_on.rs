//! Hosts that are still on in LINBO after what this server began there.
//!
//! Only those are asked that the journal names, and SSH only where a port answers, so that a look is short
//! also when many hosts of an evening did not answer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::SignedDuration;
use schema::name::HostName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Config;
use crate::host::reset::is_in_linbo;
use crate::linbo::devices::Devices;
use crate::planning::Probe;

/// For how long after a try a host that is on is taken for one that was left on.
pub(super) const LATE: SignedDuration = SignedDuration::from_hours(2);
/// How long a host may take to accept a connection.
const CONNECT: Duration = Duration::from_millis(500);
/// How many hosts are asked together.
const AT_ONCE: usize = 64;

/// Those of the hosts on which LINBO answers. A host without an address in `devices.csv` is not asked.
pub(super) async fn look(
    config: &Config,
    hosts: BTreeSet<HostName>,
    devices: Option<&Devices>,
) -> Probe<BTreeSet<HostName>> {
    let port = config.reset.linbo_port.get();
    let asked = hosts.into_iter().filter_map(|host| {
        let address = devices?.get(&host)?.ip?;
        Some((host, SocketAddr::from((address, port))))
    });
    let asked: Vec<_> = asked.collect();
    let answers = stream::iter(asked).map(async |(host, address)| {
        let answers = timeout(CONNECT, TcpStream::connect(address)).await;
        if !matches!(answers, Ok(Ok(_))) {
            return Ok(None);
        }
        let is_up = is_in_linbo(config, &host).await;
        is_up.map(|is_up| is_up.then_some(host))
    });
    let mut left_on = BTreeSet::new();
    let mut answers = answers.buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(host) => left_on.extend(host),
            Err(error) => return Probe::Unseen(format!("cannot ask hosts: {error:#}")),
        }
    }
    Probe::Seen(left_on)
}
