//! `POST /bulk`: keys of many contents in one request, line by line.
//!
//! The head is read first: more is read only for a caller whose account may have sent it, and such bodies
//! share one bound until they are authenticated. Nothing is carried out before the whole body is. Then the
//! items are, some at a time, so that one proposal holds many of them; the answer is streamed in the order of
//! the lines. What is wrong with an item is that line's result and nobody else's, except that a track whose
//! item failed is left alone by later lines. All of it may be sent again: items that are done stay as they are.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures::future::join_all;
use futures::{Stream, TryStreamExt as _, stream};
use serde::Serialize;
use utoipa::ToSchema;

use keymoot_audit::{Action, KeyName, Settled, Unwritable};
use keymoot_auth::{AuthHandle, Grant};
use keymoot_crypto::{ContentKey, wiped_once_ready};
use keymoot_model::{ContentId, Scope, TrackName};
use keymoot_protocol::query::Query;
use keymoot_protocol::{BulkBody, BulkError, BulkHead, BulkItem, CustomData, SignedPayload};
use keymoot_service::{
    Ingestion, KeyChange, Keys, ServedKey, ServedPeriod, ServiceError, WantedKeys, WantedTrack,
};
use keymoot_telemetry::Metrics;

use crate::answer::NDJSON;
use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::signed_answer::ACCEPT_SIGNATURE;
use crate::answer::wiped_json::{WipedText, wiped};
use crate::api::Api;
use crate::listener::drain::InFlightRequest;
use crate::request::authentication;
use crate::request::incoming_body::IncomingBody;

/// Items that are carried out at once.
const WINDOW: usize = 128;

/// How long the result of an item is, about.
const RESULT_BYTES_USUAL: usize = 512;

const _: () = assert!(WINDOW <= BulkBody::ITEMS_MAX);

/// What became of one item.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkResult<'a> {
    /// The item's line in the request; the head is line 1.
    line: usize,
    /// The content, when the line could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<&'a str>,
    /// The track, when it is not the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<&'a str>,
    /// `ok` or `error`.
    status: &'static str,
    /// Base64 of the 16 bytes of the key id.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// Base64 of the 16 bytes of the key, when the head asks for keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// The key's version within its track.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// What went wrong, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// The number under which the node's log has the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<u64>,
    /// The item may be sent again as it is, and may then succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<bool>,
}

/// The last line of an answer. Without it the answer was cut off.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkSummary {
    summary: BulkCounts,
}

/// How many items there were.
#[derive(Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct BulkCounts {
    items: usize,
    ok: usize,
    errors: usize,
}

/// Answers a bulk request.
pub(crate) async fn bulk(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let query = Query::parse(request.query_string())?;
    let mut incoming = IncomingBody::new(request, payload, api.bulk_body_bytes_max, api);
    let head = read_head(&mut incoming).await?;
    authentication::may_send_more(&head.claim(), query.signature.as_ref(), request, api).await?;
    incoming.read_rest().await.map_err(split_it)?;
    let (body, unproved) = incoming.into_parts();
    let payload = SignedPayload::<BulkBody>::read(body.clone())?;
    let claim = (Scope::Encryption, &payload, query.signature);
    let grant = authentication::authenticate(request, body, claim, api, auth).await?;
    drop(unproved);
    // What is handed out is told as it is: see [`BulkRun::told`].
    grant.trail().goes_on();
    let run = BulkRun {
        _answering: api.drain.enter(request),
        keys: api.keys.clone(),
        metrics: api.metrics.clone(),
        grant,
        body: payload.into_value(),
        next: 0,
        counts: BulkCounts::default(),
        failed: HashSet::new(),
        is_cut_off: false,
    };
    let mut response = HttpResponse::Ok();
    response.content_type(NDJSON);
    if request.headers().contains_key(&ACCEPT_SIGNATURE) {
        // A signature stands before what it signs, so such an answer is complete before it begins.
        let mut whole = WipedText::with_room_for(0);
        let mut answers = std::pin::pin!(run.answers());
        while let Some(part) = answers.try_next().await? {
            whole.push(&part);
        }
        return Ok(response.body(wiped(whole.into_bytes())));
    }
    Ok(response.streaming(run.answers()))
}

/// Reads on until the head is there: the first line, or as much as a line may have.
async fn read_head(incoming: &mut IncomingBody<'_>) -> Result<BulkHead, ApiError> {
    let is_there = |received: &[u8]| received.contains(&b'\n') || received.len() > CustomData::BYTES_MAX;
    while !is_there(incoming.received()) && incoming.read_on().await.map_err(split_it)? {}
    Ok(BulkHead::of_body(incoming.received())?)
}

