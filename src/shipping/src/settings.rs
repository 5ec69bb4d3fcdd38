//! Who receives the audit of a node, and in which form.

use std::fmt;
use std::path::{Path, PathBuf};

use keymoot_outgoing::ServerUrl;
use serde::{Deserialize, Serialize};
use url::Host;

use crate::form::Form;

/// A receiver: a table `[[audit.receiver]]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverSettings {
    /// By which metrics, messages and its cursor name it.
    pub name: ReceiverName,
    /// What it is.
    pub kind: ReceiverKind,
    /// How an event is written for it.
    #[serde(default)]
    pub format: Form,
    /// `syslog`: the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SyslogAddress>,
    /// `syslog`: whether the connection is TLS.
    #[serde(default = "yes")]
    pub tls: bool,
    /// `syslog`: when an event counts as delivered.
    #[serde(default)]
    pub confirm: Confirm,
    /// `https`: where batches are posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<ServerUrl>,
    /// `https`: the secret file with the bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// `file`: the file that is appended to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// With TLS: the authorities that may vouch for the server, PEM; none: those of the public web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// With TLS: the certificate that the node shows, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// With TLS: its private key, PEM; a secret file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

const fn yes() -> bool {
    true
}

/// When an event counts as delivered to a syslog server, which acknowledges nothing: the node closes its half of the
/// connection, and the server closes the other once it has read everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// When the server has closed the other half, with TLS by its last word, which nobody on the way can forge.
    #[default]
    CloseNotify,
    /// When the other half is closed, whoever did it.
    End,
    /// When the connection has stayed open for a while.
    None,
}

/// What a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    /// A syslog server: RFC 5424 over TCP (RFC 6587, octet counting) or TLS (RFC 5425).
    Syslog,
    /// A file on this machine.
    File,
    /// A server that takes batches by HTTP POST.
    Https,
}

impl ReceiverSettings {
    /// What does not fit together, in words that begin with the receiver.
    pub fn problems(&self) -> Vec<String> {
        let (syslog, file, https) = (
            self.kind == ReceiverKind::Syslog,
            self.kind == ReceiverKind::File,
            self.kind == ReceiverKind::Https,
        );
        let needed = [
            ("address", syslog, self.address.is_some(), "HOST:PORT of the syslog server"),
            ("path", file, self.path.is_some(), "the file to append to"),
            ("url", https, self.url.is_some(), "where batches are posted, https://…"),
        ];
        let has_tls = (syslog && self.tls) || https;
        let wants = [
            ("token_file", https, self.token_file.is_some(), "kind = \"https\""),
            ("tls", syslog, !self.tls, "kind = \"syslog\""),
            ("confirm", syslog, self.confirm != Confirm::default(), "kind = \"syslog\""),
            ("ca_file", has_tls, self.ca_file.is_some(), "TLS"),
            ("cert_file", has_tls, self.cert_file.is_some(), "TLS"),
            ("key_file", has_tls, self.key_file.is_some(), "TLS"),
        ];
        let mut found = Vec::new();
        let mut fault = |words: String| found.push(format!("receiver \"{}\": {words}", self.name));
        for (key, is_its_kind, is_set, what) in needed {
            match (is_its_kind, is_set) {
                (true, false) => fault(format!("{key} must be set: {what}")),
                (false, true) => fault(format!("{key} is of another kind of receiver; remove it")),
                _ => {}
            }
        }
        for (key, is_used, is_set, with) in wants {
            if is_set && !is_used {
                fault(format!("{key} is used with {with} only; remove it"));
            }
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            fault("cert_file and key_file belong together: set both, or neither".to_owned());
        }
        if self.path.as_deref().is_some_and(|path| path.as_os_str().is_empty() || path.ends_with("/")) {
            fault("path must name a file".to_owned());
        }
        found
    }

    /// Each path that is set, with its key.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.path, &mut self.token_file, &mut self.ca_file, &mut self.cert_file, &mut self.key_file]
            .into_iter()
            .flatten()
    }

    /// The secret files.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        [&self.token_file, &self.key_file].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Whether events go to another machine in the clear.
    pub fn is_in_the_clear(&self) -> bool {
        self.kind == ReceiverKind::Syslog
            && !self.tls
            && self.address.as_ref().is_some_and(|address| !address.is_loopback())
    }

    /// Where it is, for messages.
    pub fn place(&self) -> String {
        match (&self.address, &self.url, &self.path) {
            (Some(address), ..) => address.to_string(),
            (_, Some(url), _) => url.to_string(),
            (.., Some(path)) => path.display().to_string(),
            _ => String::new(),
        }
    }
}

