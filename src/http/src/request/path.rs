//! The path of a request, as real clients write it.
//!
//! Clients join base addresses and routes carelessly: `//cenc/widevine/Encryption/` means
//! `/cenc/widevine/encryption`. Empty segments are dropped and routes match without regard to case, while
//! identifiers inside a path keep the case they came in. Escapes are decoded once, after the split,
//! and a segment never holds a slash or a control character. `.` and `..` are names like any other
//! and match no route.

use std::borrow::Cow;

use keymoot_model::ContentId;
use keymoot_protocol::query::escapes_are_whole;

/// The longest path read, in bytes.
pub const PATH_BYTES_MAX: usize = 4 * 1024;

/// How many segments a path may have.
pub const SEGMENTS_MAX: usize = 64;

/// No route of the API has more.
const SEGMENTS_USUAL: usize = 4;

// The longest identifier fits in, each byte of it escaped, with as much again for what stands around it.
const _: () = assert!(PATH_BYTES_MAX >= 2 * 3 * ContentId::BYTES_MAX && SEGMENTS_USUAL <= SEGMENTS_MAX);

/// Why a path is refused. The message is fit for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// More bytes than any route needs.
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// More segments than any route needs.
    #[error("the path has more than {SEGMENTS_MAX} segments")]
    TooMany,
    /// A `%` that two hexadecimal digits do not follow.
    #[error("the path has a percent sign without two hexadecimal digits behind it")]
    Escape,
    /// An escape for a slash, a control character or bytes that are not UTF-8.
    #[error("the path holds an escape that is not allowed")]
    Character,
}

/// The segments of a path, in the case they came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath<'r> {
    segments: Vec<Cow<'r, str>>,
}

impl<'r> RequestPath<'r> {
    /// Reads a path as received.
    ///
    /// # Errors
    /// [`PathError`] says what is wrong with it.
    pub fn parse(raw: &'r str) -> Result<Self, PathError> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let mut segments = Vec::with_capacity(SEGMENTS_USUAL);
        for segment in raw.split('/').filter(|segment| !segment.is_empty()) {
            if segments.len() == SEGMENTS_MAX {
                return Err(PathError::TooMany);
            }
            segments.push(unescape(segment)?);
        }
        Ok(Self { segments })
    }

    /// What stands behind these segments, which match without regard to case; `None` when it does not begin so.
    pub fn behind(mut self, prefix: &[String]) -> Option<Self> {
        let begins_so = prefix.iter().enumerate().all(|(index, own)| self.is(index, own));
        begins_so.then(|| {
            self.segments.drain(..prefix.len());
            self
        })
    }

    /// How many segments there are.
    pub fn count(&self) -> usize {
        self.segments.len()
    }

    /// The segment at `index`, in the case it came in.
    pub fn segment(&self, index: usize) -> Option<&str> {
        self.segments.get(index).map(Cow::as_ref)
    }

    /// The last segment, in the case it came in.
    pub fn last(&self) -> Option<&str> {
        self.segments.last().map(Cow::as_ref)
    }

    /// Whether the segment at `index` is there and is `name`, without regard to case.
    pub fn is(&self, index: usize, name: &str) -> bool {
        self.segment(index).is_some_and(|segment| segment.eq_ignore_ascii_case(name))
    }
}

