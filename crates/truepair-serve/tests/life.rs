//! The server over time: batches, new versions under load, many clients at once, and its end.

mod gallery;
mod house;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use gallery::Gallery;
use house::{House, settings, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use truepair_core::Error;
use truepair_serve::{Event, Opener, Service};

const RED: &str = r#"{"text": "red", "top": 1}"#;

#[test]
fn what_arrives_together_is_answered_together() {
    let mut settings = settings();
    settings.batch_window = Duration::from_millis(300);
    settings.max_batch = 8;
    let gallery = Arc::new(Gallery::new("1"));
    let house = House::of(settings, gallery.clone(), None);
    let texts = scope(|scope| {
        let asked: Vec<_> = ["red", "blue", "teal", "pink", "green", "yellow"]
            .map(|color| {
                let body = format!("{{\"text\": \"{color} star\", \"top\": 1}}");
                let house = &house;
                scope.spawn(move || (color, house.post("/v1/search", &body).json()))
            })
            .into();
        asked
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });
    for (color, found) in texts {
        assert_eq!(found["hits"][0]["text"], format!("A {color} star at noon."));
    }
    let batches = gallery.batches.lock().unwrap().clone();
    assert_eq!(batches.iter().sum::<usize>(), 6);
    assert!(batches.len() <= 2, "{batches:?}");
}

#[test]
fn a_full_batch_does_not_wait_and_none_is_larger() {
    let mut settings = settings();
    settings.batch_window = Duration::from_millis(1);
    settings.max_batch = 4;
    settings.workers = 1;
    let mut gallery = Gallery::new("1");
    gallery.slow = Duration::from_millis(50);
    let gallery = Arc::new(gallery);
    let house = House::of(settings, gallery.clone(), None);
    let body = format!("[{RED}, {RED}, {RED}]");
    scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(house.post("/v1/search", &body).status, 200));
        }
    });
    let batches = gallery.batches.lock().unwrap().clone();
    assert_eq!(batches.iter().sum::<usize>(), 18);
    assert!(batches.iter().all(|size| *size <= 4), "{batches:?}");
}

#[test]
fn a_new_version_takes_over_without_a_lost_request() {
    let made = Arc::new(AtomicUsize::new(1));
    let counter = Arc::clone(&made);
    let reopen: Opener = Box::new(move || {
        let version = counter.fetch_add(1, Ordering::Relaxed) + 1;
        let mut gallery = Gallery::new(&version.to_string());
        gallery.slow = Duration::from_millis(5);
        Ok(Some(Arc::new(gallery) as Arc<dyn Service>))
    });
    let house = House::of(settings(), Arc::new(Gallery::new("1")), Some(reopen));
    let is_over = AtomicBool::new(false);
    let versions = scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = house.client();
                    let mut versions = BTreeSet::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let json = [("content-type", "application/json")];
                        let reply = client.send("POST", "/v1/search", &json, RED.as_bytes());
                        assert_eq!(reply.status, 200);
                        versions.insert(reply.json()["version"].as_str().unwrap().to_owned());
                    }
                    versions
                })
            })
            .collect();
        wait_until("ten versions", || made.load(Ordering::Relaxed) > 10);
        is_over.store(true, Ordering::Relaxed);
        clients
            .into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect::<BTreeSet<_>>()
    });
    assert!(versions.len() >= 5, "{versions:?}");
    assert!(house.metric("truepair_index_swaps_total").unwrap() >= 9.0);
}

#[test]
fn a_version_that_cannot_be_opened_leaves_the_old_one() {
    let mut n = 0;
    let reopen: Opener = Box::new(move || {
        n += 1;
        match n {
            1..=3 => Err(Error::argument("the index is damaged", "make it anew")),
            4 => panic!("an opener"),
            _ => Ok(None),
        }
    });
    let house = House::of(settings(), Arc::new(Gallery::new("1")), Some(reopen));
    let told = || {
        let events = house.events.lock().unwrap();
        let failures = events.iter().filter_map(|event| match event {
            Event::SwapFailed { message } => Some(message.clone()),
            _ => None,
        });
        failures.collect::<Vec<_>>()
    };
    wait_until("two failures are told", || told().len() == 2);
    assert!(
        told()[0].contains("damaged") && told()[1].contains("panicked"),
        "{:?}",
        told()
    );
    assert_eq!(house.post("/v1/search", RED).json()["version"], "1");
    assert_eq!(house.get("/readyz").status, 200);
}