/// What does not fit together of all receivers.
pub fn problems(receivers: &[ReceiverSettings]) -> Vec<String> {
    let mut found: Vec<String> = receivers.iter().flat_map(ReceiverSettings::problems).collect();
    let mut names: Vec<_> = receivers.iter().map(|receiver| &receiver.name).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if let [one, other] = pair
            && one == other
        {
            found.push(format!("two receivers are named \"{one}\"; each needs a name of its own"));
        }
    }
    found
}

/// The name of a receiver: lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReceiverName(String);

impl ReceiverName {
    /// The longest name.
    pub const BYTES_MAX: usize = 32;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ReceiverName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_sound = !text.is_empty()
            && text.len() <= Self::BYTES_MAX
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        match is_sound {
            true => Ok(Self(text)),
            false => Err(format!(
                "a receiver's name has 1 to {} lower-case letters, digits and `-`, such as \"siem\"",
                Self::BYTES_MAX
            )),
        }
    }
}

impl From<ReceiverName> for String {
    fn from(name: ReceiverName) -> Self {
        name.0
    }
}

impl fmt::Display for ReceiverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `HOST:PORT` of a syslog server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SyslogAddress {
    host: Host,
    port: u16,
}

impl SyslogAddress {
    pub fn host(&self) -> Host<&str> {
        match &self.host {
            Host::Domain(name) => Host::Domain(name),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        }
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it stays on this machine.
    fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        }
    }
}

impl TryFrom<String> for SyslogAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        const FORM: &str =
            "a syslog server is HOST:PORT, such as \"siem.example.net:6514\" or \"[fd00::1]:6514\"";
        let (host, port) = text.rsplit_once(':').ok_or(FORM)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(FORM)?;
        Ok(Self { host: Host::parse(host).map_err(|_| FORM)?, port })
    }
}

impl From<SyslogAddress> for String {
    fn from(address: SyslogAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(table: serde_json::Value) -> Result<ReceiverSettings, String> {
        serde_json::from_value(table).map_err(|error| error.to_string())
    }

    #[test]
    fn a_receiver_says_what_it_lacks_and_what_is_of_another_kind() {
        let sound = serde_json::json!({"name": "siem", "kind": "syslog", "address": "siem.example.net:6514"});
        let siem = read(sound).unwrap();
        assert_eq!((siem.problems(), siem.tls, siem.format), (Vec::new(), true, Form::Json));
        let said = |table| read(table).unwrap().problems().join("; ");
        assert_eq!(
            said(serde_json::json!({"name": "a", "kind": "https"})),
            "receiver \"a\": url must be set: where batches are posted, https://…"
        );
        let file =
            serde_json::json!({"name": "a", "kind": "file", "path": "/x", "ca_file": "y", "address": "h:1"});
        assert_eq!(
            said(file),
            "receiver \"a\": address is of another kind of receiver; remove it; receiver \"a\": ca_file is used with TLS \
             only; remove it"
        );
        let half = serde_json::json!({"name": "a", "kind": "https", "url": "https://h/", "key_file": "k"});
        assert!(said(half).contains("belong together"));
        assert_eq!(problems(&[siem.clone(), siem]).len(), 1);
    }

    #[test]
    fn what_is_misspelt_is_refused_in_words() {
        for (table, words) in [
            (serde_json::json!({"name": "Siem", "kind": "file"}), "lower-case"),
            (serde_json::json!({"name": "a", "kind": "file", "pathh": "x"}), "unknown field `pathh`"),
            (serde_json::json!({"name": "a", "kind": "udp"}), "unknown variant `udp`"),
            (serde_json::json!({"name": "a", "kind": "syslog", "address": "host"}), "HOST:PORT"),
            (serde_json::json!({"name": "a", "kind": "syslog", "address": "host:0"}), "HOST:PORT"),
            (serde_json::json!({"name": "a", "kind": "https", "url": "http://h.example/"}), "https://"),
        ] {
            let said = read(table).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for (text, loopback) in [("h.example:6514", false), ("[::1]:601", true), ("127.0.0.1:514", true)] {
            let address = SyslogAddress::try_from(text.to_owned()).unwrap();
            assert_eq!((address.to_string().as_str(), address.is_loopback()), (text, loopback));
        }
    }
}
