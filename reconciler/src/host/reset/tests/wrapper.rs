use super::*;

#[tokio::test]
async fn each_host_is_judged_by_what_it_did_and_switched_off_whatever_that_was() {
    let mut room = Room::new(&[
        ("pc01", APPLIED),
        ("pc02", "echo 'Failed: sync'; exit 1"),
        (
            "pc03",
            &format!("echo 'Mounting ubuntu.qcow2 failed!'; {APPLIED}"),
        ),
        (
            "pc04",
            "echo 'ssh: connect to host pc04 port 2222: Connection refused' >&2; exit 255",
        ),
        ("pc05", "sleep 600"),
        ("pc06", APPLIED),
        ("pc07", APPLIED),
        ("pc08", APPLIED),
        ("pc09", APPLIED),
        ("pc10", "exit 2"),
        ("pc11", "true"),
        (
            "pc12",
            &format!(
                "{}; exit 0",
                APPLIED.replace("202611010800", "202610010800")
            ),
        ),
        ("pc13", "echo half; kill -9 $$"),
        ("pc14", "echo half; exit 137"),
    ]);
    room.config.reset.command_timeout = Duration::from_secs(8);
    room.write("net/pc06/dead", "");
    let port = room.config.reset.os_port.get();
    let _os = TcpListener::bind((Room::address(6), port)).unwrap();
    room.write("run/hosts/pc08.log", "of an earlier pass");
    let held = File::open(room.path("run/hosts/pc08.log")).unwrap();
    held.try_lock().unwrap();
    room.hosts[8].mac = None;
    room.check(&[
        ("pc01", "applied", "ubuntu.qcow2 of 202611010800"),
        ("pc02", "failed", "exit status 1"),
        (
            "pc03",
            "failed",
            "the image could not be mounted on the host",
        ),
        ("pc04", "unreachable", "Connection refused"),
        (
            "pc05",
            "unknown",
            "`sync:1` was still running after 8 seconds",
        ),
        (
            "pc06",
            "unreachable",
            "did not answer within 4 seconds (SSH: ssh: connect to host pc06",
        ),
        ("pc07", "in use", "refuses root's login by SSH"),
        (
            "pc08",
            "unknown",
            "a command of an earlier pass still runs on it",
        ),
        ("pc09", "unreachable", "no MAC address"),
        ("pc10", "failed", "exit status 2"),
        ("pc11", "unknown", "did not report"),
        ("pc12", "failed", "202610010800"),
        ("pc13", "unknown", "nothing shows"),
        ("pc14", "unknown", "nothing shows"),
    ])
    .await;
    let all = ["wake", "gui_ctl disable", "sync:1", "halt"];
    for host in [
        "pc01", "pc02", "pc03", "pc04", "pc05", "pc10", "pc11", "pc12", "pc13",
    ] {
        assert_eq!(room.calls_of(host), all, "{host}");
        assert!(
            !exists(&room.path(&format!("net/{host}/linbo"))),
            "{host} is off"
        );
        // What was ended may take a moment until its end is complete.
        for _ in 0..100 {
            if room.is_busy(host) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        assert!(!room.is_busy(host), "{host}");
    }
    assert_eq!(room.calls_of("pc06"), ["wake"]);
    assert_eq!(room.calls_of("pc07"), ["asked"]);
    for untouched in ["pc08", "pc09"] {
        assert!(room.calls_of(untouched).is_empty(), "{untouched}");
    }
}

#[tokio::test]
async fn hosts_wait_for_their_places_and_those_that_are_on_come_first() {
    let mut room = Room::new(&[("pc01", APPLIED), ("pc02", APPLIED), ("pc03", APPLIED)]);
    room.pace.on_at_once = 1;
    room.write("net/pc02/linbo", "");
    room.check(&[
        ("pc01", "applied", ""),
        ("pc02", "applied", ""),
        ("pc03", "applied", ""),
    ])
    .await;
    let calls = room.calls();
    let marks: Vec<_> = calls
        .iter()
        .filter(|call| call.ends_with("wake") || call.ends_with("halt"))
        .collect();
    assert_eq!(
        marks,
        [
            "pc02 halt",
            "pc01 wake",
            "pc01 halt",
            "pc03 wake",
            "pc03 halt"
        ]
    );
}

#[tokio::test]
async fn hosts_are_woken_at_their_pace_and_a_slow_one_blocks_none() {
    let until_others_are_off =
        format!("until grep -q 'pc03 .*halt' $root/calls; do sleep 0.05; done; {APPLIED}");
    let hosts = [
        ("pc01", until_others_are_off.as_str()),
        ("pc02", APPLIED),
        ("pc03", APPLIED),
    ];
    let mut room = Room::new(&hosts);
    room.pace.wake_per_minute = 60;
    let (_, told) = room.reset().await;
    let order: Vec<_> = told.iter().map(|(host, _)| host.as_str()).collect();
    assert_eq!(order, ["pc02", "pc03", "pc01"]);
    assert!(matches!(told[2].1, HostOutcome::Applied { .. }), "{told:?}");
    let wakes = std::fs::read_to_string(room.path("wakes")).unwrap();
    let wakes: Vec<i64> = wakes.lines().map(|at| at.parse().unwrap()).collect();
    assert_eq!(wakes.len(), 3);
    // Hundredths of a second between the first and the last; starting a program may take a while.
    let spread = wakes[2] - wakes[0];
    assert!(spread > 150, "{wakes:?}");
}

#[tokio::test]
async fn a_host_that_was_switched_on_while_it_waited_for_its_place_is_not_touched() {
    let wait = format!("until [ -e $root/go ]; do sleep 0.05; done; {APPLIED}");
    let mut room = Room::new(&[("pc01", &wait), ("pc02", APPLIED), ("pc03", APPLIED)]);
    room.pace.on_at_once = 1;
    room.write("net/pc01/linbo", "");
    room.write("net/pc03/linbo", "");
    let reset = room.check(&[
        ("pc01", "applied", ""),
        ("pc02", "in use", "refuses root's login"),
        ("pc03", "applied", ""),
    ]);
    let meanwhile = async {
        becomes("pc01 begins", || room.calls_of("pc01").len() > 1).await;
        let port = room.config.reset.os_port.get();
        let os = TcpListener::bind((Room::address(1), port)).unwrap();
        std::fs::remove_file(room.path("net/pc03/linbo")).unwrap();
        sleep(room.config.reset.poll * 3).await;
        room.write("go", "");
        os
    };
    let ((), _os) = tokio::join!(reset, meanwhile);
    assert_eq!(room.calls_of("pc02"), ["asked"]);
    assert_eq!(
        room.calls_of("pc03"),
        ["wake", "gui_ctl disable", "sync:1", "halt"]
    );
}

#[tokio::test]
async fn commands_go_on_when_the_reconciler_is_gone_and_the_next_pass_leaves_them_alone() {
    let wait = "touch $dir/begun; until [ -e $dir/go ]; do sleep 0.05; done; touch $dir/done";
    let room = Room::new(&[("pc01", wait)]);
    {
        let reset = room.reset();
        let begun = becomes("the sync begins", || exists(&room.path("net/pc01/begun")));
        tokio::select! {
            _ = reset => unreachable!("it waits"),
            () = begun => {}
        }
    }
    assert!(room.is_busy("pc01"));
    room.check(&[(
        "pc01",
        "unknown",
        "a command of an earlier pass still runs on it",
    )])
    .await;
    assert!(room.is_busy("pc01"), "a second look does not end it");
    assert!(!room.calls_of("pc01").contains(&"halt".to_owned()));
    room.write("net/pc01/go", "");
    becomes("the sync ends", || exists(&room.path("net/pc01/done"))).await;
    becomes("the lock is free", || !room.is_busy("pc01")).await;
}

#[tokio::test]
async fn several_systems_are_synced_in_turn_until_one_fails() {
    let mut room = Room::new(&[
        (
            "pc01",
            &format!(
                "{APPLIED}; {}",
                APPLIED.replace("ubuntu.qcow2", "win11.qdiff")
            ),
        ),
        ("pc02", &format!("{APPLIED}; [ $2 = sync:1 ]")),
        ("pc03", &format!("[ $2 = sync:2 ] || {APPLIED}")),
        (
            "pc04",
            &format!(
                "echo \"### $(date -u +%Y%m%d-%H%M%S) linbo_wrapper $2 ###\"; [ $2 = sync:1 ] && {APPLIED} || {{ echo 'Mounting /dev/nbd0 failed!'; false; }}"
            ),
        ),
    ]);
    room.images.push("win11".parse().unwrap());
    let stamped = (
        "win11.qdiff".parse().unwrap(),
        "202611010800".parse().unwrap(),
    );
    room.expected.insert("win11".parse().unwrap(), stamped);
    room.commands = "sync:1,sync:2,label".parse().unwrap();
    room.check(&[
        ("pc01", "applied", "win11.qdiff"),
        ("pc02", "failed", "exit status 1"),
        ("pc03", "unknown", "did not report"),
        (
            "pc04",
            "failed",
            "mounted on the host (but ubuntu.qcow2 of 202611010800 was applied)",
        ),
    ])
    .await;
    let calls = |host| room.calls_of(host);
    let whole = [
        "wake",
        "gui_ctl disable",
        "sync:1",
        "sync:2",
        "label",
        "gui_ctl restore",
    ];
    assert_eq!(calls("pc01"), whole);
    assert_eq!(
        calls("pc02"),
        [
            "wake",
            "gui_ctl disable",
            "sync:1",
            "sync:2",
            "gui_ctl restore"
        ]
    );
}

#[tokio::test]
async fn the_status_file_counts_only_when_it_is_of_this_run() {
    let status = |stamp: &str| {
        format!(
            "echo \"{stamp} applied: ubuntu.qcow2 \\\"202611010800\\\"\" > $root/log/$host\"_image.status\""
        )
    };
    let room = Room::new(&[
        ("pc01", &status("$(date -u +%Y%m%d%H%M)")),
        ("pc02", &status("202601010000")),
    ]);
    room.check(&[
        ("pc01", "applied", ""),
        ("pc02", "unknown", "did not report"),
    ])
    .await;
}

#[tokio::test]
async fn what_concerns_all_hosts_fails_the_step_and_lets_those_that_were_begun_finish() {
    let mut room = Room::new(&[("pc01", APPLIED), ("pc02", APPLIED)]);
    room.write("net/pc01/linbo", "");
    room.config.commands.wakeonlan = room.path("nowhere");
    let (result, told) = room.reset().await;
    assert!(reason(result).contains("setting commands.wakeonlan"));
    assert_eq!(told.len(), 1);
    assert!(
        matches!(&told[0], (host, HostOutcome::Applied { .. }) if host == "pc01"),
        "{told:?}"
    );
    assert_eq!(room.calls_of("pc01").last().unwrap(), "halt");

    room.config.commands.ssh = room.path("nowhere");
    assert!(reason(room.reset().await.0).contains("setting commands.ssh"));
    std::fs::remove_dir_all(room.path("run")).unwrap();
    room.write("run", "a file");
    assert!(reason(room.reset().await.0).contains("run/hosts cannot be made"));
}

#[tokio::test]
async fn a_host_that_comes_up_with_its_operating_system_is_left_alone() {
    let room = Room::new(&[("pc01", APPLIED)]);
    let port = room.config.reset.os_port.get();
    room.write("net/pc01/dead", "");
    let reset = room.check(&[("pc01", "unreachable", "answers instead of LINBO")]);
    let boots = async {
        becomes("it is woken", || !room.calls_of("pc01").is_empty()).await;
        TcpListener::bind((Room::address(0), port)).unwrap()
    };
    let ((), _os) = tokio::join!(reset, boots);
    assert_eq!(room.calls_of("pc01"), ["wake"]);
}

#[tokio::test]
async fn linux_is_restarted_only_when_nobody_is_logged_in_and_windows_never() {
    const NOBODY: &str = "echo 'c1 128 gdm seat0 tty1'; echo reconcile:end";
    const SOMEBODY: &str = "echo '3 1047 somebody seat0 tty2'; echo reconcile:end";
    let hosts = ["pc01", "pc02", "pc03", "pc04", "pc05", "pc06"].map(|host| (host, APPLIED));
    let mut room = Room::new(&hosts);
    let port = room.config.reset.os_port.get();
    let mut up = vec![TcpListener::bind((Room::address(4), 0)).unwrap()];
    let windows = up[0].local_addr().unwrap().port();
    room.config.reset.windows_port = NonZeroU16::new(windows).unwrap();
    for (index, os) in [NOBODY, SOMEBODY, "echo Hello", "exit 255"]
        .iter()
        .enumerate()
    {
        up.push(TcpListener::bind((Room::address(index), port)).unwrap());
        room.write(&format!("net/pc{:02}/os", index + 1), os);
    }
    up.push(TcpListener::bind((Room::address(5), port)).unwrap());
    room.write("net/pc06/os", NOBODY);
    room.write("net/pc06/stays", "");
    room.check(&[
        ("pc01", "applied", ""),
        ("pc02", "in use", "somebody is logged in"),
        ("pc03", "in use", "no readable answer"),
        ("pc04", "in use", "refuses root's login"),
        ("pc05", "in use", "Windows is up"),
        ("pc06", "unreachable", "still answers instead of LINBO"),
    ])
    .await;
    let all = ["asked", "reboot", "gui_ctl disable", "sync:1", "halt"];
    assert_eq!(room.calls_of("pc01"), all);
    for host in ["pc02", "pc03", "pc04"] {
        assert_eq!(room.calls_of(host), ["asked"], "{host}");
    }
    assert!(room.calls_of("pc05").is_empty());
    let said = std::fs::read_dir(room.path("run/hosts")).unwrap();
    for file in said.flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(
            !text.contains("somebody"),
            "who is logged in is nobody's business"
        );
    }

    // From its time on, whoever is logged in has had time enough.
    room.hosts.retain(|wake| wake.host.as_str() == "pc02");
    room.force_from = Some(crate::host::clock() + jiff::SignedDuration::from_hours(1));
    room.check(&[("pc02", "in use", "somebody is logged in")])
        .await;
    room.force_from = Some(crate::host::clock());
    room.check(&[("pc02", "applied", "")]).await;
    let calls = room.calls_of("pc02");
    assert_eq!(calls[calls.len() - 4..], all[1..]);
}

