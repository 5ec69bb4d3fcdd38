use proptest::prelude::*;

use super::*;
use crate::tree::{Hash, leaf_hash};

const ORIGIN: &str = "west.keymoot.audit/1/00112233445566ff";

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size, root: leaf_hash(&size.to_be_bytes()) }
}

fn key(name: &str) -> LogKey {
    LogKey::generate(name).unwrap().0
}

/// From the documentation of Go's package `note`, which defined the format.
#[test]
fn the_note_that_go_documents_is_verified() {
    let key: VerifierKey =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let signature = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    let note = format!("{text}\n{signature}\n");
    let read = SignedNote::parse(&note).unwrap();
    read.verify(&key).unwrap();
    assert_eq!((read.text(), read.to_string()), (text, note.clone()));
    let altered = SignedNote::parse(&note.replace("you think", "you hope")).unwrap();
    assert_eq!(altered.verify(&key), Err(NoteError::Wrong("PeterNeumann".to_owned())));
    let private = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    assert_eq!(LogKey::read(private).unwrap().sign(text).to_string(), signature);
}

#[test]
fn keys_are_the_same_after_they_were_written() {
    let (key, text) = LogKey::generate(ORIGIN).unwrap();
    assert_eq!(LogKey::read(&text).unwrap().verifier(), key.verifier());
    let verifier = key.verifier();
    assert_eq!(&verifier.to_string().parse::<VerifierKey>().unwrap(), verifier);
    assert_eq!(&verifier.cosigner_text().parse::<VerifierKey>().unwrap(), verifier);
    assert!(!format!("{key:?}").contains("PRIVATE"));
    for wrong in ["", "a+b", "a b+00000000+AA==", &verifier.to_string().replace("west", "east")] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
    }
}

#[test]
fn a_checkpoint_is_signed_by_its_log_and_cosigned_by_others_and_by_nobody_else() {
    let (own, other) = (key(ORIGIN), key("west.keymoot.audit/2/a0a1a2a3a4a5a6a7"));
    let mut signed = SignedCheckpoint::sign(checkpoint(7), &own).unwrap();
    signed.add(signed.cosign(&other, 1_700_000_000));
    let read = SignedCheckpoint::parse(&signed.to_string()).unwrap();
    assert_eq!(read, signed);
    read.verify(own.verifier()).unwrap();
    assert_eq!(read.verify_cosignature(other.verifier()), Ok(1_700_000_000));
    assert!(read.verify(other.verifier()).is_err() && read.verify_cosignature(own.verifier()).is_err());
    // Neither another size nor another time can be said with the signatures.
    let longer = SignedCheckpoint::parse(&signed.to_string().replace("\n7\n", "\n8\n")).unwrap();
    assert!(longer.verify(own.verifier()).is_err());
    assert!(longer.verify_cosignature(other.verifier()).is_err());
    // A log signs for itself alone.
    let foreign = SignedCheckpoint::sign(checkpoint(7), &other).unwrap();
    assert!(foreign.verify(other.verifier()).is_err());
    // A second one by the same key takes the place of the first.
    signed.add(signed.cosign(&other, 1_700_000_009));
    assert_eq!(signed.note().signatures().len(), 2);
    assert_eq!(signed.verify_cosignature(other.verifier()), Ok(1_700_000_009));
}

#[test]
fn notes_that_stand_one_after_the_other_are_read_each() {
    let own = key(ORIGIN);
    let notes: Vec<_> = (0..4).map(|size| SignedCheckpoint::sign(checkpoint(size), &own).unwrap()).collect();
    let text: String = notes.iter().map(|note| format!("{note}\n")).collect();
    let read: Vec<_> = SignedCheckpoint::parse_all(&text).into_iter().map(Result::unwrap).collect();
    assert_eq!(read, notes);
    let damaged = text.replacen("\n2\n", "\ntwo\n", 1);
    let read = SignedCheckpoint::parse_all(&damaged);
    assert_eq!(read.iter().filter(|note| note.is_err()).count(), 1);
    assert_eq!(read[2].as_ref().unwrap_err().0, 13);
    assert!(SignedCheckpoint::parse_all("\n\n").is_empty());
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = Hash::from_bytes([0; 32]);
    for text in [
        "",
        "\n",
        "a\n1\n",
        &format!("a\n01\n{root}\n"),
        &format!("a\n+1\n{root}\n"),
        &format!("\n1\n{root}\n"),
        &format!("a\n1\n{root}"),
        "a\n1\nAAAA\n",
        &format!("a\n18446744073709551616\n{root}\n"),
        &format!("a\n1\n{root}\n\nmore\n"),
        &format!("a\n1\n{root}\n\u{2014} more\n"),
        &format!("\u{2014} a\n1\n{root}\n"),
    ] {
        assert!(Checkpoint::parse(text).is_err(), "{text:?}");
    }
    assert_eq!(Checkpoint::parse(&format!("a\n0\n{root}\nmore\n")).unwrap().size, 0);
}

#[test]
fn a_proof_is_the_same_after_it_was_written() {
    let own = key(ORIGIN);
    let root = leaf_hash(b"only");
    let tree = Checkpoint { origin: ORIGIN.to_owned(), size: 1, root };
    let signed = SignedCheckpoint::sign(tree, &own).unwrap();
    let proof = ProofFile { number: 0, hashes: Vec::new(), checkpoint: signed };
    let read = ProofFile::parse(&proof.to_string()).unwrap();
    assert_eq!(read, proof);
    read.verify(b"only", own.verifier()).unwrap();
    assert!(read.verify(b"other", own.verifier()).is_err());
    let with_extra = proof.to_string().replacen("\nindex", "\nextra AAAA\nindex", 1);
    assert_eq!(ProofFile::parse(&with_extra).unwrap(), proof);
}

proptest! {
    #[test]
    fn whatever_is_read_as_a_note_is_written_as_it_was(text in "([ -~]{0,9}\n){1,3}", name in "[a-z/.0-9]{1,9}") {
        let key = key(&name);
        let mut note = SignedNote::unsigned(text).unwrap();
        note.add(key.sign(note.text()));
        let read = SignedNote::parse(&note.to_string()).unwrap();
        prop_assert_eq!(&read, &note);
        prop_assert!(read.verify(key.verifier()).is_ok());
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "(\u{2014} )?[\\PC\n]{0,200}") {
        let _ = SignedNote::parse(&text);
        let _ = Checkpoint::parse(&text);
        let _ = ProofFile::parse(&text);
        let _ = SignedCheckpoint::parse_all(&text);
    }
}
