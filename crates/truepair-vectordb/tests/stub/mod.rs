//! A server of the tests' own: it answers JSON to JSON, or hangs up.
#![allow(dead_code, reason = "every test file takes what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// `Null` where there was none.
    pub(crate) body: Json,
    /// The headers that say who asks.
    pub(crate) secret: Option<String>,
}

/// What is answered; `None` hangs up.
pub(crate) type Reply = Option<(u16, String)>;

/// The server; it ends with the process.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    pub(crate) fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let of_server = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(request) = request(&stream) else {
                    continue;
                };
                of_server.lock().unwrap().push(request.clone());
                // A client that hangs up has seen enough.
                let _ = answer(&mut stream, reply(&request));
            }
        });
        Self { host, asked }
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A good answer.
pub(crate) fn good(body: Json) -> Reply {
    Some((200, body.to_string()))
}

fn request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut length, mut secret) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" | "api-key" => secret = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Some(Asked {
        method,
        path,
        body,
        secret,
    })
}

fn answer(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let Some((status, body)) = reply else {
        return Ok(());
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}
