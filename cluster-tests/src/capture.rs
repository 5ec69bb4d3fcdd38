//! The traffic between the nodes: TCP payloads recorded on loopback by tcpdump.
//!
//! Only the ports that the given processes listen on are recorded, so that no other program's
//! traffic is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::wait_until;
use crate::{RigError, process};

/// A running tcpdump. It ends when this value is dropped.
pub struct Capture {
    tcpdump: Child,
    pcap: PathBuf,
    log: PathBuf,
    /// One of the recorded ports.
    port: u16,
}

/// All bytes of one direction of one connection, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// The source port.
    pub from_port: u16,
    /// The destination port.
    pub to_port: u16,
    /// The concatenated payloads.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Starts to record `ports` on loopback into a file in `dir`, and returns once it records.
    ///
    /// # Errors
    /// When tcpdump is missing or may not record.
    pub fn start(ports: &[u16], dir: &Path) -> Result<Self, RigError> {
        let (pcap, log) = (dir.join("loopback.pcap"), dir.join("tcpdump.log"));
        let filter: Vec<String> = ports.iter().map(|port| format!("port {port}")).collect();
        let mut command = Command::new("tcpdump");
        command
            .args(["-i", "lo", "-n", "-s", "0", "-B", "65536", "-U", "--immediate-mode", "-Z", "root", "-w"])
            .arg(&pcap);
        command.arg(format!("tcp and ({})", filter.join(" or ")));
        let stderr = File::create(&log).map_err(RigError::at("create", &log))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let tcpdump = command.spawn().map_err(|error| {
            RigError::Program(format!("cannot start tcpdump ({error}): install the package tcpdump"))
        })?;
        let port = ports.first().copied().unwrap_or_default();
        let capture = Self { tcpdump, pcap, log, port };
        wait_until("tcpdump to listen (it needs root)", Duration::from_secs(10), || {
            let said = capture.said();
            if said.contains("listening on") { Ok(()) } else { Err(RigError::Answer(said)) }
        })?;
        Ok(capture)
    }

    /// Stops recording and returns the flows.
    ///
    /// # Errors
    /// When the kernel dropped packets, or the file is no capture: a search in it would prove
    /// nothing. When no process listens on the first of the ports any more.
    pub fn finish(mut self) -> Result<Vec<Flow>, RigError> {
        // Packets reach tcpdump shortly after they were sent, in order: when this one is recorded,
        // none before it is missing.
        let last = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .and_then(|stream| stream.local_addr().map(|own| (stream, own.port())));
        let (stream, last_port) = last.map_err(RigError::io("cannot send a last packet"))?;
        wait_until("the last packet to be recorded", Duration::from_secs(10), || {
            let is_last = |flow: &Flow| flow.from_port == last_port && flow.to_port == self.port;
            match self.flows()?.iter().any(is_last) {
                true => Ok(()),
                false => Err(RigError::Answer("it is not in the file".to_owned())),
            }
        })?;
        drop(stream);
        process::end(&mut self.tcpdump, Duration::from_secs(10));
        let said = self.said();
        if !said.contains("0 packets dropped by kernel") {
            return Err(RigError::Program(format!("tcpdump lost packets or failed: {said}")));
        }
        let mut flows = self.flows()?;
        flows.retain(|flow| flow.from_port != last_port && flow.to_port != last_port);
        Ok(flows)
    }

    fn flows(&self) -> Result<Vec<Flow>, RigError> {
        let bytes = std::fs::read(&self.pcap).map_err(RigError::at("read", &self.pcap))?;
        flows(&bytes).ok_or_else(|| RigError::Program("tcpdump wrote a file that is no capture".to_owned()))
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        process::end(&mut self.tcpdump, Duration::from_secs(5));
    }
}