#[tokio::test]
async fn a_session_that_was_begun_meanwhile_gets_no_command_between_its_own() {
    let room = Room::new(&[("pc01", APPLIED), ("pc02", APPLIED)]);
    room.write("sessions", "other\npc01_linbo-remote\n");
    room.check(&[
        (
            "pc01",
            "unknown",
            "a session of linbo-remote is already there",
        ),
        ("pc02", "applied", ""),
    ])
    .await;
    assert_eq!(room.calls_of("pc01"), ["wake"]);
    // What cannot be found out is no permission.
    let mut room = Room::new(&[("pc01", APPLIED)]);
    room.config.commands.tmux = room.path("nowhere");
    room.check(&[(
        "pc01",
        "unknown",
        "it could not be found out whether a session",
    )])
    .await;
    assert_eq!(room.calls_of("pc01"), ["wake"]);
}

#[tokio::test]
async fn the_cache_is_filled_before_the_sync_or_nothing_is_synced() {
    let fails = "[ $2 != initcache ] || exit 1";
    let mut room = Room::new(&[("pc01", APPLIED), ("pc02", fails)]);
    room.commands = "initcache,sync:1,halt".parse().unwrap();
    room.check(&[("pc01", "applied", ""), ("pc02", "failed", "exit status 1")])
        .await;
    let begin = ["wake", "gui_ctl disable", "initcache"];
    assert_eq!(
        room.calls_of("pc01"),
        [&begin[..], &["sync:1", "halt"]].concat()
    );
    assert_eq!(room.calls_of("pc02"), [&begin[..], &["halt"]].concat());
}

