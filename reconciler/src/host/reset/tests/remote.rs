use std::process::{Command as Tool, Stdio};

use super::*;

/// As LINBO's, in what it prints, leaves behind and returns.
const LINBO_REMOTE: &str = r####"
export TMUX_TMPDIR=$root
echo "$*" >> $root/asked
[ -e $root/slow ] && { touch $root/launching; until [ -e $root/go ]; do sleep 0.05; done; }
case $1 in
-r) [ "$2" = r101 ] && hosts=$(ls $root/net) ;;
-i) hosts=$(echo "$2" | tr , ' ') ;;
esac
if [ -e $root/refuse ]; then
  printf 'Usage: linbo-remote <options>\n\nNo hosts in room %s!\n' "$2"
  exit 1
fi
printf '###\n### linbo-remote (%s) start: %s\n###\n\nTrying to wake up:\n' $$ "$(date)"
for host in $hosts; do
  echo " $host ... Sending magic packet to 255.255.255.255:9 with $(cat $root/net/$host/mac)"
  [ -e $root/net/$host/dead ] || touch $root/net/$host/linbo
done
printf '\nWaiting %s second(s) for client(s) to boot ..\n\nSending command(s) to:\n' "$6"
for host in $hosts; do
  dir=$root/net/$host
  [ -e $dir/linbo ] || { echo " $host ... Not online, host skipped."; continue; }
  log=$root/log/$host.linbo-remote
  cat > $dir/session <<EOS
sleep 0.3
root=$root host=$host dir=$dir
head() { echo "### \$(date -u +%Y%m%d-%H%M%S) \$* ###"; }
head gui_ctl disable
head linbo_wrapper sync:1
if (. $dir/run); then head linbo_wrapper halt; rm $dir/linbo; else head gui_ctl restore; fi
sleep 0.3
EOS
  [ -e $dir/mute ] && echo true > $dir/session
  if [ -e $dir/mute ]; then tmux new -Ads $host.linbo-remote sh $dir/session
  else tmux new -Ads $host.linbo-remote sh $dir/session \; pipe-pane "cat > $log"; fi
  echo " $host ... Started with PID 7599
7602. Log see $log."
done
printf '\n###\n### linbo-remote (%s) end: %s\n###\n' $$ "$(date)"
"####;

/// A room with tmux of its own, whose server ends with it.
struct Remote(Room);

impl Remote {
    fn new(hosts: &[(&str, &str)]) -> Self {
        let mut room = Room::new(hosts);
        room.config.reset.driver = Driver::LinboRemote;
        // It waits out all of it.
        room.config.reset.boot_timeout = Duration::from_millis(1500);
        room.program("linbo-remote", LINBO_REMOTE);
        room.program("tmux", "export TMUX_TMPDIR=$root\nexec tmux \"$@\"\n");
        Self(room)
    }

    fn tmux(&self, arguments: &[&str]) -> bool {
        let mut tmux = Tool::new(self.0.path("tmux"));
        let quiet = tmux
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        quiet.status().unwrap().success()
    }

