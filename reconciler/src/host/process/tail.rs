//! The end of a stream, and its lines.

/// How many bytes of an output are kept: the last 64 KiB.
pub const KEPT: usize = 64 * 1024;

/// The longest line that is handed over in one piece.
const LONGEST_LINE: usize = 8 * 1024;

/// The last [`KEPT`] bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        // Cut seldom, so that a talkative program does not cost a move of 64 KiB a line.
        if self.bytes.len() > 2 * KEPT {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let surplus = self.bytes.len().saturating_sub(KEPT);
        if surplus > 0 {
            self.bytes.drain(..surplus);
            self.cut = true;
        }
    }

    /// The bytes, and whether they are all that there were.
    pub(super) fn take(&mut self) -> (Vec<u8>, bool) {
        self.trim();
        (std::mem::take(&mut self.bytes), !self.cut)
    }
}

/// Cuts a stream into lines; a carriage return ends one too.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Vec<u8>,
}

impl Lines {
    pub(super) fn push(&mut self, more: &[u8], heard: &mut dyn FnMut(&str)) {
        for byte in more {
            if matches!(byte, b'\n' | b'\r') || self.open.len() >= LONGEST_LINE {
                self.end(heard);
            }
            if !matches!(byte, b'\n' | b'\r') {
                self.open.push(*byte);
            }
        }
    }

    /// The stream has ended, and with it its last line.
    pub(super) fn end(&mut self, heard: &mut dyn FnMut(&str)) {
        if !self.open.is_empty() {
            heard(&String::from_utf8_lossy(&self.open));
            self.open.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_stream_is_kept() {
        let mut tail = Tail::default();
        tail.push(b"first");
        for _ in 0..300 {
            tail.push(&[b'x'; 1024]);
        }
        tail.push(b"last");
        let (bytes, whole) = tail.take();
        assert_eq!(bytes.len(), KEPT);
        assert!(bytes.ends_with(b"xlast"));
        assert!(!whole);

        tail = Tail::default();
        tail.push(b"all");
        assert_eq!(tail.take(), (b"all".to_vec(), true));
    }

    #[test]
    fn lines_end_with_either_character_and_with_the_stream() {
        let mut heard = Vec::new();
        let mut lines = Lines::default();
        let mut hear = |line: &str| heard.push(line.to_owned());
        for part in ["10%\r2", "0%\r\n", "\n", "end"] {
            lines.push(part.as_bytes(), &mut hear);
        }
        lines.end(&mut hear);
        assert_eq!(heard, ["10%", "20%", "end"]);
    }
}