impl From<BulkError> for ApiError {
    fn from(error: BulkError) -> Self {
        match error {
            BulkError::TooMany => Self::new(ErrorKind::TooLarge, error.to_string()),
            _ => Self::new(ErrorKind::Invalid, error.to_string()),
        }
    }
}

fn split_it(error: ApiError) -> ApiError {
    match error.kind() {
        ErrorKind::TooLarge => {
            let message = format!("{}; split it into several requests, each with its head", error.message());
            ApiError::new(ErrorKind::TooLarge, message)
        }
        _ => error,
    }
}

/// A request that is being carried out.
struct BulkRun {
    /// The node does not stop before the last line is sent.
    _answering: InFlightRequest,
    keys: Keys,
    metrics: Arc<Metrics>,
    grant: Grant,
    body: BulkBody,
    /// The first line that was not tried.
    next: usize,
    counts: BulkCounts,
    /// Tracks whose item failed: what follows for them may build on it.
    failed: HashSet<(ContentId, TrackName)>,
    /// No quorum could be reached, so trying the rest would only take long.
    is_cut_off: bool,
}

/// One line as it was read.
struct ReadLine {
    line: usize,
    item: Result<BulkItem, ApiError>,
}

/// Why an item was not done.
enum Undone {
    /// It was tried.
    Failed(ApiError),
    /// It was not, for this reason.
    Untried { message: &'static str, retry: bool },
}

impl BulkRun {
    fn answers(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        let mut answers = Box::pin(self.windows());
        // Keys that a client supplied are read and passed on there, in every frame of the stack.
        stream::poll_fn(move |context| wiped_once_ready(|| answers.as_mut().poll_next(context)))
    }

    fn windows(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::unfold(Some(self), |run| async move {
            let mut run = run?;
            let window = run.window();
            if window.is_empty() {
                return Some((run.summary(), None));
            }
            let outcomes = join_all(window.iter().map(|read| run.try_one(read))).await;
            let outcomes = run.told(&window, outcomes).await;
            let text = run.results(&window, outcomes);
            Some((text, Some(run)))
        })
    }

    /// The next lines that can be carried out at once: no two of one track, whose order counts.
    fn window(&mut self) -> Vec<ReadLine> {
        let mut window = Vec::new();
        let mut tracks = HashSet::new();
        for (line, text) in self.body.lines().iter().skip(self.next).take(WINDOW) {
            let item = BulkItem::parse(text).map_err(ApiError::from);
            if let Ok(item) = &item
                && !tracks.insert((item.content.clone(), item.track.clone()))
            {
                break;
            }
            window.push(ReadLine { line: *line, item });
        }
        self.next += window.len();
        window
    }

    async fn try_one(&self, read: &ReadLine) -> Result<ServedKey, Undone> {
        let item = match &read.item {
            Ok(item) => item,
            // The error was made, and logged, when the line was read.
            Err(_) => return Err(Undone::Untried { message: "", retry: false }),
        };
        if self.is_cut_off {
            let message = "not tried, because no quorum could be reached for an item before; send it again";
            return Err(Undone::Untried { message, retry: true });
        }
        if self.failed.contains(&(item.content.clone(), item.track.clone())) {
            let message = "not tried, because an item before failed for the same track";
            return Err(Undone::Untried { message, retry: false });
        }
        self.carry_out(item).await.map_err(|error| Undone::Failed(error.into()))
    }

    /// Writes to the audit what became of the lines before their results leave, which have no key without that.
    async fn told(
        &self,
        window: &[ReadLine],
        outcomes: Vec<Result<ServedKey, Undone>>,
    ) -> Vec<Result<ServedKey, Undone>> {
        match self.write_outcomes(window, &outcomes).await {
            Ok(()) => outcomes,
            Err(error) => {
                self.grant.trail().withhold(ApiError::unaudited(&error).settled());
                let message = "this server cannot write its audit, so it tells no key; send it again";
                window.iter().map(|_| Err(Undone::Untried { message, retry: true })).collect()
            }
        }
    }

    async fn write_outcomes(
        &self,
        window: &[ReadLine],
        outcomes: &[Result<ServedKey, Undone>],
    ) -> Result<(), Unwritable> {
        let trail = self.grant.trail();
        for (read, outcome) in window.iter().zip(outcomes) {
            let item = read.item.as_ref().ok();
            let error = match (&read.item, outcome) {
                (Err(error), _) | (_, Err(Undone::Failed(error))) => error,
                _ => continue,
            };
            let key = KeyName {
                content: item.map(|item| item.content.clone()),
                track: item.map(|item| item.track.clone()),
                ..KeyName::default()
            };
            let replaces = item.is_some_and(|item| item.replace);
            let action = if replaces { Action::KEY_REPLACE } else { Action::KEY_CREATE };
            trail.fail_part(action, key, error.settled())?;
        }
        trail.written(trail.flush()?).await
    }

