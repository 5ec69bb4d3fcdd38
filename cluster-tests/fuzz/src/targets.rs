//! One function for each parser that meets the network, and for a whole node, callable by a fuzzer and by a test.
//!
//! A target takes any bytes and panics only when a promise of the parser is broken. To add one,
//! write the function, name it in [`TARGETS`] and give it a directory of seeds.

#[path = "targets/http.rs"]
pub mod http;
#[path = "targets/node.rs"]
mod node;
#[path = "targets/peers.rs"]
mod peers;
#[path = "targets/proofs.rs"]
mod proofs;

use std::net::{IpAddr, Ipv4Addr};

use keymoot_audit::note::SignedNote;
use keymoot_audit::{Event, ProofFile, SignedCheckpoint, VerifierKey};
use keymoot_auth::{allowed, client_address};
use keymoot_cluster::ProvenJoin;
use keymoot_cluster::backup::{BackupFile, BackupHeader};
use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_cpix::{FaultKind, PolicySignals, Protocol, Request, Settings, SuppliedKey, likely_protocol};
use keymoot_crypto::ContentKey;
use keymoot_drm::{playready, pssh};
use keymoot_http::path::RequestPath;
use keymoot_license::clear_key::{self, ClearKeyRequest};
use keymoot_license::widevine::{self as widevine_license, WidevineChallenge};
use keymoot_license::{fairplay, playready as playready_license, terms};
use keymoot_model::{Kid, Policy, TimeStamp, TrackName};
use keymoot_outgoing::OutgoingResponse;
use keymoot_protocol::hls::{self, KeyInfoQuery};
use keymoot_protocol::playready::PackagingRequest;
use keymoot_protocol::query::{self, Query};
use keymoot_protocol::widevine::{ContentKeyEnvelope, ContentKeyRequest, KIDS_MAX, Specifier, TRACK_TYPES};
use keymoot_protocol::{
    AccessKey, Authorization, AwsSignature, BulkBody, BulkItem, CustomData, DigestNonces, Envelope,
    ExportRequest, GivenPolicy, HttpSignature, KeyTokens, PolicyData, ReceivedAnswer, ScheduleData,
    ServerKeys, Signature, SignatureWindow, claimed_names, verify_answer,
};
use keymoot_tls::NodeRequest;

/// Runs one parser over any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its directory of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("audit_event", audit_event),
    ("audit_note", audit_note),
    ("audit_segment", audit_segment),
    ("backup", backup),
    ("bulk", bulk),
    ("challenges", challenges),
    ("codec", codec),
    ("cpix", cpix),
    ("custom_data", custom_data),
    ("export_request", export_request),
    ("forwarded_for", forwarded_for),
    ("hls", hls),
    ("http", http::run),
    ("join", join),
    ("join_door", peers::join_door),
    ("license_answers", license_answers),
    ("packaging_request", packaging_request),
    ("path", path),
    ("peer", peers::peer),
    ("policy", policy),
    ("pssh", pssh),
    ("query", query),
    ("signature_headers", signature_headers),
    ("widevine_request", widevine_request),
];

/// An event of the audit: what is read is written and read back as it was, in plain ASCII without an end of line.
pub fn audit_event(input: &[u8]) {
    let Ok(event) = Event::decode(input) else { return };
    let Ok(written) = event.encode() else { return };
    assert!(written.iter().all(|byte| (b' '..=b'~').contains(byte)));
    assert_eq!(Event::decode(&written).expect("reads back"), event);
}

/// Checkpoints, notes and proofs of the audit: what is read is written as it was.
pub fn audit_note(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(note) = SignedNote::parse(text) {
        assert_eq!(SignedNote::parse(&note.to_string()), Ok(note));
    }
    if let Ok(checkpoint) = SignedCheckpoint::parse(text) {
        assert_eq!(SignedCheckpoint::parse_all(&checkpoint.to_string()), [Ok(checkpoint)]);
    }
    for checkpoint in SignedCheckpoint::parse_all(text).into_iter().flatten() {
        assert!(checkpoint.to_string().len() <= input.len());
    }
    if let Ok(proof) = ProofFile::parse(text) {
        assert_eq!(ProofFile::parse(&proof.to_string()).expect("reads back"), proof);
        drop(proof.verify(b"event", proof_key()));
    }
    if let Ok(key) = text.trim_end().parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
}

