//! Virtual machines: by the API of a Proxmox that has the real one's schema and wording, and by `qm`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use harness::pve::Pve;
use reconciler::config::{Commands, Proxmox, parse};
use reconciler::host::vm::{Hypervisor, Machine, Power, VmError};
use schema::device::VmId;
use serde_json::json;

const SHORT: Duration = Duration::from_millis(20);

fn id(number: u32) -> VmId {
    number.to_string().parse().unwrap()
}

/// Settings with this under `proxmox`.
fn settings(proxmox: &str) -> Proxmox {
    let text = format!(
        "server: bs-nord\nrepo: {{ url: \"file:///srv/fleet\" }}\nproxmox: {{ {proxmox} }}\n"
    );
    parse("reconciler.yaml", &text, None)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .proxmox
        .unwrap()
}

fn hypervisor(pve: &Pve, trust: &str) -> Hypervisor {
    let text = format!(
        "url: \"{}\", token_file: \"{}\"{trust}",
        pve.url,
        pve.token_file.display()
    );
    Hypervisor::new(&settings(&text), &Commands::default())
        .unwrap()
        .looking_every(SHORT)
}

fn by_ca(pve: &Pve) -> Hypervisor {
    hypervisor(pve, &format!(", ca: \"{}\"", pve.ca.display()))
}

async fn start(hypervisor: &Hypervisor, number: u32) -> Result<(), VmError> {
    hypervisor.managed(id(number)).await?.start().await
}

async fn shut_down(hypervisor: &Hypervisor, number: u32) -> Result<(), VmError> {
    let machine = hypervisor.managed(id(number)).await?;
    machine.shut_down(Duration::from_secs(3)).await
}

fn says<T: std::fmt::Debug>(result: Result<T, VmError>, wanted: &str) -> VmError {
    let error = result.unwrap_err();
    assert!(error.to_string().contains(wanted), "{error}");
    error
}

#[tokio::test]
async fn a_machine_starts_and_ends_once_however_often_it_is_asked() {
    let mut pve = Pve::start(0.01).unwrap();
    let hypervisor = by_ca(&pve);
    let found = hypervisor.look(id(2001)).await.unwrap();
    let wanted = Machine {
        id: id(2001),
        name: "rebrand-vm".parse().ok(),
        power: Power::Off,
        lock: None,
        is_tagged: true,
    };
    assert_eq!(found, wanted);
    pve.asked().unwrap();
    for _ in 0..2 {
        start(&hypervisor, 2001).await.unwrap();
        assert_eq!(pve.set(2001, &json!({})).unwrap(), "running");
    }
    for _ in 0..2 {
        shut_down(&hypervisor, 2001).await.unwrap();
        assert_eq!(pve.set(2001, &json!({})).unwrap(), "stopped");
    }
    let orders = pve.asked().unwrap();
    let orders: Vec<_> = orders
        .iter()
        .filter(|line| line.starts_with("POST"))
        .collect();
    let of = "POST /api2/json/nodes/pve2/qemu/2001/status";
    assert_eq!(orders, [&format!("{of}/start"), &format!("{of}/shutdown")]);
}

/// Trap: a typo in a number.
#[tokio::test]
async fn a_machine_without_the_tag_is_never_touched() {
    let mut pve = Pve::start(0.0).unwrap();
    let hypervisor = by_ca(&pve);
    for order in [
        start(&hypervisor, 100).await,
        shut_down(&hypervisor, 100).await,
    ] {
        says(order, "VM 100 (server) at https://127.0.0.1:");
    }
    says(start(&hypervisor, 101).await, "there is no VM 101 at");
    let orders = pve.asked().unwrap();
    assert!(
        !orders.iter().any(|line| line.starts_with("POST")),
        "{orders:?}"
    );
    assert_eq!(pve.set(100, &json!({})).unwrap(), "running");
    // The tag is looked at anew each time.
    pve.set(
        2001,
        &json!({ "config": { "tags": "reconciled;x-reconcile" } }),
    )
    .unwrap();
    says(start(&hypervisor, 2001).await, "add the tag `reconcile`");
}

