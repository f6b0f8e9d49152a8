//! Checkpoints: the size and root of the audit tree, signed, as a C2SP `tlog-checkpoint` in a C2SP
//! `signed-note`, so that witnesses and other people's tools can read and keep them.
//!
//! One checkpoint has one spelling. What was read is an [`UnverifiedNote`] until a known key's
//! signature has been checked; a checkpoint kept off this host is what finds a rollback.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::domain::key::Digest;
use crate::domain::time::Timestamp;
use crate::ledger::tree::TreeHead;

/// The name of one log, and of the keys that sign for it: visible ASCII without `+`, as in
/// `writ.example.org/audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Box<str>);

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: Origin,
    pub head: TreeHead,
    /// When it was signed; the first extension line.
    pub at: Timestamp,
}

/// The public half of a checkpoint key. Its text is the verifier key of C2SP `signed-note`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointKey {
    pub origin: Origin,
    /// The Ed25519 public key (RFC 8032 §5.1.5).
    pub ed25519: [u8; 32],
}

/// A signature and the public half of the key that made it.
#[derive(Debug, Clone, Copy)]
pub struct NoteSignature {
    pub ed25519: [u8; 32],
    pub bytes: [u8; 64],
}

/// Who signs checkpoints.
pub trait CheckpointSigner: Send + Sync {
    /// An Ed25519 signature (RFC 8032, pure) by the active checkpoint key.
    fn sign(&self, note: &[u8]) -> Result<NoteSignature, CannotSign>;

    /// The public halves of the keys whose checkpoints may be continued: the active one, and those
    /// that were active before and are not withdrawn.
    fn public_keys(&self) -> Vec<[u8; 32]>;
}

/// There is no active checkpoint key, or its holder failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint cannot be signed: {0}")]
pub struct CannotSign(pub String);

/// A signed note as it was read. Nothing in it is known to be true yet.
#[derive(Debug, Clone)]
pub struct UnverifiedNote<'a> {
    body: &'a str,
    signatures: Vec<SignatureLine<'a>>,
}

/// Why a text is not a checkpoint, or not one of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    #[error("not a signed note: {0}")]
    Note(&'static str),
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    #[error("a log's name is 1 to 128 visible ASCII characters without `+`")]
    Origin,
    #[error("a verifier key is <name>+<id>+<base64 of an Ed25519 key>")]
    Key,
    #[error("no signature is by a known key of this log")]
    UnknownKey,
    #[error("the signature does not verify")]
    Signature,
}

#[derive(Debug, Clone)]
struct SignatureLine<'a> {
    name: &'a str,
    bytes: Vec<u8>,
}

impl Checkpoint {
    /// The signed note, as it is published.
    pub fn sign(&self, signer: &dyn CheckpointSigner) -> Result<String, CannotSign> {
        let body = self.body();
        let signature = signer.sign(body.as_bytes())?;
        let key = CheckpointKey {
            origin: self.origin.clone(),
            ed25519: signature.ed25519,
        };
        let line = STANDARD.encode([&key.id()[..], &signature.bytes].concat());
        Ok(format!("{body}\n{DASH}{} {line}\n", self.origin))
    }

    fn body(&self) -> String {
        format!(
            "{}\n{}\n{}\nat {}\n",
            self.origin,
            self.head.size,
            STANDARD.encode(self.head.root.as_bytes()),
            self.at.micros(),
        )
    }

    /// Reads a note's text. Lines after the known ones are other people's extensions.
    fn parse(body: &str) -> Result<Self, BadNote> {
        let bad = BadNote::Checkpoint;
        let mut lines = body.lines();
        let mut line = |what| lines.next().ok_or(bad(what));
        let origin = line("no origin")?.parse()?;
        let size = number(line("no size")?).ok_or(bad("the size is not a number"))?;
        let root = STANDARD
            .decode(line("no root")?)
            .ok()
            .and_then(|root| <[u8; 32]>::try_from(root).ok())
            .ok_or(bad("the root is not the base64 of 32 bytes"))?;
        let at = line("no time")?
            .strip_prefix("at ")
            .and_then(number)
            .and_then(|at| i64::try_from(at).ok())
            .ok_or(bad("the time is not `at` and microseconds"))?;
        Ok(Self {
            origin,
            head: TreeHead {
                size,
                root: Digest::from_bytes(root),
            },
            at: Timestamp::from_micros(at),
        })
    }
}

