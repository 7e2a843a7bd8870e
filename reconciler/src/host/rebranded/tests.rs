#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use schema::name::VersionName;

use super::*;

/// Digests that are read each time.
struct Read;

impl KnownDigests for Read {
    fn of(&self, path: &Path) -> io::Result<Digest> {
        fs::read(path).map(|bytes| digest_of(&bytes))
    }

    fn adopt(&self, _: &Path, _: &Path) {}
}

/// A server that has downloaded a base with a diff, and a VM that has uploaded a diff of its own on that base.
struct Bed {
    root: tempfile::TempDir,
    paths: Paths,
    published: Manifest,
}

fn qemu_img(folder: &Path, words: &[&str]) {
    let done = Command::new("qemu-img")
        .args(words)
        .current_dir(folder)
        .output();
    let done = done.unwrap();
    assert!(done.status.success(), "{words:?}: {done:?}");
}

fn info(image: &str, size: u64, more: &str) -> String {
    format!(
        "[\"{image}\" Info File]\ntimestamp=\"202611261930\"\nimage=\"{image}\"\nimagesize=\"{size}\"\n{more}"
    )
}

impl Bed {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths {
            linbo: root.path().join("linbo"),
            store: root.path().join("store"),
            ..Paths::default()
        };
        let upload = paths.linbo.join("images/ubuntu-new");
        fs::create_dir_all(&upload).unwrap();
        let store = StoreFolder::new(&paths.store);
        store.prepare(&paths.linbo).unwrap();
        // The base, and its content.
        fs::write(upload.join("raw"), vec![7; 1 << 20]).unwrap();
        qemu_img(
            &upload,
            &["convert", "-O", "qcow2", "raw", "ubuntu-new.qcow2"],
        );
        fs::remove_file(upload.join("raw")).unwrap();
        let base = fs::read(upload.join("ubuntu-new.qcow2")).unwrap();
        let mut files = Vec::new();
        let mut publish = |name: &str, bytes: &[u8]| {
            let sha256 = digest_of(bytes);
            fs::write(store.object(&sha256), bytes).unwrap();
            files.push(ManifestFile {
                name: name.parse().unwrap(),
                size: bytes.len() as u64,
                sha256,
            });
        };
        let base_info = info("ubuntu.qcow2", base.len() as u64, "").replace("26193", "01080");
        publish("ubuntu.qcow2", &base);
        publish("ubuntu.qcow2.info", base_info.as_bytes());
        publish("ubuntu.qdiff", b"the diff of the central server");
        publish("ubuntu.qdiff.info", b"timestamp=\"202611020900\"\n");
        publish("ubuntu.postsync", b"# of all schools\n");
        let (image, version) = ("ubuntu".parse().unwrap(), "2026.11.1".parse().unwrap());
        let published = Manifest::new(image, version, files).unwrap();
        let bed = Self {
            root,
            paths,
            published,
        };
        bed.write(
            "qcow2.info",
            base_info
                .replace("ubuntu.qcow2", "ubuntu-new.qcow2")
                .as_bytes(),
        );
        qemu_img(
            &upload,
            &[
                "create",
                "-f",
                "qcow2",
                "-b",
                "ubuntu-new.qcow2",
                "-F",
                "qcow2",
                "ubuntu-new.qdiff",
            ],
        );
        bed.describe("qdiff", "backingfile_timestamp=\"202611010800\"\n");
        bed.write("qdiff.macct", b"dn: CN=REBRAND-VM\nunicodePwd:: c2VjcmV0\n");
        bed
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.paths
            .linbo
            .join(format!("images/ubuntu-new/ubuntu-new.{ending}"))
    }

    fn write(&self, ending: &str, bytes: &[u8]) {
        fs::write(self.path(ending), bytes).unwrap();
    }

    /// Writes the `.info` of an image file as it is.
    fn describe(&self, ending: &str, more: &str) {
        let size = fs::metadata(self.path(ending)).unwrap().len();
        let text = info(&format!("ubuntu-new.{ending}"), size, more);
        self.write(&format!("{ending}.info"), text.as_bytes());
    }

    async fn take(&self) -> Result<(Digest, Manifest), RebrandedError> {
        let commands = Commands::default();
        let place = Place {
            paths: &self.paths,
            commands: &commands,
            digests: &Read,
        };
        let made = MadeFrom {
            source: digest_of(b"in Git"),
            domain: "bs-nord.example".parse().ok(),
            at: jiff::Timestamp::UNIX_EPOCH,
            commit: None,
            program: "0".to_owned(),
        };
        take(
            &place,
            &"ubuntu-new".parse().unwrap(),
            &self.published,
            made,
        )
        .await
    }

    async fn refuses(&self, wanted: &str) {
        let before = self.stored();
        let error = self.take().await.unwrap_err();
        assert!(
            error.to_string().contains(wanted),
            "{error} and not {wanted}"
        );
        assert_eq!(self.stored(), before, "{wanted}");
    }

    /// What lies in the store.
    fn stored(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for folder in ["manifests", "objects", "staging"] {
            let entries = fs::read_dir(self.paths.store.join(folder)).unwrap();
            all.extend(entries.map(|entry| entry.unwrap().path()));
        }
        all.sort();
        all
    }
}

