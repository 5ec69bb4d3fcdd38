//! The document's schemas, all derived from what is read and written: those of requests where their grammars
//! are, those of answers where the handlers make them. Here stand the choices between them.

use serde::Serialize;
use utoipa::openapi::{Components, ComponentsBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::answer::error::RefusalBody;
use crate::answer::key_answer::{Deleted, EncryptionKey};
use crate::front::bulk::{BulkResult, BulkSummary};
use crate::front::capabilities::Capabilities;
use crate::front::export::{ExportEnd, SealedKey};
use crate::front::schedule::answer::{Periods, Schedules};
use crate::front::widevine::answer::{ContentKeyAnswer, ContentKeys};
use keymoot_protocol::widevine::{ContentKeyEnvelopeJson, ContentKeyRequestJson};
use keymoot_protocol::{BulkHead, BulkItem, CustomData, ExportRequest, ScheduleData};

/// Custom data of a request about crypto periods. Numbers and instants may be strings.
#[derive(ToSchema)]
#[schema(as = ScheduleData)]
#[allow(dead_code)] // Only its schema is of use: both are read from the same bytes.
pub(super) struct ScheduleRequest {
    /// What all custom data says.
    #[serde(flatten)]
    custom_data: CustomData,
    /// Which periods.
    #[serde(flatten)]
    periods: ScheduleData,
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

/// A line of a bulk request.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(super) enum BulkRequest {
    /// Line 1.
    Head(BulkHead),
    /// Every other line.
    Item(BulkItem),
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
    add::<CustomData>(&mut all);
    add::<EncryptionAnswer<'static>>(&mut all);
    add::<Deleted<'static>>(&mut all);
    add::<RefusalBody<'static>>(&mut all);
    add::<Capabilities>(&mut all);
    add::<ScheduleRequest>(&mut all);
    add::<ScheduleAnswer<'static>>(&mut all);
    add::<BulkRequest>(&mut all);
    add::<BulkAnswer<'static>>(&mut all);
    add::<ExportRequest>(&mut all);
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