#[tokio::test]
async fn rooms_that_are_reset_side_by_side_share_their_circuits() {
    let room = Room::new(&[("pc01", APPLIED), ("pc02", APPLIED), ("pc03", APPLIED)]);
    let bound = |on_at_once| Pace {
        wake_per_minute: u32::MAX,
        on_at_once,
    };
    let reset = async |name: &str, hosts: &[Wake]| {
        let own = Circuit::Room(name.parse().unwrap());
        let reset = RoomReset {
            room: &name.parse().unwrap(),
            hosts,
            commands: &room.commands,
            whole_room: false,
            images: &room.images,
            circuits: &[(Circuit::School, bound(1)), (own, bound(9))],
            force_from: None,
            expected: &room.expected,
        };
        let mut tell = |_| {};
        let circuits = &room.circuits;
        reset_room(&room.config, circuits, &TimeZone::UTC, &reset, &mut tell).await
    };
    let (one, two) = tokio::join!(reset("r1", &room.hosts[..2]), reset("r2", &room.hosts[2..]));
    assert!(one.is_ok() && two.is_ok());
    let calls = room.calls();
    let marks = calls
        .iter()
        .filter_map(|call| call.split(' ').nth(1))
        .filter(|call| matches!(*call, "wake" | "halt"));
    let marks: Vec<_> = marks.collect();
    assert_eq!(marks, ["wake", "halt"].repeat(3), "{calls:?}");
}

