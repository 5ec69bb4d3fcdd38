//! The parts of a request in the one form that AWS Signature Version 4 signs.

use super::Envelope;

/// The forms in which a client may sign a path: with each byte escaped once, or, as for most services of AWS, twice.
/// `None` for a path with segments that mean others, which a client resolves and this server does not.
pub(super) fn paths(path: &str) -> Option<Vec<String>> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let decoded: Vec<Vec<u8>> = segments.iter().map(|segment| unescaped(segment)).collect();
    if decoded.iter().any(|segment| matches!(segment.as_slice(), b"." | b"..")) {
        return None;
    }
    let escaped: Vec<String> = decoded.iter().map(|segment| escaped(segment)).collect();
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    let joined = |segments: &[String]| format!("/{}{end}", segments.join("/"));
    let once = joined(&escaped);
    let twice: Vec<String> = escaped.iter().map(|segment| self::escaped(segment.as_bytes())).collect();
    let twice = joined(&twice);
    let mut forms = vec![once];
    // As it came, for clients that leave doubled slashes as they are.
    let raw: Vec<String> = path.split('/').map(|segment| self::escaped(&unescaped(segment))).collect();
    for form in [twice, raw.join("/")] {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    Some(forms)
}

/// The parameters of a query, each name and value escaped, in their order.
pub(super) fn query(query: &str) -> String {
    let parameter = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (escaped(&unescaped(name)), escaped(&unescaped(value)))
    };
    let mut parameters: Vec<_> = query.split('&').filter(|text| !text.is_empty()).map(parameter).collect();
    parameters.sort();
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The value of a header: several of one name joined by commas, runs of spaces made one.
pub(super) fn header_value(envelope: &Envelope, name: &str) -> Option<String> {
    let one = |value: &str| value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let values = envelope.headers.iter().filter(|(own, _)| own == name);
    let values: Vec<String> = values.map(|(_, value)| one(value.trim())).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// The bytes that a text with percent escapes stands for. A percent sign that begins none stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = match (first, after) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Everything escaped but letters, digits and `-._~`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte))
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_forms_and_none_that_leads_elsewhere() {
        assert_eq!(paths("/a/b").unwrap(), ["/a/b"]);
        assert_eq!(paths("").unwrap(), ["/", ""]);
        assert_eq!(paths("/a%20b/").unwrap(), ["/a%20b/", "/a%2520b/"]);
        assert_eq!(paths("//a//b").unwrap(), ["/a/b", "//a//b"]);
        for other in ["/a/../b", "/./a", "/a/%2e%2E/b"] {
            assert_eq!(paths(other), None, "{other}");
        }
    }

    #[test]
    fn parameters_stand_in_order_and_escaped_alike() {
        assert_eq!(query("b=2&a=%31&&c"), "a=1&b=2&c=");
        assert_eq!(query("a=+%20~%7e/&a=%"), "a=%25&a=%2B%20~~%2F");
    }
}
