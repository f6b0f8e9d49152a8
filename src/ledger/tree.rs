//! The audit tree: RFC 6962 §2.1 over the entries' leaves, so that any edit, removal or reordering of
//! what was signed gives another root.
//!
//! A leaf binds its position too: the same bytes under another writer or number are another leaf.
//! Appending needs only the [`Frontier`]; proofs are made from the hashes and checked without them.

use crate::domain::key::Digest;
use crate::domain::position::Position;

/// The size and root of a tree: what a checkpoint signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    pub size: u64,
    pub root: Digest,
}

/// The roots of a tree's perfect subtrees, largest first: all that appending needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

/// A tree of this size has another number of perfect subtrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves does not have {peaks} perfect subtrees")]
pub struct BadFrontier {
    pub size: u64,
    pub peaks: usize,
}

/// The hash of an entry's leaf (RFC 6962 §2.1, with the position before the bytes).
pub fn leaf_hash(position: Position, leaf: &[u8]) -> Digest {
    let (writer, n) = (position.writer.0.to_be_bytes(), position.n.to_be_bytes());
    sha256(&[LEAF, &writer, &n, leaf])
}

impl Frontier {
    /// The frontier of a tree as it was kept.
    pub fn restore(size: u64, peaks: Vec<Digest>) -> Result<Self, BadFrontier> {
        if u32::try_from(peaks.len()) == Ok(size.count_ones()) {
            return Ok(Self { size, peaks });
        }
        Err(BadFrontier {
            size,
            peaks: peaks.len(),
        })
    }

    /// Appends one leaf.
    pub fn append(&mut self, leaf: Digest) {
        let mut top = leaf;
        // Each trailing one of the size is a perfect subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                top = node(left, top);
            }
        }
        self.peaks.push(top);
        self.size += 1;
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// The root of the tree as it stands.
    pub fn root(&self) -> Digest {
        let joined = self
            .peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node(left, right));
        joined.unwrap_or_else(|| sha256(&[]))
    }

    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root(),
        }
    }
}

/// The root over all leaf hashes: `MTH` of RFC 6962 §2.1.
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        more => {
            let (left, right) = halves(more);
            node(root(left), root(right))
        }
    }
}

/// The audit path of one leaf: `PATH` of RFC 6962 §2.1.1; `None` when there is no such leaf.
pub fn inclusion_proof(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    (index < leaves.len()).then(|| {
        let mut proof = Vec::new();
        path(leaves, index, &mut proof);
        proof
    })
}

/// Whether the proof shows that `leaf` stands at `index` in the tree of this head
/// (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(leaf: Digest, index: u64, head: TreeHead, proof: &[Digest]) -> bool {
    if index >= head.size {
        return false;
    }
    let mut walk = Walk::from(index, head.size);
    let mut hash = leaf;
    for step in proof {
        match walk.up() {
            Side::Left => hash = node(*step, hash),
            Side::Right => hash = node(hash, *step),
            Side::Nowhere => return false,
        }
    }
    walk.is_done() && hash == head.root
}

/// The proof that the first `old` leaves are a prefix of all: `PROOF` of RFC 6962 §2.1.2. `None`
/// when there are not that many; empty for a prefix of nothing or everything.
pub fn consistency_proof(leaves: &[Digest], old: usize) -> Option<Vec<Digest>> {
    (old <= leaves.len()).then(|| {
        let mut proof = Vec::new();
        if old > 0 {
            subproof(leaves, old, true, &mut proof);
        }
        proof
    })
}

/// Whether the proof shows that the tree of `new` only appended to the tree of `old`
/// (RFC 9162 §2.1.4.2).
pub fn verify_consistency(old: TreeHead, new: TreeHead, proof: &[Digest]) -> bool {
    if old.size > new.size {
        return false;
    }
    if old.size == new.size {
        return proof.is_empty() && old.root == new.root;
    }
    if old.size == 0 {
        return proof.is_empty() && old.root == sha256(&[]);
    }
    // A perfect old tree is a node of the new one: its root is known and is not in the proof.
    let (first, rest) = match proof.split_first() {
        _ if old.size.is_power_of_two() => (old.root, proof),
        Some((first, rest)) => (*first, rest),
        None => return false,
    };
    let mut walk = Walk::from(old.size - 1, new.size);
    walk.skip_complete();
    let (mut before, mut after) = (first, first);
    for step in rest {
        match walk.up() {
            Side::Left => (before, after) = (node(*step, before), node(*step, after)),
            Side::Right => after = node(after, *step),
            Side::Nowhere => return false,
        }
    }
    walk.is_done() && before == old.root && after == new.root
}

