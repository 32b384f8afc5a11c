//! Limits of size, number, rate and time: what is over them is told so, and costs nobody else anything.

mod gallery;
mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use gallery::Gallery;
use house::{Client, House, settings, wait_until};
use truepair_serve::Rate;

const RED: &str = r#"{"text": "red", "top": 1}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

fn slow(millis: u64) -> Gallery {
    let mut gallery = Gallery::new("1");
    gallery.slow = Duration::from_millis(millis);
    gallery
}

#[test]
fn bodies_and_texts_and_lists_have_a_largest_size() {
    let mut settings = settings();
    settings.max_body = 10_000;
    settings.max_held = 20_000;
    settings.max_batch = 3;
    settings.max_text = 50;
    let house = House::with(settings, Gallery::new("1"));
    let cases = [
        (format!("{{\"text\": \"{}\"}}", "a".repeat(10_000)), 413),
        (format!("{{\"text\": \"{}\"}}", "a".repeat(51)), 413),
        (
            format!("{{\"text\": \"a\", \"filter\": \"{}\"}}", "a".repeat(51)),
            413,
        ),
        (format!("[{RED}, {RED}, {RED}, {RED}]"), 413),
        (format!("[{RED}, {RED}, {RED}]"), 200),
    ];
    for (body, status) in cases {
        let reply = house.post("/v1/search", &body);
        assert_eq!(reply.status, status, "{body}");
        if status == 413 {
            assert_eq!(reply.code(), "too_large");
        }
    }
    // The size is counted, not believed.
    let mut client = house.client();
    let head = format!(
        "POST /v1/search HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        client.host
    );
    client.write(head.as_bytes());
    for _ in 0..11 {
        client.write(format!("3e8\r\n{}\r\n", "a".repeat(1000)).as_bytes());
    }
    client.write(b"0\r\n\r\n");
    assert_eq!(client.read().unwrap().code(), "too_large");
    let line = format!("{{\"text\": \"{}\"}}", "a".repeat(10_100));
    let lines = [("content-type", "application/x-ndjson")];
    let reply = house
        .client()
        .send("POST", "/v1/search/stream", &lines, line.as_bytes());
    assert_eq!(reply.code(), "too_large");
    let long = format!("/v1/items/{}", "a".repeat(100_000));
    assert_eq!(house.get(&long).status, 414);
}

#[test]
fn bodies_together_have_a_largest_size() {
    let mut settings = settings();
    settings.max_body = 60_000;
    settings.max_held = 100_000;
    let house = House::with(settings, slow(600));
    let body = format!("{{\"image\": \"{}\"}}", "A".repeat(50_000));
    let statuses = scope(|scope| {
        let asked = [0, 1, 2].map(|_| scope.spawn(|| house.post("/v1/search", &body)));
        asked.map(|one| one.join().unwrap().status)
    });
    assert!(
        statuses.contains(&503) && statuses.contains(&400),
        "{statuses:?}"
    );
    assert_eq!(house.post("/v1/search", &body).code(), "bad_picture");
}

#[test]
fn more_queries_than_may_wait_are_told_to_come_again() {
    let mut settings = settings();
    settings.max_batch = 2;
    settings.max_queued = 4;
    settings.workers = 1;
    let house = House::with(settings, slow(300));
    let replies = scope(|scope| {
        let asked: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| house.post("/v1/search", RED)))
            .collect();
        asked
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert!(busy.len() >= 4 && busy.len() < 12, "{}", busy.len());
    assert!(
        busy.iter()
            .all(|reply| reply.code() == "busy" && reply.header("retry-after").is_some())
    );
    assert!(
        replies
            .iter()
            .all(|reply| [200, 503].contains(&reply.status))
    );
    assert_eq!(house.post("/v1/search", RED).status, 200);
}

