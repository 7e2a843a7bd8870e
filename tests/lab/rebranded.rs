//! An image that belongs to another domain: downloaded, moved into the school's by people in a VM, taken, and rolled out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use harness::lab::run_tool;
use reconciler::manifest::Manifest;

use crate::one_school::{MONDAY, OneSchool, WEDNESDAY, says};

/// A school whose image belongs to another domain, and is downloaded.
fn downloaded() -> OneSchool {
    let school = OneSchool::ready(2);
    commit_foreign(&school);
    let run = school.pass(MONDAY, 0);
    says(
        &run,
        &[
            "image ubuntu: cannot activate 2026.10.1",
            "it belongs to another domain: move it into the school's in a VM",
            "`reconcile rebranded IMAGE --from NAME`",
        ],
    );
    school
}

fn commit_foreign(school: &OneSchool) {
    let foreign = |dir: &Path| {
        let path = dir.join("images/ubuntu.yaml");
        let text = fs::read_to_string(&path)?;
        fs::write(path, text.replace("domain_join: not_needed\n", ""))?;
        Ok(())
    };
    let repo = school.lab.repo();
    repo.commit(foreign, "the image is of the central domain")
        .unwrap();
}

/// What LINBO leaves when a VM uploads a diff on the base of this version under the name `ubuntu-new`.
fn upload(school: &OneSchool, manifest: &Manifest) {
    let nord = school.nord();
    let folder = nord.paths.linbo().join("images/ubuntu-new");
    fs::create_dir_all(&folder).unwrap();
    let object = |name: &str| {
        let digest = manifest.file(name).unwrap().sha256;
        nord.paths.store().join("objects").join(digest.hex())
    };
    fs::copy(object("ubuntu.qcow2"), folder.join("ubuntu-new.qcow2")).unwrap();
    let base = fs::read_to_string(object("ubuntu.qcow2.info")).unwrap();
    let info = base.replace("ubuntu.qcow2", "ubuntu-new.qcow2");
    fs::write(folder.join("ubuntu-new.qcow2.info"), &info).unwrap();
    let diff = folder.join("ubuntu-new.qdiff");
    fs::remove_file(&diff).ok();
    let name = "ubuntu-new.qdiff";
    let create = [
        "create",
        "-f",
        "qcow2",
        "-b",
        "ubuntu-new.qcow2",
        "-F",
        "qcow2",
        name,
    ];
    run_tool("qemu-img", &create, &folder).unwrap();
    let stamp = info
        .lines()
        .find_map(|line| line.strip_prefix("timestamp="))
        .unwrap();
    let text = format!(
        "[\"ubuntu-new.qdiff\" Info File]\ntimestamp=\"202611240930\"\nimage=\"ubuntu-new.qdiff\"\n\
         imagesize=\"{}\"\nbackingfile_timestamp={stamp}\n",
        fs::metadata(&diff).unwrap().len()
    );
    fs::write(folder.join("ubuntu-new.qdiff.info"), text).unwrap();
    let account = "dn: CN=REBRAND-VM\nunicodePwd:: c2VjcmV0\n";
    fs::write(folder.join("ubuntu-new.qdiff.macct"), account).unwrap();
}

fn published(school: &OneSchool) -> Manifest {
    let folder = school.nord().paths.store().join("manifests");
    let entries = fs::read_dir(folder).unwrap();
    let texts = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let mut all = texts.filter_map(|text| Manifest::parse(&text).ok());
    all.next().unwrap()
}

const TAKE: [&str; 4] = ["rebranded", "ubuntu", "--from", "ubuntu-new"];

#[test]
fn an_image_of_another_domain_comes_to_the_hosts_when_it_was_moved_and_not_before() {
    let school = downloaded();
    let nord = school.nord();
    let live = nord.paths.linbo().join("images/ubuntu");
    assert!(!live.exists());
    says(
        &school.run(&TAKE, MONDAY, 1),
        &["there is no image ubuntu-new in"],
    );
    let manifest = published(&school);
    upload(&school, &manifest);
    // An upload that was cut off.
    let diff = nord
        .paths
        .linbo()
        .join("images/ubuntu-new/ubuntu-new.qdiff");
    let whole = fs::read(&diff).unwrap();
    fs::write(&diff, &whole[..whole.len() / 2]).unwrap();
    says(&school.run(&TAKE, MONDAY, 1), &["the upload was cut off"]);
    upload(&school, &manifest);
    let run = school.run(&TAKE, MONDAY, 0);
    says(
        &run,
        &[
            "ubuntu 2026.10.1 belongs to bs-nord.example now: a diff of",
            "the next pass puts it in place",
        ],
    );

    let run = school.pass(WEDNESDAY, 0);
    says(&run, &["image ubuntu: activate 2026.10.1: done", "Pass: "]);
    let account = live.join("ubuntu.qdiff.macct");
    let mode = fs::metadata(&account).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let info = run_tool("qemu-img", &["info", "ubuntu.qdiff"], &live).unwrap();
    assert!(info.contains("backing file: ubuntu.qcow2"), "{info}");
    let base = fs::read(live.join("ubuntu.qcow2")).unwrap();
    assert_eq!(
        reconciler::manifest::digest_of(&base),
        manifest.base().sha256
    );
    for host in school.lab.hosts() {
        let applied = host.applied().unwrap().unwrap();
        assert_eq!(
            (applied.file.as_str(), applied.timestamp.as_str()),
            ("ubuntu.qdiff", "202611240930")
        );
    }
    says(
        &school.run(&["explain", "image", "ubuntu"], WEDNESDAY, 0),
        &["2026.10.1", "of 202611240930"],
    );
    says(&school.pass("2026-11-25 18:45:00", 0), &["Nothing to do"]);
    school.assert_clean();
}

#[test]
fn what_can_only_be_a_mistake_is_refused() {
    let school = OneSchool::ready(1);
    school.pass(MONDAY, 0);
    let wrong = |arguments: &[&str], wanted: &str| {
        says(&school.run(arguments, MONDAY, 64), &[wanted]);
    };
    wrong(&TAKE, "ubuntu belongs to no domain");
    wrong(
        &["rebranded", "mint", "--from", "mint-new"],
        "the state repo wants no released image mint here",
    );
    commit_foreign(&school);
    wrong(
        &["rebranded", "ubuntu", "--from", "ubuntu"],
        "ubuntu is an image of a hardware class: upload under a name that no PC uses",
    );
    wrong(&["rebranded", "ubuntu"], "--from");
}
