//! The files of a state repo in memory, by their path inside it. No I/O happens here: who has a
//! work tree, a commit or a test fills one.

use std::collections::BTreeMap;

/// One file of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file that is UTF-8 text.
    Text(String),
    /// A file that is not, which is a diagnostic when it should have been a document.
    NotText,
}

impl Entry {
    /// What the bytes of a file are: text, if they are UTF-8.
    pub fn of(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or(Self::NotText, Self::Text)
    }

    /// The text, if it is text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::NotText => None,
        }
    }
}

/// Files by their path relative to the root of the repo, with `/` between the parts, in the order
/// of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<String, Entry>,
}

impl Tree {
    /// Adds a file, or replaces the one that has this path.
    pub fn insert(&mut self, path: impl Into<String>, entry: Entry) {
        self.files.insert(path.into(), entry);
    }

    /// The file at exactly this path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.files.get(path)
    }

    /// The text at exactly this path, if there is a file and it is text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path).and_then(Entry::text)
    }

    /// All files, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.files
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }
}

impl<P: Into<String>, T: Into<String>> FromIterator<(P, T)> for Tree {
    fn from_iter<I: IntoIterator<Item = (P, T)>>(files: I) -> Self {
        let files = files
            .into_iter()
            .map(|(path, text)| (path.into(), Entry::Text(text.into())))
            .collect();
        Self { files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_paths_and_binary_ones_have_no_text() {
        let mut tree: Tree = [("b.yaml", "b: 1\n"), ("a/x.yaml", "a: 1\n")]
            .into_iter()
            .collect();
        tree.insert("logo.png", Entry::of(vec![0x89, 0xff]));
        tree.insert("c.yaml", Entry::of("c: ü\n".into()));
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a/x.yaml", "b.yaml", "c.yaml", "logo.png"]);
        assert_eq!(tree.text("c.yaml"), Some("c: ü\n"));
        assert_eq!(tree.get("logo.png"), Some(&Entry::NotText));
        assert_eq!(tree.text("logo.png"), None);
        assert_eq!(tree.get("b"), None);
    }
}
