use proptest::prelude::*;

use super::*;
use keymoot_drm::EncryptionProvider;
use keymoot_license::LicenseProvider;

fn of(table: &RouteTable, path: &str) -> Option<(Endpoint, Vec<String>)> {
    let path = RequestPath::parse(path).unwrap();
    table.find(&path).map(|route| (route.endpoint, route.captured.into_iter().map(str::to_owned).collect()))
}

fn api(path: &str) -> Option<(Endpoint, Vec<String>)> {
    of(&API, path)
}

#[test]
fn every_provider_has_its_path() {
    for provider in EncryptionProvider::ALL {
        let path = format!("{provider}/encryption");
        assert_eq!(api(&path), Some((Endpoint::Encryption(provider), vec![])));
        let path = format!("{provider}/schedule");
        assert_eq!(api(&path), Some((Endpoint::Schedule(provider), vec![])));
    }
    for provider in LicenseProvider::ALL {
        let path = format!("{}/license", provider.path());
        assert_eq!(api(&path), Some((Endpoint::License(provider), vec![])));
    }
}

#[test]
fn a_part_in_braces_is_one_segment_and_the_rest_is_exact() {
    assert_eq!(api("//CENC/getContentKey/Me/"), Some((Endpoint::ContentKey, vec!["Me".to_owned()])));
    assert_eq!(api("cenc/getcontentkey"), Some((Endpoint::ContentKey, vec![])));
    assert_eq!(api("/policy/Hd/CONTENT"), Some((Endpoint::PolicyContent, vec!["Hd".to_owned()])));
    assert_eq!(api("cenc/getcontentkey/me/too"), None);
    assert_eq!(api("cenc"), None);
    assert_eq!(api(""), None);
}

/// System, word, partner and entry of a packager's path.
fn entry(raw: &str) -> Option<[String; 4]> {
    of(&PACKAGERS, raw).map(|(endpoint, captured)| {
        assert_eq!(endpoint, Endpoint::EntryKey);
        match <[String; 5]>::try_from(captured) {
            Ok([ca_system, word, pid, _, entry]) => [ca_system, word, pid, entry],
            Err(without_sub_partner) => without_sub_partner.try_into().unwrap(),
        }
    })
}

#[test]
fn a_packagers_path_names_system_partner_and_entry() {
    let expected = Some(["ovp", "edash", "437", "1_aBc"].map(str::to_owned));
    for raw in [
        "/system/ovp/edash/p/437/sp/43700/entryId/1_aBc/flavorId/1_x/name/a.mp4",
        "/system/ovp/edash/p/437/sp/43700/entryId/1_aBc",
        "//SYSTEM/ovp//edash/P/437/SP/43700/ENTRYID/1_aBc/flavorId/1_x/",
        "/system/ovp/edash/p/437/sp/43700/serveFlavor/entryId/1_aBc/v/2/flavorId/1_x",
        "/system/ovp/edash/p/437/entryId/1_aBc/flavorId/1_x",
        "/system/ovp/edash/p/437/serveFlavor/entryId/1_aBc",
    ] {
        assert_eq!(entry(raw), expected, "{raw}");
    }
    assert_eq!(entry("/system/ovp/fpshls/p/437/entryId/e").unwrap()[1], "fpshls");
}

#[test]
fn other_paths_name_nothing() {
    for raw in [
        "/",
        "/system/ovp/edash/p/437/sp/43700/entryId",
        "/system/ovp/p/437/sp/43700/entryId/1_a",
        "/system/ovp/edash/dash/p/437/entryId/1_a",
        "/system/ovp/edash/p/437/sp/43700/flavorId/1_a",
        "/cenc/widevine/encryption",
    ] {
        assert_eq!(entry(raw), None, "{raw}");
    }
}

#[test]
fn flavours_and_what_follows_change_nothing() {
    let one = entry("/system/ovp/edash/p/1/sp/2/entryId/e/flavorId/a");
    assert_eq!(one, entry("/system/ovp/edash/p/1/sp/2/entryId/e/flavorId/b/name/x/entryId/z"));
}

#[test]
fn no_listener_has_a_route_of_the_other() {
    for (path, _) in API.rows() {
        assert_eq!(of(&PACKAGERS, path), None, "{path}");
    }
    for (path, _) in PACKAGERS.rows() {
        assert_eq!(api(path), None, "{path}");
    }
}

proptest! {
    #[test]
    fn no_path_is_too_odd_to_be_read(raw in "(/(system|ovp|edash|p|sp|entryId|serveFlavor|[a-z0-9]{0,3})){0,12}") {
        let _read = entry(&raw);
    }
}
