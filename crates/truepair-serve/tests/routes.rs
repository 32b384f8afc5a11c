//! Every route, what it answers and what it refuses.

mod gallery;
mod house;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gallery::{Gallery, HOSTILE};
use house::House;
use serde_json::json;

fn house() -> House {
    House::open(Gallery::new("7"))
}

#[test]
fn a_search_by_words_by_a_picture_and_like_an_item() {
    let house = house();
    let found = house.post(
        "/v1/search",
        r#"{"text": "blue star", "top": 4, "coverage": 0.9}"#,
    );
    assert_eq!(found.status, 200);
    let found = found.json();
    assert_eq!(found["hits"].as_array().unwrap().len(), 4);
    let hit = &found["hits"][0];
    assert_eq!(hit["text"], "A blue star at noon.");
    assert_eq!((&hit["rank"], &hit["in_answer"]), (&json!(1), &json!(true)));
    assert_eq!(
        (&hit["columns"]["color"], &hit["columns"]["width"]),
        (&json!("blue"), &json!(576))
    );
    assert_eq!(
        (&found["exact"], &found["version"]),
        (&json!(true), &json!("7"))
    );

    let id = hit["id"].as_str().unwrap();
    let like = house
        .post("/v1/search", &json!({"like": id, "top": 1}).to_string())
        .json();
    assert_eq!(like["hits"][0]["id"], id);
    let picture = house.get(&format!("/v1/items/{id}/image")).body;
    let query = json!({"image": STANDARD.encode(&picture), "top": 1});
    let seen = house.post("/v1/search", &query.to_string()).json();
    assert_eq!(seen["hits"][0]["id"], id);

    let mut form = b"--x\r\ncontent-disposition: form-data; name=\"top\"\r\n\r\n2\r\n\
        --x\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n"
        .to_vec();
    form.extend(&picture);
    form.extend(b"\r\n--x--\r\n");
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let seen = house
        .client()
        .send("POST", "/v1/search", &kind, &form)
        .json();
    assert_eq!(seen["hits"].as_array().unwrap().len(), 2);
    assert_eq!(seen["hits"][0]["id"], id);
}

#[test]
fn several_questions_are_answered_in_their_order_and_one_bad_one_spoils_no_other() {
    let house = house();
    let body = r#"[{"text": "red ring", "top": 1}, {"text": " "}, {"like": "none"},
        {"text": "teal cross", "of": "captions", "top": 1, "filter": "outdoors = true"}]"#;
    let answers = house.post("/v1/search", body).json();
    assert_eq!(house.post("/v1/search", "[]").json(), json!([]));
    assert_eq!(answers[0]["hits"][0]["text"], "A red ring at noon.");
    assert_eq!(answers[1]["error"]["code"], "bad_query");
    assert_eq!(answers[2]["error"]["code"], "not_found");
    assert_eq!(answers[3]["hits"][0]["text"], "A teal cross at noon.");
    assert!(
        answers[3]["hits"][0]["id"]
            .as_str()
            .unwrap()
            .starts_with("caption-of-")
    );
}

