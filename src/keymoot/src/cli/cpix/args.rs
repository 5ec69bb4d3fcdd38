//! The arguments of `keymoot cpix`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use keymoot_cpix::{Aes128Uri, FairPlayUri, Protocol};
use keymoot_model::AccountId;

/// `keymoot cpix`.
#[derive(Clone, Debug, Subcommand)]
pub enum CpixCommand {
    /// Check a SPEKE or CPIX request document, and show what would be answered, without keys. Asks no cluster.
    ///
    /// Exit code 0: it would be answered; 64: it would be refused, and why and where is said; 1: it could not be read.
    ///
    /// The answer leaves out what depends on keys and on the account's policy: keys, IVs of the server's, PlayReady's
    /// checksums, HDCP and robustness.
    Check(CheckArgs),
}

/// `keymoot cpix check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Holds the document; - is standard input.
    pub file: PathBuf,
    /// How the document is sent. Without it, the document's version and namespaces decide.
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    pub protocol: Option<ProtocolArg>,
    /// The account, which Widevine's data name.
    #[arg(long, value_name = "ACCOUNT", default_value = "example")]
    pub account: AccountId,
    /// A declaration of accounts, whose settings for that account hold: systems, URIs, what must not share a key, whether
    /// keys leave encrypted only. See config/accounts.example.toml.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["fairplay_uri", "aes128_uri", "clear_key_urls", "playready_la_url"])]
    pub accounts_file: Option<PathBuf>,
    /// The URI of FairPlay keys: {kid}, {kid_hex}, {iv_hex} and {base64} in it stand for parts of the key.
    #[arg(long, value_name = "URI", default_value = "skd://{kid}")]
    pub fairplay_uri: FairPlayUri,
    /// The URL of clear AES-128 keys; {kid} in it stands for the key id.
    #[arg(long, value_name = "URL", default_value = "https://keys.example/hls/key/{kid}")]
    pub aes128_uri: Aes128Uri,
    /// A URL of Clear Key licenses. May be repeated.
    #[arg(
        long = "clear-key-url",
        value_name = "URL",
        default_value = "https://keys.example/clearkey/license"
    )]
    pub clear_key_urls: Vec<String>,
    /// The license URL in PlayReady headers.
    #[arg(long, value_name = "URL")]
    pub playready_la_url: Option<String>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: CheckOutput,
}

/// How a document is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolArg {
    /// SPEKE 1: without X-Speke-Version.
    #[value(name = "speke-1")]
    Speke1,
    /// SPEKE 2.0, with CPIX 2.3.
    #[value(name = "speke-2.0")]
    Speke2_0,
    /// SPEKE 2.1, with CPIX 2.4.
    #[value(name = "speke-2.1")]
    Speke2_1,
    /// CPIX 2.0 to 2.4 without SPEKE.
    Cpix,
}

impl From<ProtocolArg> for Protocol {
    fn from(given: ProtocolArg) -> Self {
        match given {
            ProtocolArg::Speke1 => Self::Speke1,
            ProtocolArg::Speke2_0 => Self::Speke2_0,
            ProtocolArg::Speke2_1 => Self::Speke2_1,
            ProtocolArg::Cpix => Self::Cpix,
        }
    }
}

/// What a check prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// What the document asks for, for people, and then the answer.
    #[default]
    Table,
    /// What the document asks for, for scripts.
    Json,
    /// The answer.
    Xml,
}
