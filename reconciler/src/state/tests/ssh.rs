//! Over a real `sshd` on loopback, started for each connection as inetd would.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::*;

const SSHD: &str = "/usr/sbin/sshd";

struct Sshd {
    address: SocketAddr,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sshd {
    /// `None`, with the reason on standard error, where there is no sshd.
    fn start(lab: &Lab) -> Option<Self> {
        if !Path::new(SSHD).exists() {
            use std::io::Write as _;
            writeln!(
                std::io::stderr(),
                "skipped: {SSHD} is missing (openssh-server)"
            )
            .unwrap();
            return None;
        }
        // Its package makes this folder when the service starts.
        fs::create_dir_all("/run/sshd").ok();
        for key in ["host_key", "other_host_key", "deploy", "stranger"] {
            lab.run(
                "ssh-keygen",
                &["-q", "-t", "ed25519", "-N", "", "-f", key],
                ".",
            );
        }
        fs::copy(lab.path("deploy.pub"), lab.path("authorized_keys")).unwrap();
        let config = format!(
            "HostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized_keys\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPidFile none\n",
            lab.dir.path().display()
        );
        fs::write(lab.path("sshd_config"), config).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let (dir, over) = (lab.dir.path().to_owned(), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let socket = OwnedFd::from(stream.unwrap());
                let log = fs::File::options()
                    .append(true)
                    .create(true)
                    .open(dir.join("log"));
                let mut child = command(SSHD, &dir)
                    .args(["-i", "-e", "-f", "sshd_config"])
                    .stdin(Stdio::from(socket.try_clone().unwrap()))
                    .stdout(Stdio::from(socket))
                    .stderr(Stdio::from(log.unwrap()))
                    .spawn()
                    .unwrap();
                child.wait().unwrap();
            }
        });
        Some(Self {
            address,
            done,
            thread: Some(thread),
        })
    }

    fn remote(&self, lab: &Lab) -> Remote {
        let user = lab.run("id", &["-un"], ".");
        let path = lab.path("remote.git");
        let url = format!("ssh://{user}@{}{}", self.address, path.display());
        let credentials = Credentials::Key {
            key_file: lab.path("deploy"),
            known_hosts: lab.path("known_hosts"),
        };
        Remote {
            stall: Duration::from_secs(20),
            ..Remote::new(url, "main", credentials)
        }
    }

    /// Makes `known_hosts` list the key in this file, under these names.
    fn trust(&self, lab: &Lab, names: &str, key: &str) {
        let public = fs::read_to_string(lab.path(&format!("{key}.pub"))).unwrap();
        fs::write(lab.path("known_hosts"), format!("{names} {public}")).unwrap();
    }

    fn name(&self) -> String {
        format!("[127.0.0.1]:{}", self.address.port())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn host_key_problem(lab: &Lab, remote: &Remote) -> HostKey {
    match lab.cache().fetch(remote).unwrap_err() {
        StateError::HostKey(found) => *found,
        other => panic!("{}", chain(&other)),
    }
}

#[test]
fn a_known_host_is_trusted_and_no_other() {
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else {
        return;
    };
    let remote = sshd.remote(&lab);
    let shown = lab.run("ssh-keygen", &["-lf", "host_key.pub"], ".");
    let fingerprint = shown.split(' ').nth(1).unwrap();

    sshd.trust(&lab, "elsewhere.example", "host_key");
    let found = host_key_problem(&lab, &remote);
    assert_eq!(
        (found.problem, found.fingerprint.as_str()),
        (HostKeyProblem::Unknown, fingerprint)
    );
    assert!(found.to_string().contains(fingerprint), "{found}");

    sshd.trust(&lab, &sshd.name(), "other_host_key");
    let found = host_key_problem(&lab, &remote);
    assert_eq!(
        (found.problem, found.fingerprint.as_str()),
        (HostKeyProblem::Changed, fingerprint)
    );
    assert!(
        found.to_string().contains("someone is in between"),
        "{found}"
    );

    sshd.trust(&lab, &format!("@revoked {}", sshd.name()), "host_key");
    assert_eq!(
        host_key_problem(&lab, &remote).problem,
        HostKeyProblem::Revoked
    );

    fs::remove_file(lab.path("known_hosts")).unwrap();
    let error = lab.cache().fetch(&remote).unwrap_err();
    assert!(matches!(error, StateError::Secret { .. }), "{error:?}");
    assert_eq!(lab.cache().tip().unwrap(), None);

    // The line from the message is all that is missing.
    fs::write(lab.path("known_hosts"), format!("{}\n", found.line)).unwrap();
    let tip = lab.cache().fetch(&remote).unwrap_or_else(|error| {
        panic!(
            "{}\n{}",
            chain(&error),
            fs::read_to_string(lab.path("log")).unwrap()
        )
    });
    assert_eq!(tip, lab.head());
    let next = lab.commit("fleet.yaml", "name: b\n");
    lab.push();
    lab.run("ssh-keygen", &["-q", "-H", "-f", "known_hosts"], ".");
    assert_eq!(
        lab.cache().fetch(&remote).unwrap(),
        next,
        "with hashed names"
    );
}

#[test]
fn credentials_and_repo_are_told_apart() {
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else {
        return;
    };
    sshd.trust(&lab, &sshd.name(), "host_key");
    let good = sshd.remote(&lab);
    let with_key = |name: &str| Remote {
        credentials: Credentials::Key {
            key_file: lab.path(name),
            known_hosts: lab.path("known_hosts"),
        },
        ..good.clone()
    };

    let error = lab.cache().fetch(&with_key("stranger")).unwrap_err();
    assert!(
        matches!(error, StateError::Authentication { .. }),
        "{}",
        chain(&error)
    );
    assert!(
        error.to_string().contains("stranger") && !error.is_unreachable(),
        "{error}"
    );

    let error = lab.cache().fetch(&with_key("missing")).unwrap_err();
    assert!(
        matches!(error, StateError::Secret { .. }),
        "{}",
        chain(&error)
    );

    fs::set_permissions(lab.path("deploy"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = lab.cache().fetch(&good).unwrap_err();
    assert!(
        matches!(error, StateError::SecretUnfit { .. }),
        "{}",
        chain(&error)
    );
    fs::set_permissions(lab.path("deploy"), fs::Permissions::from_mode(0o600)).unwrap();

    let elsewhere = Remote {
        url: format!("{}x", good.url),
        ..good.clone()
    };
    let error = lab.cache().fetch(&elsewhere).unwrap_err();
    assert!(matches!(error, StateError::NoRepo { .. }), "{error:?}");

    let branch = Remote {
        branch: "none".into(),
        ..good.clone()
    };
    let error = lab.cache().fetch(&branch).unwrap_err();
    assert!(
        matches!(error, StateError::BranchMissing { .. }),
        "{error:?}"
    );

    assert_eq!(lab.cache().fetch(&good).unwrap(), lab.head());
    drop(sshd);
    let error = lab.cache().fetch(&good).unwrap_err();
    assert!(matches!(error, StateError::Unreachable { .. }), "{error:?}");
}
