//! Crypto periods as they are printed: for people without the keys, for programs with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::print::{PrintedPssh, pretty, printed_pssh};
use crate::cli::args::OutputFormat;
use keymoot_client::{PeriodKey, ScheduleListing};
use keymoot_command::{Column, Table};
use keymoot_model::{ContentId, TrackName};

/// A line for each period. The keys are shown only on request.
pub(super) fn table(
    content: &ContentId,
    track: &TrackName,
    periods: &[PeriodKey],
    show_key: bool,
) -> Zeroizing<String> {
    let heading = if show_key { "key" } else { "key (hidden; --show-key shows it)" };
    let mut table = Table::new([
        Column::Right("period"),
        Column::Left("start"),
        Column::Left("end"),
        Column::Left("key id"),
        Column::Left(heading),
    ]);
    for key in periods {
        let shown = match (show_key, key.is_supplied) {
            (true, _) => std::mem::take(&mut *key.key.to_hex()),
            (false, true) => "supplied".to_owned(),
            (false, false) => "derived".to_owned(),
        };
        let (start, end) = (instant(key.starts_at), instant(key.ends_at));
        table.row([key.period.index.to_string(), start, end, key.kid.to_string(), shown]);
    }
    below(&place(content, track), &table)
}

/// The content and the track that are told of.
fn place(content: &ContentId, track: &TrackName) -> Table<2> {
    let mut table = Table::new([Column::Left(""); 2]);
    table.row(["content".to_owned(), content.to_string()]);
    table.row(["track".to_owned(), track.to_string()]);
    table
}

/// Both, with an empty line between.
fn below<const N: usize>(first: &Table<2>, second: &Table<N>) -> Zeroizing<String> {
    let (first, second) = (first.text(), second.text());
    // Room for all of it at once: a text that grows leaves copies of keys behind.
    let mut text = Zeroizing::new(String::with_capacity(first.len() + second.len() + 1));
    text.push_str(&first);
    text.push('\n');
    text.push_str(&second);
    text
}

/// What `--output json` prints; its members are public.
#[derive(Serialize)]
struct PrintedTrack<'a> {
    content_id: &'a str,
    track: &'a str,
    periods: Vec<PrintedPeriod>,
}

#[derive(Serialize)]
struct PrintedPeriod {
    /// Text, as all numbers of crypto periods are.
    crypto_period_index: String,
    crypto_period_seconds: String,
    /// RFC 3339.
    start: String,
    end: String,
    /// Lower-case dashed GUID.
    kid: String,
    /// Hexadecimal.
    key: Zeroizing<String>,
    version: String,
    supplied: bool,
    /// Hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<String>,
    pssh: Vec<PrintedPssh>,
}

/// One object, with the keys.
pub(super) fn json(content: &ContentId, track: &TrackName, periods: &[PeriodKey]) -> Zeroizing<String> {
    let period = |key: &PeriodKey| PrintedPeriod {
        crypto_period_index: key.period.index.to_string(),
        crypto_period_seconds: key.period.length_s.to_string(),
        start: instant(key.starts_at),
        end: instant(key.ends_at),
        kid: key.kid.to_string(),
        key: key.key.to_hex(),
        version: key.version.to_string(),
        supplied: key.is_supplied,
        iv: key.iv.map(|iv| STANDARD.encode(iv)),
        pssh: printed_pssh(&key.pssh),
    };
    let printed = PrintedTrack {
        content_id: content.as_str(),
        track: track.as_str(),
        periods: periods.iter().map(period).collect(),
    };
    pretty(&printed, periods.len().saturating_mul(8192))
}

