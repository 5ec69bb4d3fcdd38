//! Rentals: the start of each. The policy in force at each request decides how long a rental lasts.
//!
//! A rental is kept until a command ends it: a rental that was dropped automatically could be started again
//! without payment.

use keymoot_model::ViewerPlace;

use super::layout::viewer_key;
use super::query::get;
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// Start of the viewer's rental of the content: milliseconds since 1970 UTC; `None` if it has not started.
///
/// # Errors
/// When the tables cannot be read.
pub fn rental_began_at_ms<T: Tables>(tables: &T, place: &ViewerPlace) -> Result<Option<u64>, StateError> {
    get(tables, Table::Rentals, &viewer_key(place))
}

pub(super) fn begin<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &ViewerPlace,
    now_ms: u64,
) -> Result<Response, StateError> {
    let key = viewer_key(place);
    let began_at_ms = match run.get::<u64>(Table::Rentals, &key)? {
        Some(began_at_ms) => began_at_ms,
        None => {
            run.put(Table::Rentals, &key, &now_ms)?;
            now_ms
        }
    };
    Ok(Response::Rental { began_at_ms })
}

pub(super) fn end<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &ViewerPlace,
) -> Result<Response, StateError> {
    let key = viewer_key(place);
    if run.get::<u64>(Table::Rentals, &key)?.is_none() {
        return Ok(Response::Unchanged);
    }
    run.delete(Table::Rentals, &key)?;
    Ok(Response::Done)
}
