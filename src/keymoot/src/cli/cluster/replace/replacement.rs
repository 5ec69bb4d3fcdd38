//! A replacement under way: what the cluster is asked, and what is done here.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::ReplaceDiskArgs;
use super::install::{Numbered, hand_over, install_identity, kept, lock, number, set_aside};
use super::members::{self, Members, Removal, Unanswered};
use super::progress::{self, Files, Progress};
use crate::cli::cluster::admission::Applicant;
use crate::cli::operator::{Operator, say};
use crate::config::Loaded;
use keymoot_cluster::Rebuild;
use keymoot_command::Failure;
use keymoot_crypto::{JoinToken, Keyring, secret_file};
use keymoot_model::NodeId;
use keymoot_service::admin::{NewToken, TokenLife};

/// For how long the token is good that the command makes for itself. Once it is spent, it stays good for this key.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// A replacement under way. The data directory is locked while it lives.
pub(super) struct Replacement {
    pub(super) loaded: Loaded,
    pub(super) keyring: Arc<Keyring>,
    pub(super) files: Files,
    pub(super) progress: Progress,
    pub(super) members: Members,
    pub(super) rebuild: Rebuild,
}

impl Replacement {
    pub(super) fn begin(args: &ReplaceDiskArgs) -> Result<Self, Failure> {
        let loaded = Loaded::load(args.config.config.as_deref()).map_err(Failure::usage)?;
        let config = &loaded.config;
        if config.node.witness {
            return Err(Failure::misuse("this is the configuration of a witness, which is not replaced but joined anew").hint(
                "remove the old one with keymoot cluster remove, at a node; then join this machine in another --dir, with a \
                 token of keymoot cluster token create --witness",
            ));
        }
        let keyring = Keyring::load(&config.keys.keyring_file).map_err(|error| {
            Failure::usage(error)
                .hint("the cluster takes nobody in without its master key: put a copy of the keyring of the others there")
        })?;
        let files = Files::of(config);
        let progress = files.read()?.unwrap_or_else(|| Progress::begin(config.node.id));
        let mut members = Members::new(
            [args.members.clone(), progress.members(), config.cluster.peer_hints.clone()].concat(),
        );
        if members.is_empty() {
            drop(lock(config)?);
            members = Members::new(members::remembered(config));
        }
        if members.is_empty() {
            return Err(Failure::misuse(
                "nothing here says who the members are: pass --member ID=HOST:PORT of one",
            )
            .hint("keymoot cluster status at another node shows them all"));
        }
        let rebuild = lock(config)?;
        let replacement = Self { keyring: Arc::new(keyring), files, progress, members, rebuild, loaded };
        replacement.refuse_others_data()?;
        hand_over(&replacement.loaded.config)?;
        Ok(replacement)
    }

    /// Another node's data are not moved away because a configuration names their directory by mistake.
    fn refuse_others_data(&self) -> Result<(), Failure> {
        let config = &self.loaded.config;
        let Ok(Some(owner)) = self.rebuild.identity() else { return Ok(()) };
        let ours = [Some(self.progress.old), self.progress.new].contains(&Some(owner.node));
        if ours && owner.cluster == config.cluster.name.as_str() {
            return Ok(());
        }
        Err(Failure::misuse(format!(
            "{} holds the data of node {} of cluster {}; correct node.data_dir",
            config.node.data_dir.display(),
            owner.node,
            owner.cluster
        )))
    }

    /// Whether an earlier command came to its end here, and the new node was not started since.
    pub(super) fn is_made(&self) -> bool {
        let begun = self.progress.new.is_some() || self.progress.has_token();
        // In a directory that is damaged somebody was.
        !begun && self.rebuild.is_reserved().unwrap_or(false)
    }

    /// Joins under a new id, which is returned.
    pub(super) async fn admit(&mut self, args: &ReplaceDiskArgs, learner: bool) -> Result<NodeId, Failure> {
        let token = self.token(args, learner).await?;
        let config = &self.loaded.config;
        let (keyring, key) = (self.keyring.clone(), &self.files.key.next);
        let applicant = match (&args.cert, &args.key) {
            (Some(cert), Some(given)) => {
                stage(given, key, secret_file::create)?;
                stage(cert, &self.files.cert.next, secret_file::create_public)?;
                let files = [&self.files.ca.file, &self.files.cert.next, key].map(PathBuf::as_path);
                Applicant::with_certificate(&token, keyring, files)?
            }
            _ => Applicant::with_key(&token, keyring, key)?,
        };
        let address = config.cluster.peer_address();
        let admitted = applicant.join(self.members.list(), address.as_str(), &config.node.zone).await?;
        if let Some(certificate) = &admitted.certificate_pem {
            write_anew(&self.files.cert.next, certificate)?;
            if !self.trusts(&token) {
                write_anew(&self.files.ca.next, &admitted.authority_pem)?;
            }
        }
        self.progress.new = Some(admitted.id);
        self.files.write(&self.progress)?;
        say(&format!("this machine is node {} now, a learner\n", admitted.id));
        Ok(admitted.id)
    }