    fn asked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.path("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[tokio::test]
async fn each_host_is_judged_by_its_log_of_this_run() {
    let mut remote = Remote::new(&[
        ("pc01", APPLIED),
        ("pc02", "echo 'Failed: sync'; false"),
        (
            "pc03",
            &format!("echo 'Mounting ubuntu.qcow2 failed!'; {APPLIED}"),
        ),
        ("pc04", "sleep 600"),
        ("pc05", APPLIED),
        ("pc06", APPLIED),
        ("pc07", APPLIED),
        ("pc08", "true"),
    ]);
    let room = &mut remote.0;
    room.config.reset.command_timeout = Duration::from_secs(4);
    room.write("net/pc05/dead", "");
    room.write("net/pc06/dead", "");
    let port = room.config.reset.os_port.get();
    let _os = TcpListener::bind((Room::address(5), port)).unwrap();
    room.write("net/pc07/mute", "");
    let old = "### 20261122-194737 linbo_wrapper sync:1 ###\r\n202611221947 applied: ubuntu.qcow2 \"202611010800\"\r\n### 20261122-194742 linbo_wrapper halt ###\r\n";
    room.write("log/pc07.linbo-remote", old);
    room.check(&[
        ("pc01", "applied", "ubuntu.qcow2 of 202611010800"),
        ("pc02", "failed", "`sync:1` failed"),
        (
            "pc03",
            "failed",
            "the image could not be mounted on the host",
        ),
        (
            "pc04",
            "unknown",
            "its session was still there after 4 seconds",
        ),
        ("pc05", "unreachable", "not online"),
        ("pc06", "in use", "refuses root's login by SSH"),
        ("pc07", "unknown", "ended without a log"),
        ("pc08", "unknown", ""),
    ])
    .await;
    let all = "pc01,pc02,pc03,pc04,pc05,pc07,pc08";
    assert_eq!(
        remote.asked(),
        [format!("-i {all} -b 1 -w 1 -c sync:1,halt")]
    );
    for (host, halts) in [
        ("pc01", 0),
        ("pc02", 1),
        ("pc03", 0),
        ("pc04", 1),
        ("pc05", 0),
        ("pc07", 1),
    ] {
        assert_eq!(remote.0.calls_of(host), vec!["halt"; halts], "{host}");
    }
    assert!(
        !remote.tmux(&["has-session", "-t", "=pc04_linbo-remote"]),
        "it was ended"
    );
}

#[tokio::test]
async fn hosts_with_a_session_are_not_handed_over_and_the_rest_comes_in_batches() {
    let hosts = ["pc01", "pc02", "pc03", "pc04", "pc05"].map(|host| (host, APPLIED));
    let mut remote = Remote::new(&hosts);
    assert!(remote.tmux(&["new", "-ds", "pc02_linbo-remote", "sleep", "600"]));
    let room = &mut remote.0;
    room.write("run/hosts/pc05.log", "");
    let held = File::open(room.path("run/hosts/pc05.log")).unwrap();
    held.try_lock().unwrap();
    // Two of the four places belong to those on which something runs already.
    room.pace = Pace {
        wake_per_minute: 7,
        on_at_once: 4,
    };
    room.check(&[
        ("pc01", "applied", ""),
        (
            "pc02",
            "unknown",
            "a session of linbo-remote is already there",
        ),
        ("pc03", "applied", ""),
        ("pc04", "applied", ""),
        (
            "pc05",
            "unknown",
            "a command of an earlier pass still runs on it",
        ),
    ])
    .await;
    let batches = [
        "-i pc01,pc03 -b 9 -w 1 -c sync:1,halt",
        "-i pc04 -b 9 -w 1 -c sync:1,halt",
    ];
    assert_eq!(remote.asked(), batches);
    assert!(
        remote.tmux(&["has-session", "-t", "=pc02_linbo-remote"]),
        "not ours to end"
    );
}

#[tokio::test]
async fn a_refusal_fails_the_step_with_its_reason() {
    let mut remote = Remote::new(&[("pc01", APPLIED)]);
    remote.0.write("refuse", "");
    let (result, told) = remote.0.reset().await;
    let why = reason(result);
    assert!(
        why.contains("linbo-remote -r r101 was refused: No hosts in room r101!"),
        "{why}"
    );
    assert!(told.is_empty());
    remote.0.config.commands.tmux = remote.0.path("nowhere");
    assert!(reason(remote.0.reset().await.0).contains("setting commands.tmux"));
    remote.0.config.commands.tmux = "tmux".into();
    remote.0.config.commands.linbo_remote = remote.0.path("nowhere");
    assert!(reason(remote.0.reset().await.0).contains("setting commands.linbo_remote"));
}

#[tokio::test]
async fn launches_and_sessions_go_on_when_the_reconciler_is_gone() {
    let wait = "touch $dir/begun; until [ -e $root/finish ]; do sleep 0.05; done; touch $dir/done";
    let remote = Remote::new(&[("pc01", wait)]);
    let room = &remote.0;
    room.write("slow", "");
    tokio::select! {
        _ = room.reset() => unreachable!("it waits"),
        () = becomes("linbo-remote begins", || exists(&room.path("launching"))) => {}
    }
    let why = reason(room.reset().await.0);
    assert!(
        why.contains("linbo-remote of an earlier pass still works on room r101"),
        "{why}"
    );
    room.write("go", "");
    becomes("the session begins", || {
        exists(&room.path("net/pc01/begun"))
    })
    .await;
    let launch = room.path("run/linbo-remote.r101.log");
    becomes("linbo-remote ends", || !is_locked(&launch).unwrap()).await;
    room.check(&[(
        "pc01",
        "unknown",
        "a session of linbo-remote is already there",
    )])
    .await;
    room.write("finish", "");
    becomes("the session ends", || exists(&room.path("net/pc01/done"))).await;
    assert_eq!(remote.asked().len(), 1);
}

#[tokio::test]
async fn without_a_command_that_ends_linbo_a_harmless_one_proves_the_last() {
    let mut remote = Remote::new(&[("pc01", APPLIED)]);
    remote.0.commands = "sync:1".parse().unwrap();
    let (_, told) = remote.0.reset().await;
    assert_eq!(remote.asked(), ["-r r101 -b 1 -w 1 -c sync:1,label"]);
    assert!(matches!(told[0].1, HostOutcome::Applied { .. }), "{told:?}");
}
