//! What may hold keys, wiped from memory once it is sent.

use std::io;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

/// How long answers of one system are, about. Wiping memory takes as long as reading it would.
const ANSWER_BYTES_USUAL: usize = 512;

/// A value as compact JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut text = WipedText::with_room_for(ANSWER_BYTES_USUAL);
    serde_json::to_writer(&mut text, value)?;
    Ok(text.into_bytes())
}

/// Text that may hold keys: where it grows, what it leaves is wiped.
pub(crate) struct WipedText(Zeroizing<Vec<u8>>);

impl WipedText {
    /// No text yet, and so much room for it.
    pub(crate) fn with_room_for(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    /// Adds to the text.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// The whole text.
    pub(crate) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl io::Write for WipedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body that is wiped where the framework drops it, once it is sent.
pub(crate) fn wiped(body: impl Into<Zeroizing<Vec<u8>>>) -> Bytes {
    Bytes::from_owner(body.into())
}

/// The answer that sends such a text.
pub(crate) fn respond(text: Zeroizing<Vec<u8>>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(wiped(text))
}
