//! Masks secrets in a stream, without changing its length.

use bytes::Bytes;
use pipe_core::redact::Redactor;

/// Takes a stream piece by piece. Holds back the end of a piece only where a secret may go on in the next.
pub(super) struct Masker {
    redactor: Redactor,
    /// What was not handed on yet, as it came.
    raw: Vec<u8>,
    /// How many bytes of it belong to a secret that began before.
    covered: usize,
}

impl Masker {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, raw: Vec::new(), covered: 0 }
    }

    /// Takes a piece, and gives what can be handed on.
    pub(super) fn push(&mut self, piece: &Bytes) -> Bytes {
        self.raw.extend_from_slice(piece);
        let held = self.redactor.undecided(&self.raw);
        self.release(self.raw.len() - held)
    }

    /// The rest, once the stream has ended.
    pub(super) fn finish(&mut self) -> Bytes {
        self.release(self.raw.len())
    }

    /// Knows the secrets.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Whether nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Everything before `end` is decided: no secret begins there that is not yet seen whole.
    fn release(&mut self, end: usize) -> Bytes {
        let mut out = self.raw[..end].to_vec();
        let mut covered = self.covered;
        out[..covered.min(end)].fill(b'*');
        for secret in self.redactor.find(&self.raw).into_iter().take_while(|secret| secret.start < end) {
            out[secret.start..secret.end.min(end)].fill(b'*');
            covered = covered.max(secret.end);
        }
        self.raw.drain(..end);
        self.covered = covered.saturating_sub(end);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::default();
        for secret in secrets {
            redactor.register("s", &(*secret).to_owned().into()).unwrap();
        }
        redactor
    }

    fn through(redactor: &Redactor, text: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut masker = Masker::new(redactor.clone());
        let (mut out, mut at) = (Vec::new(), 0);
        for &cut in cuts {
            let cut = cut.clamp(at, text.len());
            out.extend_from_slice(&masker.push(&Bytes::copy_from_slice(&text[at..cut])));
            at = cut;
        }
        out.extend_from_slice(&masker.push(&Bytes::copy_from_slice(&text[at..])));
        out.extend_from_slice(&masker.finish());
        assert!(masker.is_empty());
        out
    }

    #[test]
    fn a_secret_over_two_pieces_is_masked() {
        let redactor = redactor(&["hunter2hunter2"]);
        for cut in 0..=20 {
            assert_eq!(through(&redactor, b"a hunter2hunter2 b", &[cut]), b"a ************** b");
        }
    }

    #[test]
    fn nothing_is_held_back_without_need() {
        let mut masker = Masker::new(redactor(&["hunter2hunter2"]));
        assert_eq!(masker.push(&Bytes::from_static(b"{\"items\": []}\n")), &b"{\"items\": []}\n"[..]);
        assert_eq!(masker.push(&Bytes::from_static(b"hunter")), &b""[..]);
        assert_eq!(masker.push(&Bytes::from_static(b" s")), &b"hunter s"[..]);
        let mut masker = Masker::new(Redactor::default());
        assert_eq!(masker.push(&Bytes::from_static(b"hunter")), &b"hunter"[..]);
    }

    fn text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "hunter2",
            "hunter2hunter2",
            "abababab",
            "ab",
            "h",
            "2",
            "hunter2hunter2long",
            "x",
            "6875",
            "e",
            "aHVudGVyMmh1bnRlcjI",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pieces_make_no_difference(text in text(), mut cuts in prop::collection::vec(0_usize..100, 0..6)) {
            let redactor = redactor(&["hunter2hunter2", "hunter2hunter2long", "abababab", "2hunter2ab"]);
            cuts.sort_unstable();
            let mut whole = text.clone().into_bytes();
            redactor.mask(&mut whole);
            prop_assert_eq!(through(&redactor, text.as_bytes(), &cuts), whole);
        }
    }
}