impl<'a> UnverifiedNote<'a> {
    /// Splits a signed note into its text and signatures.
    pub fn parse(text: &'a str) -> Result<Self, BadNote> {
        let bad = BadNote::Note;
        if text.len() > MAX_NOTE {
            return Err(bad("too long"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(bad("control characters"));
        }
        let (before, rest) = text.split_once("\n\n").ok_or(bad("no signatures"))?;
        let body = text
            .get(..=before.len())
            .ok_or(bad("no newline at the end of the text"))?;
        let rest = rest
            .strip_suffix('\n')
            .ok_or(bad("no newline at the end"))?;
        let signatures = rest
            .split('\n')
            .map(SignatureLine::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(bad("too many signatures"));
        }
        Ok(Self { body, signatures })
    }

    /// The checkpoint, if one of `keys` signed it. Signatures by other keys are witnesses' and are
    /// passed over; one by a known key that does not verify condemns the note.
    pub fn verify(&self, keys: &[CheckpointKey]) -> Result<Checkpoint, BadNote> {
        let checkpoint = Checkpoint::parse(self.body)?;
        let own = |key: &&CheckpointKey| key.origin == checkpoint.origin;
        let mut signed = false;
        for key in keys.iter().filter(own) {
            for line in &self.signatures {
                signed |= line.is_by(key, self.body)?;
            }
        }
        if signed {
            Ok(checkpoint)
        } else {
            Err(BadNote::UnknownKey)
        }
    }

    /// What the note says, whoever signed it: for a copy that is trusted for where it was kept.
    pub fn trusted_as_kept(&self) -> Result<Checkpoint, BadNote> {
        Checkpoint::parse(self.body)
    }

    /// The key that one of the signatures names, for whoever hands the note on to be verified.
    pub fn names<'k>(&self, keys: &'k [CheckpointKey]) -> Option<&'k CheckpointKey> {
        let named = |key: &&CheckpointKey| self.signatures.iter().any(|line| line.names(key));
        keys.iter().find(named)
    }

    /// How many signatures the note carries, known or not.
    pub const fn signatures(&self) -> usize {
        self.signatures.len()
    }
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Result<Self, BadNote> {
        let bad = BadNote::Note("a signature line is a dash, a name and base64");
        let (name, encoded) = line
            .strip_prefix(DASH)
            .and_then(|rest| rest.split_once(' '))
            .ok_or(bad)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| bad)?;
        if name.is_empty() || bytes.len() <= KEY_ID {
            return Err(bad);
        }
        Ok(Self { name, bytes })
    }

    fn names(&self, key: &CheckpointKey) -> bool {
        self.name == key.origin.as_str() && self.bytes.starts_with(&key.id())
    }

    /// `false`: by somebody else.
    fn is_by(&self, key: &CheckpointKey, body: &str) -> Result<bool, BadNote> {
        if !self.names(key) {
            return Ok(false);
        }
        let signature = self.bytes.get(KEY_ID..).ok_or(BadNote::Signature)?;
        UnparsedPublicKey::new(&ED25519, key.ed25519)
            .verify(body.as_bytes(), signature)
            .map(|()| true)
            .map_err(|_| BadNote::Signature)
    }
}

impl CheckpointKey {
    /// The key id of C2SP `signed-note`: it tells keys of one name apart and proves nothing.
    fn id(&self) -> [u8; KEY_ID] {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(self.origin.as_str().as_bytes());
        context.update(&[b'\n', ALGORITHM]);
        context.update(&self.ed25519);
        let mut id = [0; KEY_ID];
        id.iter_mut()
            .zip(context.finish().as_ref())
            .for_each(|(to, from)| *to = *from);
        id
    }
}

impl fmt::Display for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ALGORITHM][..], &self.ed25519].concat());
        write!(f, "{}+{}+{key}", self.origin, hex::encode(self.id()))
    }
}

impl FromStr for CheckpointKey {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or(BadNote::Key);
        let (origin, id, key) = (part()?, part()?, part()?);
        let bytes = STANDARD.decode(key).map_err(|_| BadNote::Key)?;
        let key = match bytes.split_first() {
            Some((&ALGORITHM, key)) => Self {
                origin: origin.parse()?,
                ed25519: key.try_into().map_err(|_| BadNote::Key)?,
            },
            Some(_) | None => return Err(BadNote::Key),
        };
        if hex::encode(key.id()) == id {
            return Ok(key);
        }
        Err(BadNote::Key)
    }
}

