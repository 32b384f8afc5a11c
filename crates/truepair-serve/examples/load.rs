//! How much a server answers: many clients at once, each asking again as soon as it has its answer.
//! `cargo run --release --example load -- 127.0.0.1:8000 [CLIENTS] [SECONDS] [TOKEN]`; texts to ask for come one a line
//! from standard input. Ends with 1 when an answer was lost or refused.

#![allow(clippy::print_stdout, reason = "a measurement says what it found")]

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What one client saw.
#[derive(Default)]
struct Seen {
    millis: Vec<f32>,
    n_refused: usize,
    n_lost: usize,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let mut number = |default: u64| {
        arguments
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (n_clients, seconds) = (number(1000) as usize, number(10));
    let token = arguments.next();
    let texts: Arc<Vec<String>> = Arc::new(texts());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("the system gives threads");
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let seen = runtime.block_on(async {
        let clients: Vec<_> = (0..n_clients)
            .map(|n| {
                let requests = Requests {
                    address: address.clone(),
                    token: token.clone(),
                    texts: Arc::clone(&texts),
                };
                tokio::spawn(client(requests, n, until))
            })
            .collect();
        let mut seen = Seen::default();
        for client in clients {
            let own = client.await.expect("a client does not panic");
            seen.millis.extend(own.millis);
            seen.n_refused += own.n_refused;
            seen.n_lost += own.n_lost;
        }
        seen
    });
    report(seen, n_clients, began.elapsed())
}

fn report(mut seen: Seen, n_clients: usize, took: Duration) -> ExitCode {
    seen.millis.sort_by(f32::total_cmp);
    let n = seen.millis.len();
    let at = |share: f64| {
        seen.millis
            .get((share * n as f64) as usize)
            .copied()
            .unwrap_or(f32::NAN)
    };
    println!("{n_clients} clients, {:.1} s", took.as_secs_f64());
    println!("{n} answers, {:.0} a second", n as f64 / took.as_secs_f64());
    println!(
        "p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        at(0.5),
        at(0.99),
        seen.millis.last().unwrap_or(&f32::NAN)
    );
    println!("{} refused, {} lost", seen.n_refused, seen.n_lost);
    ExitCode::from(u8::from(n == 0 || seen.n_refused + seen.n_lost > 0))
}

fn texts() -> Vec<String> {
    let stdin = std::io::stdin();
    let mut texts: Vec<String> = Vec::new();
    if !stdin.is_terminal() {
        let lines = stdin.lock().lines().map_while(Result::ok);
        texts.extend(lines.filter(|line| !line.trim().is_empty()));
    }
    if texts.is_empty() {
        texts = ["a red circle", "a tree at night", "blue"]
            .map(str::to_owned)
            .into();
    }
    texts
}

struct Requests {
    address: String,
    token: Option<String>,
    texts: Arc<Vec<String>>,
}

impl Requests {
    fn bytes(&self, n: usize) -> Vec<u8> {
        let text = &self.texts[n % self.texts.len()];
        let body = serde_json::json!({"text": text, "top": 10}).to_string();
        let token = self.token.as_ref().map_or_else(String::new, |token| {
            format!("authorization: Bearer {token}\r\n")
        });
        format!(
            "POST /v1/search HTTP/1.1\r\nhost: {}\r\n{token}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .into_bytes()
    }
}

async fn client(requests: Requests, first: usize, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut stream = None;
    let mut n = first;
    while Instant::now() < until {
        n += 7;
        let asked = Instant::now();
        match ask(&mut stream, &requests.address, &requests.bytes(n)).await {
            Some(200) => seen.millis.push(1000.0 * asked.elapsed().as_secs_f32()),
            Some(_) => seen.n_refused += 1,
            None => {
                seen.n_lost += 1;
                stream = None;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    seen
}

/// The status of the answer once all of it is there; `None` when there is none.
async fn ask(stream: &mut Option<TcpStream>, address: &str, request: &[u8]) -> Option<u16> {
    if stream.is_none() {
        *stream = TcpStream::connect(address).await.ok();
    }
    let stream = stream.as_mut()?;
    stream.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        let n = stream.read(&mut part).await.ok()?;
        if n == 0 {
            return None;
        }
        answer.extend_from_slice(&part[..n]);
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&answer[..end]).ok()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        if answer.len() >= end + 4 + length.parse::<usize>().ok()? {
            return head.split(' ').nth(1)?.parse().ok();
        }
    }
}