fn unescape(segment: &str) -> Result<Cow<'_, str>, PathError> {
    if !escapes_are_whole(segment) {
        return Err(PathError::Escape);
    }
    let text = percent_encoding::percent_decode_str(segment).decode_utf8();
    match text {
        Ok(text) if !text.chars().any(|c| c == '/' || c.is_control()) => Ok(text),
        _ => Err(PathError::Character),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(raw: &str) -> Vec<String> {
        RequestPath::parse(raw).unwrap().segments.iter().map(|segment| segment.to_ascii_lowercase()).collect()
    }

    #[test]
    fn careless_spellings_of_a_route_are_the_route() {
        for raw in [
            "/cenc/widevine/encryption",
            "//cenc/widevine/encryption",
            "/CENC//Widevine/ENCRYPTION/",
            "cenc/widevine/encryption//",
            "/cenc/wide%76ine/%45ncryption",
        ] {
            assert_eq!(route(raw), ["cenc", "widevine", "encryption"], "{raw}");
        }
        assert!(route("/").is_empty());
        assert!(route("").is_empty());
    }

    #[test]
    fn identifiers_keep_their_case() {
        let path = RequestPath::parse("/system/OVP/entryId/1_AbC/x%20y%C3%A9").unwrap();
        assert_eq!(path.segments, ["system", "OVP", "entryId", "1_AbC", "x yé"]);
        assert!(path.is(1, "ovp") && path.is(3, "1_abc") && !path.is(5, ""));
        assert_eq!((path.segment(3), path.last(), path.count()), (Some("1_AbC"), Some("x yé"), 5));
    }

    #[test]
    fn a_path_is_cut_behind_a_prefix_that_it_has() {
        let behind = |raw, prefix: &[&str]| {
            let prefix: Vec<String> = prefix.iter().map(|own| (*own).to_owned()).collect();
            RequestPath::parse(raw).unwrap().behind(&prefix).map(|path| path.segments.join("/"))
        };
        assert_eq!(behind("/drm/keys/system/a", &["drm", "Keys"]).as_deref(), Some("system/a"));
        assert_eq!(behind("//DRM//a", &["drm"]).as_deref(), Some("a"));
        assert_eq!(behind("/a", &[]).as_deref(), Some("a"));
        for other in ["/system/a", "/drmx/a", "/"] {
            assert_eq!(behind(other, &["drm"]), None, "{other}");
        }
    }

    #[test]
    fn an_escape_makes_no_new_segment_and_is_decoded_once() {
        assert_eq!(RequestPath::parse("/a%2Fb"), Err(PathError::Character));
        assert_eq!(route("/a%252Fb"), ["a%2fb"]);
        assert_eq!(route("/a/%2e%2E/b"), ["a", "..", "b"]);
    }

    #[test]
    fn broken_escapes_and_characters_without_a_shape_are_refused() {
        for raw in ["/%", "/a%4", "/%g0", "/%+1"] {
            assert_eq!(RequestPath::parse(raw), Err(PathError::Escape), "{raw}");
        }
        for raw in ["/%00", "/a%0d%0ab", "/%FF", "/%C3"] {
            assert_eq!(RequestPath::parse(raw), Err(PathError::Character), "{raw}");
        }
    }

    #[test]
    fn everything_is_bounded() {
        assert_eq!(RequestPath::parse(&"a".repeat(PATH_BYTES_MAX + 1)), Err(PathError::TooLong));
        assert_eq!(RequestPath::parse(&"/a".repeat(SEGMENTS_MAX + 1)), Err(PathError::TooMany));
        assert_eq!(route(&"/a".repeat(SEGMENTS_MAX)).len(), SEGMENTS_MAX);
        assert!(route(&"/".repeat(PATH_BYTES_MAX)).is_empty());
    }

    proptest! {
        #[test]
        fn extra_slashes_and_case_change_no_route(segments in prop::collection::vec("[a-z0-9._-]{1,8}", 0..8),
                                                  slashes in 1_usize..4) {
            let raw: String = segments.iter().map(|s| "/".repeat(slashes) + &s.to_uppercase()).collect();
            prop_assert_eq!(route(&raw), segments.clone());
            prop_assert_eq!(route(&format!("{raw}/")), segments);
        }

        #[test]
        fn no_segment_is_empty_or_holds_a_slash_or_a_control(raw in "([a-c/%.]|%2f|%00|%C3%A9|\\PC){0,40}") {
            if let Ok(path) = RequestPath::parse(&raw) {
                for segment in path.segments {
                    prop_assert!(!segment.is_empty());
                    prop_assert!(!segment.chars().any(|c| c == '/' || c.is_control()));
                }
            }
        }
    }
}