#[tokio::test]
async fn a_lock_is_respected_and_told_apart() {
    let mut pve = Pve::start(0.01).unwrap();
    let hypervisor = by_ca(&pve);
    pve.set(2001, &json!({ "lock": "backup" })).unwrap();
    let error = says(start(&hypervisor, 2001).await, "VM is locked (backup)");
    assert!(error.is_passing(), "{error:?}");
    pve.set(2001, &json!({ "lock": null })).unwrap();
    // Another one holds the file of its configuration: the task ends with an error ten seconds of Proxmox later.
    pve.set(2001, &json!({ "lock_holder": "somebody" }))
        .unwrap();
    let error = says(start(&hypervisor, 2001).await, "got timeout");
    assert!(error.is_passing(), "{error:?}");
    pve.set(2001, &json!({ "lock_holder": null })).unwrap();
    start(&hypervisor, 2001).await.unwrap();
}

#[tokio::test]
async fn a_task_is_believed_when_it_has_ended_well_and_not_before() {
    let mut pve = Pve::start(0.01).unwrap();
    let hypervisor = by_ca(&pve);
    pve.set(
        2001,
        &json!({ "start_error": "start failed: no such disk" }),
    )
    .unwrap();
    let error = says(
        start(&hypervisor, 2001).await,
        "could not start VM 2001: start failed",
    );
    assert!(!error.is_passing(), "{error:?}");
    pve.set(2001, &json!({ "start_error": null, "start_secs": 30 }))
        .unwrap();
    start(&hypervisor, 2001).await.unwrap();
    // A guest that knows no ACPI, as LINBO may not.
    pve.set(2001, &json!({ "acpi": false })).unwrap();
    says(shut_down(&hypervisor, 2001).await, "got timeout");
    assert_eq!(pve.set(2001, &json!({})).unwrap(), "running");
    hypervisor
        .managed(id(2001))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    assert_eq!(pve.set(2001, &json!({})).unwrap(), "stopped");
    // Under high availability the task ends before anything has happened.
    pve.set(2001, &json!({ "ha_state": "stopped" })).unwrap();
    start(&hypervisor, 2001).await.unwrap();
    assert_eq!(pve.set(2001, &json!({})).unwrap(), "running");
}

#[tokio::test]
async fn what_is_refused_says_what_to_do() {
    let mut pve = Pve::start(0.0).unwrap();
    let hypervisor = by_ca(&pve);
    let boot = "/nodes/pve2/qemu/2001/status/start";
    for (status, why, wanted) in [
        (500, "cluster not ready - no quorum?", "no quorum"),
        (
            403,
            "Permission check failed (/vms/2001, VM.PowerMgmt)",
            "needs VM.Audit and VM.PowerMgmt",
        ),
        (401, "authentication failure", "proxmox.token_file"),
        (595, "No route to host", "cannot be reached"),
    ] {
        pve.call("fail", &json!(["POST", boot, status, why]))
            .unwrap();
        says(start(&hypervisor, 2001).await, wanted);
    }
    pve.call("fail", &json!(["POST", boot, 502, "Bad Gateway", true]))
        .unwrap();
    says(start(&hypervisor, 2001).await, "Bad Gateway");
    pve.call(
        "fail",
        &json!(["GET", "/cluster/resources", 200, "not JSON", true]),
    )
    .unwrap();
    says(
        start(&hypervisor, 2001).await,
        "said something that is not understood",
    );
    let text = fs::read_to_string(&pve.token_file).unwrap();
    fs::write(&pve.token_file, text.replace("0f3a", "0f3b")).unwrap();
    let error = says(
        by_ca(&pve).look(id(2001)).await,
        "is the token in proxmox.token_file whole",
    );
    assert!(!format!("{error:?}").contains("0f3b"), "{error:?}");
}

#[tokio::test]
async fn who_it_is_not_is_not_asked() {
    let mut pve = Pve::start(0.0).unwrap();
    let pinned = |fingerprint: &str| hypervisor(&pve, &format!(", fingerprint: \"{fingerprint}\""));
    let right = pinned(&pve.fingerprint);
    let wrong = pinned(&"AB:".repeat(32)[..95]);
    let system = hypervisor(&pve, "");
    right.look(id(2001)).await.unwrap();
    pve.asked().unwrap();
    for stranger in [wrong, system] {
        let error = says(stranger.look(id(2001)).await, "cannot be reached");
        assert!(
            error.to_string().to_lowercase().contains("certificate"),
            "{error}"
        );
    }
    assert_eq!(pve.asked().unwrap(), [""; 0]);
}

