//! The document's schemas. Those of answers are derived where the handlers make them; here stand the
//! few that are read by hand, and the tests hold them against the readers.

use serde::Serialize;
use utoipa::openapi::{Components, ComponentsBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::answer::auxiliary::AuxiliaryData;
use crate::answer::error::RefusalBody;
use crate::answer::key_answer::{Deleted, EncryptionKey};
use crate::front::bulk::{BulkResult, BulkSummary};
use crate::front::capabilities::Capabilities;
use crate::front::export::{ExportEnd, SealedKey, SealedPeriod};
use crate::front::schedule::answer::{Periods, Schedules};
use crate::front::widevine::answer::{ContentKeyAnswer, ContentKeys};
use keymoot_protocol::widevine::{ContentKeyEnvelopeJson, ContentKeyRequestJson};

/// Custom data (uDRM 2.3.2): one strict JSON object in UTF-8, no member twice and nothing behind it.
/// Unknown members pass.
#[derive(Serialize, ToSchema)]
#[schema(as = CustomData)]
pub(super) struct CustomDataSchema {
    /// The entitlement back end that the client belongs to, such as `OVP`.
    ca_system: String,
    /// The account that signs; a number is taken for its digits.
    account_id: String,
    /// The content. Capitals matter.
    content_id: String,
    /// The track; left out, the one that clients of uDRM share.
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<String>,
    /// Comma list of the content's files. They share the content's key, so it changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<String>,
    /// Base64 of a key of the client's own, 16 bytes; with `key_id` only. For POST and PUT.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Base64 of that key's id, 16 bytes; with `key` only. Without it, in a GET or DELETE: the one version
    /// that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// To be stored beside the content. For POST and PUT.
    #[serde(skip_serializing_if = "Option::is_none")]
    aux: Option<AuxiliaryData<'static>>,
}

impl CustomDataSchema {
    /// Of a content of the account that `keymoot dev` makes.
    pub(super) fn example(content: &str) -> Self {
        Self {
            ca_system: "OVP".to_owned(),
            account_id: "demo".to_owned(),
            content_id: content.to_owned(),
            track: None,
            files: Some(String::new()),
            key: None,
            key_id: None,
            aux: None,
        }
    }

    /// With a key of the client's own.
    pub(super) fn supplying(self, key: &str, key_id: &str) -> Self {
        Self { key: Some(key.to_owned()), key_id: Some(key_id.to_owned()), ..self }
    }
}

/// Custom data of a request about crypto periods. Numbers and instants may be strings.
#[derive(Serialize, ToSchema)]
#[schema(as = ScheduleData)]
pub(super) struct ScheduleDataSchema {
    /// What all custom data says.
    #[serde(flatten)]
    whose: CustomDataSchema,
    /// How long a period is; at least one second. Left out in a GET without a first period, which lists how
    /// the track rotates.
    #[serde(skip_serializing_if = "Option::is_none")]
    crypto_period_seconds: Option<String>,
    /// The first period that is asked for; or `time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_crypto_period_index: Option<String>,
    /// `now`, RFC 3339 text or seconds since 1970 UTC: the first period is the one that holds then.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// How many periods; one when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    crypto_period_count: Option<String>,
    /// When the period of index 0 begins; 1970 UTC when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

impl ScheduleDataSchema {
    /// Three periods of ten seconds.
    pub(super) fn example(content: &str) -> Self {
        Self {
            whose: CustomDataSchema::example(content),
            crypto_period_seconds: Some("10".to_owned()),
            first_crypto_period_index: Some("6".to_owned()),
            time: None,
            crypto_period_count: Some("3".to_owned()),
            epoch: Some("2026-01-01T00:00:00Z".to_owned()),
        }
    }
}

/// Keys of periods, or how a track rotates: as it was asked.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code)] // Only its schema is of use: `schedule_answer` writes either.
pub(super) enum ScheduleAnswer<'a> {
    /// When periods were asked for.
    Periods(Periods<'a>),
    /// When none were.
    Schedules(Schedules<'a>),
}

/// One object, or an array of one: as the path's known clients read it, or as the account has it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code)] // Only its schema is of use: `answer::key` writes either.
pub(super) enum EncryptionAnswer<'a> {
    /// Of all paths but `/cenc/encryption`.
    Object(EncryptionKey<'a>),
    /// Of `/cenc/encryption`.
    Array(Vec<EncryptionKey<'a>>),
}

/// The first line of a bulk request.
#[derive(ToSchema)]
#[allow(dead_code)] // Only its schema is of use: `auth::BulkBody` reads it.
#[schema(as = BulkHead)]
pub(super) struct BulkHeadSchema {
    /// Always 1, the version of this format.
    bulk: u32,
    /// The entitlement back end that the client belongs to, such as `OVP`.
    ca_system: String,
    /// The account that signs.
    account_id: String,
    /// Whether the answer shall hold the keys themselves, and not only their ids.
    keys: Option<bool>,
}

/// Any other line of a bulk request: a content whose key is asked for, or brought along.
#[derive(ToSchema)]
#[allow(dead_code)] // Only its schema is of use: `auth::BulkItem` reads it.
#[schema(as = BulkItem)]
pub(super) struct BulkItemSchema {
    /// The content.
    content_id: String,
    /// The track; left out, the one that the uDRM endpoints know.
    track: Option<String>,
    /// Base64 of a key of the client's own, 16 bytes; with `key_id` only. Without them the key is made
    /// when there is none.
    key: Option<String>,
    /// Base64 of that key's id, 16 bytes.
    key_id: Option<String>,
    /// Whether that key shall take the place of another one, which stays licensable. Without it an item
    /// whose content has another key is an error.
    replace: Option<bool>,
    /// The crypto period that the key is for.
    period: Option<SealedPeriod>,
    /// To be stored beside the content.
    aux: Option<AuxiliaryData<'static>>,
}

/// A line of a bulk request.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(super) enum BulkRequest {
    /// Line 1.
    Head(BulkHeadSchema),
    /// Every other line.
    Item(BulkItemSchema),
}

/// A line of the answer to a bulk request.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(super) enum BulkAnswer<'a> {
    /// One for each item, in their order.
    Result(BulkResult<'a>),
    /// The last line.
    Summary(BulkSummary),
}

/// A request for sealed keys: one strict JSON object.
#[derive(ToSchema)]
#[allow(dead_code)] // Only its schema is of use: `auth::ExportRequest` reads it.
#[schema(as = ExportRequest)]
pub(super) struct ExportRequestSchema {
    /// Always 1, the version of this format.
    export: u32,
    /// The entitlement back end that the client belongs to, such as `OVP`.
    ca_system: String,
    /// The account that signs, and whose keys are asked for.
    account_id: String,
    /// Base64 of the 32 bytes of the X25519 public key for which the keys are sealed.
    recipient: String,
    /// The one content whose keys are asked for; left out, all.
    content_id: Option<String>,
    /// The `next` of the page before; left out on the first.
    after: Option<String>,
}

/// A line of the answer to an export request.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(super) enum ExportAnswer<'a> {
    /// A key.
    Key(SealedKey<'a>),
    /// The last line.
    End(ExportEnd),
}

/// All schemas, with those that they name.
pub(super) fn components() -> Components {
    let mut all = Vec::new();
    add::<CustomDataSchema>(&mut all);
    add::<EncryptionAnswer<'static>>(&mut all);
    add::<Deleted<'static>>(&mut all);
    add::<RefusalBody<'static>>(&mut all);
    add::<Capabilities>(&mut all);
    add::<ScheduleDataSchema>(&mut all);
    add::<ScheduleAnswer<'static>>(&mut all);
    add::<BulkRequest>(&mut all);
    add::<BulkAnswer<'static>>(&mut all);
    add::<ExportRequestSchema>(&mut all);
    add::<ExportAnswer<'static>>(&mut all);
    add::<ContentKeyEnvelopeJson>(&mut all);
    add::<ContentKeyRequestJson>(&mut all);
    add::<ContentKeyAnswer>(&mut all);
    add::<ContentKeys<'static>>(&mut all);
    ComponentsBuilder::new().schemas_from_iter(all).build()
}

fn add<T: ToSchema + PartialSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
    all.push((T::name().into_owned(), T::schema()));
    T::schemas(all);
}
