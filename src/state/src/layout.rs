//! The encoding of the tables' keys. Keys sort by account, content, track, version.

use keymoot_model::{
    AccountId, ContentId, Fingerprint, KeyPath, Kid, MasterKeyId, NodeId, OperatorName, Period, PolicyName,
    SeedId, TrackName, ViewerPlace,
};

use super::audit_logs::AuditLogName;
#[cfg(doc)]
use super::table::Table;

/// Key of the cluster's identity in [`Table::Meta`].
pub(super) const META_IDENTITY: &[u8] = b"identity";
/// Key of the servers' shared secret in [`Table::Meta`].
pub(super) const META_SERVER_SECRET: &[u8] = b"server_secret";
/// Key of the queue of spent nonces in [`Table::Meta`].
pub(super) const META_NONCES: &[u8] = b"nonces";
/// Key of the digest in [`Table::Meta`].
pub(super) const META_DIGEST: &[u8] = b"digest";
/// Key of the counters of the clients, in [`Table::Meta`].
pub(super) const META_CLIENTS: &[u8] = b"clients";
/// Key of the number of contents with rotating tracks, in [`Table::Meta`].
pub(super) const META_CONTENTS: &[u8] = b"contents";
/// Key of the record with the key for derived key ids, in [`Table::Meta`].
pub(super) const META_KID_KEY: &[u8] = b"kid_key";

/// Key of the second up to which ended leases are deleted, in [`Table::Meta`].
pub(super) const META_LEASES: &[u8] = b"leases";

/// Key of the highest node id ever assigned, in [`Table::Meta`].
pub(super) const META_LAST_NODE: &[u8] = b"last_node";
/// Key prefix of the enrolled data directories, by node, in [`Table::Meta`].
const META_DIRECTORY: &[u8] = b"directory/";
/// Key prefix of the nodes' registered keys, by node, in [`Table::Meta`].
pub(super) const META_NODE_KEY: &[u8] = b"node_key/";
/// Key prefix of the tokens that admit a witness, by id, in [`Table::Meta`].
pub(super) const META_WITNESS_TOKEN: &[u8] = b"witness_token/";
/// Key of the public keys that tell who holds a master key, in [`Table::Meta`].
pub(super) const META_VERIFIERS: &[u8] = b"master_key_verifiers";
/// Key of the cluster's certificate authority in [`Table::Meta`].
pub(super) const META_AUTHORITY: &[u8] = b"authority";
/// Key prefix of the statuses of accounts, in [`Table::Meta`].
pub(super) const META_ACCOUNT: &[u8] = b"account/";
/// Key of the declaration of accounts that was applied last, in [`Table::Meta`].
pub(super) const META_DECLARATION: &[u8] = b"account_declaration";
/// Key of the authority's replacement that is under way, in [`Table::Meta`].
pub(super) const META_AUTHORITY_CHANGE: &[u8] = b"authority_change";
/// Key of the authorities that were replaced, in [`Table::Meta`].
pub(super) const META_RETIRED_AUTHORITIES: &[u8] = b"retired_authorities";
/// Key prefix of what each node trusts, by node, in [`Table::Meta`].
pub(super) const META_NODE_TRUST: &[u8] = b"node_trust/";
/// Key of the backup schedule in [`Table::Meta`].
pub(super) const META_BACKUP_SCHEDULE: &[u8] = b"backup_schedule";
/// Key of the turns of the backup schedule in [`Table::Meta`].
pub(super) const META_BACKUP_TURN: &[u8] = b"backup_turn";
/// Key of the last good backup in [`Table::Meta`].
pub(super) const META_BACKUP_GOOD: &[u8] = b"backup_good";

/// Key prefix of the operators, by name, in [`Table::Meta`].
pub(super) const META_OPERATOR: &[u8] = b"operator/";
/// Key prefix of the operators' names, by certificate, in [`Table::Meta`].
pub(super) const META_OPERATOR_CERTIFICATE: &[u8] = b"operator_certificate/";

