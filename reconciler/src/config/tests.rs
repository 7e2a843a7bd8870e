#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

const EXAMPLE: &str = include_str!("../../reconciler.example.yaml");
const LEAST: &str = "server: central\nrepo: {url: \"file:///srv/fleet.git\"}\n";

#[track_caller]
fn good(text: &str) -> Config {
    parse("f", text, None).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

/// All problems of the least settings and these, as `line:column: message | hint`.
fn problems(more: &str) -> Vec<String> {
    let errors = parse("f", &format!("{LEAST}{more}"), None).unwrap_err();
    let line = |problem: &schema::diagnostic::Diagnostic| {
        let at = problem
            .at
            .map_or_else(String::new, |at| format!("{}:{}: ", at.line, at.column));
        format!(
            "{at}{} | {}",
            problem.message,
            problem.hint.as_deref().unwrap_or_default()
        )
    };
    errors.diagnostics().iter().map(line).collect()
}

#[test]
fn the_example_is_right() {
    let config = good(EXAMPLE);
    assert_eq!(config.server, Server::School("bs-nord".parse().unwrap()));
    assert_eq!(
        (config.repo.branch.as_str(), config.paths, config.reset),
        ("main", Paths::default(), Reset::default())
    );
    assert_eq!(
        config.release.unwrap().password_file,
        Path::new("/etc/linuxmuster/reconciler/release-password")
    );
    assert_eq!(config.smtp.unwrap().port.get(), 25);
}

#[test]
fn all_that_the_example_shows_as_a_default_is_one() {
    // Comments that are settings become settings; those with a value that is no default are named.
    let shown = [
        "token_file",
        "ca:",
        "signers",
        "password_file: c",
        "user: reconciler",
        "smtp-password",
        "from",
        "proxmox",
        "url: https://pve",
        "fingerprint",
        "qm: local",
        "qm: root",
    ];
    let is_setting = |line: &str| {
        let line = line.trim_start_matches(['#', ' ']);
        let key = line
            .split_once(": ")
            .map(|(key, _)| key)
            .or_else(|| line.strip_suffix(':'));
        key.is_some_and(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let uncommented: Vec<String> = EXAMPLE
        .lines()
        .filter(|line| !shown.iter().any(|shown| line.contains(shown)))
        .filter(|line| is_setting(line))
        .map(|line| line.replacen("# ", "", 1))
        .collect();
    let text = uncommented.join("\n");
    assert!(
        text.contains("\n  import_devices: /") && text.contains("\n  tls: none"),
        "{text}"
    );
    assert_eq!(
        good(&text),
        Config {
            signers: None,
            ..good(EXAMPLE)
        }
    );
}

#[test]
fn the_least_settings_have_all_defaults() {
    let config = good(LEAST);
    assert_eq!(
        (config.server, config.commands),
        (Server::Central, Commands::default())
    );
    assert_eq!(
        (config.release, config.smtp, config.signers),
        (None, None, None)
    );
}

#[test]
fn every_setting_is_taken() {
    let text = "
server: bs-nord
repo: {url: 'https://git.example/f.git', branch: a/b, user: oauth2, token_file: 'credentials:git', ca: /ca.pem}
signers: /signers
release: {user: bs-nord, password_file: 'credentials:release'}
smtp: {host: mail.example, port: 587, tls: starttls, user: a@b.example, password_file: /smtp, from: c@d.example}
paths: {linbo: /l//x/, store: /s, linbo_log: /g, ssh_config: /c, devices: /d, state: /t, run: /r}
commands: {rsync: /bin/rsync, ssh: ssh-2, tmux: /t, wakeonlan: w, linbo_remote: r, linbo_torrent: t, import_devices: i}
reset: {driver: linbo-remote, boot_timeout: 1 s, command_timeout: 2 min, poll: 3 s, os_port: 4, windows_port: 6, linbo_port: 5}
";
    let config = parse("f", text, Some(Path::new("/run/credentials/x"))).unwrap();
    assert_eq!(
        config.repo.token_file.as_deref(),
        Some(Path::new("/run/credentials/x/git"))
    );
    assert_eq!(
        config.release.unwrap().password_file,
        Path::new("/run/credentials/x/release")
    );
    let smtp = config.smtp.unwrap();
    assert_eq!((smtp.tls, smtp.port.get()), (Tls::Starttls, 587));
    assert_eq!(smtp.login, Some(("a@b.example".into(), "/smtp".into())));
    assert_eq!(
        (config.paths.linbo.as_path(), config.paths.run.as_path()),
        (Path::new("/l/x"), Path::new("/r"))
    );
    assert_eq!(config.commands.ssh, Path::new("ssh-2"));
    let Reset {
        driver,
        boot_timeout,
        command_timeout,
        poll,
        os_port,
        windows_port,
        linbo_port,
    } = config.reset;
    assert_eq!(driver, Driver::LinboRemote);
    assert_eq!(
        [boot_timeout, command_timeout, poll].map(|time| time.as_secs()),
        [1, 120, 3]
    );
    assert_eq!(
        [os_port, linbo_port, windows_port].map(NonZeroU16::get),
        [4, 5, 6]
    );
}

#[test]
fn each_problem_says_where_and_what_to_do() {
    let path = "write it from the `/` on, without `..`";
    let cases = [
        ("path: {}", "3:1: unknown key `path` | did you mean `paths`?".to_owned()),
        ("paths: {store: srv}", format!("3:16: `srv` is no absolute path | {path}")),
        ("paths: {store: /srv/../etc}", format!("3:16: `/srv/../etc` is no absolute path | {path}")),
        (
            "paths: {store: /srv/linbo/images/.store}",
            "3:16: the store lies inside LINBO's folder | LINBO's tools would take what lies there for images: use a folder beside it, on the same file system".to_owned(),
        ),
        (
            "commands: {ssh: ssh -v}",
            "3:17: `ssh -v` is no program | write a name that is found in PATH, or an absolute path; no options".to_owned(),
        ),
        (
            "release: {user: x, password_file: 'credentials:../x'}",
            "3:35: `../x` is no name of a credential | write it as in LoadCredential=".to_owned(),
        ),
        (
            "release: {user: x, password_file: 'credentials:x'}",
            "3:35: the credential x is not there: systemd handed no credentials over | run `reconcile` as its service, which has LoadCredential=, or write the path of a file".to_owned(),
        ),
        (
            "release: {user: x@y, password_file: /x}",
            "3:17: a user of the release module has no `@` | write the name alone".to_owned(),
        ),
        ("smtp: {host: localhost, port: 0}", "3:31: there is no port 0 | 1 to 65535 are possible".to_owned()),
        (
            "smtp: {host: mail.example, user: u, password_file: /p}",
            "3:34: the password would travel in the clear | add `tls: starttls` or `tls: tls`".to_owned(),
        ),
        (
            "smtp: {host: localhost, user: u}",
            "3:31: a user without a password | add `password_file`, or remove `user`".to_owned(),
        ),
        (
            "smtp: {host: localhost, password_file: /p}",
            "3:40: a password without a user | add `user`, or remove `password_file`".to_owned(),
        ),
        ("reset: {poll: 0 s}", "3:15: nothing happens within no time | write at least `1 s`".to_owned()),
    ];
    for (more, wanted) in cases {
        assert_eq!(problems(more), [wanted], "{more}");
    }
}

#[test]
fn all_problems_are_found_in_one_run_with_their_lines() {
    let text = "server: bs nord\nrepo: {url: 'http://git.example/f', branch: 'a b'}\nsmpt: {}\nreset: {os_port: 70000}\n";
    let errors = parse("reconciler.yaml", text, None).unwrap_err();
    let places: Vec<String> = errors
        .to_string()
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        places,
        ["1:9", "2:13", "2:45", "3:1", "4:18"].map(|place| format!("reconciler.yaml:{place}:"))
    );
    let shown = errors.render(false);
    assert!(
        shown.contains("server: bs nord") && shown.contains("did you mean `smtp`?"),
        "{shown}"
    );
    for (text, why) in [
        ("", "no content"),
        ("- a", "mapping"),
        ("{}", "server"),
        ("server: a\n", "repo"),
        ("a: [", ""),
    ] {
        let shown = parse("f", text, None).unwrap_err().render(false);
        assert!(shown.contains(why), "{text}: {shown}");
    }
}

#[test]
fn a_password_in_the_url_is_not_shown() {
    let text = "server: central\nrepo: {url: 'https://u:hunter2@git.example/f', oops: 1}\n";
    let errors = parse("f", text, None).unwrap_err();
    assert_eq!(errors.diagnostics().len(), 2);
    let shown = [
        errors.render(true),
        errors.to_string(),
        format!("{errors:?}"),
    ]
    .concat();
    assert!(
        shown.contains("line 2 holds a password") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let latin = folder.path().join("latin");
    fs::write(&latin, b"# \xe4").unwrap();
    for path in [folder.path(), &folder.path().join("none"), &latin] {
        let shown = load(path, None).unwrap_err().render(false);
        assert!(
            shown.contains("cannot be read") && shown.contains(&path.display().to_string()),
            "{shown}"
        );
    }
    let path = folder.path().join("good");
    fs::write(&path, LEAST).unwrap();
    assert_eq!(load(&path, None).unwrap(), good(LEAST));
}

#[test]
fn secrets_have_to_be_there_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, mode| {
        let path = folder.path().join(name);
        fs::write(&path, "hunter2").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let mut config = good(LEAST);
    assert_eq!(check_secrets(&config), Vec::<String>::new());
    config.repo.key = Some(file("key", 0o600));
    config.repo.token_file = Some(file("token", 0o400));
    assert_eq!(check_secrets(&config), Vec::<String>::new());
    config.repo.key = Some(file("key", 0o640));
    config.repo.token_file = Some(folder.path().to_owned());
    config.release = Some(ReleaseLogin {
        user: "u".into(),
        password_file: folder.path().join("none"),
    });
    let found = check_secrets(&config);
    let shown = folder.path().display();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(
        found[0],
        format!(
            "repo.key: others than its owner may use {shown}/key (mode 0640): chmod 600 {shown}/key"
        )
    );
    assert_eq!(found[1], format!("repo.token_file: {shown} is no file"));
    assert!(
        found[2].starts_with(&format!(
            "release.password_file: cannot look at {shown}/none: "
        )),
        "{}",
        found[2]
    );
}
