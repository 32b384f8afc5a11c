//! Files of web servers.

use std::ops::Range;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED, RANGE,
};
use reqwest::{Client, Response, StatusCode};

use crate::error::{Cause, StoreError, causes};
use crate::location::{Location, check_name, decoded, without_query};
use crate::object::{ByteStream, Form, Found, RemoteObject};
use crate::traffic::{AT_ONCE, Attempts};

/// The variable whose value goes into the header `Authorization`.
pub(crate) const AUTHORIZATION_VARIABLE: &str = "TRUEPAIR_HTTP_AUTHORIZATION";

/// A web server.
#[derive(Debug)]
pub(crate) struct Web {
    client: Client,
}

impl Web {
    /// # Errors
    /// If the value for the header cannot be one.
    pub(crate) fn open(
        location: &Location,
        variables: &[(String, String)],
    ) -> Result<Self, StoreError> {
        let mut headers = HeaderMap::new();
        // Packed answers have no ranges.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let given = variables
            .iter()
            .find(|(name, _)| name == AUTHORIZATION_VARIABLE);
        if let Some((name, value)) = given {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                let problem = format!("the value of {name} cannot be a header");
                StoreError::address(&location.given, problem, "write it in one line")
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .user_agent(concat!("truepair/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(30))
            .default_headers(headers)
            .build();
        let client = client.map_err(|error| failure(&location.given, &error))?;
        Ok(Self { client })
    }

    /// The file at the location, or those that its pattern stands for.
    pub(crate) async fn find(&self, location: &Location) -> Result<Found, StoreError> {
        let files = stream::iter(&location.paths);
        let files = files.map(|path| self.head(location, path));
        let objects = files.buffered(AT_ONCE).try_collect().await?;
        let form = if location.is_pattern {
            Form::Folder
        } else {
            Form::File
        };
        Ok(Found { form, objects })
    }

    /// Asks for one byte: the answer says how many there are and whether ranges can be read, and servers
    /// that refuse `HEAD` answer it.
    async fn head(&self, location: &Location, path: &str) -> Result<RemoteObject, StoreError> {
        let address = location.address(path);
        let plain = without_query(location.service, path);
        if plain.is_empty() || plain.ends_with('/') {
            return Err(is_folder(&address));
        }
        let mut attempts = Attempts::default();
        let answer = loop {
            match self.ask(&address, Some(0..1)).await {
                Ok(answer) => break answer,
                Err(error) => attempts.after(error).await?,
            }
        };
        if answer.url().path().ends_with('/') {
            return Err(is_folder(&address));
        }
        let (size, reads_ranges) = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let size = whole_size(&answer);
                (size, size.is_some())
            }
            // Nothing to read a byte of.
            StatusCode::RANGE_NOT_SATISFIABLE => (whole_size(&answer), false),
            _ => (length(&answer), false),
        };
        let name = plain.get(location.base..).unwrap_or_default();
        let name = decoded(location.service, name);
        check_name(&address, &name)?;
        Ok(RemoteObject {
            key: address.clone(),
            address,
            name,
            size,
            version: version_of(&answer),
            reads_ranges,
        })
    }

    /// The bytes of a file, or a range of them.
    pub(crate) async fn read(
        &self,
        object: &RemoteObject,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, StoreError> {
        let address = object.address.clone();
        let wanted = range.clone();
        let answer = self.ask(&object.key, range).await?;
        let is_as_asked = match wanted {
            Some(_) => answer.status() == StatusCode::PARTIAL_CONTENT,
            None => answer.status() == StatusCode::OK,
        };
        // The size of a whole answer is that of the file; of a part, the answer says it beside.
        let size = match wanted {
            Some(_) => whole_size(&answer),
            None => length(&answer),
        };
        if !is_as_asked || version_of(&answer) != object.version || size != object.size {
            return Err(StoreError::changed(&address));
        }
        let bytes = answer.bytes_stream();
        let bytes = bytes.map_err(move |error| failure(&address, &error));
        Ok(bytes.boxed())
    }

    async fn ask(&self, address: &str, range: Option<Range<u64>>) -> Result<Response, StoreError> {
        let mut request = self.client.get(address);
        if let Some(Range { start, end }) = range {
            request = request.header(RANGE, format!("bytes={start}-{}", end.saturating_sub(1)));
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| failure(address, &error))?;
        match refusal(address, answer.status()) {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }
}

fn is_folder(address: &str) -> StoreError {
    let remedy = "name a file, or shards by a range as in shards-{00000..00012}.tar";
    StoreError::address(
        address,
        "is a folder, and web servers do not list folders",
        remedy,
    )
}

fn text<'a>(answer: &'a Response, name: &HeaderName) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// The size of the whole file, out of an answer that is a part of it.
fn whole_size(answer: &Response) -> Option<u64> {
    let (_, whole) = text(answer, &CONTENT_RANGE)?.rsplit_once('/')?;
    whole.trim().parse().ok()
}

fn length(answer: &Response) -> Option<u64> {
    answer.content_length()
}

fn version_of(answer: &Response) -> Option<String> {
    let version = text(answer, &ETAG).or_else(|| text(answer, &LAST_MODIFIED));
    version.map(str::to_owned)
}

/// What a status means that is not an answer.
fn refusal(address: &str, status: StatusCode) -> Option<StoreError> {
    let new = |cause, problem: String, remedy: &str| {
        Some(StoreError::new(cause, address, problem, remedy))
    };
    let code = status.as_u16();
    match code {
        200 | 206 | 416 => None,
        401 | 403 => {
            let remedy = format!(
                "set {AUTHORIZATION_VARIABLE} to the value of the header, such as `Bearer TOKEN`; links with a \
                 signature may have expired"
            );
            new(
                Cause::Refused,
                format!("the server refuses access ({status})"),
                &remedy,
            )
        }
        404 | 410 => new(
            Cause::Missing,
            format!("there is nothing ({status})"),
            "check the address",
        ),
        408 | 425 | 429 | 500.. => new(
            Cause::Passing,
            format!("the server fails ({status})"),
            "run the same command again",
        ),
        _ => new(
            Cause::Lasting,
            format!("the server answers with {status}"),
            "check the address",
        ),
    }
}

fn failure(address: &str, error: &reqwest::Error) -> StoreError {
    // The address is named already.
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let text = match next.take() {
        Some(cause) => causes(cause),
        None => error.to_string(),
    };
    let new =
        |cause, problem: String, remedy: &str| StoreError::new(cause, address, problem, remedy);
    if error.is_builder() || error.is_redirect() {
        return new(Cause::Lasting, text, "check the address");
    }
    if text.contains("dns error") {
        let problem = format!("the name of the server is unknown: {text}");
        return new(Cause::Lasting, problem, "check the address and the network");
    }
    if error.is_connect() {
        let problem = format!("the server cannot be reached: {text}");
        return new(Cause::Passing, problem, "check the address and the network");
    }
    let problem = format!("the connection broke off: {text}");
    new(Cause::Passing, problem, "run the same command again")
}