/// The same over OpenSSH itself, whose arguments, exit status and endurance the stand-in only guesses.
#[tokio::test]
async fn openssh_passes_commands_and_their_exit_status() {
    use std::process::Command as Tool;

    let sshd = Path::new("/usr/sbin/sshd");
    assert!(exists(sshd), "install openssh-server");
    // Made by the unit of sshd, which does not run here.
    std::fs::create_dir_all("/run/sshd").unwrap();
    let wait = "until [ -e $root/go ]; do sleep 0.05; done; exit 1";
    let mut room = Room::new(&[("pc01", APPLIED), ("pc02", "exit 1"), ("pc03", wait)]);
    for key in ["host_key", "key"] {
        let mut keygen = Tool::new("ssh-keygen");
        keygen
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(room.path(key));
        assert!(keygen.status().unwrap().success());
    }
    let at = |name: &str| room.path(name).display().to_string();
    // What answers is the stand-in for a client, by the name that the user of the key asks for.
    let client = SSH
        .lines()
        .filter(|line| !line.contains("shift"))
        .collect::<Vec<_>>()
        .join("\n");
    room.program(
        "client",
        &format!("host=$1\nset -- $SSH_ORIGINAL_COMMAND\n{client}"),
    );
    for host in ["pc01", "pc02", "pc03"] {
        let (key, keys, client) = (at("host_key"), at("key.pub"), at("client"));
        let config = format!(
            "HostKey {key}\nAuthorizedKeysFile {keys}\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin yes\nSetEnv HOME=/nowhere\nForceCommand {client} {host}\n"
        );
        room.write(&format!("sshd_{host}"), &config);
        room.write(&format!("net/{host}/linbo"), "");
    }
    let config = format!(
        "Host *\n ProxyCommand {} -i -f {} 2>/dev/null\n IdentityFile {}\n IdentitiesOnly yes\n\
         StrictHostKeyChecking no\n UserKnownHostsFile {}\n LogLevel ERROR\n",
        sshd.display(),
        at("sshd_%h"),
        at("key"),
        at("known")
    );
    room.write("ssh_config", &config);
    room.config.paths.ssh_config = room.path("ssh_config");
    room.config.commands.ssh = "ssh".into();
    let waits = || room.calls_of("pc03").contains(&"sync:1".to_owned());
    tokio::select! {
        _ = room.reset() => unreachable!("pc03 waits"),
        () = becomes("all were begun", || waits() && room.calls_of("pc02").contains(&"halt".to_owned())) => {}
    }
    becomes("pc01 ends", || !room.is_busy("pc01")).await;
    assert!(room.is_busy("pc03"));
    room.write("go", "");
    becomes("the lock is free", || !room.is_busy("pc03")).await;
    for host in ["pc01", "pc02"] {
        room.write(&format!("net/{host}/linbo"), "");
    }
    room.check(&[
        ("pc01", "applied", "ubuntu.qcow2 of 202611010800"),
        ("pc02", "failed", "exit status 1"),
        ("pc03", "failed", "exit status 1"),
    ])
    .await;
}
