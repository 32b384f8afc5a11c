//! Who is let in: tokens, hosts, pages of other sites. And what answers forbid browsers to do.

mod gallery;
mod house;

use gallery::{Gallery, HOSTILE};
use house::{House, Reply, settings};
use truepair_serve::{
    Answer, Description, EmbedInput, ItemView, PairInput, PairScore, Picture, Query, Refusal,
    Service, Side, bind,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PRIVATE: &[&str] = &[
    "/v1/describe",
    "/v1/items/scene-0000",
    "/v1/items/scene-0000/image",
    "/metrics",
];
const OPEN: &[&str] = &[
    "/",
    "/docs",
    "/openapi.json",
    "/assets/search.js",
    "/healthz",
    "/readyz",
];

fn get(house: &House, path: &str, headers: &[(&str, &str)]) -> Reply {
    house.client().send("GET", path, headers, b"")
}

#[test]
fn without_a_token_only_loopback_is_served() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = bind(address, &settings()).unwrap_err().to_string();
        assert!(error.contains("no token"), "{error}");
    }
    let mut with = settings();
    with.token = Some(TOKEN.to_owned());
    assert!(bind("0.0.0.0:0", &with).is_ok());
    for bad in ["short", "0123456789 abcdef", ""] {
        with.token = Some(bad.to_owned());
        assert!(bind("127.0.0.1:0", &with).is_err(), "{bad}");
    }
    assert!(!format!("{with:?}").contains(TOKEN));
    assert!(bind("nowhere", &settings()).is_err());
}