#[tokio::test]
async fn a_diff_takes_the_place_of_the_published_one_on_the_same_base() {
    let bed = Bed::new();
    let linbo = |bed: &Bed| {
        ["qcow2", "qdiff", "qdiff.info", "qdiff.macct"]
            .map(|ending| fs::read(bed.path(ending)).unwrap())
    };
    let before = linbo(&bed);
    let (digest, manifest) = bed.take().await.unwrap();
    assert_eq!(linbo(&bed), before);
    let names: Vec<&str> = manifest
        .files()
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "ubuntu.postsync",
            "ubuntu.qcow2",
            "ubuntu.qcow2.info",
            "ubuntu.qdiff",
            "ubuntu.qdiff.info",
            "ubuntu.qdiff.macct",
        ]
    );
    let version: VersionName = "2026.11.1".parse().unwrap();
    assert_eq!(manifest.version(), &version);
    assert_eq!(manifest.base(), bed.published.base());
    let store = StoreFolder::new(&bed.paths.store);
    assert_eq!(
        store.read_manifest(&digest).unwrap(),
        Some(manifest.clone())
    );
    for file in manifest.files() {
        let object = store.object(&file.sha256);
        assert_eq!(Read.of(&object).unwrap(), file.sha256, "{}", file.name);
    }
    let diff = store.object(&manifest.diff().unwrap().sha256);
    assert_eq!(
        fs::metadata(&diff).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let shown = Command::new("qemu-img")
        .args(["info", "--output=json"])
        .arg(&diff)
        .output()
        .unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["backing-filename"], "ubuntu.qcow2");
    let record = manifest.file("ubuntu.qdiff.info").unwrap().sha256;
    let record = ImageRecord::parse(&fs::read(store.object(&record)).unwrap());
    assert_eq!(record.image.unwrap().as_str(), "ubuntu.qdiff");
    assert_eq!(record.size, Some(manifest.diff().unwrap().size));
    assert_eq!(record.backing.unwrap().as_str(), "202611010800");
    // The same once more is the same.
    let stored = bed.stored();
    assert_eq!(bed.take().await.unwrap().0, digest);
    assert_eq!(bed.stored(), stored);
}

#[tokio::test]
async fn a_whole_image_takes_the_place_of_base_and_diff() {
    let bed = Bed::new();
    for ending in ["qdiff", "qdiff.info", "qdiff.macct"] {
        fs::remove_file(bed.path(ending)).unwrap();
    }
    qemu_img(
        bed.path("qcow2").parent().unwrap(),
        &["create", "-f", "qcow2", "ubuntu-new.qcow2", "4M"],
    );
    bed.describe("qcow2", "");
    bed.write("qcow2.macct", b"unicodePwd:: c2VjcmV0\n");
    let (_, manifest) = bed.take().await.unwrap();
    let names: Vec<&str> = manifest
        .files()
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "ubuntu.postsync",
            "ubuntu.qcow2",
            "ubuntu.qcow2.info",
            "ubuntu.qcow2.macct"
        ]
    );
    assert_ne!(manifest.base(), bed.published.base());
}

