//! What `keymoot account add` and `set` say of SPEKE and CPIX documents, and how it is printed.

use clap::Args;

use keymoot_model::{AccountStatus, ApartRule, DocumentChange, DocumentPath};

/// What holds of an account's SPEKE and CPIX documents. See docs/speke.md.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "SPEKE and CPIX documents")]
pub struct DocumentArgs {
    /// A path of the account's own at which its SPEKE documents are answered, beside /speke/v1.0/copyProtection and
    /// /speke/v2.0/copyProtection. May be repeated; an empty value alone takes them away.
    #[arg(long = "speke-path", value_name = "PATH", value_parser = or_none::<DocumentPath>)]
    speke_paths: Option<Vec<OrNone<DocumentPath>>>,
    /// The same for plain CPIX, beside /cpix/ACCOUNT.
    #[arg(long = "cpix-path", value_name = "PATH", value_parser = or_none::<DocumentPath>)]
    cpix_paths: Option<Vec<OrNone<DocumentPath>>>,
    /// FairPlay's key URI in playlists, with {kid}, {kid_hex}, {iv_hex} or {base64} in it; empty for skd://{kid}.
    #[arg(long, value_name = "URI")]
    fairplay_uri: Option<String>,
    /// The URL of clear AES-128 keys in playlists, with {kid} in it; empty for the key servers' own.
    #[arg(long, value_name = "URL")]
    aes128_uri: Option<String>,
    /// Whether keys leave in documents only encrypted to a certificate.
    #[arg(long, value_name = "BOOL")]
    encrypted_documents: Option<bool>,
    /// What must not share a key, such as widevine:audio-from-video or playready:uhd-from-others. May be repeated; an
    /// empty value alone takes them away.
    #[arg(long = "keys-apart", value_name = "SYSTEM:RULE", value_parser = or_none::<ApartRule>)]
    apart: Option<Vec<OrNone<ApartRule>>>,
    /// A DRM system that documents may ask for: widevine, playready, fairplay, aes-128, common, clear-key, primetime. May
    /// be repeated; an empty value alone allows all.
    #[arg(long = "document-system", value_name = "NAME")]
    systems: Option<Vec<String>>,
    /// Whether a node that is cut off from the quorum answers documents of contents that are new to it at once, and notes
    /// them when the quorum is back. For accounts that read locally; see docs/speke.md for what can go wrong then.
    #[arg(long, value_name = "BOOL")]
    note_documents_later: Option<bool>,
}

/// A value, or that there is none.
#[derive(Clone, Debug)]
struct OrNone<T>(Option<T>);

fn or_none<T: std::str::FromStr>(text: &str) -> Result<OrNone<T>, T::Err> {
    if text.is_empty() { Ok(OrNone(None)) } else { text.parse().map(|value| OrNone(Some(value))) }
}

impl DocumentArgs {
    /// What is to change.
    pub fn change(self) -> DocumentChange {
        fn values<T>(given: Option<Vec<OrNone<T>>>) -> Option<Vec<T>> {
            given.map(|given| given.into_iter().filter_map(|value| value.0).collect())
        }
        let text = |given: Option<String>| given.map(|text| Some(text).filter(|text| !text.is_empty()));
        let named = |given: Vec<String>| given.into_iter().filter(|name| !name.is_empty()).collect();
        DocumentChange {
            speke_paths: values(self.speke_paths),
            cpix_paths: values(self.cpix_paths),
            fairplay_uri: text(self.fairplay_uri),
            aes128_uri: text(self.aes128_uri),
            encrypted_only: self.encrypted_documents,
            apart: values(self.apart),
            systems: self.systems.map(named),
            note_later: self.note_documents_later,
        }
    }
}

/// The rows of an account's table.
pub(super) fn rows(status: &AccountStatus) -> [(&'static str, String); 8] {
    let documents = &status.documents;
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    let yes_no = |is: bool| if is { "yes" } else { "no" }.to_owned();
    [
        ("speke paths", super::print::joined(&documents.speke_paths, "the common ones")),
        ("cpix paths", super::print::joined(&documents.cpix_paths, "the common one")),
        ("fairplay_uri", or(&documents.fairplay_uri, "skd://{kid}")),
        ("aes128_uri", or(&documents.aes128_uri, "the key servers'")),
        ("encrypted documents", yes_no(documents.encrypted_only)),
        ("keys apart", super::print::joined(&documents.apart, "none")),
        ("document systems", super::print::joined(&documents.systems, "all")),
        ("documents noted later", yes_no(documents.note_later)),
    ]
}
