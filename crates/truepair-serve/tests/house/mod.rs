//! A server on a thread of the test, and a client of a few lines that shows what goes over the wire.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;
use truepair_serve::{Event, Opener, ServerSettings, Service, Source, bind, serve};

/// A server that ends when this is dropped.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Settings with short times.
pub(crate) fn settings() -> ServerSettings {
    let began = Instant::now();
    let mut settings = ServerSettings::new(Arc::new(move || began.elapsed()));
    settings.poll = Duration::from_millis(20);
    settings.grace = Duration::from_secs(10);
    settings
}

impl House {
    pub(crate) fn open(service: impl Service + 'static) -> Self {
        Self::with(settings(), service)
    }

    pub(crate) fn with(settings: ServerSettings, service: impl Service + 'static) -> Self {
        Self::of(settings, Arc::new(service), None)
    }

    pub(crate) fn of(
        mut settings: ServerSettings,
        first: Arc<dyn Service>,
        reopen: Option<Opener>,
    ) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        settings.listener = Arc::new(move |event| told.lock().unwrap().push(event.clone()));
        let listener = bind("127.0.0.1:0", &settings).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = spawn(move || {
            let is_stopped = || stopped.load(Ordering::Relaxed);
            serve(listener, Source { first, reopen }, settings, &is_stopped).unwrap();
        });
        Self {
            address,
            events,
            stop,
            thread: Some(thread),
        }
    }

    /// Asks the server to end, without waiting for it.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until it has ended; the time that took.
    pub(crate) fn join(&mut self) -> Duration {
        let began = Instant::now();
        self.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        began.elapsed()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.client().send("GET", path, &[], b"")
    }

    /// Posts JSON.
    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        let json = [("content-type", "application/json")];
        self.client().send("POST", path, &json, body.as_bytes())
    }

    /// A number of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").text();
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A test that failed already should not fail twice.
            let _ = thread.join();
        }
    }
}

/// A connection that stays open between requests.
pub(crate) struct Client {
    pub(crate) host: String,
    pub(crate) stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self {
            host: address.to_string(),
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += &format!("host: {}\r\n", self.host);
        }
        if !headers.iter().any(|(name, _)| *name == "transfer-encoding") {
            head += &format!("content-length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.write(format!("{head}\r\n").as_bytes());
        self.write(body);
        self.read().expect("an answer")
    }

    /// Writes bytes as they are; a server that has closed is found out about when reading.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Reads an answer; `None` when the connection has ended.
    pub(crate) fn read(&mut self) -> Option<Reply> {
        let head = self.read_head()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut body = Vec::new();
        if let Some(length) = header(&head, "content-length") {
            body.resize(length.parse().ok()?, 0);
            self.stream.read_exact(&mut body).ok()?;
        } else if header(&head, "transfer-encoding").is_some() {
            while let Some(chunk) = self.read_chunk() {
                body.extend(chunk);
            }
        }
        Some(Reply { status, head, body })
    }

    pub(crate) fn read_head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }

    /// The next piece of a body that comes in pieces; `None` after the last.
    pub(crate) fn read_chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.stream.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of an error, after a look at its form.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        let fields = ["message", "hint"].map(|name| error[name].as_str().unwrap_or_default());
        assert!(fields.iter().all(|field| !field.is_empty()), "{json}");
        error["code"].as_str().expect("a code").to_owned()
    }
}

/// Waits until something is so, at most five seconds.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
