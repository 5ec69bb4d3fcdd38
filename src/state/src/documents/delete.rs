//! Deleting what documents made. One command deletes a bounded number of notes; the proposer repeats it.

use keymoot_model::{AccountId, ContentId, Kid};

use super::{DocumentContent, NotedKid, noted, stored};
use crate::deletion::DELETED_VERSIONS_MAX;
use crate::kids;
use crate::layout::{account_kid_key, content_key, document_key_key};
use crate::response::Response;
use crate::table::Table;
use crate::tables::{StateError, Tables};
use crate::transaction::Transaction;

/// Deletes a content's versions up to `through`, and the notes of their key ids. Says how many of both.
pub(crate) fn delete<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    id: &ContentId,
    through: u32,
) -> Result<Response, StateError> {
    let Some(mut content) = stored(run, account, id)? else { return Ok(Response::Deleted { versions: 0 }) };
    let before = content.versions.len();
    content.versions.retain(|version| version.version > through);
    let mut deleted = u32::try_from(before - content.versions.len()).unwrap_or(u32::MAX);
    if deleted > 0 {
        if content.versions.is_empty() {
            let next_version = content.next_version;
            content = DocumentContent { next_version, ..DocumentContent::new(content.created_at_ms) };
        }
        run.put(Table::Documents, &content_key(account, id), &content)?;
    }
    let limit = DELETED_VERSIONS_MAX.saturating_sub(deleted) as usize;
    for (index, _) in run.page(Table::DocumentKeys, &content_key(account, id), &[], limit)? {
        let kid = index.last_chunk().copied().map(Kid::from_bytes);
        let Some(kid) = kid else { return Err(StateError::Key { table: Table::DocumentKeys.name() }) };
        let key = account_kid_key(account, &kid);
        let known: Option<NotedKid> = run.get(Table::DocumentKids, &key)?;
        let own = known.filter(|known| known.content == *id);
        if own.as_ref().is_some_and(|known| known.version.version > through) {
            continue;
        }
        if own.is_some() {
            run.delete(Table::DocumentKids, &key)?;
        }
        run.delete(Table::DocumentKeys, &index)?;
        deleted += 1;
    }
    Ok(Response::Deleted { versions: deleted })
}

/// Deletes the key of one key id: it is noted that nobody gets it any more.
pub(crate) fn retire<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    id: &ContentId,
    kid: &Kid,
    now_ms: u64,
) -> Result<Response, StateError> {
    let none = Response::Deleted { versions: 0 };
    let Some(content) = stored(run, account, id)? else { return Ok(none) };
    let (Some(first), Some(kind)) = (content.first(), content.kinds.first()) else { return Ok(none) };
    let new = match noted(run, account, kid)? {
        Some(known) if known.content != *id || known.is_deleted => return Ok(none),
        Some(known) => NotedKid { is_deleted: true, ..known },
        None if kids::find(run, account, kid)?.is_some() => return Ok(none),
        None => NotedKid {
            content: id.clone(),
            version: first,
            kind: *kind,
            tracks: Vec::new(),
            iv: None,
            is_deleted: true,
            noted_at_ms: now_ms,
        },
    };
    run.put(Table::DocumentKids, &account_kid_key(account, kid), &new)?;
    run.put(Table::DocumentKeys, &document_key_key(account, id, kid), &())?;
    Ok(Response::Deleted { versions: 1 })
}
