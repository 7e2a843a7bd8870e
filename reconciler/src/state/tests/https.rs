//! Over TLS, with Git's own `http-backend` behind a few lines of Python.

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use super::*;

struct Https {
    child: Child,
    port: u16,
}

impl Https {
    fn start(lab: &Lab) -> Self {
        for ca in ["ca", "other_ca"] {
            let key = format!("{ca}.key");
            let cert = format!("{ca}.pem");
            let subject = format!("/CN={ca}");
            openssl(
                lab,
                &[
                    "req", "-x509", "-nodes", "-days", "2", "-subj", &subject, "-keyout", &key,
                    "-out", &cert,
                ],
            );
        }
        openssl(
            lab,
            &[
                "req",
                "-x509",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-keyout",
                "server.key",
                "-out",
                "server.pem",
            ],
        );
        let backend = format!("{}/git-http-backend", lab.run("git", &["--exec-path"], "."));
        let mut child = command("python3", lab.dir.path())
            .args(["-c", include_str!("https.py"), "server.pem", "server.key"])
            .arg(lab.dir.path())
            .arg(backend)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            child,
            port: line.trim().parse().unwrap(),
        }
    }

    fn remote(&self, lab: &Lab) -> Remote {
        let token_file = lab.path("token");
        fs::write(&token_file, "s3cret\n").unwrap();
        fs::set_permissions(&token_file, fs::Permissions::from_mode(0o600)).unwrap();
        let url = format!("https://localhost:{}/remote.git", self.port);
        let credentials = Credentials::Token {
            user: "bot".into(),
            token_file,
        };
        Remote {
            ca_file: Some(lab.path("ca.pem")),
            stall: Duration::from_secs(20),
            ..Remote::new(url, "main", credentials)
        }
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn openssl(lab: &Lab, args: &[&str]) {
    let mut all = vec![
        args[0],
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ];
    all.extend(&args[1..]);
    lab.run("openssl", &all, ".");
}

#[test]
fn a_token_and_the_schools_own_ca_are_enough() {
    let lab = Lab::new();
    let https = Https::start(&lab);
    let good = https.remote(&lab);
    let cache = lab.cache();
    let tip = cache
        .fetch(&good)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(tip, lab.head());
    let pinned = Remote {
        ca_file: Some(lab.path("server.pem")),
        ..good.clone()
    };
    let next = lab.commit("fleet.yaml", "name: b\n");
    lab.push();
    assert_eq!(cache.fetch(&pinned).unwrap(), next);
    let url = good.url.replace("/remote", "/moved/remote");
    assert_eq!(
        cache.fetch(&Remote { url, ..good }).unwrap(),
        next,
        "moved on the same host"
    );
    for file in clone::files_below(&lab.path("state.git")) {
        let content = fs::read(&file).unwrap();
        assert!(
            !content.windows(6).any(|part| part == b"s3cret"),
            "{}",
            file.display()
        );
    }
}

#[test]
fn every_refusal_has_its_reason() {
    let lab = Lab::new();
    let https = Https::start(&lab);
    let good = https.remote(&lab);
    fs::write(lab.path("wrong_token"), "s3creT\n").unwrap();
    fs::set_permissions(lab.path("wrong_token"), fs::Permissions::from_mode(0o600)).unwrap();
    let token = |name: &str| Credentials::Token {
        user: "bot".into(),
        token_file: lab.path(name),
    };
    let at = |path: &str| format!("https://localhost:{}/{path}", https.port);
    let ip = format!("https://127.0.0.1:{}/remote.git", https.port);

    type Expected = fn(&StateError) -> bool;
    let certificate: Expected = |error| matches!(error, StateError::Certificate { .. });
    let refused: Expected = |error| matches!(error, StateError::Authentication { .. });
    let no_repo: Expected = |error| matches!(error, StateError::NoRepo { .. });
    let table: [(&str, Remote, Expected); 9] = [
        (
            "system CAs",
            Remote {
                ca_file: None,
                ..good.clone()
            },
            certificate,
        ),
        (
            "another CA",
            Remote {
                ca_file: Some(lab.path("other_ca.pem")),
                ..good.clone()
            },
            certificate,
        ),
        (
            "another name",
            Remote {
                url: ip,
                ..good.clone()
            },
            certificate,
        ),
        (
            "no CA file",
            Remote {
                ca_file: Some(lab.path("missing")),
                ..good.clone()
            },
            |error| matches!(error, StateError::Secret { .. }),
        ),
        (
            "wrong token",
            Remote {
                credentials: token("wrong_token"),
                ..good.clone()
            },
            refused,
        ),
        (
            "no token",
            Remote {
                credentials: Credentials::None,
                ..good.clone()
            },
            refused,
        ),
        (
            "no such repo",
            Remote {
                url: at("none.git"),
                ..good.clone()
            },
            no_repo,
        ),
        (
            "to another host",
            Remote {
                url: at("away/remote.git"),
                ..good.clone()
            },
            no_repo,
        ),
        (
            "server broken",
            Remote {
                url: at("broken/remote.git"),
                ..good.clone()
            },
            StateError::is_unreachable,
        ),
    ];
    for (name, remote, expected) in table {
        let Err(error) = lab.cache().fetch(&remote) else {
            panic!("{name}: fetched")
        };
        let text = chain(&error);
        assert!(expected(&error), "{name}: {error:?}");
        assert!(!text.contains("s3cre"), "{name}: {text}");
    }
    assert_eq!(lab.cache().fetch(&good).unwrap(), lab.head());
}
