//! A server that speaks the protocol of S3: Python's `moto`, where it is installed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A signature that the server does not check; what is not signed at all may not replace objects.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=x/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, \
                      Signature=x";

/// A running server.
pub(crate) struct Moto {
    pub(crate) host: String,
    child: Child,
}

impl Moto {
    /// Starts the server with the Python that `TRUEPAIR_PYTHON` names, or `python3`; `None`, told loudly,
    /// where it has no `moto.server`.
    pub(crate) fn start() -> Option<Self> {
        let python = std::env::var("TRUEPAIR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let quiet = |arguments: &[&str]| {
            let mut command = Command::new(&python);
            command
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        let is_there = quiet(&["-c", "import moto.server"]).status();
        if !is_there.is_ok_and(|status| status.success()) {
            let mut out = std::io::stdout().lock();
            let line = "skipped: no Python with moto (pip install 'moto[server]', and TRUEPAIR_PYTHON names it)";
            writeln!(out, "{line}").unwrap();
            return None;
        }
        // The system names a port that is free; the server cannot be asked to.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = quiet(&[
            "-m",
            "moto.server",
            "-H",
            "127.0.0.1",
            "-p",
            &port.to_string(),
        ])
        .spawn()
        .unwrap();
        let moto = Self {
            host: format!("127.0.0.1:{port}"),
            child,
        };
        for _ in 0..600 {
            if TcpStream::connect(&moto.host).is_ok() {
                return Some(moto);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("moto does not answer");
    }

    /// Makes a bucket, `PUT /BUCKET`, or an object, `PUT /BUCKET/KEY`.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.request("PUT", path, bytes);
    }

    /// From now on every request must be signed by a key that the server knows, and it knows none.
    pub(crate) fn check_keys(&self) {
        self.request("POST", "/moto-api/reset-auth", b"0");
    }

    fn request(&self, method: &str, path: &str, bytes: &[u8]) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: {SIGNED}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.host,
            bytes.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }

    /// What a program must be told to reach it.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let pairs = [
            ("AWS_ENDPOINT", format!("http://{}", self.host)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "wrong".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "wrong".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It has ended already where this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