/// `qm` as it answers on a node, on a folder in place of its machines.
const QM: &str = r#"#!/bin/sh
echo "$@" >>"$0.asked"
conf="$0.$2"
[ -e "$conf" ] || { echo "Configuration file 'nodes/pve1/qemu-server/$2.conf' does not exist" >&2; exit 2; }
case "$1" in
status) echo "status: $(sed -n 's/^#status //p' "$conf")" ;;
config) grep -v '^#' "$conf" ;;
start | stop | shutdown)
    if grep -q '^lock:' "$conf"; then echo "VM is locked ($(sed -n 's/^lock: //p' "$conf"))" >&2; exit 255; fi
    if [ -e "$0.fails" ]; then cat "$0.fails" >&2; exit 255; fi
    case "$1" in start) to=running ;; *) to=stopped ;; esac
    sed -i "s/^#status .*/#status $to/" "$conf" ;;
esac
"#;

fn shim(folder: &Path) -> Commands {
    let qm = folder.join("qm");
    fs::write(&qm, QM).unwrap();
    fs::set_permissions(&qm, fs::Permissions::from_mode(0o755)).unwrap();
    let conf = "#status stopped\nname: rebrand-vm\ntags: linux;reconcile\nsnapshots\n[before]\ntags: other\n";
    fs::write(folder.join("qm.2001"), conf).unwrap();
    fs::write(folder.join("qm.100"), "#status running\nname: server\n").unwrap();
    Commands {
        qm,
        ..Commands::default()
    }
}

#[tokio::test]
async fn qm_is_asked_for_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let commands = shim(folder.path());
    let hypervisor = Hypervisor::new(&settings("qm: local"), &commands).unwrap();
    let hypervisor = hypervisor.looking_every(SHORT);
    for _ in 0..2 {
        start(&hypervisor, 2001).await.unwrap();
    }
    assert_eq!(hypervisor.look(id(2001)).await.unwrap().power, Power::On);
    shut_down(&hypervisor, 2001).await.unwrap();
    says(
        start(&hypervisor, 100).await,
        "VM 100 (server) at qm on this machine is not ours",
    );
    says(start(&hypervisor, 101).await, "there is no VM 101 at qm");
    let asked = fs::read_to_string(folder.path().join("qm.asked")).unwrap();
    let orders: Vec<_> = asked
        .lines()
        .filter(|line| !line.starts_with("status") && !line.starts_with("config"))
        .collect();
    assert_eq!(orders, ["start 2001", "shutdown 2001 --timeout 3"]);

    fs::write(
        folder.path().join("qm.fails"),
        "can't lock file '/var/lock/qemu-server/lock-2001.conf' - got timeout\n",
    )
    .unwrap();
    assert!(says(start(&hypervisor, 2001).await, "got timeout").is_passing());
    fs::write(
        folder.path().join("qm.fails"),
        "start failed: QEMU exited with code 1\n",
    )
    .unwrap();
    assert!(!says(start(&hypervisor, 2001).await, "could not start VM 2001").is_passing());
    let conf = folder.path().join("qm.2001");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("lock: backup\n{text}")).unwrap();
    assert!(says(start(&hypervisor, 2001).await, "locked (backup)").is_passing());
}

#[test]
fn what_is_wrong_with_the_settings_is_said() {
    let wrong = |proxmox: &str, wanted: &str| {
        let text = format!(
            "server: bs-nord\nrepo: {{ url: \"file:///srv/fleet\" }}\nproxmox: {{ {proxmox} }}\n"
        );
        let errors = parse("reconciler.yaml", &text, None).unwrap_err();
        assert!(errors.to_string().contains(wanted), "{errors}");
    };
    let token = "token_file: /etc/token";
    wrong("", "it is not said how to reach Proxmox");
    wrong(
        "url: \"https://pve\"",
        "it is not said how to reach Proxmox",
    );
    wrong(
        &format!("url: \"http://pve\", {token}"),
        "is no address of Proxmox",
    );
    wrong(
        &format!("url: \"https://pve/x?y\", {token}"),
        "is no address of Proxmox",
    );
    wrong(
        &format!("url: \"https://root:x@pve\", {token}"),
        "is no address of Proxmox",
    );
    wrong(
        &format!(
            "url: \"https://pve\", {token}, ca: /ca, fingerprint: \"{}\"",
            "AB".repeat(32)
        ),
        "judged twice",
    );
    wrong(
        &format!("url: \"https://pve\", {token}, fingerprint: \"AB:CD\""),
        "no SHA-256 fingerprint",
    );
    wrong("qm: \"-oProxyCommand=x\"", "is no place of qm");
    wrong("qm: \"root@-x\"", "is no place of qm");
    wrong(&format!("qm: local, {token}"), "`qm` needs no API");
    for right in [
        "url: \"https://pve/\", token_file: /t",
        "qm: root@pve1.example.org",
    ] {
        settings(right);
    }
}