/// A walk from a leaf to the root; `last` is the number of the last node on the same level.
struct Walk {
    at: u64,
    last: u64,
}

/// On which side the next hash of a proof stands.
enum Side {
    Left,
    Right,
    Nowhere,
}

impl Walk {
    const fn from(at: u64, size: u64) -> Self {
        Self { at, last: size - 1 }
    }

    const fn up(&mut self) -> Side {
        if self.last == 0 {
            return Side::Nowhere;
        }
        let left = self.at & 1 == 1 || self.at == self.last;
        // A last node without a sibling is carried up until it has one.
        while left && self.at & 1 == 0 && self.at != 0 {
            self.rise();
        }
        self.rise();
        if left { Side::Left } else { Side::Right }
    }

    const fn skip_complete(&mut self) {
        while self.at & 1 == 1 {
            self.rise();
        }
    }

    const fn rise(&mut self) {
        self.at >>= 1;
        self.last >>= 1;
    }

    const fn is_done(&self) -> bool {
        self.last == 0
    }
}

fn path(leaves: &[Digest], index: usize, proof: &mut Vec<Digest>) {
    if leaves.len() < 2 {
        return;
    }
    let (left, right) = halves(leaves);
    if index < left.len() {
        path(left, index, proof);
        proof.push(root(right));
    } else {
        path(right, index - left.len(), proof);
        proof.push(root(left));
    }
}

/// `known`: these leaves are the whole old tree, whose root the verifier has.
fn subproof(leaves: &[Digest], old: usize, known: bool, proof: &mut Vec<Digest>) {
    if old == leaves.len() {
        if !known {
            proof.push(root(leaves));
        }
        return;
    }
    let (left, right) = halves(leaves);
    if old <= left.len() {
        subproof(left, old, known, proof);
        proof.push(root(right));
    } else {
        subproof(right, old - left.len(), false, proof);
        proof.push(root(left));
    }
}

/// Two or more leaves, split at the largest power of two below their number.
fn halves(leaves: &[Digest]) -> (&[Digest], &[Digest]) {
    let at = 1 << (leaves.len() - 1).ilog2();
    leaves.split_at(at)
}

fn node(left: Digest, right: Digest) -> Digest {
    sha256(&[NODE, left.as_bytes(), right.as_bytes()])
}

fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Digest::from_bytes(bytes)
}

