//! Real syslog servers, rsyslog and syslog-ng, which write what they receive to a file, a line for each message.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::authority::Authority;
use crate::wait::wait_until;
use crate::{RigError, process};

const START_WITHIN: Duration = Duration::from_secs(20);

/// Where `scripts/real-clients` unpacks syslog-ng, which cannot be installed beside rsyslog.
const SYSLOG_NG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/real-clients/syslog-ng");

/// A running syslog server; it is killed when this value is dropped.
pub struct SyslogServer {
    child: Child,
    dir: PathBuf,
    written: PathBuf,
}

impl SyslogServer {
    /// Starts an rsyslog that listens at `address`, in a new directory `dir`. With an authority it speaks TLS with its
    /// certificate for `127.0.0.1`, and takes nobody without a certificate of that authority.
    ///
    /// # Errors
    /// When it is not installed (`scripts/test` installs it) or does not listen in time.
    pub fn rsyslog(dir: &Path, address: SocketAddr, tls: Option<&Authority>) -> Result<Self, RigError> {
        let (config, written) = files(dir, &|written| rsyslog_text(dir, written, address, tls))?;
        let mut command = Command::new("rsyslogd");
        command.args(["-n", "-f"]).arg(&config).arg("-i").arg(dir.join("pid"));
        Self::start(command, dir, written, address)
    }

    /// The same with a syslog-ng; `None` where it is not unpacked.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn syslog_ng(
        dir: &Path,
        address: SocketAddr,
        tls: Option<&Authority>,
    ) -> Result<Option<Self>, RigError> {
        let root = Path::new(SYSLOG_NG);
        let program = root.join("usr/sbin/syslog-ng");
        let Some(modules) = modules(root).filter(|_| program.exists()) else { return Ok(None) };
        let (config, written) = files(dir, &|written| syslog_ng_text(written, address, tls))?;
        let mut command = Command::new(program);
        let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
        // Some libraries of Debian 12 are not below /usr yet.
        let libraries = ["usr/lib/syslog-ng", &format!("usr/lib/{machine}"), &format!("lib/{machine}")];
        let libraries: Vec<_> = libraries.iter().map(|part| root.join(part).display().to_string()).collect();
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        command.args(["-F", "-e", "--no-caps"]).arg(format!("--module-path={}", modules.display()));
        command.arg("-f").arg(&config).arg("-R").arg(dir.join("persist"));
        command.arg("-c").arg(dir.join("ctl")).arg("-p").arg(dir.join("pid"));
        Self::start(command, dir, written, address).map(Some)
    }

    fn start(
        mut command: Command,
        dir: &Path,
        written: PathBuf,
        address: SocketAddr,
    ) -> Result<Self, RigError> {
        let log = dir.join("log");
        let log = File::create(&log).map_err(RigError::at("make", &log))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(RigError::io("cannot start the syslog server; scripts/test installs rsyslog"))?;
        let started = Self { child, dir: dir.to_owned(), written };
        wait_until("the syslog server to listen", START_WITHIN, || {
            TcpStream::connect(address).map(drop).map_err(RigError::io("the syslog server does not listen"))
        })?;
        Ok(started)
    }

    /// The lines that it has written whole; what a kill cut off is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&self) -> Result<Vec<String>, RigError> {
        if !self.written.exists() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(&self.written).map_err(RigError::at("read", &self.written))?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole.lines().map(|line| line.trim_start().to_owned()).collect())
    }

    /// Stops it in the middle of whatever it does, or lets it go on.
    ///
    /// # Errors
    /// When it does not run any more.
    pub fn signal(&self, signal: Signal) -> Result<(), RigError> {
        process::signal(self.child.id(), signal, &self.dir)
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        process::end(&mut self.child, Duration::ZERO);
    }
}

impl Drop for SyslogServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn rsyslog_text(dir: &Path, written: &Path, address: SocketAddr, tls: Option<&Authority>) -> String {
    let (driver, input) = match tls {
        None => (String::new(), String::new()),
        Some(authority) => (
            format!(
                "defaultNetstreamDriver=\"ossl\" defaultNetstreamDriverCAFile=\"{}\" \
                 defaultNetstreamDriverCertFile=\"{}\" defaultNetstreamDriverKeyFile=\"{}\"",
                authority.text("ca.pem"),
                authority.text("127.0.0.1.pem"),
                authority.text("127.0.0.1.key"),
            ),
            "streamDriver.name=\"ossl\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\""
                .to_owned(),
        ),
    };
    format!(
        "global(workDirectory=\"{dir}\" maxMessageSize=\"256k\" {driver})\n\
         module(load=\"imtcp\" {input})\n\
         input(type=\"imtcp\" address=\"{ip}\" port=\"{port}\")\n\
         template(name=\"message\" type=\"string\" string=\"%msg%\\n\")\n\
         action(type=\"omfile\" file=\"{written}\" template=\"message\")\n",
        dir = dir.display(),
        ip = address.ip(),
        port = address.port(),
        written = written.display(),
    )
}

/// As docs/audit.md has it.
fn syslog_ng_text(written: &Path, address: SocketAddr, tls: Option<&Authority>) -> String {
    let transport = match tls {
        None => "transport(\"tcp\")".to_owned(),
        Some(authority) => format!(
            "transport(\"tls\") tls(key-file(\"{}\") cert-file(\"{}\") ca-file(\"{}\") \
             peer-verify(required-trusted))",
            authority.text("127.0.0.1.key"),
            authority.text("127.0.0.1.pem"),
            authority.text("ca.pem"),
        ),
    };
    format!(
        "@version: 3.35\n\
         options {{ log-msg-size(262144); }};\n\
         source s_keymoot {{ syslog(ip(\"{ip}\") port({port}) {transport}); }};\n\
         destination d_keymoot {{ file(\"{written}\" template(\"$MSG\\n\")); }};\n\
         log {{ source(s_keymoot); destination(d_keymoot); }};\n",
        ip = address.ip(),
        port = address.port(),
        written = written.display(),
    )
}

/// Makes the directory of a server, and its configuration, which may name the file to write to. Gives both files.
fn files(dir: &Path, text: &dyn Fn(&Path) -> String) -> Result<(PathBuf, PathBuf), RigError> {
    std::fs::create_dir(dir).map_err(RigError::at("make", dir))?;
    let (config, written) = (dir.join("server.conf"), dir.join("written"));
    std::fs::write(&config, text(&written)).map_err(RigError::at("write", &config))?;
    Ok((config, written))
}

/// The directory of syslog-ng's modules, which has its version.
fn modules(root: &Path) -> Option<PathBuf> {
    let entries = root.join("usr/lib/syslog-ng").read_dir().ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| path.is_dir())
}