fn proof_key() -> &'static VerifierKey {
    static KEY: std::sync::OnceLock<VerifierKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| VerifierKey::new("west.keymoot.audit/1/0123456789abcdef", [7; 32]).expect("a name"))
}

/// Segments of the audit's log, and their indexes: no length is believed, and no event is longer than one may be.
pub fn audit_segment(input: &[u8]) {
    let events = keymoot_audit::fuzzing::segment(input);
    assert!(events.iter().all(|(_, bytes)| (1..=Event::BYTES_MAX).contains(&bytes.len())));
    assert!(events.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= input.len());
    let query = keymoot_audit::Query { action: Some("key.".to_owned()), ..Default::default() };
    keymoot_audit::fuzzing::index(input, &query);
}

/// What players send for a license: whatever it is, it names no more keys than one request may.
pub fn challenges(input: &[u8]) {
    if let Ok(request) = ClearKeyRequest::parse(input) {
        assert!((1..=clear_key::KIDS_MAX).contains(&request.kids.len()));
    }
    if let Ok(WidevineChallenge::New { kids }) = WidevineChallenge::parse(input) {
        assert!(kids.len() <= widevine_license::challenge::KIDS_MAX);
    }
    if let Ok(kids) = playready_license::kids(input) {
        assert!((1..=playready_license::challenge::KIDS_MAX).contains(&kids.len()));
    }
    if let Ok(spc) = fairplay::read_spc(input) {
        assert!(spc.len() <= fairplay::SPC_BYTES_MAX);
        assert_eq!(fairplay::read_spc(&spc), Ok(spc.clone()));
    }
}

/// What license servers answer: no license is empty, and none is taken from another status than 2xx.
pub fn license_answers(input: &[u8]) {
    let response = |status| OutgoingResponse { status, body: input.to_vec().into() };
    for status in [200, 302, 403, 500] {
        let widevine = widevine_license::read_answer(&response(status)).map(|license| license.len());
        let playready = playready_license::read_answer(&response(status)).map(|license| license.len());
        let fairplay = fairplay::read_answer(&response(status)).map(|license| license.len());
        for length in [widevine, playready, fairplay].into_iter().flatten() {
            assert!(status == 200 && length > 0);
        }
    }
}

/// What a node without a certificate sends: what is read is written and read back as it was.
pub fn join(input: &[u8]) {
    let Ok(join) = codec::decode_body::<ProvenJoin>(Kind::Frame, input) else { return };
    let written = codec::encode(Kind::Frame, &join).expect("what was read can be written");
    let again: ProvenJoin = codec::decode(Kind::Frame, &written).expect("reads back");
    assert_eq!((again.request.peer_address, again.proof), (join.request.peer_address, join.proof));
    let _ = again.request.certificate_request.and_then(|request| NodeRequest::from_der(&request));
}

/// A backup file, from whoever kept it: what is believed is exactly as long as the file, and says of itself
/// what its records say.
pub fn backup(input: &[u8]) {
    if let Ok((_, length)) = BackupHeader::read(&mut &*input) {
        assert!(length.len() <= input.len());
    }
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(format!("keymoot-fuzz-backup-{process}-{thread:?}"));
    std::fs::write(&path, input).expect("a temporary file can be written");
    let opened = BackupFile::open(&path);
    std::fs::remove_file(&path).expect("a temporary file can be removed");
    if let Ok(file) = opened {
        assert_eq!(file.byte_count(), input.len() as u64);
        assert!(file.header().key_count() <= file.header().record_count());
    }
}

/// Bytes of a peer, a disk or a snapshot: what is read is written back as it was.
pub fn codec(input: &[u8]) {
    for kind in Kind::ALL {
        if let Ok(value) = codec::decode::<(u64, String, Option<Vec<u8>>)>(kind, input) {
            let written = codec::encode(kind, &value).expect("what was read can be written");
            let again: (u64, String, Option<Vec<u8>>) = codec::decode(kind, &written).expect("reads back");
            assert_eq!(again, value);
        }
        // Behind the checksum, which a fuzzer does not guess, stands what a faulty peer could send.
        let _ = codec::decode_body::<Vec<(u64, String, Option<Vec<u8>>)>>(kind, input);
    }
}

