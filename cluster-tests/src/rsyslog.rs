//! A real syslog server: rsyslog, which writes what it receives to a file, a line for each message.

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

/// A running rsyslog; it is killed when this value is dropped.
pub struct Rsyslog {
    child: Child,
    dir: PathBuf,
    written: PathBuf,
}

impl Rsyslog {
    /// Starts one that listens at `address`, in a new directory `dir`. With an authority it speaks TLS with its
    /// certificate for `127.0.0.1`, and takes nobody without a certificate of that authority.
    ///
    /// # Errors
    /// When it is not installed (`scripts/test` installs it) or does not listen in time.
    pub fn start(dir: &Path, address: SocketAddr, tls: Option<&Authority>) -> Result<Self, RigError> {
        std::fs::create_dir(dir).map_err(RigError::at("make", dir))?;
        let (config, written) = (dir.join("rsyslog.conf"), dir.join("written"));
        std::fs::write(&config, text(dir, &written, address, tls)).map_err(RigError::at("write", &config))?;
        let log = dir.join("log");
        let log = File::create(&log).map_err(RigError::at("make", &log))?;
        let child = Command::new("rsyslogd")
            .args(["-n", "-f"])
            .arg(&config)
            .arg("-i")
            .arg(dir.join("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(RigError::io("cannot start rsyslogd; scripts/test installs it"))?;
        let started = Self { child, dir: dir.to_owned(), written };
        wait_until("rsyslog to listen", START_WITHIN, || {
            TcpStream::connect(address).map(drop).map_err(RigError::io("rsyslog does not listen"))
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

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.kill();
    }
}

fn text(dir: &Path, written: &Path, address: SocketAddr, tls: Option<&Authority>) -> String {
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