impl Origin {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'+');
        if plain && (1..=128).contains(&text.len()) {
            return Ok(Self(text.into()));
        }
        Err(BadNote::Origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number in its one spelling: no sign, no leading zero.
fn number(text: &str) -> Option<u64> {
    let canonical =
        text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    canonical.then(|| text.parse().ok()).flatten()
}

/// An em dash and a space open a signature line.
const DASH: &str = "\u{2014} ";
/// The signature type of Ed25519 in C2SP `signed-note`.
const ALGORITHM: u8 = 1;
const KEY_ID: usize = 4;
/// Room for a checkpoint and a dozen witnesses.
const MAX_NOTE: usize = 8 * 1024;
const MAX_SIGNATURES: usize = 16;

#[cfg(test)]
pub(crate) mod testing {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    /// A signer with a key of its own.
    pub(crate) struct Signer(pub u8);

    impl Signer {
        fn pair(&self) -> Ed25519KeyPair {
            Ed25519KeyPair::from_seed_unchecked(&[self.0; 32]).unwrap()
        }

        fn public(&self) -> [u8; 32] {
            self.pair().public_key().as_ref().try_into().unwrap()
        }

        pub(crate) fn key(&self, origin: &str) -> CheckpointKey {
            CheckpointKey {
                origin: origin.parse().unwrap(),
                ed25519: self.public(),
            }
        }
    }

    impl CheckpointSigner for Signer {
        fn sign(&self, note: &[u8]) -> Result<NoteSignature, CannotSign> {
            Ok(NoteSignature {
                ed25519: self.public(),
                bytes: self.pair().sign(note).as_ref().try_into().unwrap(),
            })
        }

        fn public_keys(&self) -> Vec<[u8; 32]> {
            vec![self.public()]
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::Signer;
    use super::*;

    const ORIGIN: &str = "writ.example.org/audit";

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: ORIGIN.parse().unwrap(),
            head: TreeHead {
                size: 42,
                root: Digest::from_bytes([7; 32]),
            },
            at: Timestamp::from_micros(1_700_000_000_000_000),
        }
    }

    fn read(text: &str, keys: &[CheckpointKey]) -> Result<Checkpoint, BadNote> {
        UnverifiedNote::parse(text)?.verify(keys)
    }

    #[test]
    fn a_checkpoint_survives_its_note() {
        let note = checkpoint().sign(&Signer(1)).unwrap();
        let keys = [Signer(2), Signer(1)].map(|signer| signer.key(ORIGIN));
        assert_eq!(read(&note, &keys), Ok(checkpoint()));
        let named = UnverifiedNote::parse(&note).unwrap();
        assert_eq!(named.names(&keys), Some(&keys[1]));
        assert!(note.starts_with("writ.example.org/audit\n42\nBwcHBwcHBw"));
    }

    /// The example of the `note` package of Go's checksum database, the origin of the format.
    #[test]
    fn keys_and_signatures_are_those_of_other_implementations() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: CheckpointKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let note = UnverifiedNote::parse(
            "If you think cryptography is the answer to your problem,\n\
             then you don't know what your problem is.\n\
             \n\
             \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
        )
        .unwrap();
        assert_eq!(note.signatures[0].is_by(&key, note.body), Ok(true));
        assert_eq!(
            note.signatures[0].is_by(&key, "another text\n"),
            Err(BadNote::Signature)
        );
    }

    #[test]
    fn another_key_or_another_log_is_refused() {
        let note = checkpoint().sign(&Signer(1)).unwrap();
        assert_eq!(
            read(&note, &[Signer(2).key(ORIGIN)]),
            Err(BadNote::UnknownKey)
        );
        assert_eq!(
            read(&note, &[Signer(1).key("other.example.org/audit")]),
            Err(BadNote::UnknownKey)
        );
        assert_eq!(read(&note, &[]), Err(BadNote::UnknownKey));
    }

    #[test]
    fn one_log_cannot_speak_for_another() {
        let other = Signer(2).key("other.example.org/audit");
        let body = checkpoint().body();
        let signature = Signer(2).sign(body.as_bytes()).unwrap();
        let line = STANDARD.encode([&other.id()[..], &signature.bytes].concat());
        let note = format!("{body}\n{DASH}{} {line}\n", other.origin);
        let keys = [Signer(1).key(ORIGIN), other];
        assert_eq!(read(&note, &keys), Err(BadNote::UnknownKey));
    }

    #[test]
    fn a_witness_may_sign_too_and_proves_nothing_alone() {
        let own = checkpoint().sign(&Signer(1)).unwrap();
        let witness = format!("{DASH}witness.example AAAAAAAA\n");
        let keys = [Signer(1).key(ORIGIN)];
        assert_eq!(read(&format!("{own}{witness}"), &keys), Ok(checkpoint()));
        let alone = format!("{}\n{witness}", checkpoint().body());
        assert_eq!(read(&alone, &keys), Err(BadNote::UnknownKey));
    }

    #[test]
    fn a_text_with_another_spelling_is_not_a_checkpoint() {
        let root = STANDARD.encode([7; 32]);
        for body in [
            format!("a\n042\n{root}\nat 1\n"),
            format!("a\n+42\n{root}\nat 1\n"),
            format!("a\n\u{0664}\n{root}\nat 1\n"),
            format!("a\n42\n{}\nat 1\n", STANDARD.encode([7; 31])),
            format!("a\n42\n{root}\nat -1\n"),
            format!("a\n42\n{root}\n"),
            format!("a b\n42\n{root}\nat 1\n"),
            format!("a+b\n42\n{root}\nat 1\n"),
            "a\n42\n".to_owned(),
        ] {
            let signature = Signer(1).sign(body.as_bytes()).unwrap();
            let key = Signer(1).key("a");
            let line = STANDARD.encode([&key.id()[..], &signature.bytes].concat());
            let refused = read(&format!("{body}\n{DASH}a {line}\n"), &[key]);
            assert!(
                matches!(refused, Err(BadNote::Checkpoint(_) | BadNote::Origin)),
                "{body:?}: {refused:?}"
            );
        }
        for key in [
            "a+00000000+AQ==",
            "a",
            "a+b",
            "a+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert_eq!(key.parse::<CheckpointKey>(), Err(BadNote::Key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn no_byte_of_a_note_can_be_changed(pick in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let mut bytes = checkpoint().sign(&Signer(1)).unwrap().into_bytes();
            let at = pick.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(read(&text, &[Signer(1).key(ORIGIN)]).is_err());
            }
        }
    }
}