/// Key prefix of what operators sign in with, by name, in [`Table::Meta`].
pub(super) const META_SIGN_IN: &[u8] = b"operator_sign_in/";
/// Key prefix of the operators' sessions, by the digests of their tokens, in [`Table::Meta`].
pub(super) const META_OPERATOR_SESSION: &[u8] = b"operator_session/";
/// Key of what takes two persons, in [`Table::Meta`].
pub(super) const META_TWO_PERSONS: &[u8] = b"two_persons";
/// Key of the number of the last approval that was asked for, in [`Table::Meta`].
pub(super) const META_LAST_APPROVAL: &[u8] = b"last_approval";
/// Key prefix of the approvals that were asked for, by number, in [`Table::Meta`].
pub(super) const META_APPROVAL: &[u8] = b"approval/";
/// Key prefix of the accounts whose keys may be exported for a while, in [`Table::Meta`].
pub(super) const META_OPEN_EXPORT: &[u8] = b"open_export/";
/// Key prefix of the master keys that may be removed for a while, in [`Table::Meta`].
pub(super) const META_KEY_REMOVAL: &[u8] = b"key_removal/";
/// Key prefix of the numbers of wrappings, by the ids of the master keys, in [`Table::Meta`].
pub(super) const META_WRAPS: &[u8] = b"wraps/";

/// Key prefix of the numbers of the accounts' current seeds of documents, in [`Table::Meta`].
const META_DOCUMENT_SEED: &[u8] = b"document_seed/";

/// Key prefix of the audit logs, by node and log, in [`Table::Meta`].
pub(super) const META_AUDIT_LOG: &[u8] = b"audit_log/";
/// Key prefix of the log that each node registered last, by node, in [`Table::Meta`].
const META_CURRENT_AUDIT_LOG: &[u8] = b"audit_current/";
/// Key prefix of older checkpoints of audit logs, by log and size, in [`Table::Meta`].
const META_OLDER_CHECKPOINT: &[u8] = b"audit_older/";

/// No key is longer, in bytes: three names with their lengths, and what stands before and behind them.
pub const KEY_BYTES_MAX: usize = AccountId::BYTES_MAX + ContentId::BYTES_MAX + TrackName::BYTES_MAX + 64;
const _: () = assert!(KEY_BYTES_MAX <= u16::MAX as usize && PolicyName::BYTES_MAX <= TrackName::BYTES_MAX);

