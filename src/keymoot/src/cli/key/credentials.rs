//! The arguments that say how a scrambler proves itself, and what the key server must prove.

use std::path::PathBuf;

use clap::Args;

use keymoot_client::{
    ClientCertificateIdentity, Credentials, MessageSignature, ServerKey, ServerProof, Signer, TlsFiles,
    UdrmSha1,
};
use keymoot_command::Failure;
use keymoot_crypto::secret_file;
use keymoot_model::{AccountId, Scheme};
use keymoot_protocol::MessageKey;

/// How the scrambler proves itself, and what the key server must prove.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Authentication")]
pub struct CredentialArgs {
    /// Holds the account's encryption signing key, for uDRM's SHA-1 signatures; a secret file, mode 0600.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_SIGNING_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// Holds a key for HTTP Message Signatures: an Ed25519 private key in PEM, or a shared secret of 16
    /// bytes or more; a secret file, mode 0600.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_MESSAGE_KEY_FILE")]
    pub message_key_file: Option<PathBuf>,
    /// The name of the account's credential that the message key belongs to. Without it, the key server
    /// tries all.
    #[arg(long, value_name = "NAME", env = "KEYMOOT_CREDENTIAL", requires = "message_key_file")]
    pub credential: Option<String>,
    /// The weakest scheme to use, whatever the key server announces: mutual-tls, http-ed25519,
    /// http-hmac-sha256 or udrm-sha1. Without it, the strongest that both know.
    #[arg(long, value_name = "SCHEME", env = "KEYMOOT_MINIMUM_SCHEME")]
    pub minimum_scheme: Option<Scheme>,
    /// This scrambler's own certificate in PEM, shown to key servers that ask for one.
    #[arg(long, value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// The private key of that certificate in PEM; a secret file, mode 0600.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
    /// Certificates of the authorities that vouch for the key server, in PEM; without it those of
    /// the public web.
    #[arg(long, value_name = "FILE", env = "KEYMOOT_TLS_CA_FILE")]
    pub tls_ca_file: Option<PathBuf>,
    /// Use no answer that the key server has not signed. Its key is learned over TLS (or on this
    /// machine); elsewhere give it with --server-public-key.
    #[arg(long)]
    pub require_signed_answers: bool,
    /// The key server's public key, which all answers must then be signed with; GET /capabilities
    /// shows it as signed_answers.public_key.
    #[arg(long, value_name = "BASE64", env = "KEYMOOT_SERVER_PUBLIC_KEY")]
    pub server_public_key: Option<ServerKey>,
}

impl CredentialArgs {
    /// The credentials of this account.
    pub(super) fn credentials(&self, account: &AccountId) -> Result<Credentials, Failure> {
        let mut signers: Vec<Box<dyn Signer>> = Vec::new();
        if let Some(file) = &self.key_file {
            let key = secret_file::read_signing_key(file).map_err(Failure::usage)?;
            signers.push(Box::new(UdrmSha1::new(key)));
        }
        if let Some(file) = &self.message_key_file {
            let text = secret_file::read_signing_key(file).map_err(Failure::usage)?;
            let key = MessageKey::read(&text).map_err(|error| {
                Failure::usage(error).hint(format!("--message-key-file names {}", file.display()))
            })?;
            signers.push(Box::new(MessageSignature::new(key, account, self.credential.as_deref())));
        }
        if self.tls_cert_file.is_some() {
            signers.push(Box::new(ClientCertificateIdentity));
        }
        Credentials::new(signers, self.minimum_scheme).map_err(|error| {
            Failure::usage(error).hint("give --key-file, --message-key-file, or --tls-cert-file with its key")
        })
    }

    /// What TLS is checked and proved with.
    pub(super) fn tls_files(&self) -> TlsFiles {
        TlsFiles {
            ca: self.tls_ca_file.clone(),
            client: self.tls_cert_file.clone().zip(self.tls_key_file.clone()),
        }
    }

    /// What an answer must show.
    pub(super) const fn server_proof(&self) -> ServerProof {
        match (self.server_public_key, self.require_signed_answers) {
            (Some(key), _) => ServerProof::SignedBy(key),
            (None, true) => ServerProof::Signed,
            (None, false) => ServerProof::Connection,
        }
    }
}