#[test]
fn data_is_shown_to_those_with_the_token_only() {
    let mut settings = settings();
    settings.token = Some(TOKEN.to_owned());
    let house = House::with(settings, Gallery::new("1"));
    let right = format!("Bearer {TOKEN}");
    let wrong = format!("Bearer {}", TOKEN.replace('0', "1"));
    for path in PRIVATE {
        let refused = get(&house, path, &[]);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (401, "unauthorized"),
            "{path}"
        );
        assert_eq!(refused.header("www-authenticate").unwrap(), "Bearer");
        assert_eq!(
            get(&house, path, &[("authorization", &wrong)]).status,
            401,
            "{path}"
        );
        assert_eq!(
            get(&house, path, &[("authorization", &right)]).status,
            200,
            "{path}"
        );
    }
    for path in [
        "/v1/search",
        "/v1/embed",
        "/v1/score",
        "/v1/search/stream",
        "/v1/embed/stream",
        "/v1/score/stream",
    ] {
        assert_eq!(house.post(path, r#"{"text": "a"}"#).status, 401, "{path}");
    }
    for path in OPEN {
        assert_eq!(get(&house, path, &[]).status, 200, "{path}");
    }
}

#[test]
fn a_name_that_leads_here_by_a_trick_of_dns_gets_nothing() {
    let mut settings = settings();
    settings.hosts = vec!["search.example".to_owned()];
    let house = House::with(settings, Gallery::new("1"));
    let port = house.address.port();
    for path in PRIVATE.iter().chain(OPEN) {
        for host in [
            "evil.example",
            &format!("evil.example:{port}"),
            "127.0.0.1:1",
        ] {
            let refused = get(&house, path, &[("host", host)]);
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (421, "bad_host"),
                "{path} {host}"
            );
        }
        for host in [
            &format!("localhost:{port}"),
            "search.example",
            "SEARCH.example:8443",
        ] {
            assert_eq!(
                get(&house, path, &[("host", host)]).status,
                200,
                "{path} {host}"
            );
        }
    }
    let mut client = house.client();
    client.write(b"GET /healthz HTTP/1.1\r\n\r\n");
    assert_eq!(client.read().unwrap().status, 400);
    let mut client = house.client();
    let own = format!("127.0.0.1:{port}");
    client.write(
        format!("GET /healthz HTTP/1.1\r\nhost: {own}\r\nhost: evil.example\r\n\r\n").as_bytes(),
    );
    assert_eq!(client.read().unwrap().status, 400);
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let house = House::open(Gallery::new("1"));
    let own = format!("http://{}", house.address);
    let json = ("content-type", "application/json");
    let body = br#"{"text": "red"}"#;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let refused = house
            .client()
            .send("POST", "/v1/search", &[json, (name, value)], body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "cross_site"),
            "{value}"
        );
        for path in PRIVATE {
            assert_eq!(
                get(&house, path, &[(name, value)]).status,
                403,
                "{path} {value}"
            );
        }
    }
    let headers = [
        json,
        ("origin", own.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(
        house
            .client()
            .send("POST", "/v1/search", &headers, body)
            .status,
        200
    );
    // A form of another site can send no JSON.
    let form = [("content-type", "text/plain")];
    assert_eq!(
        house
            .client()
            .send("POST", "/v1/search", &form, body)
            .status,
        415
    );
    // A link may lead to the page.
    assert_eq!(
        get(&house, "/", &[("sec-fetch-site", "cross-site")]).status,
        200
    );
}

#[test]
fn every_answer_forbids_what_it_does_not_need() {
    let house = House::open(Gallery::new("1"));
    for path in PRIVATE.iter().chain(OPEN).chain(&["/nowhere"]) {
        let reply = get(&house, path, &[]);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert_eq!(
            reply.header("x-content-type-options").unwrap(),
            "nosniff",
            "{path}"
        );
        assert_eq!(
            reply.header("cross-origin-resource-policy").unwrap(),
            "same-origin",
            "{path}"
        );
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
    }
}

#[test]
fn pages_load_nothing_from_elsewhere_and_make_no_markup_of_data() {
    let house = House::open(Gallery::new("1"));
    for page in ["/", "/docs"] {
        let text = get(&house, page, &[]).text();
        for part in text
            .split(['"', '\''])
            .filter(|part| part.starts_with('/') && part.contains('.'))
        {
            assert_eq!(get(&house, part, &[]).status, 200, "{part}");
        }
        let runs = |word: &str| word.starts_with("on") && word.contains('=');
        assert!(!text.split_whitespace().any(runs), "{page}");
        assert!(!text.contains("://") && !text.contains("style="), "{page}");
    }
    for script in [
        "search.js",
        "results.js",
        "detail.js",
        "server.js",
        "query.js",
        "docs.js",
        "theme.js",
    ] {
        let text = get(&house, &format!("/assets/{script}"), &[]).text();
        for bad in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "://",
        ] {
            assert!(!text.contains(bad), "{script}: {bad}");
        }
    }
    let found = house.post("/v1/search", r#"{"text": "hostile", "top": 1}"#);
    assert_eq!(found.header("content-type").unwrap(), "application/json");
    assert_eq!(found.json()["hits"][0]["text"], HOSTILE.1);
}

/// Gives a page as a picture.
struct Liar;

impl Service for Liar {
    fn describe(&self) -> Description {
        Description::default()
    }
    fn search(&self, _: &[Query]) -> Vec<Result<Answer, Refusal>> {
        Vec::new()
    }
    fn embed(&self, _: &[EmbedInput]) -> Vec<Result<Vec<f32>, Refusal>> {
        Vec::new()
    }
    fn score(&self, _: &[PairInput]) -> Vec<Result<PairScore, Refusal>> {
        vec![Ok(PairScore {
            score: f64::NAN,
            ..PairScore::default()
        })]
    }
    fn item(&self, _: Side, _: &str) -> Result<Option<ItemView>, Refusal> {
        panic!("an item")
    }
    fn picture(&self, id: &str) -> Result<Option<Picture>, Refusal> {
        Ok(Some(Picture {
            bytes: b"<script>alert(1)</script>".to_vec(),
            media_type: id.to_owned(),
        }))
    }
    fn thumbnail(&self, id: &str, _: u32) -> Result<Option<Picture>, Refusal> {
        self.picture(id)
    }
}

#[test]
fn bytes_that_are_no_picture_are_saved_and_not_shown() {
    let house = House::open(Liar);
    for id in [
        "text%2Fhtml",
        "image%2Fsvg+xml",
        "image%2Fpng%0d%0aset-cookie:a=b",
    ] {
        for size in ["", "?size=96"] {
            let reply = get(&house, &format!("/v1/items/{id}/image{size}"), &[]);
            assert_eq!(
                reply.header("content-type").unwrap(),
                "application/octet-stream",
                "{id}"
            );
            assert_eq!(reply.header("content-disposition").unwrap(), "attachment");
            assert_eq!(
                reply.header("content-security-policy").unwrap(),
                "default-src 'none'; sandbox"
            );
            assert_eq!(reply.header("set-cookie"), None);
        }
    }
}

#[test]
fn a_service_that_breaks_its_word_is_told_from_a_bad_request() {
    let house = House::open(Liar);
    let reply = house.post("/v1/search", r#"{"text": "a"}"#);
    assert_eq!((reply.status, reply.code().as_str()), (500, "failed"));
    assert_eq!(get(&house, "/v1/items/a", &[]).code(), "failed");
    let score = house
        .post("/v1/score", r#"{"image_id": "a", "caption": "b"}"#)
        .json();
    assert!(score["score"].is_null(), "{score}");
}
