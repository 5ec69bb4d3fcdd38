//! How a request came proves nothing by itself: neither that nobody read it, nor that it is an account's own.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster_tests::signed::COMMON;
use cluster_tests::{Cluster, Options, Signer, raw, secret_file};

const PASSWORD: &str = "a password of some length";

/// Adds an account whose one credential is of this scheme.
fn add_account(cluster: &Cluster, name: &str, scheme: &str, secret: &str, more: &[&str]) {
    let file = cluster.dir().join(format!("{name}.key"));
    secret_file::write(&file, secret).unwrap();
    let credential = format!("only:encryption:{scheme}:{}", file.display());
    cluster.add_account(name, &[&["--credential", &credential], more].concat()).unwrap();
}

/// Asks by password, over plain HTTP; the status, and whether passwords are asked for.
fn by_password(node: SocketAddr, headers: &[(&str, &str)]) -> (u16, bool) {
    let data = Signer::new("passwords", "OVP", "").custom_data("film", &[]);
    let basic = format!("Basic {}", STANDARD.encode(format!("passwords:{PASSWORD}")));
    let headers = [&[("Authorization", basic.as_str())], headers].concat();
    let answer =
        raw::exchange(node, &raw::request("POST", COMMON, &headers, &data), raw::ANSWER_WITHIN).unwrap();
    let challenges = answer.headers.iter().filter(|(name, _)| name == "www-authenticate");
    (answer.status, challenges.into_iter().any(|(_, value)| value.starts_with("Basic")))
}

#[test]
fn a_password_that_came_through_a_proxy_on_this_machine_was_overheard() {
    let cluster = Cluster::start().unwrap();
    add_account(&cluster, "passwords", "basic", PASSWORD, &[]);
    let node = cluster.addresses()[0];
    assert_eq!(by_password(node, &[]), (200, false), "keymoot dev has no proxy, and says so");
    for header in ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via"] {
        assert_eq!(by_password(node, &[(header, "https")]), (401, false), "{header}");
    }
}

#[test]
fn an_address_of_the_machine_is_no_tls_unless_the_configuration_or_a_trusted_proxy_says_so() {
    let cluster = Options::default().env("KEYMOOT__HTTP__LOOPBACK_PASSWORDS", "false").start().unwrap();
    add_account(&cluster, "passwords", "basic", PASSWORD, &[]);
    let node = cluster.addresses()[0];
    assert_eq!(by_password(node, &[]), (401, false), "a proxy that adds no header looks the same");
    assert_eq!(by_password(node, &[("X-Forwarded-Proto", "https")]), (401, false), "nobody trusts it");

    let cluster = Options::default().env("KEYMOOT__HTTP__TRUSTED_PROXIES", "127.0.0.1/32").start().unwrap();
    add_account(&cluster, "passwords", "basic", PASSWORD, &[]);
    let node = cluster.addresses()[0];
    assert_eq!(by_password(node, &[("X-Forwarded-Proto", "https")]), (200, false));
    for unsaid in [&[][..], &[("X-Forwarded-Proto", "http")], &[("X-Forwarded-Proto", "https, http")]] {
        assert_eq!(by_password(node, unsaid), (401, false), "{unsaid:?}");
    }
}

#[test]
fn a_packagers_address_opens_no_account_whose_scramblers_prove_themselves() {
    let cluster = Options::default()
        .env("KEYMOOT__PACKAGER__LISTEN", "127.0.0.1:0")
        .env("KEYMOOT__PACKAGER__ALLOW_LIST", "127.0.0.1/32")
        .env("KEYMOOT__PACKAGER__ACCOUNTS", "1=demo, 2=certified, 3=signing, 4=opted-in")
        .start()
        .unwrap();
    add_account(&cluster, "certified", "mutual-tls", "dns:packager.example.net", &[]);
    add_account(&cluster, "signing", "http-hmac-sha256", "a shared secret of some length", &[]);
    let opted_in = ["--allow-unsigned-packagers"];
    add_account(&cluster, "opted-in", "mutual-tls", "dns:packager.example.net", &opted_in);
    let listener = cluster.nodes()[0].packager_listener().unwrap();
    for (partner, status) in [(1, 200), (2, 401), (3, 401), (4, 200)] {
        let path = format!("/system/ovp/edash/p/{partner}/sp/{partner}00/entryId/1_Entry/flavorId/1_a");
        let asked = raw::request("GET", &path, &[], &[]);
        let answer = raw::exchange(listener, &asked, raw::ANSWER_WITHIN).unwrap();
        assert_eq!(answer.status, status, "partner {partner}: {}", answer.text());
    }
}
