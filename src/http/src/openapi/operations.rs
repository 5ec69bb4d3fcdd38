//! What the document says of each operation: parameters, bodies, answers, and an example request that a
//! test sends to real nodes.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Required, ResponseBuilder};

use super::documents;
use super::licensing;
use super::parts::{JSON, XML, answer, body, body_of, in_path, query, refusals, text};
use super::security;
use crate::answer::NDJSON;
use crate::dispatch::endpoint::Endpoint;
use keymoot_drm::EncryptionProvider;

/// The groups of operations, and what each is about.
pub(super) const TAGS: [(&str, &str); 9] = [
    (UDRM, "Keys by the uDRM specification, for scramblers that ask for one content at a time."),
    (WIDEVINE, "Keys by the Widevine common encryption API, with tracks and crypto periods."),
    (PLAYREADY, "Keys by PlayReady's AcquirePackagingData, in SOAP."),
    (DOCUMENTS, "Keys by SPEKE 1, 2.0 and 2.1 and by CPIX, as documents of XML."),
    (HLS, "Keys of HLS AES-128, which players hold in the clear and no DRM system shares."),
    (LICENSES, "Licenses for players, in the form of their DRM system."),
    (POLICIES, "What licenses allow."),
    (BULK, "Keys of many contents at once, to make, bring along or take away."),
    (SERVER, "What a server is and how it fares. Nobody needs to prove anything."),
];
const UDRM: &str = "uDRM";
const WIDEVINE: &str = "Widevine";
const PLAYREADY: &str = "PlayReady";
pub(super) const DOCUMENTS: &str = "SPEKE and CPIX";
const HLS: &str = "HLS";
pub(super) const LICENSES: &str = "licenses";
pub(super) const POLICIES: &str = "policies";
const BULK: &str = "bulk";
const SERVER: &str = "server";

/// The content that examples are about.
const CONTENT: &str = "film.mp4";

/// One operation of a path; none for what is not of the API.
pub(super) fn operation(path: &str, endpoint: Endpoint, method: &Method) -> Option<Operation> {
    let words = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    let id = words.fold(method.as_str().to_lowercase(), |id, word| id + "_" + word);
    let named = path.ends_with('}');
    let operation = match endpoint {
        Endpoint::Encryption(provider) => encryption(provider, method),
        Endpoint::ContentKey => content_key(named),
        Endpoint::Schedule(provider) => schedule(provider, method),
        Endpoint::PackagingData => packaging_data(),
        Endpoint::Speke(path) => documents::speke(path, named),
        Endpoint::Cpix => documents::plain(method),
        Endpoint::HlsKeyInfo => hls_key_info(),
        Endpoint::HlsKey => hls_key(),
        Endpoint::License(provider) => licensing::license(provider),
        Endpoint::Policies => licensing::policies(method),
        Endpoint::Policy => licensing::policy(method),
        Endpoint::PolicyContent => licensing::policy_content(method),
        Endpoint::PolicyDefault => licensing::policy_default(method),
        Endpoint::Bulk => bulk(),
        Endpoint::Export => export(),
        Endpoint::Capabilities => {
            let op = open(
                "What this server can do",
                "DRM systems, algorithms, limits and authentication schemes.",
            );
            op.response("200", answer("The capabilities.", JSON, "Capabilities"))
        }
        Endpoint::Document => {
            let op = open("This document", "The same on every node of one version.");
            op.response("200", text("The OpenAPI document.", JSON))
        }
        Endpoint::Viewer => viewer(named),
        Endpoint::Healthy => {
            let op = open("The process answers", "Says nothing about the cluster.");
            op.response("200", text("`alive`", "text/plain"))
        }
        Endpoint::Ready => {
            let op = open("The node serves", "It reaches a quorum and has caught up.");
            refusals(op.response("200", text("`ready`", "text/plain")), &["503"])
        }
        Endpoint::Heartbeat => {
            let op =
                open("SPEKE documents are answered", "As `/readyz` tells it, for encryptors of SPEKE 1.");
            refusals(op.response("200", text("`ready`", "text/plain")), &["503"])
        }
        Endpoint::Metrics => {
            let op = open(
                "What is measured",
                "For Prometheus, as far as `http.metrics` lets it: it may demand a token.",
            );
            refusals(
                op.response("200", text("The metrics in Prometheus' text format.", "text/plain")),
                &["404"],
            )
        }
        Endpoint::EntryKey => return None,
    };
    Some(operation.operation_id(Some(id)).build())
}

