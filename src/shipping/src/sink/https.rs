//! Batches by HTTP POST. What the server answers with a status from 200 to 299 it has; of whatever else came of a
//! request, it may have taken some.

use std::path::PathBuf;

use keymoot_crypto::secret_file;
use keymoot_outgoing::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use keymoot_outgoing::{Outgoing, OutgoingError, OutgoingLimits, OutgoingRequest, ServerUrl};
use keymoot_telemetry::with_causes;
use zeroize::Zeroizing;

use super::{Delivery, Fault};
use crate::form::Form;
use crate::{RECEIVER_WITHIN, TlsConfig};

/// The longest answer that is read; nothing of it is used.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Posts {
    url: ServerUrl,
    outgoing: Outgoing,
    token_file: Option<PathBuf>,
    authorization: Option<HeaderValue>,
}

impl Posts {
    pub(super) fn new(url: ServerUrl, tls: TlsConfig, token_file: Option<PathBuf>) -> Self {
        let limits = OutgoingLimits { connect_timeout: RECEIVER_WITHIN, answer_bytes_max: ANSWER_BYTES_MAX };
        Self { url, outgoing: Outgoing::with_tls(limits, tls), token_file, authorization: None }
    }

    /// Reads the token as it is now.
    pub(super) fn prepare(&mut self) -> Result<(), Fault> {
        let Some(file) = &self.token_file else { return Ok(()) };
        let token =
            secret_file::read_signing_key(file).map_err(|error| Fault::NotSent(with_causes(&error)))?;
        let unfit = || Fault::NotSent(format!("{} must hold one token of visible ASCII", file.display()));
        let header = Zeroizing::new([b"Bearer ", token.expose()].concat());
        let is_visible = !token.expose().is_empty() && token.expose().iter().all(u8::is_ascii_graphic);
        let mut value = HeaderValue::from_bytes(&header).ok().filter(|_| is_visible).ok_or_else(unfit)?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(())
    }

    /// Whether the token can be read and the server be connected to.
    pub(super) async fn look(&mut self) -> Result<(), Fault> {
        self.prepare()?;
        self.outgoing.reach(&self.url).await.map_err(|error| Fault::NotSent(error.to_string()))
    }

    pub(super) async fn post(&self, form: Form, lines: Vec<u8>) -> Result<Delivery, Fault> {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let request =
            OutgoingRequest { content_type: form.media_type(), headers, body: Zeroizing::new(lines) };
        match self.outgoing.post(&self.url, request, RECEIVER_WITHIN).await {
            Ok(response) if (200..300).contains(&response.status) => Ok(Delivery::Acknowledged),
            Ok(response) if response.status == 413 => {
                Err(Fault::TooLarge("the server answered 413: a batch is too large for it".to_owned()))
            }
            Ok(response) => Err(Fault::Unknown(format!("the server answered {}", response.status))),
            Err(error @ OutgoingError::Connect { .. }) => Err(Fault::NotSent(error.to_string())),
            Err(error) => Err(Fault::Unknown(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use keymoot_testing::stand_in;
    use keymoot_tls::web_client_config;

    use super::*;

    fn posts(url: ServerUrl, token_file: Option<PathBuf>) -> Posts {
        Posts::new(url, web_client_config(None, None).unwrap(), token_file)
    }

    async fn posted(answer: &'static str) -> Result<Delivery, Fault> {
        let (url, _served) = stand_in(1, answer).await;
        posts(url, None).post(Form::Json, b"{}".to_vec()).await
    }

    #[tokio::test]
    async fn only_a_status_of_success_is_an_acknowledgement() {
        let answer =
            |status: &str| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").leak() as &str;
        for status in ["200", "202", "204"] {
            assert_eq!(posted(answer(status)).await, Ok(Delivery::Acknowledged));
        }
        for status in ["301", "401", "403", "500", "503"] {
            let fault = posted(answer(status)).await.unwrap_err();
            assert!(matches!(&fault, Fault::Unknown(reason) if reason.contains(status)), "{fault}");
        }
        assert!(matches!(posted(answer("413")).await, Err(Fault::TooLarge(_))));
        // It breaks off after it has read all.
        assert!(matches!(posted("HTTP/1.1 200").await, Err(Fault::Unknown(_))));
    }

    #[tokio::test]
    async fn who_is_not_reached_has_nothing_and_a_token_is_sent_as_it_is_now() {
        let nobody = ServerUrl::try_from("http://127.0.0.1:1/".to_owned()).unwrap();
        let fault = posts(nobody, None).post(Form::Json, b"{}".to_vec()).await;
        assert!(matches!(fault, Err(Fault::NotSent(_))), "{fault:?}");

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "first\n").unwrap();
        let private = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        private(0o644);
        let (url, served) =
            stand_in(2, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
        let mut posts = posts(url, Some(file.clone()));
        assert!(matches!(posts.prepare(), Err(Fault::NotSent(reason)) if reason.contains("chmod 600")));
        private(0o600);
        for token in ["first", "second"] {
            std::fs::write(&file, format!("{token}\n")).unwrap();
            posts.prepare().unwrap();
            posts.post(Form::Json, b"{}".to_vec()).await.unwrap();
        }
        let seen = served.await.unwrap();
        assert!(seen[0].contains("Bearer first\r\n") && seen[1].contains("Bearer second\r\n"), "{seen:?}");
    }
}
