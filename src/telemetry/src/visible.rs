//! What strangers write in log lines: nothing that ends a line, turns it around or hides a part of it, and no more
//! of it than a line may hold.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The most that a line says of one thing that a stranger chose, in bytes.
const QUOTED_BYTES_MAX: usize = 512;

/// A line as it is written: each character that is not simply seen is written as JSON escapes it, which suits text,
/// too. The end of the line stays. On a terminal (`has_colours`) the subscriber's own escape sequences stay; those in
/// what it was given are escaped by it.
pub(crate) fn visible_line(line: &[u8], has_colours: bool) -> Cow<'_, [u8]> {
    let (text, end) = match line {
        [text @ .., b'\n'] => (text, "\n"),
        _ => (line, ""),
    };
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(line);
    }
    let text = String::from_utf8_lossy(text);
    let stays = |c: char| !is_hidden(c) || (has_colours && c == '\u{1b}');
    if text.chars().all(stays) {
        return Cow::Borrowed(line);
    }
    let mut visible = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match stays(c) {
            true => visible.push(c),
            false => escape(c, &mut visible),
        }
    }
    visible.push_str(end);
    Cow::Owned(visible.into_bytes())
}

/// A text as it can be shown: each character that is not simply seen is written as JSON escapes it.
pub fn visible(text: &str) -> String {
    String::from_utf8_lossy(&visible_line(text.replace('\n', "\\u000a").as_bytes(), false)).into_owned()
}

/// The beginning of what a stranger chose, with how much more there was.
pub fn quoted(what: &dyn fmt::Display) -> String {
    let mut text = what.to_string();
    if text.len() > QUOTED_BYTES_MAX {
        let end = text.floor_char_boundary(QUOTED_BYTES_MAX);
        let more = text.len() - end;
        text.truncate(end);
        // Writing to a string does not fail.
        let _ = write!(text, "… ({more} more bytes)");
    }
    text
}

fn escape(c: char, into: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string does not fail.
        let _ = write!(into, "\\u{unit:04x}");
    }
}

/// Controls, line and paragraph separators, what changes the direction of text, and what takes no room.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(line: &str) -> String {
        String::from_utf8(visible_line(line.as_bytes(), false).into_owned()).unwrap()
    }

    #[test]
    fn nothing_ends_a_line_turns_it_around_or_hides_in_it() {
        assert_eq!(seen("plain é 漢 text\n"), "plain é 漢 text\n");
        assert_eq!(
            seen("a\u{2028}b\u{202e}c\nd\r\u{85}\u{1b}[2K\n"),
            "a\\u2028b\\u202ec\\u000ad\\u000d\\u0085\\u001b[2K\n"
        );
        assert_eq!(seen("\u{200b}\u{feff}\u{e0041}"), "\\u200b\\ufeff\\udb40\\udc41");
        let json = seen("{\"a\":\"x\u{202e}\u{e0041}\"}\n");
        assert_eq!(json, "{\"a\":\"x\\u202e\\udb40\\udc41\"}\n");
    }

    #[test]
    fn colours_stay_where_there_is_a_terminal() {
        let line = b"\x1b[32m INFO\x1b[0m \xe2\x80\xae\n";
        assert_eq!(*visible_line(line, true), *b"\x1b[32m INFO\x1b[0m \\u202e\n");
    }

    #[test]
    fn what_a_stranger_chose_is_cut() {
        assert_eq!(quoted(&"short"), "short");
        let cut = quoted(&"é".repeat(2000));
        assert!(cut.len() < QUOTED_BYTES_MAX + 40 && cut.ends_with("… (3488 more bytes)"), "{cut}");
    }
}
