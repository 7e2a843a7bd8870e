//! URLs, credentials and what may be shown of them.

use proptest::prelude::*;

use crate::state::remote::*;

#[test]
fn urls_are_parsed_or_refused_with_the_reason() {
    let ssh = |host: &str, port, user: Option<&str>| {
        Ok(Target::Ssh {
            host: host.into(),
            port,
            user: user.map(str::to_owned),
        })
    };
    let https = |host: &str| Ok(Target::Https { host: host.into() });
    let table = [
        ("https://git.example/fleet.git", https("git.example")),
        (
            "https://bot@Git.Example:8443/fleet.git",
            https("git.example"),
        ),
        (
            "ssh://git@git.example/f.git",
            ssh("git.example", 22, Some("git")),
        ),
        (
            "ssh://git.example:2222/f.git",
            ssh("git.example", 2222, None),
        ),
        (
            "ssh://git@[fd00::1]:2222/f.git",
            ssh("fd00::1", 2222, Some("git")),
        ),
        (
            "git@git.example:school/f.git",
            ssh("git.example", 22, Some("git")),
        ),
        ("file:///srv/f.git", Ok(Target::Local)),
        ("/srv/f.git", Ok(Target::Local)),
        (
            "https://bot:secret@git.example/f.git",
            Err("the URL contains a password: put it in a token file"),
        ),
        (
            "http://git.example/f.git",
            Err("this protocol is not encrypted: use https:// or ssh://"),
        ),
        (
            "git://git.example/f",
            Err("this protocol is not encrypted: use https:// or ssh://"),
        ),
        (
            "ext::sh -c whoami",
            Err("the URL contains a space or control character"),
        ),
        (
            "fleet.git",
            Err("this is neither a URL nor an absolute path"),
        ),
        ("./a:b", Err("this is neither a URL nor an absolute path")),
        (
            "ssh://-oProxyCommand=x/f",
            Err("the host name in the URL is not valid"),
        ),
        (
            "-oProxyCommand=x:f",
            Err("the host name in the URL is not valid"),
        ),
        (
            "ssh://-l@git.example/f",
            Err("the user name in the URL is not valid"),
        ),
        ("https://git.example", Err("the URL has no path")),
        (
            "ssh://git.example:0/f",
            Err("the port in the URL is not a number from 1 to 65535"),
        ),
        (
            "file://srv/f",
            Err("a file:// URL needs three slashes and an absolute path"),
        ),
    ];
    for (url, expected) in table {
        assert_eq!(Target::parse(url), expected, "{url}");
    }
}

#[test]
fn credentials_must_fit_the_url() {
    let token = Credentials::Token {
        user: "x".into(),
        token_file: "/t".into(),
    };
    let key = Credentials::Key {
        key_file: "/k".into(),
        known_hosts: "/h".into(),
    };
    let table = [
        ("https://h/x", token.clone(), true),
        ("https://h/x", Credentials::None, true),
        ("https://h/x", key.clone(), false),
        ("ssh://h/x", key.clone(), true),
        ("ssh://h/x", token.clone(), false),
        ("ssh://h/x", Credentials::None, false),
        ("/x", token, false),
        ("file:///x", Credentials::None, true),
    ];
    for (url, credentials, fits) in table {
        let remote = Remote::new(url, "main", credentials);
        assert_eq!(remote.target().is_ok(), fits, "{remote:?}");
    }
    for branch in ["", "-x", "a b", "a..b", "*", "a:b", "x.lock"] {
        let remote = Remote::new("/x", branch, Credentials::None);
        assert!(remote.target().is_err(), "{branch:?}");
    }
}

#[test]
fn redaction_keeps_what_helps() {
    let table = [
        (
            "https://bot:s3cret@git.example/f.git",
            "https://git.example/f.git",
        ),
        (
            "https://bot:s3@cret@git.example/f.git",
            "https://git.example/f.git",
        ),
        (
            "https://bot:s3/cret@git.example/f.git",
            "https://git.example/f.git",
        ),
        ("https://bot:s3?cr#et@git.example/f.git", "https://***"),
        (
            "https://git.example/f.git?private_token=x",
            "https://git.example/f.git",
        ),
        (
            "ssh://git@git.example:22/f.git",
            "ssh://git.example:22/f.git",
        ),
        ("git@git.example:f.git", "git.example:f.git"),
        ("/srv/f.git", "/srv/f.git"),
        ("/srv/\u{1b}[31mf.git", "/srv/\u{fffd}[31mf.git"),
    ];
    for (url, expected) in table {
        assert_eq!(redact(url), expected, "{url}");
    }
}

proptest! {
    #[test]
    fn no_secret_survives_redaction(
        scheme in "(https|ssh|http|ftp)://",
        user in "[a-z]{0,5}",
        secret in "XX[!-~]{0,12}",
        tail in "[a-z./]{0,10}",
    ) {
        let url = format!("{scheme}{user}:{secret}@git.example/{tail}");
        let shown = redact(&url);
        prop_assert!(!shown.contains("XX"), "{shown}");
        let error = Remote::new(url, "main", Credentials::None).target();
        let text = format!("{} {error:?}", error.as_ref().unwrap_err());
        prop_assert!(!text.contains("XX"), "{text}");
    }
}