#[test]
fn embeddings_and_scores() {
    let house = house();
    let embedded = house.post(
        "/v1/embed",
        r#"[{"text": "four"}, {"text": "short"}, {"image": "AAAA"}]"#,
    );
    let embedded = embedded.json();
    assert_eq!(embedded[0]["embedding"], json!([4.0, 1.0, 0.0, 0.0]));
    assert_eq!(embedded[1]["error"]["code"], "not_offered");
    assert_eq!(embedded[2]["embedding"], json!([3.0, 0.0, 1.0, 0.0]));
    let one = house.post("/v1/embed", r#"{"text": "short"}"#);
    assert_eq!((one.status, one.code().as_str()), (422, "not_offered"));

    let pair = r#"{"image_id": "scene-0000", "caption": "red circle"}"#;
    let score = house.post("/v1/score", pair).json();
    assert_eq!(
        score,
        json!({"score": 1.0, "p_mismatched": 0.0, "judgment": "matched"})
    );
    for bad in [
        r#"{"image_id": "scene-0000"}"#,
        r#"{"image_id": "a", "image": "AAAA", "caption": "b"}"#,
        r#"{"image_id": "a", "caption_id": "c", "caption": "b"}"#,
    ] {
        assert_eq!(house.post("/v1/score", bad).code(), "bad_query", "{bad}");
    }
}

#[test]
fn streams_answer_every_line_in_order() {
    let house = house();
    let kind = [("content-type", "application/x-ndjson")];
    let mut lines = String::new();
    for n in 0..700 {
        lines += &match n % 100 {
            50 => "{broken\n".to_owned(),
            60 => "\n{\"text\": \"\"}\r\n".to_owned(),
            _ => format!("{{\"text\": \"word{n}\", \"top\": 1}}\n"),
        };
    }
    lines += "{\"text\": \"last star\", \"top\": 1}";
    let reply = house
        .client()
        .send("POST", "/v1/search/stream", &kind, lines.as_bytes());
    assert_eq!(
        reply.header("content-type").unwrap(),
        "application/x-ndjson"
    );
    let text = reply.text();
    let answers: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 701);
    for (n, answer) in answers.iter().enumerate() {
        match n % 100 {
            50 => assert_eq!(answer["error"]["code"], "bad_request"),
            60 => assert_eq!(answer["error"]["code"], "bad_query"),
            _ => assert_eq!(
                answer["hits"].as_array().map(Vec::len),
                Some(1),
                "{n}: {answer}"
            ),
        }
    }
    assert!(
        answers[700]["hits"][0]["text"]
            .as_str()
            .unwrap()
            .contains("star")
    );

    let texts: String = (1..40)
        .map(|n| format!("{{\"text\": \"{}\"}}\n", "a".repeat(n)))
        .collect();
    let reply = house
        .client()
        .send("POST", "/v1/embed/stream", &kind, texts.as_bytes())
        .text();
    for (line, n) in reply.lines().zip(1..40) {
        assert!(
            line.starts_with(&format!("{{\"embedding\":[{n}.0,")),
            "{line}"
        );
    }
    let pair = b"{\"image_id\": \"scene-0000\", \"caption\": \"red circle\"}\n";
    let reply = house
        .client()
        .send("POST", "/v1/score/stream", &kind, pair)
        .text();
    assert!(reply.starts_with("{\"score\":1.0"), "{reply}");
    assert_eq!(
        house.post("/v1/score/stream", "{}").code(),
        "bad_media_type"
    );
}

#[test]
fn a_stream_answers_while_it_is_read() {
    let house = house();
    let mut client = house.client();
    let head = format!(
        "POST /v1/search/stream HTTP/1.1\r\nhost: {}\r\ncontent-type: application/jsonl\r\n\
         transfer-encoding: chunked\r\n\r\n",
        client.host
    );
    client.write(head.as_bytes());
    let line = b"22\r\n{\"text\": \"pink tree\",   \"top\": 1}\n\r\n";
    client.write(line);
    assert!(client.read_head().unwrap().starts_with("HTTP/1.1 200"));
    for _ in 0..3 {
        let answer = String::from_utf8(client.read_chunk().unwrap()).unwrap();
        assert!(answer.contains("A pink tree at noon."), "{answer}");
        client.write(line);
    }
    client.write(b"0\r\n\r\n");
    assert!(client.read_chunk().is_some());
    assert_eq!(client.read_chunk(), None);
}

