//! The data directories of the nodes, so that also a node that never met another one knows which directory is
//! the other's.

use keymoot_model::NodeId;

use super::layout::directory_key;
use super::record::EnrolledDirectory;
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// Stores the directory of a node, and the start that says so. A start that is not later than the stored one is
/// that of an older directory or of a copy.
pub(super) fn enroll<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: NodeId,
    directory: &EnrolledDirectory,
) -> Result<Response, StateError> {
    let key = directory_key(id);
    let known = run.get::<EnrolledDirectory>(Table::Meta, &key)?;
    match known.filter(|known| known.fence == directory.fence) {
        Some(known) if known == *directory => return Ok(Response::Unchanged),
        Some(known) if known.incarnation != directory.incarnation || known.start >= directory.start => {
            return Ok(Response::OtherDirectory);
        }
        _ => {}
    }
    run.put(Table::Meta, &key, directory)?;
    Ok(Response::Done)
}

/// The enrolled directory of a node.
///
/// # Errors
/// When the tables cannot be read.
pub fn enrolled_directory<T: Tables>(
    tables: &T,
    id: NodeId,
) -> Result<Option<EnrolledDirectory>, StateError> {
    Transaction::new(tables).get(Table::Meta, &directory_key(id))
}
