//! A server that answers well, badly or not at all, and how its answers are counted.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::super::load::{Plan, run};
use super::*;

struct Hello;

impl Traffic for Hello {
    fn write_request(&self, _: usize, serial: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("GET /{serial} HTTP/1.1\r\n\r\n").as_bytes());
    }
}

/// Answers 404 to each tenth request of a connection, and 200 in two pieces to the others.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming().take(4) {
        let mut stream = stream.unwrap();
        std::thread::spawn(move || {
            stream.set_nodelay(true).unwrap();
            let mut request = [0_u8; 256];
            for serial in 1_u64.. {
                if stream.read(&mut request).unwrap_or(0) == 0 {
                    return;
                }
                let status = if serial % 10 == 0 { "404 Not Found" } else { "200 OK" };
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nab");
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(b"cd");
            }
        });
    }
}

fn http(servers: Vec<SocketAddr>) -> Arc<Http> {
    Arc::new(Http { servers, tls: None, traffic: Arc::new(Hello) })
}

#[test]
fn answers_are_counted_by_what_they_say() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = vec![listener.local_addr().unwrap()];
    std::thread::spawn(move || serve(&listener));
    let (warm_up, measured) = (Duration::from_millis(20), Duration::from_millis(200));
    let plan = Plan { clients: 4, rate_per_s: None, warm_up, measured };
    let outcome = run(&plan, &http(servers), || ()).unwrap();
    assert!(outcome.latencies.count() > 20, "{}", outcome.latencies.count());
    assert!(outcome.refused > 2, "{}", outcome.refused);
    assert_eq!(outcome.first_refusal.as_deref(), Some("404: abcd"));
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = vec![listener.local_addr().unwrap()];
    drop(listener);
    let second = Duration::from_secs(1);
    let plan = Plan { clients: 1, rate_per_s: None, warm_up: second, measured: second };
    assert!(run(&plan, &http(servers), || ()).is_err());
}