/// A SPEKE or CPIX document by each protocol: what is taken is filled in with one key for each that was asked, and the
/// answer is a document that is refused for nothing but the keys in it. What is refused has a text for a header.
pub fn cpix(input: &[u8]) {
    let settings = Settings {
        aes128_uri: "https://keys.example/{kid}".parse().ok(),
        clear_key_urls: vec!["https://keys.example/".to_owned()],
        ..Settings::new("demo".parse().expect("an account's name"))
    };
    let _ = likely_protocol(input);
    for protocol in Protocol::ALL {
        let request = match Request::parse(input, protocol, &settings) {
            Ok(request) => request,
            Err(fault) => {
                assert!(matches!(fault.status(), 413 | 422), "{fault}");
                assert!(
                    !fault.text().is_empty() && fault.text().bytes().all(|byte| matches!(byte, b' '..=b'~'))
                );
                continue;
            }
        };
        let is_clear = request.wanted().recipients.is_empty();
        let supply = |kid| SuppliedKey {
            kid,
            key: ContentKey::from_bytes(b"0123456789abcdef"),
            iv: Some([7; 16]),
            signals: PolicySignals::default(),
        };
        let keys: Vec<_> = request.wanted().keys.iter().map(|key| supply(key.kid)).collect();
        let answer = request.answer(&keys, &settings).expect("what was read is answered");
        let in_the_clear = answer.windows(24).any(|text| text == b"MDEyMzQ1Njc4OWFiY2RlZg==");
        assert_eq!(
            in_the_clear, is_clear,
            "a key is in the clear when, and only when, nobody asked for encryption"
        );
        let again =
            Request::parse(&answer, protocol, &settings).expect_err("a document with keys asks for none");
        // A document at a bound is beyond it with what the answer adds.
        let is_larger = matches!(again.kind(), FaultKind::TooLarge { .. });
        assert!(is_larger || again.text().ends_with("holds a key already"), "{again}");
    }
}

/// Boxes and PlayReady Objects, from packagers and in requests by `pssh`: what is read is written
/// back to the byte.
pub fn pssh(input: &[u8]) {
    if let Ok(boxes) = pssh::parse_boxes(input) {
        let written: Vec<u8> = boxes.iter().flat_map(pssh::PsshBox::to_bytes).collect();
        assert_eq!(pssh::parse_boxes(&written), Ok(boxes));
    }
    if let Ok(object) = playready::PlayReadyObject::parse(input) {
        assert_eq!(playready::PlayReadyObject::parse(&object.to_bytes()), Ok(object.clone()));
        let _ = object.header();
    }
}

/// The headers that prove a request, one a line as `name: value`: nobody without a key verifies, and
/// asking for a signed answer always gets one that names what it covers.
pub fn signature_headers(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let headers = text.lines().filter_map(|line| line.split_once(':'));
    let envelope = Envelope {
        method: "GET".to_owned(),
        scheme: "https",
        authority: "keys.example.net".to_owned(),
        path: "/cenc/encryption".to_owned(),
        query: Some("custom_data=e30".to_owned()),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        received_at_s: 1_800_000_000,
        ..Envelope::default()
    };
    if let Ok(Some(signature)) = AwsSignature::read(&envelope, SignatureWindow::default()) {
        assert!(!signature.verify(b"a key that nobody has guessed"));
        assert!(AccessKey::of(&envelope).is_some());
    }
    let _ = claimed_names(&envelope);
    if let Ok(Some(signature)) = HttpSignature::read(&envelope, SignatureWindow::default()) {
        for scheme in keymoot_model::Scheme::ALL {
            assert!(!signature.verify(scheme, b"a key that nobody has guessed"));
        }
        assert!((16..=128).contains(&signature.nonce.len()));
    }
    let nonces = DigestNonces::new(b"a key that nobody has guessed", 300);
    assert!(!matches!(Authorization::read(&envelope, Some(&nonces)), Some(Authorization::Digest(_))));
    let answer = ReceivedAnswer { status: 200, headers: &envelope.headers, body: b"{}" };
    assert!(verify_answer(&[1; 32], "a nonce of the client's", &envelope, &answer).is_err());
    let keys = ServerKeys::derive(&[1; 32]).expect("any 32 bytes make keys");
    if let Some(signed) = keys.sign_answer(&envelope, 200, b"{}") {
        assert!(signed.signature_input.contains("=(\"@status\" \"content-digest\""));
    }
}

