//! What of a commit is read, and what is refused.

use super::*;
use crate::state::tree::{self, Limits};

#[test]
fn yaml_and_calendars_are_read_from_any_commit() {
    let lab = Lab::new();
    let first = lab.head();
    lab.write("schools/ä/rooms/r 1.yml", "hosts: []\n");
    lab.write("calendars/bw.ics", "BEGIN:VCALENDAR\r\n");
    lab.write("README.md", "text");
    lab.commit("fleet.yaml", "name: b\n");
    lab.push();
    let tip = lab.fetch();
    let cache = lab.cache();
    let files = cache.read(&tip).unwrap();
    let paths: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        ["calendars/bw.ics", "fleet.yaml", "schools/ä/rooms/r 1.yml"]
    );
    assert_eq!(files["fleet.yaml"], b"name: b\n");
    assert_eq!(cache.read(&first).unwrap()["fleet.yaml"], b"name: a\n");
}

#[test]
fn everything_unfit_is_named_at_once() {
    let lab = Lab::new();
    let work = lab.path("work");
    std::os::unix::fs::symlink("/etc/passwd", work.join("evil.yaml")).unwrap();
    std::os::unix::fs::symlink("schools", work.join("link")).unwrap();
    lab.write("schools/a\u{1b}b.yaml", "x: 1\n");
    lab.write("back\\slash.yaml", "x: 1\n");
    let commit = lab.head();
    let cache_line = format!("160000,{commit},modules/x");
    lab.git(&["update-index", "--add", "--cacheinfo", &cache_line]);
    lab.git(&["commit", "-q", "-m", "evil"]);
    lab.push();
    let tip = lab.fetch();
    let error = lab.cache().read(&tip).unwrap_err();
    let text = error.to_string();
    let StateError::Tree { problems, .. } = error else {
        panic!("{text}")
    };
    assert_eq!(
        problems,
        [
            TreeProblem::Name("back\\slash.yaml".into()),
            TreeProblem::Symlink("evil.yaml".into()),
            TreeProblem::Symlink("link".into()),
            TreeProblem::Submodule("modules/x".into()),
            TreeProblem::Name("schools/a\u{fffd}b.yaml".into()),
        ]
    );
    assert!(text.contains("evil.yaml is a symbolic link"), "{text}");
}

#[test]
fn a_forged_tree_does_not_hide_a_file() {
    let lab = Lab::new();
    lab.fetch();
    let repo = git2::Repository::open_bare(lab.path("state.git")).unwrap();
    let odb = repo.odb().unwrap();
    let blob = repo.blob(b"x: 1\n").unwrap();
    for name in ["fleet.yaml", "..", ".git", ".GIT"] {
        let mut tree = Vec::new();
        for _ in 0..2 {
            tree.extend_from_slice(format!("100644 {name}\0").as_bytes());
            tree.extend_from_slice(blob.as_bytes());
        }
        let tree = odb.write(git2::ObjectType::Tree, &tree).unwrap();
        let text = format!("tree {tree}\nauthor A <a> 0 +0000\ncommitter A <a> 0 +0000\n\nx\n");
        let commit = odb
            .write(git2::ObjectType::Commit, text.as_bytes())
            .unwrap();
        let error = lab.cache().read(&CommitId::from_oid(commit)).unwrap_err();
        assert!(
            matches!(error, StateError::Tree { .. } | StateError::Damaged { .. }),
            "{name}: {error:?}"
        );
    }
}

#[test]
fn every_bound_names_the_path_that_broke_it() {
    let lab = Lab::new();
    lab.write("a/b/c.yaml", "0123456789\n");
    lab.commit("a/d.yaml", "0123456789\n");
    lab.push();
    let tip = lab.fetch();
    let wide = Limits {
        entries: 100,
        depth: 10,
        file_bytes: 100,
        total_bytes: 100,
    };
    let table = [
        (wide, None),
        (
            Limits { entries: 3, ..wide },
            Some(TreeProblem::Entries("a/d.yaml".into(), 3)),
        ),
        (
            Limits { depth: 2, ..wide },
            Some(TreeProblem::Depth("a/b".into())),
        ),
        (
            Limits {
                total_bytes: 20,
                ..wide
            },
            Some(TreeProblem::Total("a/d.yaml".into(), 20)),
        ),
    ];
    for (limits, expected) in table {
        match (tree::read(&lab.cache(), &tip, limits), expected) {
            (Ok(files), None) => assert_eq!(files.len(), 3),
            (Err(StateError::Tree { problems, .. }), Some(expected)) => {
                assert_eq!(problems[0], expected);
            }
            other => panic!("{other:?}"),
        }
    }
    let limits = Limits {
        file_bytes: 10,
        ..wide
    };
    let Err(StateError::Tree { problems, .. }) = tree::read(&lab.cache(), &tip, limits) else {
        panic!("accepted")
    };
    let large = |path: &str| TreeProblem::File(path.into(), 11);
    assert_eq!(problems, [large("a/b/c.yaml"), large("a/d.yaml")]);
}