fn encryption(provider: EncryptionProvider, method: &Method) -> OperationBuilder {
    let op = OperationBuilder::new().tag(UDRM).securities(Some(security::any()));
    let example = custom_data(CONTENT);
    let (summary, description) = match *method {
        Method::GET => ("Read a content's key", "Makes none."),
        Method::POST => (
            "Read a content's key, or make it",
            "Whoever asks first, at whatever node, decides; everybody gets that key. With `key` and `key_id`, \
             that key is offered; one that is there already wins.",
        ),
        Method::PUT => (
            "Give a content a new key",
            "Made here, or supplied as `key` and `key_id`. Media under the old one stays licensable.",
        ),
        _ => (
            "Delete a content's key",
            "All its versions, or with `key_id` that one. Deleting nothing is no error. Where a body gets \
             lost on the way, the custom data may stand in the query, as for GET.",
        ),
    };
    let op =
        op.summary(Some(summary)).description(Some(format!("{description} For {}.", provider.stands_for())));
    let op = match *method {
        Method::GET => {
            let data = STANDARD.encode(example.to_string());
            let parameter = query("custom_data", "Base64 of the custom data, whose bytes are signed.");
            op.parameter(parameter.required(Required::True).example(Some(json!(data))).build())
        }
        Method::PUT => {
            let own = json!({"key": "AAECAwQFBgcICQoLDA0ODw==", "key_id": kid_of(provider)});
            op.request_body(Some(body("CustomData", with(example, own))))
        }
        _ => op.request_body(Some(body("CustomData", example))),
    };
    if *method == Method::DELETE {
        let op = op.response("200", answer("How many versions went.", JSON, "Deleted"));
        return refusals(op, &["400", "401", "429", "500", "503"]);
    }
    let op = with_scheme(op, provider);
    let op = op.parameter(
        query("aux", "`1` or `true`: the answer carries the content's auxiliary data.")
            .example(Some(json!("1")))
            .build(),
    );
    let op = op.response("200", answer("The key. At most 4095 bytes.", JSON, "EncryptionAnswer"));
    match *method {
        Method::GET => refusals(op, &["400", "401", "404", "429", "500", "503"]),
        _ => refusals(op, &["400", "401", "429", "500", "503"]),
    }
}

fn schedule(provider: EncryptionProvider, method: &Method) -> OperationBuilder {
    let op = OperationBuilder::new().tag(UDRM).securities(Some(security::any()));
    let (summary, description) = match *method {
        Method::GET => (
            "Read the keys of crypto periods",
            "Past ones and coming ones, by index or by time. Makes none. Without period and length it lists how \
             the track rotates.",
        ),
        Method::POST => (
            "Read the keys of crypto periods, or make the track rotate",
            "The keys of all periods of one length follow from one seed, so asking for more costs nothing.",
        ),
        _ => (
            "Give a track a new seed, or a period a key",
            "With `key` and `key_id` that key holds for the one period that is named. Without them all derived \
             keys of that length change. Media under the old ones stays licensable.",
        ),
    };
    let op =
        op.summary(Some(summary)).description(Some(format!("{description} For {}.", provider.stands_for())));
    let periods = json!({
        "crypto_period_seconds": "10", "first_crypto_period_index": "6", "crypto_period_count": "3",
        "epoch": "2026-01-01T00:00:00Z",
    });
    let example = with(custom_data("channel-1"), periods);
    let op = match *method {
        Method::GET => {
            let data = STANDARD.encode(example.to_string());
            let parameter = query("custom_data", "Base64 of the custom data, whose bytes are signed.");
            op.parameter(parameter.required(Required::True).example(Some(json!(data))).build())
        }
        _ => op.request_body(Some(body("ScheduleData", example))),
    };
    let op = with_scheme(op, provider);
    let op = op.response("200", answer("The keys, or how the track rotates.", JSON, "ScheduleAnswer"));
    match *method {
        Method::GET => refusals(op, &["400", "401", "404", "429", "500", "503"]),
        _ => refusals(op, &["400", "401", "429", "500", "503"]),
    }
}

