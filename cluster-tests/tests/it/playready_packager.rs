//! Shaka Packager gets its key from the cluster by PlayReady's AcquirePackagingData, and what it
//! encrypts opens with the key that uDRM gives for the same content, and with no other.

use std::net::SocketAddr;

use cluster_tests::media::{self, Source, Stream};
use cluster_tests::raw::{self, Answer, request};
use cluster_tests::{Cluster, Signer, frames, search, signed, widevine};

/// Not escaped for XML by the packager.
const PROGRAM: &str = "Film & <Ton> 1";

fn path(account: &str) -> String {
    format!("/PlayReady/AcquirePackagingData/{account}")
}

pub(super) fn ask(node: SocketAddr, account: &str, program: &str) -> Answer {
    let body = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <AcquirePackagingData xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols\"><challenge>\
         <StreamProtectionRequests><StreamInformation><ProgramIdentifier>{program}</ProgramIdentifier>\
         </StreamInformation></StreamProtectionRequests></challenge></AcquirePackagingData></s:Body></s:Envelope>"
    );
    raw::exchange(node, &request("POST", &path(account), &[], body.as_bytes()), raw::ANSWER_WITHIN).unwrap()
}

#[test]
fn a_film_is_encrypted_with_the_clusters_key_though_the_leader_dies_first() {
    let film = Source::of_seconds(4).unwrap();
    let (source, dir) = (film.path(), film.dir());
    let mut cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let leader = cluster.leader().unwrap();
    let survivors = cluster.others(leader);
    cluster.kill(leader).unwrap();
    let url = format!("http://{}{}", cluster.node(survivors[0]).unwrap().api, path(widevine::ACCOUNT));
    media::encrypt_by_playready(source, dir, [&url, PROGRAM], &[]).unwrap();

    // uDRM, asked at another node, gives the same key to who can sign for the account.
    let signer = Signer::new(widevine::ACCOUNT, "OVP", cluster.signer().signing_key());
    let node = cluster.node(survivors[1]).unwrap().api;
    let data = signer.custom_data(PROGRAM, &[]);
    let answer = signer.send(node, "GET", "/cenc/playready/encryption", &data).unwrap();
    let key = cluster_tests::KeyAnswer::from_answer(&answer).unwrap();
    let (key_bytes, kid) = key.bytes().unwrap();
    for (stream, name) in [(Stream::Video, "video.mp4"), (Stream::Audio, "audio.mp4")] {
        let sealed = dir.join(name);
        frames::assert_opens_only_with(&sealed, stream, source, &key_bytes, &[7; 16]);
        let bytes = std::fs::read(&sealed).unwrap();
        assert!(search::contains(&bytes, &kid), "{name} lacks the key id");
        let object = signed::decode_base64(&key.pssh[0].data).unwrap();
        assert!(search::contains(&bytes, &object), "{name} lacks the PlayReady Object");
    }
}

#[test]
fn whoever_may_not_ask_gets_a_fault_and_no_key() {
    let cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let node = cluster.addresses()[1];
    let served = ask(node, widevine::ACCOUNT, "film");
    assert_eq!(served.status, 200, "{}", served.text());
    assert!(search::contains(&served.body, b"<KeyData>"));
    // The demo account did not opt in, and `nobody` does not exist: both read the same.
    for (account, program, status, says) in [
        (cluster.signer().account_id.as_str(), "film", 401, "unauthorized"),
        ("nobody", "film", 401, "unauthorized"),
        ("no such name", "film", 401, "unauthorized"),
        (widevine::ACCOUNT, "", 400, "ProgramIdentifier: content_id is empty"),
        (widevine::ACCOUNT, "a</ProgramIdentifier><ProgramIdentifier>b", 400, "one ProgramIdentifier"),
    ] {
        let account = raw::percent_encode(account);
        let refused = ask(node, &account, program);
        let text = String::from_utf8_lossy(&refused.body).into_owned();
        assert_eq!(refused.status, status, "{account} {program}: {text}");
        assert!(refused.header("content-type").unwrap().starts_with("text/xml"));
        assert!(text.contains("<soap:Fault>") && text.contains(says), "{text}");
        assert!(text.contains("<reference>") && !text.contains("<KeyData>"), "{text}");
    }
}