#[test]
fn a_client_asks_as_often_as_its_rate_allows() {
    let mut settings = settings();
    let millis = Arc::new(AtomicU64::new(0));
    let now = Arc::clone(&millis);
    settings.clock = Arc::new(move || Duration::from_millis(now.load(Ordering::Relaxed)));
    settings.rate = Some(Rate {
        per_second: 0.5,
        burst: 3.0,
    });
    let house = House::with(settings, Gallery::new("1"));
    assert_eq!(house.post("/v1/search", RED).status, 200);
    assert_eq!(
        house.post("/v1/search", &format!("[{RED}, {RED}]")).status,
        200
    );
    let refused = house.post("/v1/search", RED);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "rate_limited")
    );
    assert_eq!(refused.header("retry-after").unwrap(), "2");
    assert_eq!(house.get("/healthz").status, 200);
    // Pictures of the hits have a budget of their own.
    let looks = (0..151).map(|_| house.get("/v1/items/scene-0000/image?size=1").status);
    let looks: Vec<u16> = looks.collect();
    assert!(looks[..150].iter().all(|status| *status == 200) && looks[150] == 429);
    millis.store(2000, Ordering::Relaxed);
    assert_eq!(house.post("/v1/search", RED).status, 200);
    assert_eq!(house.post("/v1/search", RED).status, 429);
}

#[test]
fn slow_clients_are_let_go() {
    let mut settings = settings();
    settings.header_timeout = Duration::from_millis(300);
    settings.body_timeout = Duration::from_millis(300);
    let house = House::with(settings, Gallery::new("1"));

    let began = Instant::now();
    let mut head = house.client();
    let mut body = house.client();
    let start = format!(
        "POST /v1/search HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n",
        body.host
    );
    body.write(start.as_bytes());
    let mut idle = house.client();
    assert_eq!(idle.send("GET", "/healthz", &[], b"").status, 200);
    // A byte now and then keeps neither alive.
    for _ in 0..12 {
        head.write(b"G");
        body.write(b" ");
        sleep(Duration::from_millis(50));
    }
    assert!(head.read().is_none_or(|reply| reply.status == 408));
    let reply = body.read().unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (408, "too_slow"));
    assert!(idle.read().is_none());
    assert!(began.elapsed() < Duration::from_secs(5));

    let mut lines = house.client();
    let start = format!(
        "POST /v1/search/stream HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-ndjson\r\ncontent-length: 500\r\n\r\n",
        lines.host
    );
    lines.write(start.as_bytes());
    assert_eq!(lines.read().unwrap().code(), "too_slow");
    wait_until("all connections end", || {
        house.metric("truepair_connections ") == Some(1.0)
    });
}

#[test]
fn a_client_that_reads_nothing_is_let_go() {
    let mut settings = settings();
    settings.write_timeout = Duration::from_millis(300);
    let house = House::with(settings, Gallery::new("1"));
    let mut client = house.client();
    let list = vec![r#"{"text": "red", "top": 257}"#; 250].join(",");
    let body = format!("[{list}]");
    let head = format!(
        "POST /v1/search HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        client.host,
        body.len()
    );
    client.write(head.as_bytes());
    client.write(body.as_bytes());
    wait_until("the connection ends", || {
        house
            .metric("truepair_requests_total{route=\"/v1/search\"")
            .is_some()
            && house.metric("truepair_connections ") == Some(1.0)
    });
}

#[test]
fn connections_have_a_largest_number() {
    let mut settings = settings();
    settings.max_connections = 3;
    let house = House::with(settings, Gallery::new("1"));
    let mut open: Vec<Client> = (0..3).map(|_| house.client()).collect();
    for client in &mut open {
        assert_eq!(client.send("GET", "/healthz", &[], b"").status, 200);
    }
    let reply = house.client().read().unwrap();
    assert_eq!((reply.status, reply.code().as_str()), (503, "busy"));
    open.pop();
    wait_until("a place is free", || {
        let mut client = house.client();
        client.write(format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", client.host).as_bytes());
        client.read().is_some_and(|reply| reply.status == 200)
    });
}

#[test]
fn one_connection_answers_many_requests_and_survives_refusals() {
    let house = House::open(Gallery::new("1"));
    let mut client = house.client();
    for n in 0..50 {
        let (body, status) = if n % 2 == 0 { (RED, 200) } else { ("{", 400) };
        assert_eq!(
            client
                .send("POST", "/v1/search", &[JSON], body.as_bytes())
                .status,
            status
        );
    }
}
