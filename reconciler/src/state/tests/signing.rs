//! Signed by whom, when and for what.

use super::*;

const NOON_2026: &str = "2026-06-01T12:00:00Z";

impl Lab {
    fn key(&self, name: &str) -> String {
        self.run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name],
            ".",
        );
        let public = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        public.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    fn fingerprint(&self, key: &str) -> String {
        let line = self.run("ssh-keygen", &["-lf", key], ".");
        line.split(' ').nth(1).unwrap().to_owned()
    }

    fn signers(&self, lines: &str) -> Signers {
        let path = self.path("allowed_signers");
        fs::write(&path, lines).unwrap();
        Signers(path)
    }

    /// Commits with a signature of `key`.
    fn signed(&self, key: &str, args: &[&str]) -> CommitId {
        let key = format!("user.signingkey={}", self.path(key).display());
        let output = command("git", &self.path("work"))
            .args(["-c", "gpg.format=ssh", "-c", &key])
            .args(args)
            .args(["-S", "-m", "signed"])
            .env("GIT_COMMITTER_DATE", NOON_2026)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        self.head()
    }

    fn commit_signed(&self, key: &str) -> CommitId {
        self.signed(key, &["commit", "-q", "--allow-empty"])
    }

    /// Commits `changed` with a signature that `key` made for `content`.
    fn forged(&self, key: &str, namespace: &str, change: fn(&str) -> String) -> CommitId {
        let repo = git2::Repository::open(self.path("work")).unwrap();
        let parent = repo.head().unwrap().peel_to_commit().unwrap();
        let author = git2::Signature::now("Ada", "ada@school.example").unwrap();
        let tree = parent.tree().unwrap();
        let content = repo
            .commit_create_buffer(&author, &author, "forged\n", &tree, &[&parent])
            .unwrap();
        let content = std::str::from_utf8(&content).unwrap().to_owned();
        fs::write(self.path("content"), &content).unwrap();
        self.run(
            "ssh-keygen",
            &["-q", "-Y", "sign", "-n", namespace, "-f", key, "content"],
            ".",
        );
        let signature = fs::read_to_string(self.path("content.sig")).unwrap();
        fs::remove_file(self.path("content.sig")).unwrap();
        let id = repo
            .commit_signed(&change(&content), signature.trim_end(), None)
            .unwrap();
        self.git(&["reset", "-q", "--hard", &id.to_string()]);
        self.head()
    }
}

/// The faults of a refusal, oldest commit first.
fn faults(result: Result<(), Refusal>) -> Vec<(CommitId, SignatureFault)> {
    match result {
        Ok(()) => Vec::new(),
        Err(Refusal::Signatures { bad }) => bad
            .into_iter()
            .map(|bad| (bad.commit.id, bad.fault))
            .collect(),
        Err(other) => panic!("{}", chain(&other)),
    }
}

