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
    let folder = school.nord().paths.linbo().join("images/ubuntu-new");
    fs::create_dir_all(&folder).unwrap();
    let nord = school.nord();
    let object = |name: &str| {
        let digest = manifest.file(name).unwrap().sha256;
        nord.paths.store().join("objects").join(digest.hex())
    };
    fs::copy(object("ubuntu.qcow2"), folder.join("ubuntu-new.qcow2")).unwrap();
    let base = fs::read_to_string(object("ubuntu.qcow2.info")).unwrap();
    let info = base.replace("ubuntu.qcow2", "ubuntu-new.qcow2");
    fs::write(folder.join("ubuntu-new.qcow2.info"), &info).unwrap();
    upload_diff(&folder, "ubuntu-new");
}

/// A diff on the base that lies there, with all that LINBO leaves of its upload.
fn upload_diff(folder: &Path, name: &str) {
    let base = fs::read_to_string(folder.join(format!("{name}.qcow2.info"))).unwrap();
    let stamp = base
        .lines()
        .find_map(|line| line.strip_prefix("timestamp="))
        .unwrap();
    let (below, diff) = (format!("{name}.qcow2"), format!("{name}.qdiff"));
    fs::remove_file(folder.join(&diff)).ok();
    let create = ["create", "-f", "qcow2", "-b", &below, "-F", "qcow2", &diff];
    run_tool("qemu-img", &create, folder).unwrap();
    let text = format!(
        "[\"{diff}\" Info File]\ntimestamp=\"202611240930\"\nimage=\"{diff}\"\nimagesize=\"{}\"\n\
         backingfile_timestamp={stamp}\n",
        fs::metadata(folder.join(&diff)).unwrap().len()
    );
    fs::write(folder.join(format!("{diff}.info")), text).unwrap();
    let account = "dn: CN=REBRAND-VM\nunicodePwd:: c2VjcmV0\n";
    fs::write(folder.join(format!("{diff}.macct")), account).unwrap();
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

/// The state repo names a VM: it gets what it needs, and what it uploads stays.
#[test]
fn the_vm_finds_the_image_under_a_name_of_its_own() {
    let school = OneSchool::ready(2);
    commit_foreign(&school);
    let nord = school.nord();
    let with_vm = |dir: &Path| {
        let path = dir.join("schools/bs-nord/school.yaml");
        let text = fs::read_to_string(&path)?;
        fs::write(
            path,
            text + "rebrand: { host: r101-pc02, like: ubuntu-lab }\n",
        )?;
        Ok(())
    };
    school
        .lab
        .repo()
        .commit(with_vm, "pc02 moves images")
        .unwrap();
    let devices = nord.paths.devices_csv();
    let rows = fs::read_to_string(&devices).unwrap();
    fs::write(
        &devices,
        rows.replace("r101-pc02;ubuntu-lab", "r101-pc02;rebrand"),
    )
    .unwrap();

    let run = school.pass(MONDAY, 0);
    says(
        &run,
        &[
            "class rebrand: write start.conf.rebrand: done",
            "image ubuntu: make 2026.10.1 ready for the VM as ubuntu-rebrand: done",
            "image ubuntu-rebrand: activate 2026.10.1: done",
            "in the VM r101-pc02, sync ubuntu-rebrand, move it into the school's domain",
        ],
    );
    let linbo = nord.paths.linbo();
    let folder = linbo.join("images/ubuntu-rebrand");
    assert!(!linbo.join("images/ubuntu").exists());
    let info = run_tool("qemu-img", &["info", "ubuntu-rebrand.qdiff"], &folder).unwrap();
    assert!(
        info.contains("backing file: ubuntu-rebrand.qcow2"),
        "{info}"
    );
    let names = fs::read_dir(&folder).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let wanted = ["qcow2", "qcow2.info", "qdiff", "qdiff.info"]
        .map(|ending| format!("ubuntu-rebrand.{ending}"));
    assert_eq!(names, wanted.map(std::ffi::OsString::from));
    let conf = fs::read_to_string(linbo.join("start.conf.rebrand")).unwrap();
    for line in [
        "BaseImage = ubuntu-rebrand.qcow2",
        "DownloadType = rsync",
        "Autostart = no",
    ] {
        assert!(conf.contains(line), "{conf}");
    }
    assert!(!conf.contains("ubuntu.qcow2"), "{conf}");

    // Nothing is done twice, and what the VM uploads is not put aside.
    upload_diff(&folder, "ubuntu-rebrand");
    let uploaded = fs::read(folder.join("ubuntu-rebrand.qdiff")).unwrap();
    let run = school.pass("2026-11-24 18:05:00", 0);
    assert!(!run.stdout.contains("done"), "{}", run.stdout);
    assert_eq!(
        fs::read(folder.join("ubuntu-rebrand.qdiff")).unwrap(),
        uploaded
    );

    let take = ["rebranded", "ubuntu", "--from", "ubuntu-rebrand"];
    says(
        &school.run(&take, "2026-11-24 18:10:00", 0),
        &["ubuntu 2026.10.1 belongs to bs-nord.example now"],
    );
    let run = school.pass("2026-11-24 18:15:00", 0);
    says(&run, &["image ubuntu: activate 2026.10.1: done"]);
    assert!(linbo.join("images/ubuntu/ubuntu.qdiff.macct").is_file());
    says(&school.pass("2026-11-24 18:45:00", 0), &["Nothing to do"]);
}