/// The body of a bulk request: what is accepted cannot be extended, and what an item holds is in its line.
pub fn bulk(input: &[u8]) {
    // Each line is read apart too, so that items are searched without a head in front of them.
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(item) = BulkItem::parse(line) {
            assert!(!item.content.as_str().is_empty() && !item.track.as_str().is_empty());
            assert!(item.supplied().is_some() || !(item.replace || item.period.is_some()));
        }
    }
    let Ok(body) = BulkBody::parse(&input.to_vec().into()) else { return };
    assert!(
        body.lines().len() <= BulkBody::ITEMS_MAX && body.lines().is_sorted_by_key(|(number, _)| *number)
    );
    let padded = [input, &[0x80, 0x00], b"\n{\"content_id\":\"stolen\"}"].concat();
    assert!(BulkBody::parse(&padded.into()).is_err(), "an extended body was accepted");
    assert!(CustomData::parse(input).is_err(), "a bulk request is no custom data");
}

/// An export request: it is neither custom data nor a bulk request, so no signature serves for both.
pub fn export_request(input: &[u8]) {
    if ExportRequest::parse(input).is_ok() {
        assert!(BulkBody::parse(&input.to_vec().into()).is_err());
        assert!(ExportRequest::parse(&[input, &[0x80, 0x00]].concat()).is_err());
    }
}

/// Custom data: what is accepted cannot be extended, which is how a SHA-1 signature would be forged.
/// What it says of crypto periods counts from its own epoch.
pub fn custom_data(input: &[u8]) {
    if let Ok(data) = ScheduleData::parse(input) {
        let length_s = data.length_s.unwrap_or(1);
        assert_ne!(length_s, 0);
        let index = data.first_index(length_s, TimeStamp::UNIX_EPOCH);
        if let Some((start, end)) = index.ok().and_then(|index| data.span(length_s, index)) {
            assert!(data.epoch <= start && start < end);
        }
    }
    let Ok(data) = CustomData::parse(input) else { return };
    assert!(!data.content_id().as_str().is_empty());
    let mut extended = input.to_vec();
    extended.extend([0x80, 0x00]);
    assert!(CustomData::parse(&extended).is_err(), "an extended document was accepted");
}

/// A policy, by itself and in signed custom data: what is accepted is written and read back as it was.
pub fn policy(input: &[u8]) {
    if let Ok(policy) = Policy::from_json(input, None) {
        let written = policy.to_json().to_string();
        assert_eq!(Policy::from_json(written.as_bytes(), None).as_ref(), Ok(&policy));
        let track = TrackName::default_track();
        let _ = terms::clear_key::permit(&policy, &track);
        let _ = terms::widevine::policy_overrides(&policy);
    }
    let Ok(data) = PolicyData::parse(input) else { return };
    if let Some(GivenPolicy::Document(document)) = data.policy {
        let _ = Policy::from_value(document, None);
    }
}

/// `X-Forwarded-For`, a header a line: whatever a caller writes into it, a trusted proxy's own word
/// behind it wins.
pub fn forwarded_for(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let trusted = ["10.0.0.0/8".parse().expect("a network")];
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    let seen = client_address(proxy, text.lines().collect::<Vec<_>>(), &trusted);
    assert_eq!(seen, seen.to_canonical());
    assert!(allowed(seen, &[seen.into()]), "{seen} is not in its own network");

    let vouched: Vec<&str> = text.lines().chain(["192.0.2.1"]).collect();
    assert_eq!(client_address(proxy, vouched, &trusted), stranger);
    assert_eq!(client_address(stranger, text.lines().collect::<Vec<_>>(), &trusted), stranger);
}

