//! Keys of many contents in one request, and sealed keys page by page.
//!
//! Both may be repeated at another service point, because repeating them changes nothing. An answer
//! without its last line was cut off and is discarded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::answer::plain;
use super::error::ClientError;
use super::fail_over_client::Terms;
use super::key_client::KeyClient;
use super::request::Request;
use keymoot_model::ContentId;

/// The result of one item.
#[derive(Clone, Debug, Deserialize)]
pub struct ItemResult {
    /// The item's line in the request; the head is line 1.
    line: usize,
    status: String,
    /// Base64 of the key id.
    pub key_id: Option<String>,
    /// The key's version within its track.
    pub version: Option<u32>,
    /// The server's message: what failed, and what helps.
    pub message: Option<String>,
    /// The number under which the server's log has the reason.
    pub reference: Option<u64>,
    /// Whether the same item may succeed when it is sent again.
    #[serde(default)]
    retry: bool,
}

impl ItemResult {
    /// Whether the item succeeded.
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

#[derive(Deserialize)]
struct WireSummary {
    summary: WireCounts,
}

#[derive(Deserialize)]
struct WireCounts {
    items: usize,
}

/// A page of sealed keys.
#[derive(Clone, Debug)]
pub struct SealedPage {
    /// The lines of the keys, as the server wrote them.
    pub lines: Vec<String>,
    /// Rotating schedules whose derived keys cannot be exported.
    pub seeds: usize,
    /// The mark of the next page; `None` on the last page.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct WireEnd {
    page: WirePage,
}

#[derive(Deserialize)]
struct WirePage {
    keys: usize,
    seeds: usize,
    next: Option<String>,
}

impl KeyClient {
    /// Sends items, each one line of JSON in the form of `POST /bulk`, and returns the results in
    /// the same order. Items for which the cluster asks for a retry are sent again.
    ///
    /// # Errors
    /// [`ClientError`] when no service point answers or the request as a whole is refused.
    pub fn bulk(&self, items: &[Zeroizing<String>]) -> Result<Vec<ItemResult>, ClientError> {
        let head = serde_json::json!({
            "bulk": 1, "ca_system": self.keys.ca_system, "account_id": self.keys.account.as_str(),
            "method": "POST",
        });
        let head = head.to_string();
        // The buffer holds everything from the start: growing would leave copies of keys behind.
        let bytes = items.iter().map(|item| item.len() + 1).sum::<usize>() + head.len() + 1;
        let mut body = Zeroizing::new(Vec::with_capacity(bytes));
        body.extend_from_slice(head.as_bytes());
        body.push(b'\n');
        for item in items {
            body.extend_from_slice(item.as_bytes());
            body.push(b'\n');
        }
        let request = Request::posting("/bulk", body);
        let terms = Terms::patient(self.settings.patience, true);
        self.fail_over_client.carry(&request, terms, |answer| read_results(answer, items.len()))
    }

    /// A page of the account's stored keys, or of one content's keys, each sealed for `recipient`,
    /// an X25519 public key. The page begins at the mark that the page before ends with.
    ///
    /// # Errors
    /// [`ClientError`] when no service point answers or the request is refused.
    pub fn sealed_keys(
        &self,
        recipient: &[u8; 32],
        content: Option<&ContentId>,
        after: Option<&str>,
    ) -> Result<SealedPage, ClientError> {
        let body = serde_json::json!({
            "export": 1, "ca_system": self.keys.ca_system, "account_id": self.keys.account.as_str(),
            "recipient": STANDARD.encode(recipient),
            "content_id": content.map(ContentId::as_str), "after": after, "method": "POST",
        });
        let request = Request::posting("/export", Zeroizing::new(body.to_string().into_bytes()));
        let terms = Terms::patient(self.settings.patience, true);
        self.fail_over_client.carry(&request, terms, read_page)
    }
}

/// The lines before the last, and the last one parsed.
fn lines_and_end<T: DeserializeOwned>(answer: &[u8]) -> Result<(Vec<&str>, T), String> {
    let cut_off = || "its answer was cut off".to_owned();
    let text = std::str::from_utf8(answer).map_err(|_| "its answer is no text".to_owned())?;
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.pop().filter(|_| text.ends_with('\n')).ok_or_else(cut_off)?;
    Ok((lines, serde_json::from_str(last).map_err(|_| cut_off())?))
}

fn read_results(answer: &[u8], items: usize) -> Result<Vec<ItemResult>, String> {
    let (lines, end): (_, WireSummary) = lines_and_end(answer)?;
    let results: Result<Vec<ItemResult>, _> = lines.into_iter().map(serde_json::from_str).collect();
    let mut results = results.map_err(|_| "its answer is not as this version has it".to_owned())?;
    for result in &mut results {
        result.message = result.message.as_deref().map(plain);
    }
    let in_order = results.iter().enumerate().all(|(at, result)| result.line == at + 2);
    if !in_order || results.len() != items || end.summary.items != items {
        return Err("its answer is about other items".to_owned());
    }
    match results.iter().find(|result| result.retry) {
        Some(result) => Err(result.message.clone().unwrap_or_else(|| "it could not do all items".to_owned())),
        None => Ok(results),
    }
}

fn read_page(answer: &[u8]) -> Result<SealedPage, String> {
    let (lines, end): (_, WireEnd) = lines_and_end(answer)?;
    if lines.len() != end.page.keys {
        return Err("its answer lacks keys".to_owned());
    }
    let lines = lines.into_iter().map(str::to_owned).collect();
    Ok(SealedPage { lines, seeds: end.page.seeds, next: end.page.next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_belong_to_the_items_that_were_sent() {
        let two = "{\"line\":2,\"status\":\"ok\",\"key_id\":\"x\"}\n{\"line\":3,\"status\":\"error\",\"message\":\"no\"}\n";
        let end = "{\"summary\":{\"items\":2,\"ok\":1,\"errors\":1}}\n";
        let read = read_results(format!("{two}{end}").as_bytes(), 2).unwrap();
        assert!(read[0].is_ok() && !read[1].is_ok() && read[1].message.as_deref() == Some("no"));
        for cut in [two.to_owned(), format!("{two}{}", end.trim_end()), String::new(), "\n".to_owned()] {
            assert!(read_results(cut.as_bytes(), 2).unwrap_err().contains("cut off"), "{cut:?}");
        }
        assert!(read_results(format!("{two}{end}").as_bytes(), 3).is_err());
        let later = "{\"line\":2,\"status\":\"error\",\"retry\":true,\"message\":\"no quorum\"}\n";
        let end = end.replace('2', "1");
        assert_eq!(read_results(format!("{later}{end}").as_bytes(), 1).unwrap_err(), "no quorum");
    }

    #[test]
    fn a_page_must_be_whole() {
        let page = |keys: usize| {
            format!("{{\"a\":1}}\n{{\"page\":{{\"keys\":{keys},\"seeds\":0,\"next\":null}}}}\n")
        };
        assert_eq!(read_page(page(1).as_bytes()).unwrap().lines, ["{\"a\":1}"]);
        assert!(read_page(page(2).as_bytes()).is_err());
        assert!(read_page(b"{\"a\":1}\n").is_err());
    }
}