#[test]
fn each_fault_has_its_name() {
    let lab = Lab::new();
    let ada = lab.key("ada");
    lab.key("eve");
    let base = lab.head();
    let fingerprint = lab.fingerprint("ada");
    let eve = lab.fingerprint("eve");
    let allowed = format!("# people\nada@school.example {ada}\n");
    let path = lab.path("allowed_signers");

    type Make = fn(&Lab) -> CommitId;
    let good: Make = |lab| lab.commit_signed("ada");
    let table: [(&str, Make, String, Option<SignatureFault>); 11] = [
        ("good", good, allowed.clone(), None),
        (
            "valid at the time",
            good,
            format!("a valid-after=\"20260501\",valid-before=\"20260701\" {ada}\n"),
            None,
        ),
        (
            "two lines",
            good,
            format!("a valid-before=\"2025\" {ada}\nb {ada}\n"),
            None,
        ),
        (
            "unsigned",
            |lab| {
                lab.commit("fleet.yaml", "name: z\n");
                lab.head()
            },
            allowed.clone(),
            Some(SignatureFault::Unsigned),
        ),
        (
            "unknown key",
            |lab| lab.commit_signed("eve"),
            allowed.clone(),
            Some(SignatureFault::UnknownKey {
                fingerprint: eve,
                signers: path.clone(),
            }),
        ),
        (
            "listed in a comment only",
            good,
            format!("#ada@school.example {ada}\nx ssh-ed25519 AAAA\n"),
            Some(SignatureFault::UnknownKey {
                fingerprint: fingerprint.clone(),
                signers: path.clone(),
            }),
        ),
        (
            "made for something else",
            |lab| lab.forged("ada", "file", str::to_owned),
            allowed.clone(),
            Some(SignatureFault::WrongNamespace {
                namespace: "file".into(),
            }),
        ),
        (
            "tampered",
            |lab| lab.forged("ada", "git", |text| text.replace("forged", "changed")),
            allowed.clone(),
            Some(SignatureFault::Tampered {
                fingerprint: fingerprint.clone(),
            }),
        ),
        (
            "expired",
            good,
            format!("a valid-before=\"20260101\" {ada}\n"),
            Some(SignatureFault::OutsideValidity {
                fingerprint: fingerprint.clone(),
                detail: "key has expired".into(),
            }),
        ),
        (
            "not yet valid",
            good,
            format!("a valid-after=\"20270101\" {ada}\n"),
            Some(SignatureFault::OutsideValidity {
                fingerprint: fingerprint.clone(),
                detail: "key is not yet valid".into(),
            }),
        ),
        (
            "for other work",
            good,
            format!("a namespaces=\"file\" {ada}\n"),
            Some(SignatureFault::NotPermitted {
                fingerprint: fingerprint.clone(),
                detail: "key is not permitted".into(),
            }),
        ),
    ];
    for (name, make, lines, expected) in table {
        lab.git(&["reset", "-q", "--hard", base.as_str()]);
        let tip = make(&lab);
        lab.push();
        assert_eq!(lab.fetch(), tip);
        let signers = lab.signers(&lines);
        for last_applied in [None, Some(&base), Some(&tip)] {
            let result = lab.cache().accept(&tip, last_applied, Some(&signers));
            if let Err(refusal) = &result {
                let text = chain(refusal);
                assert!(text.contains(tip.short()), "{name}: {text}");
            }
            let mut found = faults(result);
            if let (Some((_, fault)), Some(expected)) = (found.first_mut(), &expected) {
                shorten(fault, expected);
            }
            let wanted: Vec<_> = expected
                .iter()
                .map(|fault| (tip.clone(), fault.clone()))
                .collect();
            assert_eq!(found, wanted, "{name}, {last_applied:?}");
        }
        let without = lab.cache().accept(&tip, Some(&base), None);
        assert!(without.is_ok(), "{name}: no signers, no question");
    }
}

/// OpenSSH's words differ between its versions: the part that is expected must be in them.
fn shorten(fault: &mut SignatureFault, expected: &SignatureFault) {
    let (
        SignatureFault::OutsideValidity { detail, .. }
        | SignatureFault::NotPermitted { detail, .. },
        SignatureFault::OutsideValidity { detail: part, .. }
        | SignatureFault::NotPermitted { detail: part, .. },
    ) = (fault, expected)
    else {
        return;
    };
    if detail.contains(part.as_str()) {
        detail.clone_from(part);
    }
}

