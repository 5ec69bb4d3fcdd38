//! JSON that may hold keys: compact, and wiped from memory once it is sent.

use std::io;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

/// How long answers of one system are, about. Wiping memory takes as long as reading it would.
const ANSWER_BYTES_USUAL: usize = 512;

/// A value as compact JSON.
pub fn json<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut text = WipedText(Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_USUAL)));
    serde_json::to_writer(&mut text, value)?;
    Ok(text.0)
}

/// Text that may hold keys: where it grows, what it leaves is wiped.
struct WipedText(Zeroizing<Vec<u8>>);

impl io::Write for WipedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The answer that sends such a text.
pub fn respond(text: Zeroizing<Vec<u8>>) -> HttpResponse {
    // Wiped where the framework drops it, once it is sent.
    let body = Bytes::from_owner(text);
    HttpResponse::Ok().content_type("application/json").body(body)
}