// RFC 6962 §2.1: the prefixes keep a leaf from being read as a node.
const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::position::WriterId;

    /// The leaves of the test vectors of the Certificate Transparency project.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];

    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    const N1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
    const N23: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const N4567: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
    const N4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    const N67: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
    const N45: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";

    fn digest(hex: &str) -> Digest {
        Digest::from_bytes(hex::decode(hex).unwrap().try_into().unwrap())
    }

    fn published() -> Vec<Digest> {
        let bytes = LEAVES.map(|leaf| hex::decode(leaf).unwrap());
        bytes.iter().map(|leaf| sha256(&[LEAF, leaf])).collect()
    }

    fn numbered(size: usize) -> Vec<Digest> {
        let position = |n| Position {
            writer: WriterId(1),
            n,
        };
        (1..=size as u64)
            .map(|n| leaf_hash(position(n), b"x"))
            .collect()
    }

    fn head(leaves: &[Digest]) -> TreeHead {
        TreeHead {
            size: leaves.len() as u64,
            root: root(leaves),
        }
    }

    #[test]
    fn the_roots_are_the_published_ones() {
        let leaves = published();
        let mut frontier = Frontier::default();
        for (size, expected) in ROOTS.iter().enumerate() {
            assert_eq!(root(&leaves[..size]), digest(expected), "{size} leaves");
            assert_eq!(frontier.root(), digest(expected), "{size} leaves appended");
            if let Some(leaf) = leaves.get(size) {
                frontier.append(*leaf);
            }
        }
    }

    #[test]
    fn the_proofs_are_the_published_ones() {
        let leaves = published();
        let list = |hexes: &[&str]| hexes.iter().map(|h| digest(h)).collect::<Vec<_>>();
        let inclusion: [(usize, usize, &[&str]); 5] = [
            (0, 1, &[]),
            (0, 8, &[N1, N23, N4567]),
            (5, 8, &[N4, N67, ROOTS[4]]),
            (2, 3, &[ROOTS[2]]),
            (1, 5, &[ROOTS[1], N23, N4]),
        ];
        for (index, size, expected) in inclusion {
            let proof = inclusion_proof(&leaves[..size], index);
            assert_eq!(proof, Some(list(expected)), "leaf {index} of {size}");
        }
        let consistency: [(usize, usize, &[&str]); 4] = [
            (1, 1, &[]),
            (1, 8, &[N1, N23, N4567]),
            (6, 8, &[N45, N67, ROOTS[4]]),
            (2, 5, &[N23, N4]),
        ];
        for (old, new, expected) in consistency {
            let proof = consistency_proof(&leaves[..new], old);
            assert_eq!(proof, Some(list(expected)), "{old} in {new}");
        }
    }

    #[test]
    fn appending_gives_the_same_root_as_starting_over_and_survives_a_restart() {
        let leaves = numbered(300);
        let mut frontier = Frontier::default();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.root(), root(&leaves[..size]), "{size} leaves");
            frontier = Frontier::restore(frontier.size(), frontier.peaks().to_vec()).unwrap();
            frontier.append(*leaf);
        }
        assert_eq!(
            Frontier::restore(5, frontier.peaks().to_vec()),
            Err(BadFrontier {
                size: 5,
                peaks: frontier.peaks().len()
            })
        );
    }

    #[test]
    fn the_same_bytes_elsewhere_are_another_leaf() {
        let at = |writer, n| Position {
            writer: WriterId(writer),
            n,
        };
        let all = [at(1, 1), at(1, 2), at(2, 1)].map(|p| leaf_hash(p, b"issued"));
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }

    /// Every way of changing one thing about a proof: a hash, its length.
    fn altered(proof: &[Digest]) -> Vec<Vec<Digest>> {
        let other = sha256(&[b"other"]);
        let mut all: Vec<Vec<Digest>> = (0..proof.len())
            .map(|i| {
                let mut copy = proof.to_vec();
                copy[i] = other;
                copy
            })
            .collect();
        all.push([proof, &[other]].concat());
        if let Some((_, shorter)) = proof.split_last() {
            all.push(shorter.to_vec());
        }
        all
    }

    proptest! {
        #[test]
        fn an_inclusion_proof_holds_for_its_leaf_and_nothing_else(size in 1..200_usize, pick in any::<prop::sample::Index>()) {
            let (leaves, index) = (numbered(size), pick.index(size));
            let (head, leaf, at) = (head(&leaves), leaves[index], index as u64);
            let proof = inclusion_proof(&leaves, index).unwrap();
            prop_assert!(verify_inclusion(leaf, at, head, &proof));
            prop_assert!(!verify_inclusion(sha256(&[b"planted"]), at, head, &proof));
            let elsewhere = TreeHead { root: sha256(&[b"another root"]), ..head };
            prop_assert!(!verify_inclusion(leaf, at, elsewhere, &proof));
            prop_assert!(!verify_inclusion(leaf, head.size, head, &proof));
            if size > 1 {
                prop_assert!(!verify_inclusion(leaf, (at + 1) % head.size, head, &proof));
            }
            for bad in altered(&proof) {
                prop_assert!(!verify_inclusion(leaf, at, head, &bad));
            }
        }

        #[test]
        fn a_consistency_proof_holds_only_for_a_log_that_was_appended_to(size in 2..200_usize, pick in any::<prop::sample::Index>()) {
            let leaves = numbered(size);
            let old = 1 + pick.index(size - 1);
            let proof = consistency_proof(&leaves, old).unwrap();
            let (before, after) = (head(&leaves[..old]), head(&leaves));
            prop_assert!(verify_consistency(before, after, &proof));
            prop_assert!(!verify_consistency(after, before, &proof));
            for bad in altered(&proof) {
                prop_assert!(!verify_consistency(before, after, &bad));
            }
            let mut rewritten = leaves.clone();
            rewritten[old - 1] = sha256(&[b"rewritten"]);
            let forged = consistency_proof(&rewritten, old).unwrap();
            prop_assert!(!verify_consistency(before, head(&rewritten), &forged));
        }
    }

    #[test]
    fn nothing_is_a_prefix_of_everything_and_there_is_no_proof_beyond_the_end() {
        let leaves = numbered(3);
        let empty = head(&[]);
        assert_eq!(consistency_proof(&leaves, 0), Some(Vec::new()));
        assert!(verify_consistency(empty, head(&leaves), &[]));
        let not_empty = TreeHead {
            root: leaves[0],
            ..empty
        };
        assert!(!verify_consistency(not_empty, head(&leaves), &[]));
        assert_eq!(consistency_proof(&leaves, 4), None);
        assert_eq!(inclusion_proof(&leaves, 3), None);
    }
}