/// For which periods there are keys.
pub(super) fn listing(
    output: OutputFormat,
    content: &ContentId,
    track: &TrackName,
    listed: &[ScheduleListing],
) -> String {
    let indexes = |listed: &ScheduleListing| -> Vec<String> {
        listed.supplied.iter().map(ToString::to_string).collect()
    };
    match output {
        OutputFormat::Json => {
            let schedule = |listed: &ScheduleListing| {
                json!({
                    "crypto_period_seconds": listed.length_s.to_string(),
                    "version": listed.version.map(|version| version.to_string()),
                    "supplied_crypto_period_indexes": indexes(listed),
                    "supplied_crypto_period_count": listed.supplied_count.to_string(),
                })
            };
            let schedules: Vec<_> = listed.iter().map(schedule).collect();
            let all =
                json!({ "content_id": content.as_str(), "track": track.as_str(), "schedules": schedules });
            format!("{all:#}\n")
        }
        OutputFormat::Table if listed.is_empty() => {
            format!("{content}, track {track}: no crypto periods have keys\n")
        }
        OutputFormat::Table => {
            let mut table =
                Table::new([Column::Right("period"), Column::Right("version"), Column::Left("supplied")]);
            for listed in listed {
                let version = listed.version.map_or_else(|| "none".to_owned(), |version| version.to_string());
                let more = (listed.supplied_count as usize).saturating_sub(listed.supplied.len());
                let supplied = match (listed.supplied.is_empty(), more) {
                    (true, _) => "none".to_owned(),
                    (false, 0) => indexes(listed).join(", "),
                    (false, more) => format!("{} and {more} more", indexes(listed).join(", ")),
                };
                table.row([format!("{} s", listed.length_s), version, supplied]);
            }
            below(&place(content, track), &table).to_string()
        }
    }
}

/// That all periods of a length have new keys.
pub(super) fn replaced(
    output: OutputFormat,
    (content, track): (&ContentId, &TrackName),
    length_s: u32,
    version: u32,
) -> String {
    match output {
        OutputFormat::Table => {
            format!(
                "{content}, track {track}: crypto periods of {length_s} s have new keys, version {version}\n"
            )
        }
        OutputFormat::Json => {
            let replaced = json!({
                "content_id": content.as_str(),
                "track": track.as_str(),
                "crypto_period_seconds": length_s.to_string(),
                "version": version.to_string(),
            });
            format!("{replaced:#}\n")
        }
    }
}

fn instant(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.unix_timestamp().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_crypto::ContentKey;
    use keymoot_model::{Kid, Period};

    fn of() -> (ContentId, TrackName, Vec<PeriodKey>) {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let key = PeriodKey {
            period: Period { length_s: 10, index: 171 },
            starts_at: at(1710),
            ends_at: at(1720),
            kid: Kid::from_bytes([0x11; 16]),
            key: ContentKey::from_bytes(&[0xab; 16]),
            version: 2,
            is_supplied: true,
            iv: None,
            pssh: Vec::new(),
        };
        (ContentId::new("live").unwrap(), TrackName::default_track(), vec![key])
    }

    #[test]
    fn the_table_hides_the_keys_until_asked() {
        let (content, track, periods) = of();
        let (hidden, shown) =
            (table(&content, &track, &periods, false), table(&content, &track, &periods, true));
        assert!(!hidden.contains("abab") && hidden.contains("supplied"), "{}", *hidden);
        assert!(shown.contains(&"ab".repeat(16)) && shown.contains("1970-01-01T00:28:30Z"), "{}", *shown);
    }

    #[test]
    fn json_has_the_documented_members() {
        let (content, track, periods) = of();
        let printed: serde_json::Value = serde_json::from_str(&json(&content, &track, &periods)).unwrap();
        let expected = json!({"content_id": "live", "track": "DEFAULT", "periods": [{
            "crypto_period_index": "171", "crypto_period_seconds": "10", "start": "1970-01-01T00:28:30Z",
            "end": "1970-01-01T00:28:40Z", "kid": "11111111-1111-1111-1111-111111111111",
            "key": "ab".repeat(16), "version": "2", "supplied": true, "pssh": []}]});
        assert_eq!(printed, expected);
    }

    #[test]
    fn a_listing_names_lengths_versions_and_supplied_periods() {
        let (content, track, _) = of();
        let listed =
            [ScheduleListing { length_s: 10, version: Some(3), supplied: vec![7, 9], supplied_count: 9 }];
        let text = listing(OutputFormat::Table, &content, &track, &listed);
        assert!(text.contains("  10 s        3  7, 9 and 7 more"), "{text}");
        let none = listing(OutputFormat::Table, &content, &track, &[]);
        assert!(none.contains("no crypto periods"), "{none}");
    }
}