/// The TCP payloads of a little-endian pcap file with Ethernet frames, by direction.
fn flows(pcap: &[u8]) -> Option<Vec<Flow>> {
    let magic = u32::from_le_bytes(pcap.get(..4)?.try_into().ok()?);
    let link_type = u32::from_le_bytes(pcap.get(20..24)?.try_into().ok()?);
    if !matches!(magic, 0xa1b2_c3d4 | 0xa1b2_3c4d) || link_type != 1 {
        return None;
    }
    let mut flows: BTreeMap<(u16, u16), Vec<u8>> = BTreeMap::new();
    let mut rest = pcap.get(24..)?;
    while let Some(length) = rest.get(8..12) {
        let end = 16 + usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
        // A packet that is cut short at the end of the file was still being written.
        let Some(frame) = rest.get(16..end) else { break };
        if let Some((from_port, to_port, payload)) = tcp_payload(frame) {
            flows.entry((from_port, to_port)).or_default().extend_from_slice(payload);
        }
        rest = rest.get(end..)?;
    }
    let flow = |((from_port, to_port), bytes)| Flow { from_port, to_port, bytes };
    Some(flows.into_iter().map(flow).collect())
}

/// Ports and payload of an Ethernet frame that holds TCP over IPv4 or (without extensions) IPv6.
fn tcp_payload(frame: &[u8]) -> Option<(u16, u16, &[u8])> {
    let packet = frame.get(14..)?;
    let tcp = match packet.first()? >> 4 {
        4 if *packet.get(9)? == 6 => {
            let whole_bytes = usize::from(u16_at(packet, 2)?);
            packet.get(usize::from(packet.first()? & 15) * 4..whole_bytes)?
        }
        6 if *packet.get(6)? == 6 => packet.get(40..40 + usize::from(u16_at(packet, 4)?))?,
        _ => return None,
    };
    let payload = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?;
    Some((u16_at(tcp, 0)?, u16_at(tcp, 2)?, payload))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The TCP ports that a process listens on.
///
/// # Errors
/// When the process has ended or its files cannot be read.
pub fn listening_ports(pid: u32) -> Result<Vec<u16>, RigError> {
    let dir = PathBuf::from(format!("/proc/{pid}/fd"));
    let mut sockets = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(RigError::at("read", &dir))? {
        let path = entry.map_err(RigError::at("read", &dir))?.path();
        // A file that was closed meanwhile is no listener.
        let Ok(target) = std::fs::read_link(&path) else { continue };
        let target = target.to_string_lossy().into_owned();
        sockets.extend(target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']')).map(str::to_owned));
    }
    let mut ports = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        ports.extend(text.lines().filter_map(|line| listener(line, &sockets)));
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// The port in a line of the kernel's socket table, when it is a listener of one of `sockets`.
fn listener(line: &str, sockets: &[String]) -> Option<u16> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let listens = fields.get(3) == Some(&"0A");
    let ours = fields.get(9).is_some_and(|inode| sockets.iter().any(|socket| socket == inode));
    let port = fields.get(1)?.rsplit_once(':')?.1;
    (listens && ours).then(|| u16::from_str_radix(port, 16).ok())?
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found_until_it_is_closed() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(listening_ports(std::process::id()).unwrap().contains(&port));
        drop(socket);
        assert!(!listening_ports(std::process::id()).unwrap().contains(&port));
    }

    #[test]
    fn a_file_that_is_no_capture_is_refused() {
        assert_eq!(flows(b"not a capture, though it is long enough to be"), None);
        assert_eq!(flows(b""), None);
    }

    #[test]
    fn what_is_said_on_loopback_is_recorded_in_both_directions() {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let capture = Capture::start(&[address.port()], dir.path()).unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"a question").unwrap();
        server.read_exact(&mut [0; 10]).unwrap();
        server.write_all(b"an answer").unwrap();
        client.read_exact(&mut [0; 9]).unwrap();
        let flows = capture.finish().unwrap();
        let said = |to: u16| flows.iter().find(|flow| flow.to_port == to).unwrap().bytes.clone();
        assert_eq!(said(address.port()), b"a question");
        assert_eq!(said(client.local_addr().unwrap().port()), b"an answer");
    }
}
