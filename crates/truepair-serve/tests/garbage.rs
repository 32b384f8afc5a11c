//! Bytes that are no request, or almost one: the server answers or hangs up, and goes on.

mod gallery;
mod house;

use std::time::Duration;

use gallery::Gallery;
use house::{House, settings};

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

fn house() -> House {
    let mut settings = settings();
    settings.header_timeout = Duration::from_millis(200);
    settings.body_timeout = Duration::from_millis(200);
    House::with(settings, Gallery::new("1"))
}

/// Sends bytes, hangs up on one side, and reads whatever comes; the first status if there is one.
fn status_of(house: &House, bytes: &[u8]) -> Option<u16> {
    let mut client = house.client();
    client.write(bytes);
    let _ = client.stream.get_ref().shutdown(std::net::Shutdown::Write);
    client.read().map(|reply| reply.status)
}

#[test]
fn damaged_requests_never_get_an_answer_of_500() {
    let house = house();
    let host = house.address;
    let body =
        r#"[{"text": "red circle", "top": 3, "filter": "width > 400"}, {"like": "scene-0001"}]"#;
    let seeds = [
        format!(
            "POST /v1/search HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
        format!(
            "GET /v1/items/scene-0001/image?size=90&version=1 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        ),
        format!(
            "POST /v1/score/stream HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n2e\r\n{{\"image_id\": \"scene-0001\", \"caption\": \"red\"}} \n\r\n0\r\n\r\n"
        ),
        format!(
            "POST /v1/search HTTP/1.1\r\nhost: {host}\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: 77\r\n\r\n--x\r\ncontent-disposition: form-data; name=\"text\"\r\n\r\nred\r\n--x--\r\n"
        ),
    ];
    let mut dice = Dice(0x5eed);
    let mut n_answered = 0;
    for round in 0..400 {
        let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(bytes.len());
            match dice.roll(5) {
                0 => bytes[at] = dice.roll(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, b"\r\n\0{[\"%"[dice.roll(7)]),
                3 => {
                    bytes.remove(at);
                    bytes.push(b'x');
                }
                _ => {
                    let part = bytes[at..].to_vec();
                    bytes.extend(part);
                }
            }
        }
        if let Some(status) = status_of(&house, &bytes) {
            n_answered += 1;
            assert!(
                status < 500,
                "{status} to {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    assert!(n_answered > 100, "{n_answered}");
    assert_eq!(house.post("/v1/search", r#"{"text": "red"}"#).status, 200);
    assert!(!house.get("/metrics").text().contains("status=\"5"));
}

#[test]
fn two_lengths_and_other_tricks_of_smuggling_are_refused() {
    let house = house();
    let host = house.address;
    let start =
        format!("POST /v1/search HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
    let hidden = format!("GET /v1/describe HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let tricks = [
        format!("{start}content-length: 2\r\ncontent-length: 40\r\n\r\n{{}}{hidden}"),
        format!("{start}content-length: +2\r\n\r\n{{}}{hidden}"),
        format!("{start}content-length: 99999999999999999999999\r\n\r\n{{}}"),
        format!("{start}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{start}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{start}content-length : 2\r\n\r\n{{}}"),
        "GET / HTTP/2.0\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for trick in tricks {
        let status = status_of(&house, trick.as_bytes());
        assert!(
            status.is_none_or(|status| (400..500).contains(&status)),
            "{status:?} to {trick}"
        );
    }
    // Nothing that was hidden in a body was answered.
    assert!(!house.get("/metrics").text().contains("/v1/describe"));
}

#[test]
fn json_of_any_depth_and_numbers_of_any_length_are_refused() {
    let house = house();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"text\": \"a\", \"top\": {}}}", "9".repeat(100_000));
    let key = format!("{{\"{}\": 1}}", "k".repeat(100_000));
    for body in [
        deep,
        long,
        key,
        "{\"text\": \"a\", \"coverage\": 1e999}".to_owned(),
    ] {
        let reply = house.post("/v1/search", &body);
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_request"));
    }
}