/// A path: no segment is empty, or could be taken for two.
pub fn path(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(path) = RequestPath::parse(text) else { return };
    assert_eq!(path.last(), path.count().checked_sub(1).and_then(|last| path.segment(last)));
    for segment in (0..path.count()).map_while(|index| path.segment(index)) {
        assert!(!segment.is_empty());
        assert!(!segment.chars().any(|c| c == '/' || c.is_control()), "{segment:?}");
    }
    assert_eq!(RequestPath::parse(&format!("//{text}/")), Ok(path));
}

/// A query string with its signature and custom data: what is accepted reads the same when it is
/// written anew, and stating it twice is refused.
pub fn query(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(Some(_)) = query::parameter(text, "key_uri") {
        assert!(query::parameter(&format!("{text}&Key_URI=x"), "key_uri").is_err());
    }
    let Ok(query) = Query::parse(text) else { return };
    if let Some(signature) = query.signature {
        let written = signature.to_base64();
        let read = Signature::parse(&written).expect("a signature reads back");
        assert_eq!(read.to_base64(), written);
        assert!(Query::parse(&format!("{text}&SIGNATURE={written}")).is_err());
    }
    if let Some(data) = query.custom_data {
        custom_data(&data);
        assert!(Query::parse(&format!("{text}&Custom_Data=e30=")).is_err());
    }
}

/// What is asked of HLS AES-128: a key URI stays within its attribute and names the key where keys change,
/// and nobody without the cluster's key makes a token.
pub fn hls(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let kid = Kid::from_bytes([7; 16]);
    assert_eq!(KeyTokens::new(b"a key that nobody has guessed").read(text, &kid, 0), None);
    let Ok(asked) = KeyInfoQuery::parse(text) else { return };
    if let Some(uri) = &asked.key_uri {
        let line = uri.of(&kid);
        assert!(!line.contains(['"', '\n', '\r']), "{line:?} leaves its attribute");
        assert!(asked.period_s.is_none() || uri.has_kid_placeholder());
    }
    if let Some(length_s) = asked.period_s {
        let index = hls::period_at(1_800_000_000, length_s).expect("an index for every length");
        assert!(u64::from(index) * u64::from(length_s.get()) <= 1_800_000_000);
    }
}

/// AcquirePackagingData in SOAP: what is read names one content, and a second name beside it, a
/// document type in front or anything behind is refused.
pub fn packaging_request(input: &[u8]) {
    let Ok(request) = PackagingRequest::parse(input) else { return };
    assert!(!request.content.as_str().is_empty());
    let more = b"<ProgramIdentifier>other</ProgramIdentifier>";
    assert!(PackagingRequest::parse(&[input, more].concat()).is_err(), "two names were read as one");
    assert!(PackagingRequest::parse(&[b"<!DOCTYPE a>", input].concat()).is_err(), "a document type");
}

/// The Widevine API's envelope and the request inside: no track twice, none that is not known, and
/// never more keys than one request may have.
pub fn widevine_request(input: &[u8]) {
    if let Ok(envelope) = ContentKeyEnvelope::parse(input) {
        if let Some(signature) = envelope.signature {
            signature.verify_dummy();
            assert!(!signature.signer.is_empty());
        }
        inner_widevine_request(&envelope.request);
    }
    inner_widevine_request(input);
}

fn inner_widevine_request(input: &[u8]) {
    let Ok(asked) = ContentKeyRequest::parse(input) else { return };
    let names: Vec<&str> = asked.tracks.iter().map(|track| track.name.as_str()).collect();
    let known: Vec<&&str> = TRACK_TYPES.iter().filter(|name| names.contains(name)).collect();
    assert_eq!(known.len(), names.len(), "{names:?}");
    match &asked.specifier {
        Specifier::Content(content) => assert!(!names.is_empty() && !content.as_str().is_empty()),
        Specifier::Kids(kids) => assert!((1..=KIDS_MAX).contains(&kids.len())),
    }
}