#[test]
fn items_pictures_and_thumbnails() {
    let house = house();
    let item = house.get("/v1/items/scene-0003?of=images").json();
    assert_eq!(
        (&item["id"], &item["has_picture"]),
        (&json!("scene-0003"), &json!(true))
    );
    assert_eq!(house.get("/v1/items/none").code(), "not_found");
    assert_eq!(house.get("/v1/items/a?of=sounds").code(), "bad_request");
    assert_eq!(house.get("/v1/items/%ff").code(), "bad_request");

    let whole = house.get("/v1/items/scene-0003/image");
    assert!(whole.body.starts_with(b"\x89PNG"));
    assert_eq!(whole.header("content-type").unwrap(), "image/png");
    let small = house.get("/v1/items/scene-0003/image?size=90&version=7");
    assert!(small.body.starts_with(b"\x89PNG") && small.body.len() < whole.body.len());
    for bad in ["size=0", "size=-1", "size=x", "size=99999999999"] {
        assert_eq!(
            house
                .get(&format!("/v1/items/scene-0003/image?{bad}"))
                .code(),
            "bad_request",
            "{bad}"
        );
    }
    assert_eq!(
        house.get("/v1/items/none/image?size=90").code(),
        "not_found"
    );
}

#[test]
fn ids_of_any_characters_lead_to_their_item() {
    let house = house();
    let path: String = HOSTILE
        .0
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let item = house.get(&format!("/v1/items/{path}"));
    assert_eq!(item.json()["text"], HOSTILE.1);
    assert_eq!(
        house.get(&format!("/v1/items/{path}/image")).code(),
        "not_found"
    );
}

#[test]
fn a_thumbnail_is_made_once() {
    let gallery = std::sync::Arc::new(Gallery::new("1"));
    let house = House::of(house::settings(), gallery.clone(), None);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope
                .spawn(|| assert_eq!(house.get("/v1/items/scene-0001/image?size=100").status, 200));
        }
    });
    assert_eq!(
        gallery
            .thumbnails
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
}

