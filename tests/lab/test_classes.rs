//! A test class from request to end, with real files: `devices.csv` of the school, LINBO's links, the hosts' images.

use std::fs;
use std::path::Path;

use crate::one_school::{MONDAY, OneSchool, WEDNESDAY, says, small};

/// No schedule is due: what happens then is for the test class alone.
const TUESDAY: &str = "2026-11-24 18:05:00";

const PATH: &str = "schools/bs-nord/test-classes/gimp3.yaml";

/// A school of three PCs that have their image; the second is asked to try `gimp3`.
fn asked() -> OneSchool {
    let school = OneSchool::ready(3);
    school.pass(MONDAY, 0);
    let content = small(9);
    let release = school.lab.central().publish("gimp3", "t1", &content);
    let digest = release.unwrap().manifest_sha256;
    let image = format!(
        "os: linux\ndomain_join: not_needed\nversions:\n  t1: {{ manifest: \"sha256:{digest}\", size: 8 MiB }}\n"
    );
    let test = "like: ubuntu-lab\nimage: { gimp3: t1 }\nhosts: [r101-pc02]\nuntil: 2026-12-18\n";
    let edit = |dir: &Path| {
        fs::create_dir_all(dir.join(PATH).parent().unwrap())?;
        fs::write(dir.join("images/gimp3.yaml"), image)?;
        fs::write(dir.join(PATH), test)?;
        Ok(())
    };
    school
        .lab
        .repo()
        .commit(edit, "r101-pc02 tries gimp3")
        .unwrap();
    school
}

/// The rows and the links of the school, and the file that each host applied last.
fn stands(school: &OneSchool) -> (String, Vec<String>, Vec<String>) {
    let nord = school.nord();
    let rows = fs::read_to_string(nord.paths.devices_csv()).unwrap();
    let hosts = school.lab.world().hosts.values();
    let links = hosts.map(|host| {
        let link = nord
            .paths
            .linbo()
            .join(format!("start.conf-{}", host.address));
        let target = fs::read_link(link).unwrap();
        target.display().to_string()
    });
    let applied = school
        .lab
        .hosts()
        .map(|host| host.applied().unwrap().unwrap().file);
    (rows, links.collect(), applied.collect())
}

const HOME: &str = "start.conf.ubuntu-lab";
const TEST: &str = "start.conf.gimp3";

#[test]
fn a_host_tries_an_image_and_goes_back() {
    let school = asked();
    let nord = school.nord();
    let (rows, links, applied) = stands(&school);
    assert_eq!(links, [HOME; 3]);
    assert_eq!(applied, ["ubuntu.qdiff"; 3]);
    let run = school.run(&["--dry-run"], TUESDAY, 0);
    says(
        &run,
        &[
            "class gimp3: would write start.conf.gimp3",
            "image gimp3: then would activate t1",
            "devices.csv: then would give 1 host another class",
            "from ubuntu-lab to gimp3: r101-pc02",
            "reset 1 host to gimp3",
        ],
    );

    school.pass(TUESDAY, 0);
    let (tested, links, applied) = stands(&school);
    let row = |text: &str, class: &str| text.replace("r101-pc02;ubuntu-lab;", class);
    assert_eq!(tested, row(&rows, "r101-pc02;gimp3;"));
    assert_eq!(links, [HOME, TEST, HOME]);
    assert_eq!(applied, ["ubuntu.qdiff", "gimp3.qdiff", "ubuntu.qdiff"]);
    let text = fs::read_to_string(nord.paths.linbo().join(TEST)).unwrap();
    assert!(text.contains("BaseImage = gimp3.qcow2"), "{text}");
    let run = school.pass("2026-11-24 18:30:00", 0);
    says(&run, &["Nothing to do"]);

    // Both classes are due, and each host gets its own.
    school.pass(WEDNESDAY, 0);
    assert_eq!(stands(&school).2, applied);

    let remove = |dir: &Path| Ok(fs::remove_file(dir.join(PATH))?);
    school
        .lab
        .repo()
        .commit(remove, "nobody tries gimp3")
        .unwrap();
    school.pass("2026-11-26 18:05:00", 0);
    let (back, links, applied) = stands(&school);
    assert_eq!(back, rows);
    assert_eq!(links, [HOME; 3]);
    assert_eq!(applied, ["ubuntu.qdiff"; 3]);
    school.assert_clean();
}

#[test]
fn a_host_is_not_put_back_by_a_class_that_no_import_made_known() {
    let school = asked();
    let nord = school.nord();
    nord.set_fault("linuxmuster-import-devices", Some("dry-run-fails"))
        .unwrap();
    let run = school.pass(TUESDAY, 1);
    says(
        &run,
        &[
            "r101-pc02 boots hardware class ubuntu-lab and not gimp3: linuxmuster-import-devices has to run first",
        ],
    );
    let (rows, links, applied) = stands(&school);
    assert!(rows.contains("r101-pc02;gimp3;"), "{rows}");
    assert_eq!(links, [HOME; 3]);
    assert_eq!(applied, ["ubuntu.qdiff"; 3]);

    nord.set_fault("linuxmuster-import-devices", None).unwrap();
    school.pass("2026-11-24 19:05:00", 0);
    let (_, links, applied) = stands(&school);
    assert_eq!(links, [HOME, TEST, HOME]);
    assert_eq!(applied, ["ubuntu.qdiff", "gimp3.qdiff", "ubuntu.qdiff"]);
    school.assert_clean();
}
