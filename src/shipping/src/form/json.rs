//! The event as the node's own log has it: `event` holds the very bytes whose hash is a leaf of the log's tree, so
//! that a receiver's copy can be proved, too.

use super::{Record, ascii};

pub(super) fn write(record: &Record<'_>) -> String {
    let resent = if record.is_resent { "\"resent\":true," } else { "" };
    format!(
        "{{\"log\":{},\"number\":{},{resent}\"event\":{}}}",
        ascii(&serde_json::Value::from(record.log).to_string()),
        record.number,
        ascii(record.line)
    )
}