/// The contract's list of how an upload that said it went well did not.
#[tokio::test]
async fn an_upload_is_not_believed() {
    let bed = Bed::new();
    let diff = fs::read(bed.path("qdiff")).unwrap();
    let record = fs::read(bed.path("qdiff.info")).unwrap();
    let account = fs::read(bed.path("qdiff.macct")).unwrap();
    let base = fs::read(bed.path("qcow2")).unwrap();

    bed.write("qdiff", &diff[..diff.len() / 2]);
    bed.refuses("the upload was cut off").await;
    bed.describe("qdiff", "backingfile_timestamp=\"202611010800\"\n");
    bed.refuses("qemu-img").await;
    bed.write("qdiff", b"no image at all");
    bed.describe("qdiff", "backingfile_timestamp=\"202611010800\"\n");
    bed.refuses("qemu-img ended with exit code").await;

    bed.write("qdiff", &diff);
    for (text, wanted) in [
        (String::new(), "it has no timestamp"),
        (
            "timestamp=\"202611261930\"\nimage=\"ubuntu.qdiff\"\n".to_owned(),
            "it speaks of ubuntu.qdiff",
        ),
        (
            String::from_utf8(record.clone())
                .unwrap()
                .replace("1101", "1102"),
            "made on the base of 202611020800",
        ),
        ("x".repeat(300 << 10), "too long"),
    ] {
        bed.write("qdiff.info", text.as_bytes());
        bed.refuses(wanted).await;
    }
    fs::remove_file(bed.path("qdiff.info")).unwrap();
    bed.refuses("the upload did not come to its end").await;

    bed.write("qdiff.info", &record);
    for (text, wanted) in [
        (&b"dn: x\n"[..], "no password"),
        (b"unicodePwd:: \n", "no password"),
    ] {
        bed.write("qdiff.macct", text);
        bed.refuses(wanted).await;
    }
    bed.write("qdiff.macct", &account);
    let old =
        fs::metadata(bed.path("qdiff")).unwrap().modified().unwrap() - Duration::from_secs(3600);
    let file = fs::File::options()
        .write(true)
        .open(bed.path("qdiff.macct"))
        .unwrap();
    file.set_modified(old).unwrap();
    bed.refuses("that of an earlier upload").await;
    fs::remove_file(bed.path("qdiff.macct")).unwrap();
    bed.refuses("no PC with this image could log on").await;
    bed.write("qdiff.macct", &account);

    let mut other = base.clone();
    *other.last_mut().unwrap() ^= 1;
    bed.write("qcow2", &other);
    bed.refuses("is not the base of ubuntu 2026.11.1").await;
    bed.write("qcow2", &base);

    for name in ["ubuntu-new.qdiff.BAK", ".ubuntu-new.qdiff.a1B2c3"] {
        let path = bed.path("qdiff").with_file_name(name);
        fs::write(&path, "").unwrap();
        bed.refuses("an upload runs, or was cut off").await;
        fs::remove_file(path).unwrap();
    }
    bed.take().await.unwrap();
}