    /// The token that was given, or used before, or a new one that the cluster knows.
    async fn token(&mut self, args: &ReplaceDiskArgs, learner: bool) -> Result<JoinToken, Failure> {
        if let Some(given) = &args.token {
            let token: JoinToken = given.parse().map_err(Failure::usage)?;
            self.keep_token(&token)?;
            return Ok(token);
        }
        let operator = Operator::of(self.loaded.config.clone())?;
        if let Some(token) = self.progress.token() {
            match self.members.is_good(&operator, &token).await {
                // Nobody can be asked; whoever admits this machine will see.
                Ok(true) | Err(Unanswered::Removed(_)) => return Ok(token),
                Ok(false) => {}
                Err(Unanswered::Failed(failure)) => return Err(failure),
            }
        }
        let authority = operator.authority_fingerprint();
        let authority = authority.ok_or_else(|| Failure::misuse("cluster.ca_file holds no certificate"))?;
        let life = TokenLife::new(TOKEN_LIFE).map_err(Failure::usage)?;
        let name = self.loaded.config.cluster.name.clone();
        let new = NewToken::draw(name, authority, life, None, learner).map_err(Failure::runtime)?;
        // Kept before it is made: what is interrupted between leaves no open token behind.
        self.keep_token(&new.token)?;
        self.members.perform(&operator, new.addition()).await.map_err(Unanswered::into_failure)?;
        Ok(new.token)
    }

    fn keep_token(&mut self, token: &JoinToken) -> Result<(), Failure> {
        self.progress.set_token(token);
        self.progress.set_members(self.members.list());
        self.files.write(&self.progress)
    }

    /// Whether the CA file has the authority that the token names.
    fn trusts(&self, token: &JoinToken) -> bool {
        let operator = Operator::of(self.loaded.config.clone());
        operator.is_ok_and(|operator| operator.authority_fingerprint() == Some(token.authority))
    }

    /// Removes the old node, if that was not done.
    pub(super) async fn remove_old(&self) -> Result<(), Failure> {
        let old = self.progress.old;
        let mut config = self.loaded.config.clone();
        let cluster = &mut config.cluster;
        cluster.ca_file = self.files.ca.latest().to_owned();
        cluster.cert_file = self.files.cert.latest().to_owned();
        cluster.key_file = self.files.key.latest().to_owned();
        let operator = Operator::of(config)?;
        let planned = match self.members.plan_removal(&operator, old).await {
            Ok(planned) => planned,
            Err(Unanswered::Removed(reason)) => {
                // The new node was removed before it ever ran: its id is gone.
                self.files.clear()?;
                return Err(Failure::because(reason).hint("what was begun is given up: repeat the command"));
            }
            Err(Unanswered::Failed(failure)) => return Err(failure),
        };
        if let Removal::Planned(_) = planned {
            self.members.remove(&operator, old).await.map_err(Unanswered::into_failure)?;
            say(&format!("node {old} has left the cluster\n"));
        }
        Ok(())
    }

    /// Puts the new node's files in place of the old one's.
    pub(super) async fn install(self, args: &ReplaceDiskArgs, new: NodeId) -> Result<Members, Failure> {
        let Self { loaded, files, progress, members, rebuild, .. } = self;
        let (old, config) = (progress.old, &loaded.config);
        install_identity(&files, old)?;
        say(&format!(
            "certificate and key are replaced; the old ones are in {}\n",
            kept(&files.key.file, old).display()
        ));
        let file = args.config.config.as_deref();
        let numbered = number(&loaded, file, old, new)?;
        if let Some(aside) = set_aside(rebuild, &config.cluster.name, old, new)? {
            say(&format!(
                "the old data are in {}; remove them when you no longer need them\n",
                aside.display()
            ));
        }
        hand_over(config)?;
        files.clear()?;
        say(&format!("node {old} is replaced: this machine is node {new}\n"));
        if let Numbered::ByHand(how) = &numbered {
            say(&format!("its number could not be written: {how}\n"));
        }
        let serve = file.map_or_else(String::new, |file| format!(" --config {}", file.display()));
        say(&format!(
            "start it as before (systemctl start keymoot, or keymoot serve{serve}); it fills itself from the others, and \
             keymoot cluster status shows when it has caught up\n"
        ));
        Ok(members)
    }
}

type Create = fn(&Path, &[u8]) -> Result<(), secret_file::SecretFileError>;

/// Copies a file that was issued by hand to where it waits.
fn stage(given: &Path, next: &Path, create: Create) -> Result<(), Failure> {
    let bytes = fs::read(given).map(zeroize::Zeroizing::new);
    let bytes =
        bytes.map_err(|error| Failure::misuse(format!("cannot read {}: {error}", given.display())))?;
    progress::remove(next)?;
    create(next, &bytes).map_err(Failure::runtime)
}

fn write_anew(path: &Path, text: &str) -> Result<(), Failure> {
    progress::remove(path)?;
    secret_file::create_public(path, text.as_bytes()).map_err(Failure::runtime)
}
