use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

/// Every complete subtree, in memory.
struct Leaves(Vec<Hash>);

impl SubtreeHashes for Leaves {
    fn subtree(&self, height: u32, index: u64) -> Result<Hash, std::io::Error> {
        if height == 0 {
            return Ok(self.0[index as usize]);
        }
        let half = |index| self.subtree(height - 1, index);
        Ok(node_hash(&half(2 * index)?, &half(2 * index + 1)?))
    }
}

fn leaves(count: u64) -> Leaves {
    Leaves((0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect())
}

fn root_of(leaves: &Leaves, size: u64) -> Hash {
    root(leaves, size).unwrap()
}

/// The inputs and roots that the implementations of certificate transparency are tested with.
#[test]
fn roots_are_those_of_rfc_6962() {
    let inputs =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::default();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(HEXLOWER.encode(frontier.root().as_bytes()), empty);
    for (input, root) in inputs.iter().zip(roots) {
        frontier.push(leaf_hash(&HEXLOWER.decode(input.as_bytes()).unwrap()));
        assert_eq!(HEXLOWER.encode(frontier.root().as_bytes()), root);
    }
}

#[test]
fn every_inclusion_and_consistency_of_small_trees_is_proved_and_nothing_else() {
    let all = leaves(40);
    for size in 1..=40 {
        let root = root_of(&all, size);
        for number in 0..size {
            let leaf = all.0[number as usize];
            let proof = inclusion_proof(&all, number, size).unwrap();
            verify_inclusion(leaf, number, size, root, &proof).unwrap();
            for other in (0..size).filter(|other| *other != number) {
                assert!(
                    verify_inclusion(leaf, other, size, root, &proof).is_err(),
                    "{number} as {other} of {size}"
                );
            }
            let longer = [proof.clone(), vec![root]].concat();
            assert!(verify_inclusion(leaf, number, size, root, &longer).is_err());
            if let Some(shorter) = proof.get(1..) {
                assert!(verify_inclusion(leaf, number, size, root, shorter).is_err());
            }
        }
        for from in 0..=size {
            let proof = consistency_proof(&all, from, size).unwrap();
            let old = root_of(&all, from);
            verify_consistency(from, old, size, root, &proof).unwrap();
            if from > 0 && from < size {
                assert!(verify_consistency(from, root, size, root, &proof).is_err(), "{from} to {size}");
                assert!(verify_consistency(from, old, size, old, &proof).is_err(), "{from} to {size}");
            }
        }
    }
    assert!(inclusion_proof(&all, 40, 40).is_err());
    assert!(consistency_proof(&all, 40, 39).is_err());
}

proptest! {
    #[test]
    fn a_frontier_knows_the_root_of_every_size(size in 0_u64..600) {
        let all = leaves(size);
        let mut pushed = Frontier::default();
        for leaf in &all.0 {
            pushed.push(*leaf);
        }
        prop_assert_eq!(pushed.root(), root_of(&all, size));
        prop_assert_eq!(&super::proof::frontier(&all, size).unwrap(), &pushed);
    }

    #[test]
    fn no_altered_proof_holds(size in 2_u64..300, number in 0_u64..300, at in 0_usize..9, bit in 0_usize..256) {
        let (all, number) = (leaves(size), number % size);
        let root = root_of(&all, size);
        let mut proof = inclusion_proof(&all, number, size).unwrap();
        let at = at % proof.len();
        let mut bytes = *proof[at].as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        proof[at] = Hash::from_bytes(bytes);
        prop_assert!(verify_inclusion(all.0[number as usize], number, size, root, &proof).is_err());
    }
}