#[test]
fn requests_in_flight_are_answered_before_the_end() {
    let mut gallery = Gallery::new("1");
    gallery.slow = Duration::from_millis(700);
    let mut house = House::open(gallery);
    let mut idle = house.client();
    assert_eq!(idle.send("GET", "/healthz", &[], b"").status, 200);
    let address = house.address;
    let replies = scope(|scope| {
        let asked: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| house.post("/v1/search", RED)))
            .collect();
        sleep(Duration::from_millis(350));
        house.stop();
        asked
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(
        replies.iter().all(|reply| reply.status == 200),
        "{replies:?}"
    );
    assert!(
        house.join() < Duration::from_secs(3),
        "an idle connection holds nothing up"
    );
    assert!(idle.read().is_none());
    assert!(std::net::TcpStream::connect(address).is_err());
    let events = house.events.lock().unwrap();
    assert!(matches!(events[0], Event::Listening(own) if own == address));
    assert!(matches!(events.last(), Some(Event::Stopping { connections }) if *connections >= 10));
}

#[test]
fn the_end_cuts_a_stream_with_a_reason_and_waits_for_nobody_forever() {
    let mut settings = settings();
    settings.grace = Duration::from_millis(500);
    let mut gallery = Gallery::new("1");
    gallery.slow = Duration::from_millis(100);
    let mut house = House::with(settings, gallery);
    let mut client = house.client();
    let head = format!(
        "POST /v1/search/stream HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\n\r\n",
        client.host
    );
    client.write(head.as_bytes());
    client.write(format!("{:x}\r\n{RED}\n\r\n", RED.len() + 1).as_bytes());
    client.read_head().unwrap();
    assert!(
        String::from_utf8(client.read_chunk().unwrap())
            .unwrap()
            .contains("hits")
    );
    house.stop();
    let last = String::from_utf8(client.read_chunk().unwrap()).unwrap();
    assert!(last.contains("\"busy\""), "{last}");
    assert!(house.join() < Duration::from_secs(3));
}

#[test]
fn a_thousand_clients_lose_no_answer() {
    let wanted = clients_that_fit(1000);
    let mut settings = settings();
    settings.max_queued = 2 * wanted;
    settings.header_timeout = Duration::from_secs(60);
    let house = House::with(settings, Gallery::new("1"));
    let address = house.address;
    let answered = AtomicUsize::new(0);
    let until = Instant::now() + Duration::from_secs(3);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let clients = (0..wanted).map(|n| async move {
            let color = ["red", "blue", "teal", "pink"][n % 4];
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut n_answers = 0;
            while n_answers == 0 || Instant::now() < until {
                ask(&mut stream, &address.to_string(), color).await;
                n_answers += 1;
            }
            n_answers
        });
        let tasks: Vec<_> = clients.map(tokio::spawn).collect();
        for task in tasks {
            answered.fetch_add(task.await.unwrap(), Ordering::Relaxed);
        }
    });
    let n = answered.into_inner() as f64;
    assert!(n >= wanted as f64);
    assert_eq!(
        house.metric("truepair_requests_total{route=\"/v1/search\",status=\"200\"}"),
        Some(n)
    );
    assert_eq!(house.metric("truepair_queries_waiting"), Some(0.0));
}

/// Raises the number of files that may be open, for two ends of each connection.
#[allow(clippy::print_stderr, reason = "a skipped part of a test may be seen")]
fn clients_that_fit(wanted: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let fit = wanted.min(
        usize::try_from(most / 2)
            .unwrap_or(wanted)
            .saturating_sub(50),
    );
    if fit < wanted {
        eprintln!(
            "skipped: {} of {wanted} clients, for so few files may be open",
            wanted - fit
        );
    }
    fit
}

async fn ask(stream: &mut TcpStream, host: &str, color: &str) {
    let body = format!("{{\"text\": \"{color} tree\", \"top\": 1}}");
    let request = format!(
        "POST /v1/search HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 4096];
        let n = stream.read(&mut part).await.unwrap();
        assert!(n > 0, "the connection ended");
        answer.extend(&part[..n]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            assert!(head.starts_with("HTTP/1.1 200"), "{text}");
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if body.len() == length {
                assert!(body.contains(&format!("A {color} tree at noon.")), "{body}");
                return;
            }
        }
    }
}