/// Appends `text` with its length before it, so that no two places share a key.
fn push_text(key: &mut Vec<u8>, text: &str) {
    // No key is so long that a length in it would not fit.
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    key.extend_from_slice(&len.to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

pub(super) fn place_key(place: &KeyPath) -> Vec<u8> {
    let text = place.account.as_str().len() + place.content.as_str().len() + place.track.as_str().len();
    let mut key = Vec::with_capacity(text + 10);
    push_text(&mut key, place.account.as_str());
    push_text(&mut key, place.content.as_str());
    push_text(&mut key, place.track.as_str());
    key
}

/// The key prefix of all tracks of an account.
pub(super) fn account_prefix(account: &AccountId) -> Vec<u8> {
    let mut key = Vec::with_capacity(account.as_str().len() + 2);
    push_text(&mut key, account.as_str());
    key
}

/// The place that a key of [`Table::Tracks`] encodes; `None` for other keys.
pub(super) fn place_of(key: &[u8]) -> Option<KeyPath> {
    let (account, rest) = pop_text(key)?;
    let (content, rest) = pop_text(rest)?;
    let (track, rest) = pop_text(rest)?;
    Some(KeyPath {
        account: AccountId::new(account).ok()?,
        content: ContentId::new(content).ok()?,
        track: TrackName::new(track).ok().filter(|_| rest.is_empty())?,
    })
}

/// The account and the content that a key begins with.
pub(super) fn content_of(key: &[u8]) -> Option<(&str, &str)> {
    let (account, rest) = pop_text(key)?;
    let (content, _) = pop_text(rest)?;
    Some((account, content))
}

/// The text at the beginning of a key, and what follows it.
pub(super) fn pop_text(key: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = key.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

pub(super) fn version_key(place: &KeyPath, version: u32) -> Vec<u8> {
    let mut key = place_key(place);
    key.extend_from_slice(&version.to_be_bytes());
    key
}

pub(super) fn content_key(account: &AccountId, content: &ContentId) -> Vec<u8> {
    let mut key = Vec::with_capacity(account.as_str().len() + content.as_str().len() + 4);
    push_text(&mut key, account.as_str());
    push_text(&mut key, content.as_str());
    key
}

pub(super) fn policy_key(account: &AccountId, name: &PolicyName) -> Vec<u8> {
    let mut key = policies_of(account);
    key.extend_from_slice(name.as_str().as_bytes());
    key
}

/// The key prefix of all policies of an account.
pub(super) fn policies_of(account: &AccountId) -> Vec<u8> {
    let mut key = Vec::with_capacity(account.as_str().len() + PolicyName::BYTES_MAX + 2);
    push_text(&mut key, account.as_str());
    key
}

pub(super) fn viewer_key(place: &ViewerPlace) -> Vec<u8> {
    let mut key = content_key(&place.account, &place.content);
    key.extend_from_slice(&place.viewer);
    key
}

pub(super) fn lease_key(place: &ViewerPlace) -> Vec<u8> {
    [b"s", viewer_key(place).as_slice()].concat()
}

/// Ending leases sort by the second in which they end.
pub(super) fn lease_end_key(second: u64, lease: &[u8]) -> Vec<u8> {
    [leases_ending(second).as_slice(), lease].concat()
}

/// The key prefix of all leases that end in this second.
pub(super) fn leases_ending(second: u64) -> Vec<u8> {
    [b"e", second.to_be_bytes().as_slice()].concat()
}

/// Seeds sort by content, track and version.
pub(super) fn seed_key(id: SeedId) -> Vec<u8> {
    let mut key = seeds_of_track(id.content, id.track);
    key.extend_from_slice(&id.version.to_be_bytes());
    key
}

/// The key prefix of all seeds of a track.
pub(super) fn seeds_of_track(content: u64, track: u16) -> Vec<u8> {
    [&content.to_be_bytes()[..], &track.to_be_bytes()].concat()
}

pub(super) fn schedule_key(place: &KeyPath, length_s: u32) -> Vec<u8> {
    let mut key = place_key(place);
    key.extend_from_slice(&length_s.to_be_bytes());
    key
}

pub(super) fn period_key(place: &KeyPath, period: Period) -> Vec<u8> {
    let mut key = schedule_key(place, period.length_s);
    key.extend_from_slice(&period.index.to_be_bytes());
    key
}

/// The period in the part of a [`period_key`] that follows its place.
pub(super) fn period_of(tail: &[u8]) -> Option<Period> {
    let (length, index) = tail.split_first_chunk::<4>()?;
    let index = index.try_into().ok()?;
    Some(Period { length_s: u32::from_be_bytes(*length), index: u32::from_be_bytes(index) })
}

/// The key of a key id in [`Table::Kids`] before feature level 4, when all accounts shared one name space.
pub(super) fn kid_key(kid: &Kid) -> &[u8] {
    kid.as_bytes()
}

/// The key of an account's key id in [`Table::Kids`]. It is longer than a key id alone.
pub(super) fn account_kid_key(account: &AccountId, kid: &Kid) -> Vec<u8> {
    [account_prefix(account).as_slice(), kid.as_bytes()].concat()
}

/// The key id that a key of [`Table::Kids`] ends with.
pub(super) fn kid_of(key: &[u8]) -> Option<Kid> {
    let kid = match pop_text(key) {
        Some((_, kid)) if key.len() > 16 => kid,
        _ => key,
    };
    kid.try_into().ok().map(Kid::from_bytes)
}

/// The key of a noted key id among those of its content.
pub(super) fn document_key_key(account: &AccountId, content: &ContentId, kid: &Kid) -> Vec<u8> {
    [content_key(account, content).as_slice(), kid.as_bytes()].concat()
}

/// Seeds of an account's documents sort by number.
pub(super) fn document_seed_key(account: &AccountId, number: u32) -> Vec<u8> {
    [account_prefix(account).as_slice(), &number.to_be_bytes()].concat()
}

/// The key of the number of an account's current seed of documents, in [`Table::Meta`].
pub(super) fn document_seed_number_key(account: &AccountId) -> Vec<u8> {
    [META_DOCUMENT_SEED, account_key(account)].concat()
}

pub(super) fn account_key(id: &AccountId) -> &[u8] {
    id.as_str().as_bytes()
}

/// The key of an account's status in [`Table::Meta`].
pub(super) fn account_status_key(id: &AccountId) -> Vec<u8> {
    [META_ACCOUNT, account_key(id)].concat()
}

/// The account whose status has this key of [`Table::Meta`].
pub(super) fn account_of_status(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(META_ACCOUNT)?).ok()
}

/// Nodes sort by id.
pub(super) fn node_key(id: NodeId) -> [u8; 8] {
    id.to_be_bytes()
}

/// The key of a node's enrolled data directory in [`Table::Meta`].
pub(super) fn directory_key(id: NodeId) -> Vec<u8> {
    [META_DIRECTORY, &id.to_be_bytes()].concat()
}

/// The key of a node's registered key in [`Table::Meta`].
pub(super) fn node_key_key(id: NodeId) -> Vec<u8> {
    [META_NODE_KEY, &id.to_be_bytes()].concat()
}

/// The key of what a node trusts, in [`Table::Meta`].
pub(super) fn node_trust_key(id: NodeId) -> Vec<u8> {
    [META_NODE_TRUST, &id.to_be_bytes()].concat()
}

/// The key of the number of wrappings under a master key.
pub(super) fn wraps_key(id: &MasterKeyId) -> Vec<u8> {
    [META_WRAPS, id.0.as_bytes()].concat()
}

/// The key of an audit log in [`Table::Meta`].
pub(super) fn audit_log_key(name: AuditLogName) -> Vec<u8> {
    [audit_logs_of(name.node).as_slice(), name.log.as_bytes()].concat()
}

/// The key prefix of all audit logs of a node.
pub(super) fn audit_logs_of(node: NodeId) -> Vec<u8> {
    [META_AUDIT_LOG, &node.to_be_bytes()].concat()
}

/// The key of the log that a node registered last.
pub(super) fn current_audit_log_key(node: NodeId) -> Vec<u8> {
    [META_CURRENT_AUDIT_LOG, &node.to_be_bytes()].concat()
}

/// The key of an older checkpoint. They sort by size.
pub(super) fn older_checkpoint_key(name: AuditLogName, size: u64) -> Vec<u8> {
    [older_checkpoints_of(name).as_slice(), &size.to_be_bytes()].concat()
}

/// The key prefix of all older checkpoints of a log.
pub(super) fn older_checkpoints_of(name: AuditLogName) -> Vec<u8> {
    [META_OLDER_CHECKPOINT, &name.node.to_be_bytes(), name.log.as_bytes()].concat()
}

/// The key of an operator in [`Table::Meta`].
pub(super) fn operator_key(name: &OperatorName) -> Vec<u8> {
    [META_OPERATOR, name.as_str().as_bytes()].concat()
}

/// The key of the name of a certificate's holder in [`Table::Meta`].
pub(super) fn operator_certificate_key(fingerprint: &Fingerprint) -> Vec<u8> {
    [META_OPERATOR_CERTIFICATE, fingerprint.as_bytes()].concat()
}

/// The key of what an operator signs in with, in [`Table::Meta`].
pub(super) fn sign_in_key(name: &OperatorName) -> Vec<u8> {
    [META_SIGN_IN, name.as_str().as_bytes()].concat()
}

/// The key of an operator's session in [`Table::Meta`].
pub(super) fn operator_session_key(token_digest: &Fingerprint) -> Vec<u8> {
    [META_OPERATOR_SESSION, token_digest.as_bytes()].concat()
}

/// The key of an approval in [`Table::Meta`].
pub(super) fn approval_key(id: u64) -> Vec<u8> {
    [META_APPROVAL, &id.to_be_bytes()].concat()
}

/// The key of an account's open export in [`Table::Meta`].
pub(super) fn open_export_key(account: &AccountId) -> Vec<u8> {
    [META_OPEN_EXPORT, account_key(account)].concat()
}

/// The key of a master key's permitted removal in [`Table::Meta`].
pub(super) fn key_removal_key(digest: &[u8; 32]) -> Vec<u8> {
    [META_KEY_REMOVAL, digest].concat()
}

pub(super) fn session_key(client: u64) -> Vec<u8> {
    let mut key = vec![b'c'];
    key.extend_from_slice(&client.to_be_bytes());
    key
}

/// The client whose session has this key.
pub(super) fn client_of(session: &[u8]) -> Option<u64> {
    session.strip_prefix(b"c")?.try_into().ok().map(u64::from_be_bytes)
}

/// The key prefix of all answers of a client.
pub(super) fn answers_of(client: u64) -> Vec<u8> {
    let mut key = vec![b's'];
    key.extend_from_slice(&client.to_be_bytes());
    key
}

/// A client's answers sort by serial.
pub(super) fn answers_key(client: u64, serial: u64) -> Vec<u8> {
    let mut key = answers_of(client);
    key.extend_from_slice(&serial.to_be_bytes());
    key
}

/// The serial of the answers that have this key.
pub(super) fn serial_of(answers: &[u8]) -> Option<u64> {
    answers.last_chunk().copied().map(u64::from_be_bytes)
}

pub(super) fn nonce_key(digest: &[u8; 16], created_s: u64) -> Vec<u8> {
    let mut key = vec![b'n'];
    key.extend_from_slice(&created_s.to_be_bytes());
    key.extend_from_slice(digest);
    key
}

/// The key of a nonce that is known by itself, whatever time its request states.
pub(super) fn nonce_digest_key(digest: &[u8; 16]) -> Vec<u8> {
    [b"d", digest.as_slice()].concat()
}

pub(super) fn nonce_turn_key(turn: u64) -> Vec<u8> {
    let mut key = vec![b't'];
    key.extend_from_slice(&turn.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(account: &str, content: &str, track: &str) -> KeyPath {
        KeyPath {
            account: AccountId::new(account).unwrap(),
            content: ContentId::new(content).unwrap(),
            track: TrackName::new(track).unwrap(),
        }
    }

    #[test]
    fn no_two_places_share_a_key() {
        assert_ne!(place_key(&place("a", "bc", "d")), place_key(&place("ab", "c", "d")));
        let odd = place("167", "caf\u{e9} b/c", "HD");
        assert_eq!(place_of(&place_key(&odd)), Some(odd.clone()));
        assert_eq!(place_of(&version_key(&odd, 1)), None);
        assert_ne!(place_key(&place("a", "b", "cd")), place_key(&place("a", "bc", "d")));
    }

    #[test]
    fn a_key_id_is_read_back_from_either_key_and_no_account_shares_one() {
        let account = |id: &str| AccountId::new(id).unwrap();
        for kid in [[0; 16], [7; 16], [0xff; 16]].map(Kid::from_bytes) {
            for id in ["a", "0123456789abcdef"] {
                assert_eq!(kid_of(&account_kid_key(&account(id), &kid)), Some(kid));
            }
            assert_eq!(kid_of(kid_key(&kid)), Some(kid));
            assert_ne!(account_kid_key(&account("a"), &kid), account_kid_key(&account("b"), &kid));
        }
        assert_eq!(kid_of(&[1; 15]), None);
    }

    #[test]
    fn client_and_serial_are_read_back_from_their_keys() {
        assert_eq!(client_of(&session_key(u64::MAX - 1)), Some(u64::MAX - 1));
        assert_eq!(client_of(&answers_key(1, 2)), None);
        assert_eq!(serial_of(&answers_key(1, 2)), Some(2));
    }
}
