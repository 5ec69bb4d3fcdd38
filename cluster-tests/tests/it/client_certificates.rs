//! Clients that prove themselves by a certificate, in real TLS handshakes: packagers that cannot sign
//! on their own listener, and scramblers at the API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::authority::Authority;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, Options, RigError, Signer, media, raw, secret_file};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// A client that trusts `server`'s authority and shows a certificate of `own`, or none.
fn client(server: &Authority, own: Option<(&Authority, &str)>) -> ureq::Agent {
    let pem = |path: PathBuf| std::fs::read(path).unwrap();
    let shown = own.map(|(authority, name)| {
        let chain = Certificate::from_pem(&pem(authority.path(&format!("{name}.pem")))).unwrap();
        let key = PrivateKey::from_pem(&pem(authority.path(&format!("{name}.key")))).unwrap();
        ClientCert::new_with_certs(&[chain], key)
    });
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[Certificate::from_pem(&pem(server.path("ca.pem"))).unwrap()]))
        .client_cert(shown)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let config = ureq::Agent::config_builder().tls_config(tls).proxy(None).http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(30))).build().new_agent()
}

/// The server's certificate, two packagers', and a stranger's.
fn authorities() -> (Authority, Authority) {
    let (own, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    ["127.0.0.1", "packager.example.net", "other.example.net"]
        .iter()
        .for_each(|name| own.issue(name).unwrap());
    stranger.issue("packager.example.net").unwrap();
    (own, stranger)
}

/// Adds the account `certified`, which accepts nothing weaker than its certificate.
fn add_account(cluster: &Cluster) {
    let mark = cluster.dir().join("certified.mark");
    secret_file::write(&mark, "dns:packager.example.net").unwrap();
    let credential = format!("cert:encryption:mutual-tls:{}", mark.display());
    let more = ["--minimum-scheme", "mutual-tls", "--credential", &credential];
    cluster.add_account("certified", &more).unwrap();
}

/// The status of a GET, or none when the connection was refused.
fn status(client: &ureq::Agent, url: &str) -> Option<u16> {
    client.get(url).call().ok().map(|answer| answer.status().as_u16())
}

#[test]
fn a_packager_is_served_by_its_accounts_certificate_and_nobody_without_one() {
    let (own, stranger) = authorities();
    let cluster = Options::default()
        .env("KEYMOOT__PACKAGER__LISTEN", "127.0.0.1:0")
        .env("KEYMOOT__PACKAGER__ACCOUNTS", "437=certified, 438=demo")
        .env("KEYMOOT__PACKAGER__TLS_CERT_FILE", &own.text("127.0.0.1.pem"))
        .env("KEYMOOT__PACKAGER__TLS_KEY_FILE", &own.text("127.0.0.1.key"))
        .env("KEYMOOT__PACKAGER__TLS_CLIENT_CA_FILE", &own.text("ca.pem"))
        .start()
        .unwrap();
    add_account(&cluster);
    let listener = cluster.nodes()[0].packager_listener().unwrap();
    let url = |pid: &str| {
        format!("https://{listener}/system/ovp/edash/p/{pid}/sp/{pid}00/entryId/1_Entry/flavorId/1_a")
    };
    let packager = client(&own, Some((&own, "packager.example.net")));
    let mut answer = packager.get(&url("437")).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert_eq!(answer.status(), 200, "{text}");
    assert!(text.starts_with('[') && text.contains("\"key\":"), "{text}");

    // The address is on every allow-list there is; it is not enough.
    assert_eq!(status(&client(&own, None), &url("437")), None, "the handshake fails without a certificate");
    let foreign = client(&own, Some((&stranger, "packager.example.net")));
    assert_eq!(status(&foreign, &url("437")), None, "another authority's certificate");
    let other = client(&own, Some((&own, "other.example.net")));
    assert_eq!(status(&other, &url("437")), Some(401), "a certificate that the account does not name");
    assert_eq!(status(&packager, &url("438")), Some(401), "an account that names no certificate");
    let plain = raw::request("GET", "/system/ovp/edash/p/437/sp/43700/entryId/1_Entry/", &[], &[]);
    assert!(raw::exchange(listener, &plain, Duration::from_secs(5)).is_err(), "plain HTTP");
}

#[test]
fn a_certificate_proves_a_request_at_the_api_and_only_its_own_accounts() {
    let (own, stranger) = authorities();
    let mut cluster = Cluster::start().unwrap();
    add_account(&cluster);
    let node = cluster.nodes()[2].clone();
    cluster.stop(node.id).unwrap();
    let tls = [
        ("KEYMOOT__HTTP__TLS_CERT_FILE", own.text("127.0.0.1.pem")),
        ("KEYMOOT__HTTP__TLS_KEY_FILE", own.text("127.0.0.1.key")),
        ("KEYMOOT__HTTP__TLS_CLIENT_CA_FILE", own.text("ca.pem")),
    ];
    let tls: Vec<(&str, &str)> = tls.iter().map(|(name, value)| (*name, value.as_str())).collect();
    cluster.start_with_env(node.id, &tls).unwrap();
    let anonymous = client(&own, None);
    wait_until("the node to be ready over TLS", Duration::from_secs(60), || {
        match status(&anonymous, &format!("https://{}/readyz", node.api)) {
            Some(200) => Ok(()),
            other => Err(RigError::Answer(format!("status {other:?}"))),
        }
    })
    .unwrap();

    let packager = client(&own, Some((&own, "packager.example.net")));
    let other = client(&own, Some((&own, "other.example.net")));
    let foreign = client(&own, Some((&stranger, "packager.example.net")));
    let ask = |client: &ureq::Agent, account: &str| {
        let data = Signer::new(account, "OVP", "").custom_data("film", &[]);
        let answer = client.post(format!("https://{}/cenc/encryption", node.api)).send(&data[..]);
        answer.ok().map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask(&packager, "certified"), Some(200));
    assert_eq!(ask(&anonymous, "certified"), Some(401), "no certificate, no signature");
    assert_eq!(ask(&other, "certified"), Some(401), "another's certificate");
    assert_eq!(ask(&packager, "demo"), Some(401), "the certificate proves one account");
    assert_eq!(ask(&foreign, "certified"), None, "another authority's certificate ends the connection");

    // Protocols that cannot sign are let in by it too, though the account did not opt in.
    let soap = "<E><Body><AcquirePackagingData><challenge><StreamProtectionRequests><StreamInformation>\
                <ProgramIdentifier>film</ProgramIdentifier></StreamInformation></StreamProtectionRequests>\
                </challenge></AcquirePackagingData></Body></E>"
        .replace("E>", "Envelope>");
    let packaging = |client: &ureq::Agent| {
        let url = format!("https://{}/playready/acquirepackagingdata/certified", node.api);
        client.post(url).send(soap.as_str()).unwrap().status().as_u16()
    };
    assert_eq!((packaging(&packager), packaging(&anonymous), packaging(&other)), (200, 401, 401));
    shaka_packager_shows_its_certificate(&own, &format!("https://{}", node.api));
    let data = STANDARD.encode(Signer::new("certified", "OVP", "").custom_data("film", &[]));
    let data = raw::percent_encode(&data);
    let key_info = |client: &ureq::Agent| {
        status(client, &format!("https://{}/hls/keyinfo?custom_data={data}", node.api))
    };
    assert_eq!((key_info(&packager), key_info(&anonymous)), (Some(200), Some(401)));
    let document =
        |client: &ureq::Agent| status(client, &format!("https://{}/cpix/certified?contentId=film", node.api));
    assert_eq!(
        (document(&packager), document(&anonymous), document(&other)),
        (Some(200), Some(401), Some(401))
    );
}

/// The real packager, over TLS with a certificate and without.
fn shaka_packager_shows_its_certificate(own: &Authority, api: &str) {
    let source = own.path("source.mp4");
    media::make_source(&source, 1).unwrap();
    let url = format!("{api}/playready/acquirepackagingdata/certified");
    let encrypt = |more: &[&str]| {
        let trust = ["--ca_file", &own.text("ca.pem")];
        media::encrypt_by_playready(&source, own.dir(), [&url, "film"], &[&trust[..], more].concat())
    };
    let (cert, key) = (own.text("packager.example.net.pem"), own.text("packager.example.net.key"));
    let refused = encrypt(&[]).unwrap_err().to_string();
    assert!(refused.contains("401"), "{refused}");
    encrypt(&["--client_cert_file", &cert, "--client_cert_private_key_file", &key]).unwrap();
    assert!(own.path("video.mp4").is_file());
}
