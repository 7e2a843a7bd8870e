//! Images that were moved into the domain of the school.

use reconciler::manifest::{MadeFrom, Manifest, ManifestFile};
use reconciler::planning::Probe;
use schema::digest::Digest;

use super::{GIB, World, digest, manifest, manifest_digest, name};

impl World {
    /// The store gets what was made of a version for a domain: the same base, and another diff. Its digest is given back.
    ///
    /// # Panics
    ///
    /// When the store cannot be seen.
    #[expect(clippy::expect_used, clippy::panic, reason = "a test may panic")]
    pub fn rebrand(&mut self, image: &str, version: &str, domain: &str) -> Digest {
        let published = manifest(image, version, 12 * GIB, Some(GIB));
        let at = self.observed.at;
        let file = |ending: &str, size| ManifestFile {
            name: name(&format!("{image}.{ending}")),
            size,
            sha256: digest(&format!("{image} {version} {domain} {at} {ending}")),
        };
        let files = vec![
            published.base().clone(),
            file("qdiff", 2 * GIB),
            file("qdiff.macct", 900),
        ];
        let made = MadeFrom {
            source: manifest_digest(image, version),
            domain: Some(name(domain)),
            at,
            commit: None,
            program: "0".to_owned(),
        };
        let made = Manifest::made_here(name(image), name(version), files, made);
        let made = made.expect("a sound manifest");
        let key = digest(&format!("{image} {version} {domain} {at}"));
        let Probe::Seen(store) = &mut self.observed.store else {
            panic!("the store is seen");
        };
        let contents = made.files().iter().map(|file| file.sha256);
        store.objects.extend(contents);
        store.manifests.insert(key, made);
        key
    }
}
