#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const OFFLINE: &str = "###
### linbo-remote (11145) start: Sun Nov 22 19:48:55 UTC 2026
###

Trying to wake up:
 pc01 ... Sending magic packet to 255.255.255.255:9 with 52:54:00:00:00:0B
   .
 pc02 ... Sending magic packet to 255.255.255.255:9 with 52:54:00:00:00:0C
   .
 pc04 ... - is no valid mac address!

Waiting 2 second(s) for client(s) to boot ..

Sending command(s) to:
 pc01 ... Started with PID 11435
11438. Log see /var/log/linuxmuster/linbo/pc01.linbo-remote.
 pc02 ... Not online, host skipped.
 pc03 ... Started with PID 8224. Log see /var/log/linuxmuster/linbo/pc03.linbo-remote.
 pc04 ... Not online, host skipped.
 pc05 ... Started with PID unknown. Log see /var/log/linuxmuster/linbo/pc05.linbo-remote.
 pc06 ... what nobody expected

###
### linbo-remote (11145) end: Sun Nov 22 19:49:01 UTC 2026
###
";

fn expected() -> BTreeMap<HostName, Launch> {
    [
        (
            "pc01",
            Launch::Started {
                pids: vec![11435, 11438],
            },
        ),
        ("pc02", Launch::NotOnline),
        ("pc03", Launch::Started { pids: vec![8224] }),
        ("pc04", Launch::InvalidMac),
        ("pc05", Launch::Started { pids: Vec::new() }),
        (
            "pc06",
            Launch::Unrecognised {
                line: "what nobody expected".to_owned(),
            },
        ),
    ]
    .into_iter()
    .map(|(host, launch)| (host.parse().unwrap(), launch))
    .collect()
}

#[test]
fn each_host_has_what_was_said_of_it() {
    for text in [OFFLINE.to_owned(), OFFLINE.replace('\n', "\r\n")] {
        let launches = Launches::parse(text.as_bytes());
        assert_eq!(launches.hosts, expected());
        assert!(launches.finished);
        assert_eq!(launches.refused, None);
    }
}

#[test]
fn a_run_that_was_cut_is_not_finished() {
    let cut = OFFLINE.find(" pc02 ... Not").unwrap();
    let launches = Launches::parse(&OFFLINE.as_bytes()[..cut]);
    assert!(!launches.finished);
    assert_eq!(
        launches.hosts.len(),
        2,
        "pc01 was begun, pc04 has no MAC address"
    );
}

#[test]
fn a_usage_error_has_its_reason_in_the_last_line() {
    let launches = Launches::parse(
        b"Usage: linbo-remote <options>\n -r <room>\n\nNo hosts in room nosuchroom!\n",
    );
    assert_eq!(
        launches.refused.as_deref(),
        Some("No hosts in room nosuchroom!")
    );
    assert!(launches.hosts.is_empty());
    assert_eq!(Launches::parse(b""), Launches::default());
}

#[test]
fn a_host_without_pxe_is_named() {
    let launches =
        Launches::parse(b"Skipping pc09, not a pxe host!\nUsage\nNo valid hosts in list!\n");
    assert_eq!(launches.hosts.get("pc09"), Some(&Launch::NotAPxeHost));
    assert_eq!(launches.refused.as_deref(), Some("No valid hosts in list!"));
}

#[test]
fn sessions_are_named_as_tmux_names_them() {
    assert_eq!(
        session_name(&"r101-pc01".parse().unwrap()),
        "r101-pc01_linbo-remote"
    );
    assert_eq!(
        torrent_session_name(&"ubuntu.qcow2".parse().unwrap()),
        "ubuntu_qcow2_torrent"
    );
    let listed = b"pc01_linbo-remote: 1 windows (created Sun Nov 22 19:47:36 2026)\npc02_linbo-remote\r\n\
        ubuntu_qcow2_torrent: 1 windows (created Sun Nov 22)\nno server running on /tmp/tmux-0/default\n_linbo-remote\n";
    let busy: Vec<String> = sessions(listed)
        .iter()
        .filter_map(|name| busy_host(name))
        .map(|host| host.to_string())
        .collect();
    assert_eq!(busy, ["pc01", "pc02"]);
    assert!(sessions(listed).contains("ubuntu_qcow2_torrent"));
    assert!(!sessions(listed).iter().any(|name| name.contains(' ')));
}