/// The parameter that says how samples are encrypted, where there are schemes.
fn with_scheme(op: OperationBuilder, provider: EncryptionProvider) -> OperationBuilder {
    let names: Vec<&str> = provider.schemes().iter().map(|scheme| scheme.name()).collect();
    let Some(meant) = names.first() else { return op };
    let description = format!(
        "How samples are encrypted, as the member of that name says: {}; `{meant}` when neither says it.",
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    );
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.clone()));
    op.parameter(
        query("scheme", &description).schema(Some(schema.build())).example(Some(json!(meant))).build(),
    )
}

/// Of a content of the account that `keymoot dev` makes.
fn custom_data(content: &str) -> Value {
    json!({"ca_system": "OVP", "account_id": "demo", "content_id": content, "files": ""})
}

/// An object with more members.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(members), Value::Object(more)) = (&mut object, more) {
        members.extend(more);
    }
    object
}

/// A key id that no other example names.
fn kid_of(provider: EncryptionProvider) -> String {
    let mut kid = *b"the key id of 0.";
    if let Some(last) = kid.last_mut() {
        *last = EncryptionProvider::ALL
            .iter()
            .position(|known| *known == provider)
            .map_or(b'-', |at| b'a' + at as u8);
    }
    STANDARD.encode(kid)
}

fn content_key(named: bool) -> OperationBuilder {
    let op = OperationBuilder::new()
        .tag(WIDEVINE)
        .summary(Some("Keys of tracks, or of crypto periods"))
        .description(Some(
            "As Shaka Packager and its like ask. Signed is the decoded `request`, by the AES or RSA key of a \
             `widevine-aes` or `widevine-rsa` credential. An account may opt in to requests without signer. \
             Whatever happens is told by the `status` inside the answer; the HTTP status is 200.",
        ));
    let inner = json!({
        "content_id": STANDARD.encode(CONTENT), "policy": "", "drm_types": ["WIDEVINE"],
        "tracks": [{"type": "SD"}, {"type": "HD"}, {"type": "AUDIO"}],
    });
    let inner = STANDARD.encode(inner.to_string());
    let op = if named { op.parameter(in_path("account", "The account.", "demo")) } else { op };
    let envelope = json!({"request": inner, "signer": "demo", "signature": STANDARD.encode([0; 32])});
    let op = op.request_body(Some(body("ContentKeyEnvelope", envelope)));
    refusals(
        op.response("200", answer("The keys, or why there are none.", JSON, "ContentKeyAnswer")),
        &["400"],
    )
}

fn packaging_data() -> OperationBuilder {
    let op = OperationBuilder::new()
        .tag(PLAYREADY)
        .summary(Some("A key with its PlayReady Object"))
        .description(Some(
            "As Shaka Packager asks with `--enable_playready_encryption`. `ProgramIdentifier` is the content; its \
             key is made if there is none. Nobody signs: a client certificate of the account lets in, or the \
             allow-list of an account that opted in. A refusal is a SOAP fault with the status of any other.",
        ))
        .parameter(in_path("account", "The account.", "demo"));
    let scheme =
        query("scheme", "`cenc` or `cbcs`: how the packager will encrypt.").example(Some(json!("cbcs")));
    let op = op.parameter(scheme.build());
    let example = format!(
        "<Envelope><Body><AcquirePackagingData><challenge><StreamProtectionRequests><StreamInformation>\
         <ProgramIdentifier>{CONTENT}</ProgramIdentifier></StreamInformation></StreamProtectionRequests>\
         </challenge></AcquirePackagingData></Body></Envelope>"
    );
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(json!(example))).build();
    let body = RequestBodyBuilder::new().required(Some(Required::True)).content(XML, content).build();
    let op = op.request_body(Some(body));
    let op = op.response("200", text("`KeyId`, `KeyData` and `Data`, in SOAP.", XML));
    op.response("default", text("A SOAP fault that says why there is no key.", XML))
}

/// The custom data of a request to HLS, in the query.
fn hls_custom_data(required: Required) -> Parameter {
    let example = STANDARD.encode(custom_data(CONTENT).to_string());
    let parameter = query("custom_data", "Base64 of the custom data, whose bytes are signed.");
    parameter.required(required).example(Some(json!(example))).build()
}

