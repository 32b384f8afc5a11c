//! A web server of the tests' own: it serves what it is told to, badly where it is told to.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A file, and how it is served.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served {
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: Option<&'static str>,
    /// Whether ranges are answered with ranges.
    pub(crate) ranges: bool,
    /// Whether the length is kept a secret.
    pub(crate) hides_length: bool,
    /// Answers that end after this many bytes; the first of them goes first.
    pub(crate) cuts: Vec<usize>,
    /// Statuses that are answered before anything else; the first of them goes first.
    pub(crate) statuses: Vec<u16>,
    /// Wait before every 64 KiB.
    pub(crate) pause: Duration,
    /// Where it has moved to.
    pub(crate) moved: Option<String>,
}

/// What was asked for: the path, the range and the authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<(u64, u64)>,
    pub(crate) authorization: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct Shared {
    files: Arc<Mutex<HashMap<String, Served>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// The server; it ends with the process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) host: String,
    shared: Shared,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Shared::default();
        let of_server = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = of_server.clone();
                std::thread::spawn(move || shared.answer(stream));
            }
        });
        Self { host, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    pub(crate) fn serve(&self, path: &str, served: Served) {
        self.shared
            .files
            .lock()
            .unwrap()
            .insert(path.to_owned(), served);
    }

    /// What was asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }
}

impl Shared {
    /// Answers one request; a client that hangs up has seen enough.
    fn answer(&self, mut stream: TcpStream) {
        let Some(asked) = request(&stream) else {
            return;
        };
        let served = {
            let mut files = self.files.lock().unwrap();
            self.asked.lock().unwrap().push(asked.clone());
            files.get_mut(&asked.path).map(|file| {
                let mut once = file.clone();
                if file.statuses.is_empty() {
                    let is_probe = asked.range.is_none_or(|range| range != (0, 0));
                    if is_probe && !file.cuts.is_empty() {
                        file.cuts.remove(0);
                    } else {
                        once.cuts.clear();
                    }
                } else {
                    file.statuses.remove(0);
                }
                once
            })
        };
        let served = served.unwrap_or_else(|| Served {
            statuses: vec![404],
            ..Served::default()
        });
        let _ = write(&mut stream, &served, asked.range);
    }
}

fn request(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut asked = Asked {
        path: first.split(' ').nth(1)?.to_owned(),
        range: None,
        authorization: None,
    };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
                asked.range = Some((from.parse().ok()?, to.parse().ok()?));
            }
            "authorization" => asked.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(asked)
}

fn write(
    stream: &mut TcpStream,
    served: &Served,
    range: Option<(u64, u64)>,
) -> std::io::Result<()> {
    if let Some(status) = served.statuses.first() {
        return write!(
            stream,
            "HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
    if let Some(place) = &served.moved {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
    let total = served.bytes.len();
    let mut head = String::new();
    let range = range.filter(|_| served.ranges);
    let body = match range {
        Some((from, _)) if from >= total as u64 => {
            head += &format!("HTTP/1.1 416 No\r\ncontent-range: bytes */{total}\r\n");
            &[][..]
        }
        Some((from, to)) => {
            let to = to.min(total as u64 - 1);
            head += "HTTP/1.1 206 Partial Content\r\n";
            head += &format!("content-range: bytes {from}-{to}/{total}\r\n");
            &served.bytes[from as usize..=to as usize]
        }
        None => {
            head += "HTTP/1.1 200 OK\r\n";
            &served.bytes[..]
        }
    };
    if let Some(etag) = served.etag {
        head += &format!("etag: \"{etag}\"\r\n");
    }
    if !served.hides_length {
        head += &format!("content-length: {}\r\n", body.len());
    }
    head += "connection: close\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    let end = served
        .cuts
        .first()
        .map_or(body.len(), |cut| (*cut).min(body.len()));
    for block in body[..end].chunks(1 << 16) {
        std::thread::sleep(served.pause);
        stream.write_all(block)?;
    }
    stream.flush()
}
