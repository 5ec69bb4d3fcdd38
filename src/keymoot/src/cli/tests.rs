//! What the command line accepts, and what its help says.

mod help;

use clap::CommandFactory as _;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_command_tree_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_mistake_in_usage_exits_with_64_and_help_with_0() {
    let code = |line: &str| format!("{:?}", run(line.split(' ').map(OsString::from)));
    assert_eq!(code("keymoot fly"), format!("{:?}", ExitCode::from(64)));
    assert_eq!(code("keymoot --version"), format!("{:?}", ExitCode::SUCCESS));
}

#[test]
fn members_are_number_and_address() {
    let line = "keymoot cluster init --config f --member 1=a:1 --member 2=[::1]:2";
    let Ok(Cli { command: Command::Cluster(args::ClusterCommand::Init(init)) }) = parse(line) else {
        panic!("not parsed");
    };
    let members: Vec<String> = init.members.iter().map(|m| format!("{}={}", m.id, m.address)).collect();
    assert_eq!(members, ["1=a:1", "2=[::1]:2"]);
    for bad in ["1", "0=a:1", "x=a:1", "1=a", "1=a:0"] {
        assert!(parse(&format!("keymoot cluster init --config f --member {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn a_default_policy_is_named_or_taken_away() {
    for good in ["policy default demo hd", "policy default demo --none"] {
        assert!(parse(&format!("keymoot {good}")).is_ok(), "{good}");
    }
    for bad in [
        "policy default demo",
        "policy default demo hd --none",
        "policy put demo f --if-absent --if-version 1",
        "policy show demo a/b",
    ] {
        assert!(parse(&format!("keymoot {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn an_account_needs_an_encryption_key_file() {
    assert!(parse("keymoot account add demo --config f").is_err());
    let line = "keymoot account add demo --config f --ca-system OVP --encryption-key-file k \
                --allow 127.0.0.0/8 --consistency local --if-absent";
    let Ok(Cli { command: Command::Account(account::AccountCommand::Add(add)) }) = parse(line) else {
        panic!("not parsed");
    };
    assert_eq!(add.id.as_str(), "demo");
    assert_eq!(add.consistency, keymoot_model::Consistency::Local);
    assert!(add.if_absent && add.license_key_file.is_none());
}

#[test]
fn a_credential_names_scope_scheme_and_file() {
    let line = "keymoot account add demo --config f --minimum-scheme digest --credential";
    let Ok(Cli { command: Command::Account(account::AccountCommand::Add(add)) }) =
        parse(&format!("{line} api:encryption:http-ed25519:/a:b"))
    else {
        panic!("not parsed");
    };
    assert_eq!(add.credentials[0].scheme, keymoot_model::Scheme::HttpEd25519);
    assert_eq!(add.credentials[0].file, std::path::Path::new("/a:b"));
    assert_eq!(add.minimum_scheme, Some(keymoot_model::Scheme::Digest));
    for bad in ["api", "api:encryption:md5:f", "api:all:basic:f", "api:encryption:basic:", ":admin:basic:f"] {
        assert!(parse(&format!("{line} {bad}")).is_err(), "{bad}");
    }
}
