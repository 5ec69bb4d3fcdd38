//! AWS Signature Version 4, written from its description.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};

use crate::signed::hex;

const REGION: &str = "eu-central-1";
const SERVICE: &str = "execute-api";

/// An access key with its secret.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AccessKey {
    /// An access key.
    pub fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: secret.to_owned() }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The headers that sign a request at this moment. The path must need no escapes, and have no query.
    pub fn sign(&self, method: &str, path: &str, host: &str, body: &[u8]) -> [(&'static str, String); 3] {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.sign_at(&timestamp(now_s), [method, path, host], body)
    }

    fn sign_at(
        &self,
        time: &str,
        [method, path, host]: [&str; 3],
        body: &[u8],
    ) -> [(&'static str, String); 3] {
        const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";
        let sha256 = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
        let (date, body) = (time.get(..8).unwrap_or_default(), sha256(body));
        let canonical = format!(
            "{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{body}\nx-amz-date:{time}\n\n{SIGNED}\n{body}"
        );
        let scope = format!("{date}/{REGION}/{SERVICE}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let seed = format!("AWS4{}", self.secret).into_bytes();
        let key = [date, REGION, SERVICE, "aws4_request"].iter().fold(seed, |key, part| mac(&key, part));
        let signature = hex(&mac(&key, &text));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={SIGNED}, Signature={signature}",
            self.id
        );
        [("Authorization", authorization), ("X-Amz-Date", time.to_owned()), ("X-Amz-Content-Sha256", body)]
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// `20260131T235959Z`.
fn timestamp(now_s: u64) -> String {
    let (days, second) = (now_s / 86_400, now_s % 86_400);
    let [year, month, day] = date(days);
    let [hour, minute, second] = [second / 3600, second / 60 % 60, second % 60];
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The date so many days after the first of 1970, counted year by year and month by month.
fn date(mut days: u64) -> [u64; 3] {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    [year, month, days + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_aws_has_them() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(951_868_799), "20000229T235959Z");
        assert_eq!(timestamp(1_767_225_600), "20260101T000000Z");
    }
}
