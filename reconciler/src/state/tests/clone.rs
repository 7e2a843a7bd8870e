//! Clone, fetch and fast-forward; what breaks, and what must survive it.

use super::*;

#[test]
fn clones_then_fetches_what_is_new() {
    let lab = Lab::new();
    let first = lab.fetch();
    assert_eq!(first, lab.head());
    assert_eq!(lab.fetch(), first, "nothing new");
    let second = lab.commit("schools/a/school.yaml", "title: A\n");
    lab.push();
    let cache = lab.cache();
    assert_eq!(cache.tip().unwrap(), Some(first.clone()));
    assert_eq!(cache.fetch(&lab.remote()).unwrap(), second);
    assert_eq!(cache.set_aside(), None);
    assert!(cache.accept(&first, None, None).is_ok());
    assert!(cache.accept(&second, Some(&first), None).is_ok());
    assert!(cache.accept(&second, Some(&second), None).is_ok());
    let summary = cache.describe(&second).unwrap();
    assert_eq!(summary.subject, "change schools/a/school.yaml");
    assert_eq!(summary.author, "Ada <ada@school.example>");
    assert_eq!(summary.short, &second.as_str()[..10]);
    assert_eq!(lab.run("git", &["fsck", "--strict"], "state.git"), "");
    assert_eq!(
        fs::read_dir(lab.path("state.git/refs/heads"))
            .unwrap()
            .count(),
        1
    );
    assert!(!lab.path("state.git/hooks/post-update.sample").exists());
    let mode = fs::metadata(lab.path("state.git"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn only_descendants_are_accepted() {
    let lab = Lab::new();
    let first = lab.head();
    let applied = lab.commit("fleet.yaml", "name: b\n");
    lab.push();
    lab.fetch();

    lab.git(&["reset", "-q", "--hard", first.as_str()]);
    lab.push();
    let older = lab.fetch();
    assert_eq!(older, first);
    lab.commit("fleet.yaml", "name: c\n");
    lab.push();
    let diverged = lab.fetch();
    lab.git(&["checkout", "-q", "--orphan", "anew"]);
    lab.commit("fleet.yaml", "name: d\n");
    lab.push();
    let unrelated = lab.fetch();

    let cache = lab.cache();
    for (tip, expected, advice) in [
        (&older, Relation::Older, "git revert"),
        (&diverged, Relation::Diverged, "force-pushed"),
        (&unrelated, Relation::Unrelated, "no history in common"),
    ] {
        let refusal = cache.accept(tip, Some(&applied), None).unwrap_err();
        let text = refusal.to_string();
        match refusal {
            Refusal::NotADescendant {
                relation,
                last_applied,
                ..
            } => {
                assert_eq!((relation, &last_applied.id), (expected, &applied));
            }
            other => panic!("{other:?}"),
        }
        assert!(
            text.contains(advice) && text.contains(applied.short()),
            "{text}"
        );
        assert!(text.contains(tip.short()), "{text}");
    }
    let gone: CommitId = "1".repeat(40).parse().unwrap();
    let refusal = cache.accept(&older, Some(&gone), None).unwrap_err();
    assert!(
        matches!(refusal, Refusal::HistoryLost { .. }),
        "{refusal:?}"
    );
    let refusal = cache.accept(&gone, Some(&older), None).unwrap_err();
    assert!(
        matches!(
            refusal,
            Refusal::Unchecked(StateError::CommitMissing { .. })
        ),
        "{refusal:?}"
    );
    assert!(
        cache.read(&applied).is_ok(),
        "what was applied stays readable"
    );
}

#[test]
fn a_missing_branch_names_those_that_exist() {
    let lab = Lab::new();
    let remote = Remote {
        branch: "master".into(),
        ..lab.remote()
    };
    let error = lab.cache().fetch(&remote).unwrap_err();
    assert!(
        matches!(error, StateError::BranchMissing { .. }),
        "{error:?}"
    );
    assert!(!error.is_unreachable());
    let text = error.to_string();
    assert!(
        text.contains("(branch master)") && text.contains("there is: main"),
        "{text}"
    );

    lab.run("git", &["init", "-q", "--bare", "empty.git"], ".");
    let url = lab.path("empty.git").display().to_string();
    let error = lab
        .cache()
        .fetch(&Remote::new(url, "main", Credentials::None))
        .unwrap_err();
    assert!(error.to_string().contains("push a first commit"), "{error}");
}

#[test]
fn a_remote_that_is_gone_leaves_what_was_fetched() {
    let lab = Lab::new();
    let tip = lab.fetch();
    fs::rename(lab.path("remote.git"), lab.path("elsewhere.git")).unwrap();
    let cache = lab.cache();
    let error = cache.fetch(&lab.remote()).unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    assert_eq!(cache.tip().unwrap(), Some(tip.clone()));
    assert_eq!(cache.read(&tip).unwrap().len(), 1);
}

#[test]
fn a_server_that_refuses_or_does_not_answer_is_unreachable() {
    let lab = Lab::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("https://127.0.0.1:{port}/fleet.git");
    let mut remote = Remote::new(url, "main", Credentials::None);
    remote.stall = Duration::from_millis(300);
    let error = lab.cache().fetch(&remote).unwrap_err();
    assert!(
        matches!(error, StateError::TimedOut { .. }) && error.is_unreachable(),
        "{error:?}"
    );
    // Whoever hung on keeps the clone to itself until it ends.
    drop(listener);
    let error = lab.cache().fetch(&remote).unwrap_err();
    assert!(matches!(error, StateError::Unreachable { .. }), "{error:?}");
    assert!(
        error.to_string().contains(&format!("127.0.0.1:{port}")),
        "{error}"
    );
}

#[test]
fn a_damaged_clone_is_set_aside_and_made_anew() {
    type Damage = (&'static str, fn(&Path));
    let table: [Damage; 8] = [
        ("no HEAD", |dir| fs::remove_file(dir.join("HEAD")).unwrap()),
        ("empty HEAD", |dir| fs::write(dir.join("HEAD"), "").unwrap()),
        ("config is noise", |dir| {
            fs::write(dir.join("config"), "\0[[[").unwrap();
        }),
        ("config allows redirects", |dir| {
            fs::write(dir.join("config"), "[core]\nbare = true\n").unwrap();
        }),
        ("empty reference", |dir| {
            fs::write(dir.join(TIP), "").unwrap();
        }),
        ("no objects", |dir| {
            fs::remove_dir_all(dir.join("objects")).unwrap();
        }),
        ("one file is damaged", |dir| {
            for file in files_below(&dir.join("objects")) {
                if file.extension().is_some_and(|end| end == "pack") {
                    let mut bytes = fs::read(&file).unwrap();
                    // Before the checksum of the pack: the last byte of the last object, a file.
                    let last = bytes.len() - 21;
                    bytes[last] ^= 1;
                    fs::remove_file(&file).unwrap();
                    fs::write(&file, bytes).unwrap();
                }
            }
        }),
        ("objects are noise", |dir| {
            for file in files_below(&dir.join("objects")) {
                fs::remove_file(&file).unwrap();
                fs::write(&file, "noise").unwrap();
            }
        }),
    ];
    for (name, damage) in table {
        let lab = Lab::new();
        let tip = lab.fetch();
        damage(&lab.path("state.git"));
        let cache = lab.cache();
        let aside = cache
            .set_aside()
            .unwrap_or_else(|| panic!("{name}: not noticed"));
        assert!(aside.path.is_dir(), "{name}");
        assert!(aside.to_string().contains("nothing is lost"), "{aside}");
        assert_eq!(cache.tip().unwrap(), None, "{name}");
        assert_eq!(cache.fetch(&lab.remote()).unwrap(), tip, "{name}");
        assert_eq!(lab.cache().set_aside(), None, "{name}: now it is sound");
    }
}

pub(super) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn a_kill_at_any_moment_does_no_harm() {
    let lab = Lab::new();
    lab.fetch();
    let second = lab.commit("fleet.yaml", "name: b\n");
    lab.push();
    let dir = lab.path("state.git");
    let left = [
        "HEAD.lock",
        "config.lock",
        "packed-refs.lock",
        "refs/heads/state.lock",
        "objects/pack/pack_git2_a1b2c3",
        "objects/tmp_object_git2_a1b2c3",
    ];
    for name in left {
        fs::write(dir.join(name), "half").unwrap();
    }
    fs::create_dir(lab.path("state.git.new")).unwrap();
    fs::write(lab.path("state.git.lock"), "").unwrap();
    let cache = lab.cache();
    assert_eq!(cache.set_aside(), None);
    // A second time, for a process that was killed after the clone was opened.
    for name in left {
        fs::write(dir.join(name), "half").unwrap();
    }
    assert_eq!(cache.fetch(&lab.remote()).unwrap(), second);
    for name in left {
        assert!(!dir.join(name).exists(), "{name}");
    }
}

#[test]
fn a_half_made_clone_is_no_obstacle() {
    let lab = Lab::new();
    fs::create_dir(lab.path("state.git")).unwrap();
    let cache = lab.cache();
    assert!(cache.set_aside().is_some());
    assert_eq!(cache.fetch(&lab.remote()).unwrap(), lab.head());
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let lab = Lab::new();
    let error = Cache::open(&lab.path("work")).unwrap_err();
    assert!(matches!(error, StateError::Foreign { .. }), "{error:?}");
    assert!(lab.path("work/fleet.yaml").exists());
    fs::write(lab.path("file"), "x").unwrap();
    let error = Cache::open(&lab.path("file")).unwrap_err();
    assert!(matches!(error, StateError::Foreign { .. }), "{error:?}");
    std::os::unix::fs::symlink(lab.path("remote.git"), lab.path("link")).unwrap();
    let error = Cache::open(&lab.path("link")).unwrap_err();
    assert!(matches!(error, StateError::Foreign { .. }), "{error:?}");
    let error = Cache::open(&lab.path("file/state.git")).unwrap_err();
    assert!(matches!(error, StateError::Disk { .. }), "{error:?}");
}

#[test]
fn one_process_at_a_time_writes() {
    let lab = Lab::new();
    let cache = lab.cache();
    let lock = cache.lock().unwrap();
    let waiting = {
        let (cache, remote) = (cache.clone(), lab.remote());
        std::thread::spawn(move || cache.fetch(&remote))
    };
    drop(lock);
    assert_eq!(waiting.join().unwrap().unwrap(), lab.head());
}

#[test]
fn bad_settings_never_reach_the_network() {
    let lab = Lab::new();
    let cache = lab.cache();
    let token = lab.path("token");
    fs::write(&token, "s3cret\n").unwrap();
    let with_token = Credentials::Token {
        user: "bot".into(),
        token_file: token,
    };
    let table = [
        ("http://127.0.0.1:1/x", Credentials::None, "not encrypted"),
        (
            "https://bot:s3cret@127.0.0.1:1/x",
            Credentials::None,
            "put it in a token file",
        ),
        ("ssh://127.0.0.1:1/x", with_token, "https:// URL only"),
    ];
    for (url, credentials, expected) in table {
        let error = cache
            .fetch(&Remote::new(url, "main", credentials))
            .unwrap_err();
        assert!(matches!(error, StateError::Settings { .. }), "{error:?}");
        let text = chain(&error);
        assert!(
            text.contains(expected) && !text.contains("s3cret"),
            "{text}"
        );
    }
}

#[test]
fn many_packs_become_one_and_no_commit_is_lost() {
    let lab = Lab::new();
    let mut commits = vec![lab.fetch()];
    for round in 0..4 {
        lab.git(&["checkout", "-q", "--orphan", &format!("b{round}")]);
        lab.commit("fleet.yaml", &format!("name: n{round}\n"));
        lab.push();
        commits.push(lab.fetch());
    }
    let packs = || {
        let files = files_below(&lab.path("state.git/objects/pack"));
        files
            .iter()
            .filter(|file| file.extension().is_some_and(|end| end == "pack"))
            .count()
    };
    let cache = lab.cache();
    assert_eq!(packs(), 5);
    crate::state::clone::repack(&cache, 5).unwrap();
    assert_eq!(packs(), 5);
    crate::state::clone::repack(&cache, 4).unwrap();
    assert_eq!(packs(), 1);
    let cache = lab.cache();
    assert_eq!(cache.set_aside(), None);
    for commit in &commits {
        assert_eq!(cache.read(commit).unwrap().len(), 1, "{commit}");
    }
}

#[test]
fn trees_that_name_each_other_a_billion_times_take_no_time() {
    let lab = Lab::new();
    lab.fetch();
    let repo = git2::Repository::open_bare(lab.path("state.git")).unwrap();
    let mut tree = repo.head().unwrap().peel_to_tree().unwrap().id();
    for _ in 0..12 {
        let mut builder = repo.treebuilder(None).unwrap();
        for name in 0..10 {
            builder.insert(format!("f{name}"), tree, 0o040_000).unwrap();
        }
        tree = builder.write().unwrap();
    }
    let tree = repo.find_tree(tree).unwrap();
    let ada = git2::Signature::now("Ada", "ada@school.example").unwrap();
    let parent = repo.head().unwrap().peel_to_commit().unwrap();
    let bomb = repo
        .commit(Some(TIP), &ada, &ada, "bomb", &tree, &[&parent])
        .unwrap();
    let cache = lab.cache();
    assert_eq!(cache.set_aside(), None);
    let error = cache.read(&CommitId::from_oid(bomb)).unwrap_err();
    assert!(matches!(error, StateError::Tree { .. }), "{error:?}");
}

#[test]
fn the_users_git_configuration_has_no_say() {
    let lab = Lab::new();
    let hostile = "[url \"file:///nonexistent/\"]\ninsteadOf = file:///\n\
                   [core]\nhooksPath = /nonexistent\n[init]\ndefaultBranch = x\n";
    fs::write(lab.path(".gitconfig"), hostile).unwrap();
    let output = command(
        std::env::current_exe().unwrap().to_str().unwrap(),
        lab.dir.path(),
    )
    .args([
        "--exact",
        "state::tests::clone::clones_then_fetches_what_is_new",
    ])
    .env("HOME", lab.dir.path())
    .env_remove("GIT_CONFIG_NOSYSTEM")
    .output()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