    async fn carry_out(&self, item: &BulkItem) -> Result<ServedKey, ServiceError> {
        let track = &item.track;
        let supplied = item.supplied().map(|(kid, key)| (kid, ContentKey::from_bytes(key)));
        let keys = match (supplied, item.period) {
            (None, _) => WantedKeys::created(track),
            (Some(own), Some(period)) => WantedKeys::PeriodKey { track, period, own },
            (own, None) => {
                let change = if item.replace { KeyChange::Replace } else { KeyChange::Import };
                WantedKeys::Tracks(vec![WantedTrack { track, change, supplied: own }])
            }
        };
        let (auxiliary, if_absent) = (item.auxiliary.clone(), !item.replace);
        let wanted = Ingestion { auxiliary, if_absent, ..Ingestion::of(&item.content, keys) };
        let mut ingested = self.keys.ingest(&self.grant, wanted).await?;
        match ingested.periods.pop().and_then(|mut periods| periods.pop()) {
            Some(ServedPeriod { kid, key, version, .. }) => Ok(ServedKey { kid, key, version, iv: None }),
            None => ingested.into_key(),
        }
    }

    fn results(
        &mut self,
        window: &[ReadLine],
        outcomes: Vec<Result<ServedKey, Undone>>,
    ) -> Result<Bytes, ApiError> {
        let mut text = WipedText::with_room_for(window.len() * RESULT_BYTES_USUAL);
        for (read, outcome) in window.iter().zip(&outcomes) {
            self.count(read, outcome.as_ref().err());
            let key = match outcome {
                Ok(served) if self.body.head().wants_keys() => Some(served.key.to_base64()),
                _ => None,
            };
            serde_json::to_writer(&mut text, &result(read, outcome, key.as_deref().map(String::as_str)))
                .map_err(ApiError::internal)?;
            text.push(b"\n");
        }
        Ok(wiped(text.into_bytes()))
    }

    fn count(&mut self, read: &ReadLine, undone: Option<&Undone>) {
        let outcome = if undone.is_some() { "error" } else { "ok" };
        self.metrics.bulk_items_total.with_label_values(&[outcome]).inc();
        self.counts.items += 1;
        let Some(undone) = undone else {
            self.counts.ok += 1;
            return;
        };
        self.counts.errors += 1;
        if let Ok(item) = &read.item {
            self.failed.insert((item.content.clone(), item.track.clone()));
        }
        if let Undone::Failed(error) = undone {
            self.is_cut_off |= error.kind() == ErrorKind::NoQuorum;
        }
    }

    fn summary(&self) -> Result<Bytes, ApiError> {
        let BulkCounts { items, ok, errors } = self.counts;
        tracing::info!(account = %self.grant.account().id, items, ok, errors, "a bulk request is done");
        // All that left is written: this tells of a request without a line.
        drop(self.grant.trail().conclude(Settled::DONE));
        let text =
            serde_json::to_string(&BulkSummary { summary: self.counts }).map_err(ApiError::internal)?;
        Ok(Bytes::from(text + "\n"))
    }
}

fn result<'a>(
    read: &'a ReadLine,
    outcome: &'a Result<ServedKey, Undone>,
    key: Option<&'a str>,
) -> BulkResult<'a> {
    let item = read.item.as_ref().ok();
    let default = TrackName::default_track();
    let (message, reference, retry) = match (&read.item, outcome) {
        (Err(error), _) | (_, Err(Undone::Failed(error))) => {
            let retry = matches!(error.kind(), ErrorKind::Busy | ErrorKind::NoQuorum | ErrorKind::TooMany);
            (Some(error.message()), Some(error.reference()), retry)
        }
        (_, Err(Undone::Untried { message, retry })) => (Some(*message), None, *retry),
        (_, Ok(_)) => (None, None, false),
    };
    let served = outcome.as_ref().ok();
    BulkResult {
        line: read.line,
        content_id: item.map(|item| item.content.as_str()),
        track: item.filter(|item| item.track != default).map(|item| item.track.as_str()),
        status: if served.is_some() { "ok" } else { "error" },
        key_id: served.map(|served| served.kid.to_base64()),
        key,
        version: served.map(|served| served.version),
        message,
        reference,
        retry: retry.then_some(true),
    }
}