fn hls_key_info() -> OperationBuilder {
    let op = OperationBuilder::new().tag(HLS).securities(Some(security::any()));
    let op = op.summary(Some("Key-info for an encoder")).description(Some(
        "Three lines, as FFmpeg reads them with `-hls_key_info_file`: the key URI for the playlist, a URL where \
         the encoder gets the key for the next two minutes, and an IV. The key is made if there is none.",
    ));
    let uri = query("key_uri", "The key URI for the playlist; `{kid}` in it stands for the key id.");
    let period = query("crypto_period_seconds", "The key changes with the clock after so many seconds.");
    let op = op.parameter(hls_custom_data(Required::True));
    let op = op.parameter(uri.example(Some(json!("https://keys.example.net/hls/key/{kid}"))).build());
    let op = op.parameter(period.example(Some(json!("3600"))).build());
    let op = op.response("200", text("The three lines.", "text/plain"));
    refusals(op, &["400", "401", "429", "500", "503"])
}

fn hls_key() -> OperationBuilder {
    let op = OperationBuilder::new().tag(HLS).securities(Some(security::any()));
    let op = op.summary(Some("A key of HLS AES-128")).description(Some(
        "For players, who prove themselves by a credential of scope `license` for the content. An encoder shows \
         `token` in place of custom data, as it stands in its key-info.",
    ));
    let kid = "b3c5b1f0-5a0f-4c3d-9d0e-2f6a7f1c8e11";
    let op = op.parameter(in_path("kid", "The key id.", kid)).parameter(hls_custom_data(Required::False));
    let op = op.response("200", text("The sixteen bytes of the key.", "application/octet-stream"));
    refusals(op, &["400", "401", "404", "429", "500", "503"])
}

fn bulk() -> OperationBuilder {
    let op = OperationBuilder::new().tag(BULK).securities(Some(security::any()));
    let op = op.summary(Some("Keys of many contents")).description(Some(
        "One line for each content, behind a head that says whose request it is. Nothing is carried out \
         before the whole body is authenticated; then each line has a result of its own, in their order, and \
         the last line counts them. The same body sent again gives the same keys, so what was cut off can \
         be repeated. `GET /capabilities` has the limits.",
    ));
    let example = concat!(
        "{\"bulk\":1,\"ca_system\":\"OVP\",\"account_id\":\"demo\",\"keys\":true,\"method\":\"POST\"}\n",
        "{\"content_id\":\"episode-1.mp4\"}\n",
        "{\"content_id\":\"episode-2.mp4\",\"track\":\"HD\"}\n",
        "{\"content_id\":\"episode-3.mp4\",\"key\":\"AAECAwQFBgcICQoLDA0ODw==\",",
        "\"key_id\":\"b3duIGtleSBpZCBubyAxMA==\"}\n",
    );
    let op = op.request_body(Some(body_of(NDJSON, "BulkRequest", json!(example))));
    let op = op.response("200", answer("One line for each item, and the summary.", NDJSON, "BulkAnswer"));
    refusals(op, &["400", "401", "429", "500", "503"])
}

fn export() -> OperationBuilder {
    let op = OperationBuilder::new().tag(BULK).securities(Some(security::any()));
    let op = op.summary(Some("Keys of many contents, sealed")).description(Some(
        "A page of the account's stored keys, each sealed for the recipient, and the mark of the next page. \
         No key is in it in the clear.",
    ));
    let example = json!({
        "export": 1, "ca_system": "OVP", "account_id": "demo", "method": "POST",
        "recipient": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
    });
    let op = op.request_body(Some(body("ExportRequest", example)));
    let op =
        op.response("200", answer("One line for each key, and the end of the page.", NDJSON, "ExportAnswer"));
    refusals(op, &["400", "401", "429", "500", "503"])
}

fn viewer(named: bool) -> OperationBuilder {
    if named {
        let op =
            open("A file of the page", "All of it is served from here; nothing is loaded from elsewhere.");
        let op = op.parameter(in_path("file", "Its name.", "swagger-ui.css"));
        return refusals(op.response("200", text("The file.", "text/css")), &["404"]);
    }
    let op = open("This document, for people", "A page that works without the Internet.");
    let op = op.response("200", text("The page.", "text/html"));
    op.response(
        "308",
        ResponseBuilder::new().description("Without a slash at its end: to the same path with one.").build(),
    )
}

/// An operation that anybody may ask for.
fn open(summary: &str, description: &str) -> OperationBuilder {
    OperationBuilder::new().tag(SERVER).summary(Some(summary)).description(Some(description))
}
