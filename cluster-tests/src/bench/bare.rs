//! A bare actix-web server that answers fixed bytes: the limit of the framework alone, to measure
//! the cost of Keymoot's own work. It has a worker for each core, as a node of Keymoot has.
//!
//! It runs as a separate process, like a node, and ends when its standard input does, so that it
//! cannot outlive the benchmark that started it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

use crate::{RigError, process};

/// The argument that turns the benchmark program into this server.
pub const ARGUMENT: &str = "--bare-server";

/// A running server. It ends when this value is dropped.
pub struct BareServer {
    child: Child,
    /// The address that it listens on.
    pub address: SocketAddr,
}

impl BareServer {
    /// Starts the running program again as the server of the answers to reads, to license requests and to documents.
    ///
    /// # Errors
    /// When it cannot be started or does not report its address.
    pub fn start(answers: &[String; 3]) -> Result<Self, RigError> {
        let program = std::env::current_exe().map_err(RigError::io("cannot find this program"))?;
        let mut command = Command::new(program);
        command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().map_err(RigError::io("cannot start the bare server"))?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let broken = || RigError::Program("the bare server has no pipes".to_owned());
        let stdin = server.child.stdin.as_mut().ok_or_else(broken)?;
        // A line's end would end the answer, too; a space is as long.
        let lines = answers.each_ref().map(|answer| answer.replace('\n', " "));
        writeln!(stdin, "{}", lines.join("\n"))
            .map_err(RigError::io("cannot give the bare server its answers"))?;
        let mut line = String::new();
        BufReader::new(server.child.stdout.as_mut().ok_or_else(broken)?)
            .read_line(&mut line)
            .map_err(RigError::io("the bare server does not say where it listens"))?;
        server.address = line
            .trim()
            .parse()
            .map_err(|_| RigError::Program(format!("the bare server says that it listens at {line:?}")))?;
        Ok(server)
    }
}

impl BareServer {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(5));
    }
}

/// Serves the first three lines of standard input until standard input ends.
///
/// # Errors
/// When it cannot listen on loopback.
pub fn serve_standard_input() -> Result<(), RigError> {
    let line = || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(RigError::io("cannot read the answers to give"))?;
        Ok::<_, RigError>(Bytes::from(line.trim_end().to_owned()))
    };
    let answers = [line()?, line()?, line()?];
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            let [read, license, document] = answers.clone();
            let answer = move |request: HttpRequest, body: Bytes| {
                let path = request.path();
                let own = match () {
                    () if path.ends_with("/license") => &license,
                    () if path.starts_with("/speke/") => &document,
                    () => &read,
                };
                answer(body, own.clone())
            };
            App::new().default_service(web::to(answer))
        })
        .bind(("127.0.0.1", 0))
        .map_err(RigError::io("cannot listen on loopback"))?;
        for address in server.addrs() {
            println!("{address}");
        }
        let server = server.run();
        let handle = server.handle();
        std::thread::spawn(move || {
            // Whether this succeeds or fails, the benchmark has ended.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            actix_web::rt::System::new().block_on(handle.stop(false));
        });
        server.await.map_err(RigError::io("the bare server failed"))
    })
}

async fn answer(asked: Bytes, body: Bytes) -> HttpResponse {
    // The whole body is read, as Keymoot must do.
    drop(asked);
    HttpResponse::Ok().content_type("application/json").body(body)
}
