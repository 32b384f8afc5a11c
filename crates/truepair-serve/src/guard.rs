//! What stands before every route: who may ask, from where, how often; and the headers of every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::metrics::Counted;
use crate::rate::Budgets;
use crate::refusal::{Reason, Refusal};
use crate::state::{Ends, Shared};

/// What pages may load: files of this server and pictures made by its script, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Counts a request, lets it in or not, and completes the headers of its answer.
pub(crate) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let _counted = Counted::new(&shared.metrics.in_flight);
    let began = (shared.settings.clock)();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let mut response = match admit(&shared, &request) {
        Ok(()) => next.run(request).await,
        Err(refused) => *refused,
    };
    complete(response.headers_mut());
    let took = (shared.settings.clock)().saturating_sub(began);
    shared
        .metrics
        .request(&route, response.status().as_u16(), took);
    response
}

fn complete(headers: &mut HeaderMap) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(POLICY));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

fn admit(shared: &Shared, request: &Request) -> Result<(), Box<Response>> {
    let Some(ends) = request.extensions().get::<Ends>() else {
        let refusal = Refusal::new(
            Reason::Failed,
            "the connection has no address",
            "this is a defect, please report it",
        );
        return Err(Box::new(refusal.into_response()));
    };
    let headers = request.headers();
    let host =
        check_host(request.uri(), headers, ends.local, &shared.settings.hosts).map_err(refused)?;
    let is_private = is_private(request.uri().path());
    check_origin(headers, &host, request.method(), is_private).map_err(refused)?;
    if !is_private {
        return Ok(());
    }
    match *request.method() {
        Method::GET | Method::HEAD => spend(&shared.looks, *ends, 1.0)?,
        _ => spend(&shared.budgets, *ends, 1.0)?,
    }
    check_token(headers, shared.settings.token.as_deref()).map_err(refused)
}

fn refused(refusal: Refusal) -> Box<Response> {
    Box::new(refusal.into_response())
}

/// Takes queries or looks out of the client's budget, or tells it when to come again.
pub(crate) fn spend(budgets: &Budgets, ends: Ends, cost: f64) -> Result<(), Box<Response>> {
    let wait = match budgets.take(ends.remote.ip(), cost) {
        Ok(()) => return Ok(()),
        Err(wait) => wait,
    };
    let refusal = Refusal::new(
        Reason::RateLimited,
        "more requests than one client may send",
        format!("ask again in {:.1} s", wait.as_secs_f64()),
    );
    let mut response = refusal.into_response();
    let seconds = wait.max(Duration::from_secs(1)).as_secs_f64().ceil() as u64;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    Err(Box::new(response))
}

/// Whether a path shows anything of the data: all but the page, the description of the API and whether the server is
/// well.
fn is_private(path: &str) -> bool {
    path.starts_with("/v1/") || path == "/metrics"
}

/// The host that the client asked for, if it is one of ours: a foreign name that leads here is an attack by DNS.
fn check_host(
    uri: &Uri,
    headers: &HeaderMap,
    local: SocketAddr,
    hosts: &[String],
) -> Result<String, Refusal> {
    let from_uri = uri.authority().map(|authority| authority.as_str());
    let mut from_headers = headers.get_all(header::HOST).iter();
    let from_header = from_headers.next().and_then(|host| host.to_str().ok());
    let host = match (from_uri.or(from_header), from_headers.next()) {
        (Some(host), None) => host.to_ascii_lowercase(),
        _ => {
            return Err(Refusal::new(
                Reason::BadRequest,
                "a request has exactly one Host",
                "send the name and port that you connect to",
            ));
        }
    };
    let ours = |name: &str| {
        host == format!("{name}:{}", local.port()) || (local.port() == 80 && host == name)
    };
    let ip = local.ip().to_canonical();
    let address = if ip.is_ipv6() {
        format!("[{ip}]")
    } else {
        ip.to_string()
    };
    let is_named = hosts.iter().any(|name| {
        let name = name.to_ascii_lowercase();
        host == name || without_port(&host) == name
    });
    if ours(&address) || (ip.is_loopback() && ours("localhost")) || is_named {
        return Ok(host);
    }
    Err(Refusal::new(
        Reason::BadHost,
        "this server does not go by the Host of the request",
        "use its address, or start it with this name among its hosts",
    ))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Refuses what a page of another site asks: browsers say where a request comes from.
fn check_origin(
    headers: &HeaderMap,
    host: &str,
    method: &Method,
    is_private: bool,
) -> Result<(), Refusal> {
    let is_own = match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => origin.to_str().is_ok_and(|origin| {
            let origin = origin.to_ascii_lowercase();
            origin == format!("http://{host}") || origin == format!("https://{host}")
        }),
    };
    let site = headers
        .get("sec-fetch-site")
        .map_or("none".as_bytes(), HeaderValue::as_bytes);
    // A link on another site may lead to the page, but no page of another site gets at the data.
    let is_safe = matches!(*method, Method::GET | Method::HEAD) && !is_private;
    if is_own && (is_safe || matches!(site, b"none" | b"same-origin")) {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::CrossSite,
        "a page of another site asks",
        "ask from this server's own page, or from a program without an Origin",
    ))
}

fn check_token(headers: &HeaderMap, token: Option<&str>) -> Result<(), Refusal> {
    let Some(token) = token else { return Ok(()) };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked(7))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
        .map(|(_, given)| given);
    match given {
        Some(given) if bool::from(given.ct_eq(token.as_bytes())) => Ok(()),
        Some(_) => Err(Refusal::new(
            Reason::Unauthorized,
            "the token is another one",
            "use the token that the server was started with",
        )),
        None => Err(Refusal::new(
            Reason::Unauthorized,
            "there is no token",
            "send `Authorization: Bearer TOKEN`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_is_ours(host: &str, local: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let uri = Uri::from_static("/");
        check_host(&uri, &headers, local.parse().unwrap(), &hosts).is_ok()
    }

    #[test]
    fn only_own_addresses_and_named_hosts_are_served() {
        let local = "127.0.0.1:8000";
        assert!(host_is_ours("127.0.0.1:8000", local, &[]));
        assert!(host_is_ours("LocalHost:8000", local, &[]));
        assert!(host_is_ours("[::1]:8000", "[::1]:8000", &[]));
        assert!(host_is_ours("10.1.2.3:8000", "[::ffff:10.1.2.3]:8000", &[]));
        assert!(host_is_ours(
            "search.example:443",
            local,
            &["search.example"]
        ));
        assert!(host_is_ours("localhost", "127.0.0.1:80", &[]));
        for bad in [
            "evil.example:8000",
            "localhost:8001",
            "localhost",
            "127.0.0.1.evil.example:8000",
        ] {
            assert!(!host_is_ours(bad, local, &["search.example"]), "{bad}");
        }
        assert!(!host_is_ours("localhost:8000", "10.1.2.3:8000", &[]));
        assert!(!host_is_ours(
            "a.search.example",
            local,
            &["search.example"]
        ));
    }

    #[test]
    fn tokens_are_compared_whole() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            check_token(&headers, Some("0123456789abcdef")).is_ok()
        };
        assert!(with("Bearer 0123456789abcdef") && with("bearer 0123456789abcdef"));
        for bad in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer ",
            "Basic 0123456789abcdef",
            "x",
        ] {
            assert!(!with(bad), "{bad}");
        }
        assert!(check_token(&HeaderMap::new(), Some("0123456789abcdef")).is_err());
        assert!(check_token(&HeaderMap::new(), None).is_ok());
    }
}