/// An image that would read another file of the server, and give it to all PCs.
#[tokio::test]
async fn an_image_that_reaches_out_of_its_folder_is_refused() {
    let bed = Bed::new();
    let secret = bed.root.path().join("secret");
    fs::write(&secret, vec![1; 1 << 20]).unwrap();
    let folder = bed.path("qdiff").parent().unwrap().to_owned();
    fs::remove_file(bed.path("qdiff")).unwrap();
    let secret = secret.to_str().unwrap();
    qemu_img(
        &folder,
        &[
            "create",
            "-f",
            "qcow2",
            "-b",
            secret,
            "-F",
            "raw",
            "ubuntu-new.qdiff",
        ],
    );
    bed.describe("qdiff", "backingfile_timestamp=\"202611010800\"\n");
    bed.refuses("its backing file is").await;
    fs::remove_file(bed.path("qdiff")).unwrap();
    qemu_img(
        &folder,
        &[
            "create",
            "-f",
            "qcow2",
            "-o",
            "data_file=data.raw",
            "ubuntu-new.qdiff",
            "1M",
        ],
    );
    qemu_img(
        &folder,
        &[
            "rebase",
            "-u",
            "-b",
            "ubuntu-new.qcow2",
            "-F",
            "qcow2",
            "ubuntu-new.qdiff",
        ],
    );
    bed.describe("qdiff", "backingfile_timestamp=\"202611010800\"\n");
    bed.refuses("is in another file").await;
}

#[tokio::test]
async fn a_version_is_made_ready_under_another_name() {
    let bed = Bed::new();
    let store = StoreFolder::new(&bed.paths.store);
    // The diff of the central server is a real one this time.
    let folder = bed.root.path().join("central");
    fs::create_dir(&folder).unwrap();
    fs::copy(
        store.object(&bed.published.base().sha256),
        folder.join("ubuntu.qcow2"),
    )
    .unwrap();
    let create = [
        "create",
        "-f",
        "qcow2",
        "-b",
        "ubuntu.qcow2",
        "-F",
        "qcow2",
        "ubuntu.qdiff",
    ];
    qemu_img(&folder, &create);
    let bytes = fs::read(folder.join("ubuntu.qdiff")).unwrap();
    let diff = digest_of(&bytes);
    fs::write(store.object(&diff), &bytes).unwrap();
    let files = bed.published.files().iter().cloned().map(|mut file| {
        if file.name.as_str() == "ubuntu.qdiff" {
            (file.size, file.sha256) = (bytes.len() as u64, diff);
        }
        file
    });
    let version = bed.published.version().clone();
    let published = Manifest::new("ubuntu".parse().unwrap(), version, files.collect()).unwrap();
    let text = published.to_json().unwrap();
    let key = digest_of(text.as_bytes());
    fs::write(store.manifest(&key), text).unwrap();

    let commands = Commands::default();
    let place = Place {
        paths: &bed.paths,
        commands: &commands,
        digests: &Read,
    };
    let made = || MadeFrom {
        source: key,
        domain: None,
        at: jiff::Timestamp::UNIX_EPOCH,
        commit: None,
        program: "0".to_owned(),
    };
    let to = "ubuntu-rebrand".parse().unwrap();
    let (name, staged) = stage(&place, &key, &to, made()).await.unwrap();
    let names: Vec<&str> = staged
        .files()
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    let wanted = ["qcow2", "qcow2.info", "qdiff", "qdiff.info"]
        .map(|ending| format!("ubuntu-rebrand.{ending}"));
    assert_eq!(names, wanted);
    assert_eq!(staged.base().sha256, published.base().sha256);
    let object = store.object(&staged.diff().unwrap().sha256);
    let shown = Command::new("qemu-img")
        .args(["info", "--output=json"])
        .arg(object)
        .output();
    let shown: serde_json::Value = serde_json::from_slice(&shown.unwrap().stdout).unwrap();
    assert_eq!(shown["backing-filename"], "ubuntu-rebrand.qcow2");
    let info = staged.file("ubuntu-rebrand.qcow2.info").unwrap().sha256;
    let record = ImageRecord::parse(&fs::read(store.object(&info)).unwrap());
    assert_eq!(record.image.unwrap().as_str(), "ubuntu-rebrand.qcow2");
    // A crash after it, and the same once more: the same copies, and nothing else lies there.
    let stored = bed.stored();
    assert_eq!(stage(&place, &key, &to, made()).await.unwrap().0, name);
    assert_eq!(bed.stored(), stored);
    fs::remove_file(store.manifest(&key)).unwrap();
    let error = stage(&place, &key, &to, made()).await.unwrap_err();
    assert!(error.to_string().contains("it is not there"), "{error}");
}