#[test]
fn every_new_commit_counts() {
    let lab = Lab::new();
    let signers = lab.signers(&format!("ada@school.example {}\n", lab.key("ada")));
    let base = lab.commit_signed("ada");
    let unsigned = lab.commit("fleet.yaml", "name: b\n");
    let tip = lab.commit_signed("ada");
    lab.push();
    lab.fetch();
    let cache = lab.cache();
    let judged =
        |tip: &CommitId, last: Option<&CommitId>| faults(cache.accept(tip, last, Some(&signers)));
    let bad = vec![(unsigned.clone(), SignatureFault::Unsigned)];
    assert_eq!(judged(&tip, Some(&base)), bad, "in the middle");
    assert_eq!(judged(&tip, Some(&unsigned)), [], "it was applied before");
    assert_eq!(
        judged(&tip, None),
        [],
        "the first time the tip speaks for what led to it"
    );

    lab.git(&["checkout", "-q", "-b", "side", tip.as_str()]);
    let side = lab.commit("side.yaml", "x: 1\n");
    lab.git(&["checkout", "-q", "-B", "main", tip.as_str()]);
    lab.commit_signed("ada");
    let merge = lab.signed("ada", &["merge", "-q", "--no-ff", "side"]);
    lab.push();
    lab.fetch();
    let bad = vec![(side, SignatureFault::Unsigned)];
    assert_eq!(judged(&merge, Some(&tip)), bad, "on a merged branch");

    let merged = lab.git(&[
        "commit-tree",
        "-p",
        "HEAD",
        "-p",
        "side",
        "-m",
        "x",
        "HEAD^{tree}",
    ]);
    lab.git(&["reset", "-q", "--hard", &merged]);
    lab.push();
    let tip = lab.fetch();
    let found = judged(&tip, Some(&merge));
    assert_eq!(found, [(tip, SignatureFault::Unsigned)], "the merge itself");
}

#[test]
fn without_a_usable_signers_file_nothing_is_accepted() {
    let lab = Lab::new();
    let ada = lab.key("ada");
    let tip = lab.commit_signed("ada");
    lab.push();
    lab.fetch();
    let cache = lab.cache();
    let refused = |signers: &Signers, words: &str| {
        for last_applied in [None, Some(&tip)] {
            let refusal = cache.accept(&tip, last_applied, Some(signers)).unwrap_err();
            assert!(matches!(refusal, Refusal::Signers(_)), "{refusal:?}");
            assert!(refusal.to_string().contains(words), "{refusal}");
        }
    };
    refused(&Signers(lab.path("missing")), "cannot be read");
    refused(&Signers(lab.path("work")), "not a plain file");
    refused(&lab.signers(""), "names no signer");
    refused(&lab.signers("# nobody\n\n   \n"), "names no signer");
    let open = lab.signers(&format!("a {ada}\n"));
    assert!(cache.accept(&tip, None, Some(&open)).is_ok());
    fs::set_permissions(&open.0, fs::Permissions::from_mode(0o666)).unwrap();
    refused(&open, "may be written by every user");
    fs::set_permissions(&open.0, fs::Permissions::from_mode(0o644)).unwrap();
    let noise = lab.signers("\u{0}\u{1} this is not\nwhat it should be\n");
    assert_eq!(faults(cache.accept(&tip, None, Some(&noise))).len(), 1);
}

#[test]
fn other_kinds_of_signatures_are_told_apart() {
    let lab = Lab::new();
    let signers = lab.signers(&format!("a {}\n", lab.key("ada")));
    let repo = git2::Repository::open(lab.path("work")).unwrap();
    let content = format!(
        "tree {}\nparent {}\nauthor A <a> 0 +0000\ncommitter A <a> 0 +0000\n\nx\n",
        lab.git(&["rev-parse", "HEAD^{tree}"]),
        lab.head()
    );
    let ssh =
        |body: &str| format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----");
    let table = [
        (
            "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----".to_owned(),
            SignatureFault::NotSsh,
        ),
        ("x".to_owned(), SignatureFault::NotSsh),
        (ssh("!"), SignatureFault::Malformed),
        (ssh(""), SignatureFault::Malformed),
        (ssh("U1NIU0lHAAAAAQ=="), SignatureFault::Malformed),
        (
            "-----BEGIN SSH SIGNATURE-----".to_owned(),
            SignatureFault::Malformed,
        ),
    ];
    for (signature, expected) in table {
        let id = repo
            .commit_signed(&content, &signature, None)
            .unwrap()
            .to_string();
        lab.git(&["reset", "-q", "--hard", &id]);
        lab.push();
        let tip = lab.fetch();
        let found = faults(lab.cache().accept(&tip, None, Some(&signers)));
        assert_eq!(found, [(tip, expected)], "{signature}");
    }
}
