//! What the published API says of members whose shape is an answer's, too.

use utoipa::openapi::schema::{OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, Ref, Schema};

/// The member `aux` of custom data.
pub(super) fn aux() -> Schema {
    optional_ref("AuxiliaryData", "To be stored beside the content. For POST and PUT.")
}

/// The member `aux` of a line of a bulk request.
pub(super) fn aux_of_item() -> Schema {
    optional_ref("AuxiliaryData", "To be stored beside the content.")
}

/// The member `period` of a line of a bulk request.
pub(super) fn period() -> Schema {
    optional_ref("SealedPeriod", "The crypto period that the key is for.")
}

/// The member `scheme` of custom data.
pub(super) fn scheme() -> Schema {
    let description = "How samples are encrypted: `cenc`, `cbcs`, `cbc1` or `cens`, as the provider's players know it. It \
                       changes what `pssh` says, never the key.";
    let schema = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    schema.pattern(Some(SCHEME_PATTERN)).description(Some(description)).build().into()
}

/// The names of the four schemes in any case, or nothing.
const SCHEME_PATTERN: &str = "^([Cc][Ee][Nn][CcSs]|[Cc][Bb][Cc][1Ss])?$";

/// A member that may be left out or null, else of the shape of this name.
fn optional_ref(name: &str, description: &str) -> Schema {
    let mut shape = Ref::from_schema_name(name);
    shape.description = description.to_owned();
    let null = ObjectBuilder::new().schema_type(Type::Null).build();
    OneOfBuilder::new().item(shape).item(null).build().into()
}