#[test]
fn what_the_server_says_of_itself() {
    let house = house();
    assert_eq!(
        (house.get("/healthz").status, house.get("/readyz").status),
        (200, 200)
    );
    let described = house.get("/v1/describe").json();
    assert_eq!(
        (&described["version"], &described["queries"]),
        (&json!("7"), &json!(["text", "image", "like"]))
    );
    house.post("/v1/search", r#"{"text": "red"}"#);
    house.get("/nowhere");
    let text = house.get("/metrics").text();
    for line in [
        "truepair_requests_total{route=\"/v1/search\",status=\"200\"} 1",
        "truepair_requests_total{route=\"other\",status=\"404\"} 1",
        "truepair_request_seconds_count{route=\"/v1/search\"} 1",
        "truepair_batch_size_bucket{task=\"search\",le=\"1\"} 1",
        "truepair_requests_in_flight 1",
        "truepair_queries_waiting 0",
        "truepair_index_info{name=\"a made-up gallery\",version=\"7\"} 1",
    ] {
        assert!(
            text.lines().any(|own| own == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn the_description_names_every_route_and_no_other() {
    let house = house();
    let api = house.get("/openapi.json").json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = api["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 12);
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "scene-0000");
            let reply = house.client().send(&method.to_uppercase(), &path, &[], b"");
            assert!(
                ![404, 405].contains(&reply.status),
                "{method} {path}: {}",
                reply.status
            );
        }
    }
    let query = &api["components"]["schemas"]["QueryBody"]["allOf"];
    assert_eq!(query[0]["properties"]["top"]["minimum"], 1);
    assert_eq!(query[1]["oneOf"][2]["required"], json!(["like"]));
    let cell = &api["components"]["schemas"]["Cell"]["type"];
    assert_eq!(cell, &json!(["boolean", "number", "string"]));
    let text = api.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            api["components"]["schemas"][name].is_object(),
            "{name} is not described"
        );
    }
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let house = house();
    let cases = [
        ("", 400, "bad_request"),
        ("{", 400, "bad_request"),
        ("null", 400, "bad_request"),
        ("[[]]", 400, "bad_request"),
        (r#"{"text": 3}"#, 400, "bad_request"),
        (r#"{"text": "a", "topp": 3}"#, 400, "bad_request"),
        (r#"{"text": "a", "of": "sounds"}"#, 400, "bad_request"),
        (r#"{"text": "a", "top": -1}"#, 400, "bad_request"),
        ("{\"text\": \"\\ud800\"}", 400, "bad_request"),
        ("{}", 400, "bad_query"),
        (r#"{"text": "a", "like": "b"}"#, 400, "bad_query"),
        (r#"{"text": "  "}"#, 400, "bad_query"),
        (r#"{"text": "a", "top": 0}"#, 400, "bad_query"),
        (r#"{"text": "a", "top": 1001}"#, 400, "bad_query"),
        (r#"{"text": "a", "coverage": 1}"#, 400, "bad_query"),
        (r#"{"text": "a", "coverage": -0.5}"#, 400, "bad_query"),
        (r#"{"text": "a", "filter": "nonsense"}"#, 400, "bad_filter"),
        (r#"{"image": "no base64!"}"#, 400, "bad_picture"),
        (r#"{"image": ""}"#, 400, "bad_picture"),
        (r#"{"image": "AAAA"}"#, 400, "bad_picture"),
        (r#"{"like": "missing"}"#, 404, "not_found"),
    ];
    for (body, status, code) in cases {
        let reply = house.post("/v1/search", body);
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{body}"
        );
    }
    let plain = [("content-type", "text/plain")];
    let reply = house.client().send("POST", "/v1/search", &plain, b"{}");
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (415, "bad_media_type")
    );
    let reply = house.get("/v1/search");
    assert_eq!((reply.status, reply.code().as_str()), (405, "bad_method"));
    assert_eq!(reply.header("allow").unwrap(), "POST");
    assert_eq!(house.get("/v1/nothing").code(), "no_route");
    assert_eq!(house.get("/assets/nothing.js").code(), "no_route");
    assert_eq!(house.get("/assets/..%2f..%2fCargo.toml").code(), "no_route");
}

#[test]
fn bad_forms_are_told_what_is_wrong() {
    let house = house();
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let part = |name: &str, value: &str| {
        format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let cases = [
        (String::new(), "bad_request"),
        ("--x--\r\n".to_owned(), "bad_query"),
        (part("image", "") + "--x--\r\n", "bad_picture"),
        (
            part("text", "a") + &part("top", "many") + "--x--\r\n",
            "bad_request",
        ),
        (
            part("text", "a") + &part("of", "sounds") + "--x--\r\n",
            "bad_request",
        ),
        (
            part("text", "a") + &part("image", "b") + "--x--\r\n",
            "bad_request",
        ),
        (part("words", "a") + "--x--\r\n", "bad_request"),
        (part("text", "a"), "bad_request"),
    ];
    for (form, code) in cases {
        let reply = house
            .client()
            .send("POST", "/v1/search", &kind, form.as_bytes());
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{form}");
    }
    for [name, first, second] in [["text", "dog", "cat"], ["image", "a", "b"]] {
        let form = part(name, first) + &part(name, second) + "--x--\r\n";
        let reply = house
            .client()
            .send("POST", "/v1/search", &kind, form.as_bytes());
        let body = String::from_utf8_lossy(&reply.body);
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_request"));
        let told = format!("the part `{name}` stands there twice");
        assert!(body.contains(&told), "{body}");
    }
    let no_boundary = [("content-type", "multipart/form-data")];
    assert_eq!(
        house
            .client()
            .send("POST", "/v1/search", &no_boundary, b"x")
            .code(),
        "bad_request"
    );
}

#[test]
fn a_service_that_panics_costs_one_answer() {
    let house = house();
    let reply = house.post("/v1/search", r#"{"text": "panic"}"#);
    assert_eq!((reply.status, reply.code().as_str()), (500, "failed"));
    assert_eq!(house.post("/v1/search", r#"{"text": "red"}"#).status, 200);
}
