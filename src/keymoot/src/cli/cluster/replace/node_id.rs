//! Another `node.id` in the text of a configuration: everything else, comments too, stays as it is.

use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use keymoot_model::NodeId;

/// The text with this id; `None` if it is written in a way that is not understood.
pub(super) fn with_node_id(text: &str, id: NodeId) -> Option<String> {
    let edited = edit(text, id)?;
    // Whatever the edit met, this is what it must have done and no more.
    let mut wanted: Table = toml::from_str(text).ok()?;
    let node = wanted.entry("node").or_insert_with(|| Value::Table(Table::new()));
    node.as_table_mut()?.insert("id".to_owned(), Value::Integer(i64::try_from(id).ok()?));
    (toml::from_str::<Table>(&edited).ok()? == wanted).then_some(edited)
}

fn edit(text: &str, id: NodeId) -> Option<String> {
    let parsed = DeTable::parse(text).ok()?;
    let Some((header, node)) = find(parsed.get_ref(), "node") else {
        return Some(format!("{}\n\n[node]\nid = {id}\n", text.trim_end()));
    };
    let replaced = match find(node.get_ref().as_table()?, "id") {
        Some((_, value)) => {
            let at = value.span();
            [text.get(..at.start)?, &id.to_string(), text.get(at.end..)?].concat()
        }
        None => {
            let line_end = header.end + text.get(header.end..)?.find('\n').map_or(0, |at| at + 1);
            [text.get(..line_end)?, &format!("id = {id}\n"), text.get(line_end..)?].concat()
        }
    };
    Some(replaced)
}

/// Where the key is in the text, and its value.
fn find<'t, 'v>(table: &'t DeTable<'v>, name: &str) -> Option<(Range<usize>, &'t Spanned<DeValue<'v>>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_changes_in_one_number() {
        let text = include_str!("../../../../../../config/keymoot.toml");
        let edited = with_node_id(text, 17).unwrap();
        assert_eq!(edited, text.replacen("\nid = 1\n", "\nid = 17\n", 1));
    }

    #[test]
    fn an_id_is_found_however_it_is_written_and_comments_stay() {
        for (text, expected) in [
            ("[node]\n# who\nid = 2 # two\nzone = 'a'\n", "[node]\n# who\nid = 4 # two\nzone = 'a'\n"),
            ("node.id=2", "node.id=4"),
            ("node = { id = 2, zone = '' }\n", "node = { id = 4, zone = '' }\n"),
            (
                "['node']\n\"id\" = 0x2\n[http]\nlisten = ':2'\n",
                "['node']\n\"id\" = 4\n[http]\nlisten = ':2'\n",
            ),
            ("[node] # here\nzone = 'a'\n", "[node] # here\nid = 4\nzone = 'a'\n"),
            ("[http]\nlisten = 'id = 2'", "[http]\nlisten = 'id = 2'\n\n[node]\nid = 4\n"),
        ] {
            assert_eq!(with_node_id(text, 4).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_cannot_be_changed_soundly_is_left_alone() {
        for text in ["node = { zone = '' }\n", "node.zone = 'a'\n", "[node", "node = 3\n"] {
            let edited = with_node_id(text, 4);
            assert!(
                edited
                    .is_none_or(|edited| edited.parse::<Table>().unwrap()["node"]["id"] == Value::Integer(4))
            );
        }
        assert_eq!(with_node_id("node = { zone = '' }\n", 4), None);
    }
}
