//! What the document says of SPEKE and CPIX.

use actix_web::http::Method;
use serde_json::json;
use utoipa::openapi::path::{OperationBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Required};

use super::operations::DOCUMENTS;
use super::parts::{in_path, query, text};
use crate::front::documents::{CONTENT_TYPE, SpekePath};

/// The key id of the examples.
const KID: &str = "98ee5596-cd3e-a20d-163a-e382420c6eff";
/// Widevine.
const SYSTEM: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";

/// A document of SPEKE.
pub(super) fn speke(path: SpekePath, names_account: bool) -> OperationBuilder {
    let op = answered("The keys of a SPEKE document", names_account);
    match path {
        SpekePath::Any => op.request_body(Some(document(speke_1()))),
        SpekePath::Versioned => {
            let header = query("X-Speke-Version", "`2.0` or `2.1`.").parameter_in(ParameterIn::Header);
            let header = header.required(Required::True).example(Some(json!("2.0")));
            op.parameter(header.build()).request_body(Some(document(cpix())))
        }
    }
}

/// A document of plain CPIX.
pub(super) fn plain(method: &Method) -> OperationBuilder {
    if *method == Method::POST {
        return answered("The keys of a CPIX document", true).request_body(Some(document(cpix())));
    }
    let op = answered("A CPIX document by parameters", true);
    let op = op.parameter(
        query("contentId", "The content.").required(Required::True).example(Some(json!("film.mp4"))).build(),
    );
    let kids = "GUIDs with commas between; left out, the keys are those that each track has by every other protocol.";
    let tracks = "One track type for each of `kids`, or the tracks; left out, one key is for all tracks.";
    op.parameter(query("kids", kids).example(Some(json!(KID))).build())
        .parameter(query("tracks", tracks).example(Some(json!("ALL"))).build())
        .parameter(query("scheme", "`cenc`, `cens`, `cbc1` or `cbcs`.").example(Some(json!("cenc"))).build())
        .parameter(
            query("systems", "Names or ids with commas between.").example(Some(json!("widevine"))).build(),
        )
}

fn answered(summary: &str, names_account: bool) -> OperationBuilder {
    let op = OperationBuilder::new().tag(DOCUMENTS).summary(Some(summary)).description(Some(
        "The document comes back with keys and system data in it; docs/speke.md has what it may ask for. The account \
         is named by the path, or by what proves the request: a user name, a key id, an access key id. A client \
         certificate of the account lets in, too, and so does the allow-list of an account that opted in. A refusal is \
         a text, which the header `X-Keymoot-Error` repeats; `X-Keymoot-Reference` has the number under which the \
         node's log has more.",
    ));
    let op = match names_account {
        true => op.parameter(in_path("account", "The account.", "demo")),
        false => op,
    };
    let op = op.response("200", text("The document, filled in.", CONTENT_TYPE));
    op.response(
        "default",
        text("What is wrong: 422 with SPEKE's own text for what a document asks.", "text/plain"),
    )
}

fn document(example: String) -> RequestBody {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(json!(example))).build();
    RequestBodyBuilder::new().required(Some(Required::True)).content(CONTENT_TYPE, content).build()
}

fn cpix() -> String {
    format!(
        "<cpix:CPIX contentId=\"film.mp4\" version=\"2.3\" xmlns:cpix=\"urn:dashif:org:cpix\" \
         xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\"><cpix:ContentKeyList>\
         <cpix:ContentKey kid=\"{KID}\" commonEncryptionScheme=\"cenc\"/></cpix:ContentKeyList><cpix:DRMSystemList>\
         <cpix:DRMSystem kid=\"{KID}\" systemId=\"{SYSTEM}\"/></cpix:DRMSystemList><cpix:ContentKeyUsageRuleList>\
         <cpix:ContentKeyUsageRule kid=\"{KID}\" intendedTrackType=\"ALL\"><cpix:VideoFilter/><cpix:AudioFilter/>\
         </cpix:ContentKeyUsageRule></cpix:ContentKeyUsageRuleList></cpix:CPIX>"
    )
}

fn speke_1() -> String {
    format!(
        "<cpix:CPIX id=\"film.mp4\" xmlns:cpix=\"urn:dashif:org:cpix\" xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\" \
         xmlns:speke=\"urn:aws:amazon:com:speke\"><cpix:ContentKeyList><cpix:ContentKey kid=\"{KID}\"/>\
         </cpix:ContentKeyList><cpix:DRMSystemList><cpix:DRMSystem kid=\"{KID}\" systemId=\"{SYSTEM}\"/>\
         </cpix:DRMSystemList></cpix:CPIX>"
    )
}
