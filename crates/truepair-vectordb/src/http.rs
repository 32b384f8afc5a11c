//! JSON over HTTP: one request after the other, again where the server or the network fails for a moment.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde_json::Value as Json;
use tokio::runtime::{Builder, Runtime};
use truepair_core::error::{Error, Result};

use crate::causes::causes;

/// Attempts at one request; waits between them double.
const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What of a strange answer goes into a message.
const SHOWN_CHARACTERS: usize = 200;

/// A server.
pub(crate) struct Http {
    client: Client,
    runtime: Runtime,
    /// `http://host:port`
    base: String,
    /// The address for messages.
    place: String,
}

/// An answer that is JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Json,
}

/// A failed attempt.
struct Failed {
    is_passing: bool,
    problem: String,
    remedy: &'static str,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Http").field(&self.place).finish()
    }
}

/// Where a server is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server<'a> {
    /// `host:port`
    pub(crate) host: &'a str,
    pub(crate) is_encrypted: bool,
    /// The address for messages.
    pub(crate) place: &'a str,
}

impl Http {
    /// `secret` is a header that says who asks.
    ///
    /// # Errors
    /// If the secret cannot be a header.
    pub(crate) fn new(server: Server<'_>, secret: Option<(&'static str, String)>) -> Result<Self> {
        // The client takes the provider of the process. Where the program has chosen one, that stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let place = server.place.to_owned();
        let wrong =
            |problem: String, remedy: &str| Error::argument(format!("{place}: {problem}"), remedy);
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = secret {
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                let problem = format!("the secret for the header `{name}` cannot be one");
                wrong(problem, "write it in one line of plain characters")
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let client = Client::builder()
            .user_agent(concat!("truepair/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(120))
            .default_headers(headers)
            .build();
        let client = client.map_err(|cause| wrong(causes(&cause), "check the address"))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| wrong(cause.to_string(), "free some memory"))?;
        let scheme = if server.is_encrypted { "https" } else { "http" };
        Ok(Self {
            client,
            runtime,
            base: format!("{scheme}://{}", server.host),
            place,
        })
    }

    /// The address for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Sends `body`, where there is one, as JSON to `path`. Statuses of the client's mistakes are answers, too;
    /// `send` may reach the server twice.
    ///
    /// # Errors
    /// If it cannot be reached, refuses access, fails, or answers without JSON.
    pub(crate) fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|cause| {
            Error::argument(
                format!("{}: a request that is not JSON: {cause}", self.place),
                "report it as a fault of truepair",
            )
        })?;
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            match self
                .runtime
                .block_on(self.attempt(method, path, body.as_deref()))
            {
                Ok(answer) => return Ok(answer),
                Err(failed) if failed.is_passing && attempt < ATTEMPTS => {}
                Err(failed) => {
                    let problem = format!("{}: {}", self.place, failed.problem);
                    return Err(Error::argument(problem, failed.remedy));
                }
            }
            self.runtime
                .block_on(async { tokio::time::sleep(wait).await });
            wait *= 2;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Answer, Failed> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_vec());
        }
        let answer = request.send().await.map_err(|error| of_network(&error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| of_network(&error))?;
        understood(status, &bytes).map_err(|failed| Failed {
            problem: format!("{method} {path}: {}", failed.problem),
            ..failed
        })
    }
}

/// An answer out of its bytes.
fn understood(status: StatusCode, bytes: &[u8]) -> Result<Answer, Failed> {
    let passes = [429, 502, 503, 504].contains(&status.as_u16());
    let start: String = (String::from_utf8_lossy(bytes).chars())
        .take(SHOWN_CHARACTERS)
        .collect();
    let failed = |is_passing, problem: &str, remedy| {
        Err(Failed {
            is_passing,
            problem: format!("{problem} ({status}): {start}"),
            remedy,
        })
    };
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        let remedy = "check the user, and the password, token or key";
        return failed(false, "the server refuses access", remedy);
    }
    if status.is_server_error() || passes {
        let remedy = "see the server's log, then run the same command again";
        return failed(passes, "the server fails", remedy);
    }
    match serde_json::from_slice(bytes) {
        Ok(body) => Ok(Answer { status, body }),
        // What is not there need not answer in JSON.
        Err(_) if status == StatusCode::NOT_FOUND => {
            let body = Json::Null;
            Ok(Answer { status, body })
        }
        Err(_) => {
            let remedy = "check that this engine listens at the address";
            failed(false, "an answer that is no JSON", remedy)
        }
    }
}

/// The header that a name and a password become.
pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    // Names of headers are lower case where they are constants.
    debug_assert_eq!(AUTHORIZATION.as_str(), "authorization");
    ("authorization", format!("Bearer {token}"))
}

fn of_network(error: &reqwest::Error) -> Failed {
    // The address is named already, and the one in the error may hold more.
    let text = match std::error::Error::source(error) {
        Some(cause) => causes(cause),
        None => error.to_string(),
    };
    let (is_passing, problem, remedy) = if text.contains("certificate") {
        (false, text, "let the system trust the server's certificate")
    } else if text.contains("dns error") {
        let problem = format!("the name of the server is unknown: {text}");
        (false, problem, "check the address and the network")
    } else if error.is_connect() {
        let problem = format!("the server cannot be reached: {text}");
        (true, problem, "check the address, and that the server runs")
    } else {
        let problem = format!("the connection broke off: {text}");
        (
            true,
            problem,
            "see whether the server runs, then run the same command again",
        )
    };
    Failed {
        is_passing,
        problem,
        remedy,
    }
}
